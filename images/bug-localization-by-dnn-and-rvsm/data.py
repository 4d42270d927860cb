"""Bug reports with candidate files: the reader of the published format, and a stand-in for it.

``python data.py DIR`` writes reports made up by a seeded generator in the format of the real data:
``Eclipse_Platform_UI.txt`` (tab-separated, one report a line) and ``features.csv`` (for each report
its right files and 50 wrong ones, with five similarities each). Results on it say nothing about
finding bugs. Standard library only for writing; reading needs numpy.
"""

from __future__ import annotations

import csv
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).resolve().parent.parent / "base"))  # when run from a checkout by hand

from prepared import DataError, command, digest, prepare, read_table, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

REPORTS, FEATURES = "Eclipse_Platform_UI.txt", "features.csv"
TIME = "%Y-%m-%d %H:%M:%S"
REPORT_COLUMNS = ("id", "bug_id", "summary", "description", "report_time", "status", "commit", "files")
INPUTS = ("rVSM_similarity", "collab_filter", "classname_similarity", "bug_recency", "bug_frequency")
FEATURE_COLUMNS = ("report_id", "file", *INPUTS, "match")
STANDIN_REPORTS, STANDIN_FILES, WRONG = 80, 200, 50


# ---------------------------------------------------------------- writing the stand-in


def write(folder: Path) -> None:
    """Write the stand-in and ``source.json`` to *folder*, all or nothing.

    Raises:
        DataError: *folder* holds something else.
    """
    prepare(folder, _fill)


def _fill(folder: Path) -> dict[str, str]:
    _write_reports(folder, random.Random(0))
    return {"eclipse": "stand-in"}


def _write_reports(folder: Path, dice: random.Random) -> None:
    files = [f"org.example.ui/src/View{number:03}.java" for number in range(STANDIN_FILES)]
    start = datetime(2010, 1, 1)
    reports, features = [], []
    for number in range(1, STANDIN_REPORTS + 1):
        right, *wrong = dice.sample(files, WRONG + 1)
        time = start + timedelta(hours=dice.randrange(20_000))
        summary = f"Bug {1000 + number} view fails"
        text = f"The view of {Path(right).stem} fails"
        reports.append(
            [number, 1000 + number, summary, text, time.strftime(TIME), "fixed", "0", f"bundles/{right}"]
        )
        features += [
            [number, file, *_inputs(dice, file == right), int(file == right)] for file in (right, *wrong)
        ]
    _write_table(folder / REPORTS, "\t", REPORT_COLUMNS, reports)
    _write_table(folder / FEATURES, ",", FEATURE_COLUMNS, features)


def _inputs(dice: random.Random, right: bool) -> list[float]:
    """Five similarities from 0 to 1; each alone tells right from wrong files badly."""
    shift = 0.12 if right else 0.0
    means = (0.25, 0.2, 0.2, 0.3, 0.3)
    return [round(min(1.0, max(0.0, dice.gauss(mean + shift, 0.1))), 6) for mean in means]


def _write_table(file: Path, delimiter: str, header: Iterable[str], rows: Iterable[list[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


# ---------------------------------------------------------------- reading


class Reports:
    """Bug reports in the order of their time, with the candidate files of each.

    Attributes:
        inputs: one float64 array [candidates, 5] a report.
        match: one float64 array [candidates] a report: 1 for a right file, else 0.
        source: what ``source.json`` calls the data, else ``user``.
        digest: over the inputs and matches that are used.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        """Read the first *limit* reports in the order of time; reports without candidates are left out."""
        import numpy as np

        order = _report_order(folder / REPORTS)
        rows: dict[str, list[list[float]]] = {}
        for report, values in _feature_rows(folder / FEATURES, order):
            rows.setdefault(report, []).append(values)
        names = [report for report in order if report in rows][:limit]
        if len(names) < 2:
            raise DataError(f"{folder / FEATURES}: {len(names)} reports, expected at least 2 (see --limit)")
        tables = [np.array(rows[name]) for name in names]
        self.inputs = [table[:, :-1] for table in tables]
        self.match = [table[:, -1] for table in tables]
        if not any(match.any() for match in self.match):
            raise DataError(f"{folder / FEATURES}: no row with match 1 in the reports used")
        self.source = source_of(folder, "eclipse")
        self.digest = digest(table.tobytes() for table in tables)

    def __len__(self) -> int:
        """How many reports there are."""
        return len(self.inputs)


def _report_order(file: Path) -> dict[str, datetime]:
    """Time of each report by its id, earliest first."""
    times: dict[str, datetime] = {}
    for line, row in read_table(file, ("id", "report_time"), "\t", errors="replace"):
        if row["id"] in times:
            raise DataError(f"{file}, line {line}: id {row['id']!r} occurs twice")
        try:
            times[row["id"]] = datetime.strptime(row["report_time"], TIME)
        except ValueError:
            raise DataError(
                f"{file}, line {line}: report_time {row['report_time']!r}, expected year-month-day h:m:s"
            ) from None
    return dict(sorted(times.items(), key=lambda item: item[1]))


def _feature_rows(file: Path, known: Mapping[str, object]) -> Iterator[tuple[str, list[float]]]:
    """Report id and the five inputs with the match, as numbers, of each line."""
    for line, row in read_table(file, FEATURE_COLUMNS, errors="replace"):
        if row["report_id"] not in known:
            raise DataError(f"{file}, line {line}: report_id {row['report_id']!r} is not in {REPORTS}")
        values = []
        for column in INPUTS:
            try:
                values.append(float(row[column]))
            except ValueError:
                raise DataError(f"{file}, line {line}: {column} {row[column]!r}, expected a number") from None
        if row["match"] not in ("0", "1"):
            raise DataError(f"{file}, line {line}: match {row['match']!r}, expected 0 or 1")
        yield row["report_id"], [*values, float(row["match"])]


if __name__ == "__main__":
    command(write)
