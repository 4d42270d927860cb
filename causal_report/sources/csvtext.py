"""Reads a CSV file of any common dialect; says what of its text could not be read."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.errors import InputError
from causal_report.sources.notes import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from causal_report.sources.notes import Notes

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SIGNATURES = {b"PK\x03\x04": "a zip or Excel file", b"\x1f\x8b": "a gzip file", b"PAR1": "a Parquet file"}
MISSING = ("", "nan", "NaN", "NAN", "-nan", "NA", "<NA>", "null", "NULL", "None")
"""What programs write for a missing number (pandas, R, SQL, Python); other words are none."""
DECIMAL_COMMA = re.compile(r'(?:^|;)"?-?\d+,\d+"?(?=;|$)')
LINE_END = re.compile(r"\r\n|\n|\r")
SAMPLE_LINES = 50
HEAD_BYTES = 256
"""Zero bytes among the first so many are no damage: the file is not text at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """The file as UTF-8 with its dialect."""

    raw: bytes
    header: tuple[str, ...]
    separator: str
    decimal: str
    lines_before: int


def read(path: Path, notes: Notes, is_number: Callable[[str], bool]) -> pd.DataFrame:
    """Cells by column: floats where *is_number* and every cell is one, else text; index = data row.

    A row with too few or too many cells is left out and named.

    Raises:
        InputError: no text, no header, or a column name stands twice.
    """
    import pyarrow as pa

    text = _text(path, notes)
    ragged: list[tuple[int, int]] = []
    numbers = [name for name in text.header if is_number(name)]
    try:
        table = _parse(text, numbers, ragged, threads=True)
    except pa.ArrowInvalid:  # a cell of a number column holds something else: read it as it stands
        table = None
    try:
        if table is None or ragged:
            ragged.clear()
            table = _parse(text, (), ragged, threads=False)
    except (pa.ArrowInvalid, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    skipped = [row - text.lines_before for row, _ in ragged]
    frame.index = pd.Index(_kept(len(frame), skipped) + text.lines_before)
    _say_ragged(path, notes, ragged, len(text.header))
    swallowed = text.raw.count(b"\n") - text.lines_before - 1 - len(frame) - len(skipped)
    if swallowed > 0 and text.raw.count(b'"') % 2:
        notes.lost(
            f"{path.name}: a quotation mark is opened and not closed: {swallowed:,} lines were taken "
            "for its cell. Close or remove it"
        )
    return _without_blank(_points(frame, numbers) if text.decimal == "," else frame)


def _points(frame: pd.DataFrame, numbers: Sequence[str]) -> pd.DataFrame:
    """Decimal commas as points, in number columns that had to be read as text."""
    for name in numbers:
        if frame[name].dtype != np.float64:
            frame[name] = frame[name].str.replace(r"^\s*(-?\d*),(\d+)\s*$", r"\1.\2", regex=True)
    return frame


def _without_blank(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that have something in any cell."""
    blank = np.ones(len(frame), dtype=bool)
    for name in frame.columns:
        cells = frame[name]
        blank &= (cells.isna() if cells.dtype == np.float64 else cells == "").to_numpy(dtype=bool)
        if not blank.any():
            return frame
    return frame[~blank]


def _parse(text: _Text, numbers: Sequence[str], ragged: list[tuple[int, int]], *, threads: bool) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow

    def skip(row: arrow.InvalidRow) -> str:
        ragged.append(((row.number or 2) - 2, row.actual_columns))
        return "skip"

    types = {name: pa.float64() if name in numbers else pa.string() for name in text.header}
    return arrow.read_csv(
        pa.BufferReader(text.raw),
        read_options=arrow.ReadOptions(
            column_names=list(text.header), skip_rows=text.lines_before + 1, use_threads=threads
        ),
        parse_options=arrow.ParseOptions(
            delimiter=text.separator,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        convert_options=arrow.ConvertOptions(
            column_types=types,
            null_values=list(MISSING),
            strings_can_be_null=False,
            decimal_point=text.decimal,
        ),
    )


def _kept(n: int, skipped: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Positions of the rows that were kept among all there are."""
    every = np.arange(n + len(skipped), dtype=np.int64)
    return np.delete(every, np.asarray(skipped, dtype=np.int64))


def _say_ragged(path: Path, notes: Notes, ragged: Sequence[tuple[int, int]], wanted: int) -> None:
    if not ragged:
        return
    named = ", ".join(f"row {row + 2} ({cells} cell{'s' * (cells != 1)})" for row, cells in ragged[:EXAMPLES])
    more = f" and {len(ragged) - EXAMPLES:,} more" if len(ragged) > EXAMPLES else ""
    notes.lost(
        f"{path.name}: left out because the header has {wanted} columns: {named}{more}. "
        "Quote cells that hold the separator"
    )


def _text(path: Path, notes: Notes) -> _Text:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    raw = _utf8(path, raw, notes)
    head = raw[: 1 << 20].decode("utf-8", "replace").lstrip("\ufeff")
    lines = LINE_END.split(head)
    before = next((i for i, line in enumerate(lines) if line.strip()), None)
    if before is None:
        raise InputError(f"{path}: the file is empty; a table begins with a row of column names")
    separator = max(SEPARATORS, key=lines[before].count)
    header = [name.strip() for name in next(csv.reader([lines[before]], delimiter=separator))]
    header = [name or f"unnamed_{position}" for position, name in enumerate(header, start=1)]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{path}: two columns are called {', '.join(twice)}; remove or rename one of them")
    decimal = "."
    if separator == ";" and any(
        DECIMAL_COMMA.search(line.strip()) for line in lines[before + 1 :][:SAMPLE_LINES]
    ):
        decimal = ","
    if separator != ",":
        said = " and numbers have a decimal comma" if decimal == "," else ""
        notes.mended(f"{path.name}: cells are separated by {SEPARATORS[separator]}{said}")
    return _Text(
        raw=raw if raw.endswith(b"\n") else raw + b"\n",
        header=tuple(header),
        separator=separator,
        decimal=decimal,
        lines_before=before,
    )


def _utf8(path: Path, raw: bytes, notes: Notes) -> bytes:
    """The same text in UTF-8; bytes that are none become �, which leaves numbers as they are."""
    for signature, what in SIGNATURES.items():
        if raw.startswith(signature):
            raise InputError(f"{path}: this is {what}, not text; save the table as CSV")
    wide = next((name for bom, name in WIDE.items() if raw.startswith(bom)), "")
    if wide:
        notes.mended(f"{path.name}: read as UTF-16")
        return raw.decode(wide, "replace").encode("utf-8")
    if b"\0" in raw[:HEAD_BYTES]:
        raise InputError(f"{path}: this is not text (it begins with zero bytes); save the table as CSV")
    if b"\0" in raw:
        row = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        notes.lost(f"{path.name}: zero bytes from line {row} on, as a crash leaves them; they are left out")
        raw = raw.replace(b"\0", b"")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        notes.lost(
            f"{path.name}: not in UTF-8 from line {row} on (byte {raw[error.start]:#04x}): such letters are "
            "shown as �, numbers are as they were. Save the table in UTF-8"
        )
        return raw.decode("utf-8", "replace").encode("utf-8")
    return raw
