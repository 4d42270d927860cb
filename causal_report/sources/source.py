"""What a reader gives: rows, readings and facts of one session or one published table."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from causal_report.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REQUIRED = ("experiment_id", "timestamp", "repository", "model", "training_success", "duration_seconds")
UNITS = ("joules", "watts", "celsius", "percent", "status", "reason", "source")
"""Endings that a column named ``energy_*`` or ``estimate_*`` may have (and ``energy_per_epoch``)."""


WORDS = {
    *("experiment_id", "timestamp", "role", "session", "repository", "model", "mode", "error_message"),
    *("data_source", "data_digest", "weights", "device", "executor", "shared_with", "simulated"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows and facts as they were read, before any judgement.

    Attributes:
        kind: ``session`` (written by the plugin) or ``published`` (a bare table).
        frame: one row a measured program; key (experiment_id, timestamp, role).
        readings: flat readings with the ``experiment_id`` they belong to; empty for a bare table.
        facts: the content of session.json; empty for a bare table.
        baselines: the session's own measurements of the machine at rest, in order.
        complete: every planned case was run and the session ended by itself.
        planned: cases planned, None where nobody recorded it.
        sha256: digest of the table file.
        notes: what could not be read, one sentence each.
    """

    kind: Literal["session", "published"]
    path: Path
    name: str
    frame: pd.DataFrame
    sha256: str
    readings: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    baselines: tuple[Mapping[str, Any], ...] = ()
    complete: bool = True
    planned: int | None = None
    done: int = 0
    notes: tuple[str, ...] = ()


def read_table(path: Path) -> pd.DataFrame:
    """The CSV with numbers as numbers, booleans as booleans, and a ``role`` column.

    Raises:
        InputError: not CSV, a required column is missing, or a column has a unit nobody knows.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file), [])
        frame = pd.read_csv(path, dtype=_text(header), low_memory=False) if header else pd.DataFrame()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise InputError(f"{path}: columns missing: {', '.join(missing)}; this is not a table of trainings")
    unknown = [name for name in header if not _known_unit(name)]
    if unknown:
        raise InputError(
            f"{path}: unknown unit in {', '.join(unknown)}; energies end in _joules, powers in _watts"
        )
    frame["training_success"] = [str(value).strip().lower() == "true" for value in frame["training_success"]]
    for name in _text(header):
        frame[name] = frame[name].fillna("")
    if "role" not in frame:
        frame["role"] = "a"
    frame["role"] = frame["role"].replace("", "a")
    _numbers(path, frame)
    _unique(path, frame)
    return frame


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _text(header: Sequence[str]) -> dict[str, type[str]]:
    """Columns that hold words, even where every cell is empty."""
    return {name: str for name in header if name in WORDS or name.endswith(("_status", "_reason"))}


def _known_unit(name: str) -> bool:
    if not name.startswith(("energy_", "estimate_", "total_energy_")):
        return True
    return name == "energy_per_epoch" or name.rsplit("_", 1)[-1] in UNITS


def _numbers(path: Path, frame: pd.DataFrame) -> None:
    """Turn columns that must be numbers into numbers, or say which cell is none."""
    for name in frame.columns:
        number = name.startswith(("hyperparam_", "perf_")) or name.endswith(("_joules", "_watts", "_seconds"))
        if not number:
            continue
        values = pd.to_numeric(frame[name], errors="coerce")
        bad = frame[name].notna() & values.isna()
        if bool(bad.any()):
            cell = frame.loc[bad, name].iloc[0]
            raise InputError(f"{path}: {name} holds {cell!r}, which is not a number")
        frame[name] = values.astype(float)


def _unique(path: Path, frame: pd.DataFrame) -> None:
    key = ["experiment_id", "timestamp", "role"]
    twice = frame.loc[frame.duplicated(key), "experiment_id"].tolist()
    if twice:
        raise InputError(f"{path}: two rows have the same {', '.join(key)}: {', '.join(map(str, twice[:5]))}")
