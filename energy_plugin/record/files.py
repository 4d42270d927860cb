"""Writes a session's files beside the journal: experiment.json, readings.json, summary.*."""

from __future__ import annotations

import csv
import json
import os
from typing import TYPE_CHECKING, Any

from energy_plugin.record.journal import records
from energy_plugin.record.rows import experiment, reading_json, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from energy_plugin.record.record import Record


def write_json(path: Path, data: Any) -> None:
    """Write by temporary file and rename, so that a reader never sees half a file."""
    _replace(path, json.dumps(data, indent=1, sort_keys=False) + "\n")


def write_experiment(folder: Path, record: Record) -> None:
    """experiment.json and energy/readings.json of one attempt, in its experiment folder."""
    (folder / "energy").mkdir(parents=True, exist_ok=True)
    write_json(folder / "experiment.json", experiment(record))
    write_json(folder / "energy" / "readings.json", [reading_json(r) for r in record.readings])


def write_missing(folder: Path, all_records: Sequence[Record]) -> None:
    """The files of attempts whose session was killed after it journalled them and before it wrote these."""
    for record in all_records:
        own = folder / record.experiment_id
        if not (own / "energy" / "readings.json").exists():
            write_experiment(own, record)


def write_summary(folder: Path, all_records: Sequence[Record]) -> None:
    """summary.csv and summary.parquet of a session; floats in full precision, None empty."""
    columns, rows = write_table(folder, all_records)
    _write_parquet(folder / "summary.parquet", columns, rows)


def write_table(folder: Path, all_records: Sequence[Record]) -> tuple[list[str], list[dict[str, Any]]]:
    """summary.csv alone, which needs no library; its columns and rows."""
    columns, rows = table(all_records)
    path = folder / "summary.csv"
    temporary = path.with_suffix(".csv.tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)
    return columns, rows


def _write_parquet(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: pa.array([row.get(name) for row in rows]) for name in columns}
    temporary = path.with_suffix(".parquet.tmp")
    pq.write_table(pa.table(arrays), temporary)
    os.replace(temporary, path)


def rebuild(folder: Path) -> int:
    """Write every derived file of a session anew from its journal; how many attempts there were."""
    found = records(folder)
    for record in found:
        write_experiment(folder / record.experiment_id, record)
    write_summary(folder, found)
    return len(found)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
