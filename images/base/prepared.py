"""What the ``data.py`` of every repository shares: writing small data once, and reading data with care.

Standard library only: ``data.py`` runs on the host, with whatever Python is there.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

SOURCE = "source.json"
STANDIN = "write the stand-in with: python data.py NEW_FOLDER"


class DataError(SystemExit):
    """Data that is missing, in the way or not what its format says; the text names the file and the mend."""


# ---------------------------------------------------------------- writing


def command(write: Callable[[Path], None]) -> None:
    """``python data.py DIR``: call *write* with that folder."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python data.py DIR")
    write(Path(sys.argv[1]))


def prepare(folder: Path, fill: Callable[[Path], Mapping[str, str]]) -> None:
    """Write data and ``source.json`` to *folder*, all or nothing; leave it alone where it is already there.

    Args:
        folder: where the data shall be; its parents are made.
        fill: writes into the empty folder it is given; returns the name of the data by its kind.

    Raises:
        DataError: *folder* holds something else.
    """
    if (folder / SOURCE).is_file():
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: not empty, and not written by this program; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        names = fill(part)
        (part / SOURCE).write_text(json.dumps(dict(names)) + "\n", "utf-8")
        part.chmod(0o755)
        os.rename(part, folder)
    except OSError:
        if not (folder / SOURCE).is_file():  # else another process was first: the same data
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


# ---------------------------------------------------------------- reading


def source_of(folder: Path, kind: str) -> str:
    """What ``source.json`` says of *kind* of data, ``user`` where it says nothing or is not there.

    Raises:
        DataError: it is no JSON object.
    """
    file = folder / SOURCE
    if not file.is_file():
        return "user"
    try:
        names = json.loads(file.read_text("utf-8"))
    except ValueError:
        names = None
    if not isinstance(names, dict):
        raise DataError(f'{file}: expected {{"{kind}": "NAME"}}; remove it for data of your own')
    return str(names.get(kind, "user"))


def digest(chunks: Iterable[bytes | memoryview]) -> str:
    """First 16 hexadecimal digits of SHA-256 over *chunks*, one after the other."""
    state = hashlib.sha256()
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest()[:16]


def read_table(
    file: Path,
    columns: Sequence[str],
    delimiter: str = ",",
    *,
    errors: str = "strict",
    expected: str | None = None,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and fields by column name of each row; every one of *columns* is there.

    Args:
        file: a table in UTF-8 with the column names in its first line.
        columns: must be there; others may.
        delimiter: stands between fields.
        errors: what becomes of bytes that are no UTF-8, as for ``open``.
        expected: the columns as the user is told them, where the format has more than *columns*.

    Raises:
        DataError: the file, a column or a value is missing.
    """
    wanted = expected or ",".join(columns)
    if not file.is_file():
        raise DataError(f"{file}: no such file; expected a table with columns {wanted}, or {STANDIN}")
    csv.field_size_limit(2**27)  # sources, trees and descriptions are long
    with file.open(encoding="utf-8", errors=errors, newline="") as lines:
        reader = csv.DictReader(lines, delimiter=delimiter)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            found = ", ".join(reader.fieldnames or ()) or "none"
            raise DataError(
                f"{file}, line 1: no column {', '.join(missing)}; expected {wanted}, found {found}"
            )
        for row in reader:
            empty = [column for column in columns if row[column] is None]
            if empty:
                raise DataError(f"{file}, line {reader.line_num}: no value for {', '.join(empty)}")
            yield reader.line_num, row
