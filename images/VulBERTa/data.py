"""Functions with and without a vulnerability: readers of two published formats, and a stand-in.

``python data.py DIR`` writes generated C functions in the Devign format. The readers take

* Devign: ``Devign.json``, a list of {project, commit_id, target, func}, with row numbers in
  ``train.txt``, ``valid.txt`` and ``test.txt``;
* D2A: ``train.csv``, ``dev.csv`` and ``test.csv`` (or ``d2a_lbv1_function_train.csv`` and so on)
  with columns ``id,label,code``. Where the test file has no labels, as published, or is missing,
  the dev rows are also the final held-out rows.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.append(str(Path(__file__).resolve().parent.parent / "base"))  # when run from a checkout by hand

from prepared import STANDIN, DataError, command, digest, prepare, read_table, source_of
from standin import write_devign

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DEVIGN = "Devign.json"
D2A_PREFIXES = ("", "d2a_lbv1_function_")


class Row(NamedTuple):
    """One function: 1 if it is vulnerable, and its C source."""

    target: int
    code: str


def write(folder: Path) -> None:
    """Write the stand-in and ``source.json`` to *folder*, all or nothing.

    Raises:
        DataError: *folder* holds something else.
    """
    prepare(folder, _fill)


def _fill(folder: Path) -> dict[str, str]:
    write_devign(folder)
    return {"devign": "stand-in"}


class Functions:
    """The rows of a data folder.

    Attributes:
        train, valid, test: rows; *limit* cuts the training rows alone and keeps both classes.
        corpus: the source of all training rows whatever the limit, for the vocabulary.
        source: what ``source.json`` calls the data, else ``user``.
        digest: over the rows that are used.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        devign, d2a = (folder / DEVIGN).is_file(), _d2a_file(folder, "train")
        if devign and d2a:
            raise DataError(f"{folder}: holds both {DEVIGN} and {d2a.name}; keep one of the two")
        if not devign and not d2a:
            raise DataError(f"{folder}: neither {DEVIGN} nor train.csv here; {STANDIN}")
        train, self.valid, self.test = _devign(folder) if devign else _d2a(folder)
        self.corpus = [row.code for row in train]
        self.train = few(train, limit)
        for name, rows in (("training", self.train), ("test", self.test)):
            if {row.target for row in rows} != {0, 1}:
                raise DataError(f"{folder}: the {len(rows)} {name} rows are not of both classes 0 and 1")
        self.source = source_of(folder, "devign" if devign else "d2a")
        self.digest = digest(_chunks(self.train, self.valid, self.test))


def _chunks(*splits: Iterable[Row]) -> Iterator[bytes]:
    for rows in splits:
        yield b"split\0"
        yield from (f"{row.target}\0{row.code}\0".encode() for row in rows)


def few(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """The first *limit* rows, half of each class as far as both last, in their order."""
    if limit is None or limit >= len(rows):
        return list(rows)
    if limit < 2:
        raise SystemExit(f"--limit {limit}: expected at least 2, one row of each class")
    places: dict[int, list[int]] = {0: [], 1: []}
    for place, row in enumerate(rows):
        places[row.target].append(place)
    ones = min(len(places[1]), max(limit // 2, limit - len(places[0])))
    return [rows[place] for place in sorted(places[1][:ones] + places[0][: limit - ones])]


def _devign(folder: Path) -> tuple[list[Row], list[Row], list[Row]]:
    file = folder / DEVIGN
    try:
        entries = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(entries, list):
        raise DataError(f"{file}: {type(entries).__name__} at the top, expected a list of functions")
    rows = [_devign_row(file, number, entry) for number, entry in enumerate(entries)]
    train, valid, test = (_chosen(folder / f"{split}.txt", rows) for split in ("train", "valid", "test"))
    return train, valid, test


def _devign_row(file: Path, number: int, entry: object) -> Row:
    if not isinstance(entry, dict) or not isinstance(entry.get("func"), str):
        raise DataError(f"{file}, row {number}: expected an object with the source in 'func'")
    target = entry.get("target")
    if target not in (0, 1):
        raise DataError(f"{file}, row {number}: target {target!r}, expected 0 or 1")
    return Row(int(target), entry["func"])


def _chosen(file: Path, rows: Sequence[Row]) -> list[Row]:
    """The rows whose numbers *file* lists."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; expected one row number of {DEVIGN} a line")
    chosen = []
    for line, text in enumerate(file.read_text("utf-8").split("\n"), 1):
        if not text.strip():
            continue
        if not text.strip().isdecimal() or int(text) >= len(rows):
            raise DataError(f"{file}, line {line}: {text!r}, expected a row number from 0 to {len(rows) - 1}")
        chosen.append(rows[int(text)])
    if not chosen:
        raise DataError(f"{file}: no row number in it")
    return chosen


def _d2a_file(folder: Path, split: str) -> Path | None:
    files = (folder / f"{prefix}{split}.csv" for prefix in D2A_PREFIXES)
    return next((file for file in files if file.is_file()), None)


def _d2a(folder: Path) -> tuple[list[Row], list[Row], list[Row]]:
    train, valid = (_d2a_rows(_d2a_file(folder, split), folder, split) for split in ("train", "dev"))
    test = _d2a_file(folder, "test")
    return train, valid, _d2a_rows(test, folder, "test") if test and _labelled(test) else valid


def _labelled(file: Path) -> bool:
    with file.open(encoding="utf-8", newline="") as lines:
        return "label" in (csv.DictReader(lines).fieldnames or ())


def _d2a_rows(file: Path | None, folder: Path, split: str) -> list[Row]:
    if file is None:
        raise DataError(f"{folder}: no {split}.csv and no {D2A_PREFIXES[1]}{split}.csv")
    found = []
    for line, row in read_table(file, ("label", "code"), expected="id,label,code"):
        if row["label"] not in ("0", "1"):
            raise DataError(f"{file}, line {line}: label {row['label']!r}, expected 0 or 1")
        found.append(Row(int(row["label"]), row["code"]))
    return found


if __name__ == "__main__":
    command(write)
