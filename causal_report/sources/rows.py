"""Rows of a CSV table, typed and checked: what every reader of tables begins with."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.errors import InputError
from causal_report.sources import cells, columns, csvtext, raw
from causal_report.sources.notes import named

if TYPE_CHECKING:
    from pathlib import Path

    from causal_report.sources.notes import Notes


def read(path: Path, notes: Notes) -> pd.DataFrame:
    """The table with every required column, ``role``, and a key that is unique.

    What cannot be read becomes missing and is said in *notes*; the frame is indexed from 0.

    Raises:
        InputError: not CSV, no row says which run it is, or two rows claim to be the same run.
    """
    frame = csvtext.read(path, notes, columns.is_number)
    frame = _without_unknown_units(path.name, frame, notes)
    frame = cells.typed(path.name, frame, notes)
    frame = raw.merge(path.name, frame, notes)
    _required(path, frame, notes)
    frame = _identified(path.name, frame, notes)
    if "role" not in frame:
        frame["role"] = "a"
    frame["role"] = frame["role"].replace("", "a")
    frame = _unique(path, frame, notes)
    _timestamps(path.name, frame, notes)
    cells.said_units(path.name, frame, notes)
    return frame.reset_index(drop=True)


def _without_unknown_units(name: str, frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    unknown = [column for column in map(str, frame) if not columns.has_known_unit(column)]
    if unknown:
        notes.lost(
            f"{name}: unknown unit in {', '.join(unknown)}: left out. Energies end in _joules "
            "(1 kWh = 3,600,000 J), powers in _watts"
        )
    return frame.drop(columns=unknown)


def _required(path: Path, frame: pd.DataFrame, notes: Notes) -> None:
    """Every required column is there afterwards, and says so where it was not."""
    missing = [column for column in columns.REQUIRED if column not in frame]
    fatal = [column for column in missing if column in columns.IDENTITY]
    if fatal:
        first = ", ".join(list(map(str, frame))[:3])
        raise InputError(
            f"{path}: columns missing: {', '.join(fatal)}; this is not a table of trainings. Its first line "
            f"begins with {first:.60}. {_likely(fatal, frame)}docs/tables.md lists the columns"
        )
    if "timestamp" in missing:
        notes.lost(f"{path.name}: no column timestamp; runs are told apart by experiment_id alone")
        frame["timestamp"] = ""
    if "duration_seconds" in missing:
        likely = _likely(["duration_seconds"], frame)
        notes.lost(f"{path.name}: no column duration_seconds; nothing is said of time. {likely}".strip())
        frame["duration_seconds"] = np.nan
    if "training_success" in missing:
        notes.lost(f"{path.name}: no column training_success; every run is taken as a success")
        frame["training_success"] = True
    else:
        frame["training_success"] = cells.truth(path.name, "training_success", frame, notes)
    if "duration_seconds" not in missing:
        _durations(path.name, frame, notes)


def _likely(missing: list[str], frame: pd.DataFrame) -> str:
    """The columns that may have been meant."""
    given = {name.lower(): name for name in map(str, frame) if name not in columns.REQUIRED}
    found = [given[hit] for name in missing for hit in get_close_matches(name, list(given), n=1, cutoff=0.6)]
    return f"Is it {', '.join(found)}? Rename it. " if found else ""


def _identified(name: str, frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    for column in columns.IDENTITY:
        empty = frame[column].str.strip() == ""
        if bool(empty.any()):
            notes.lost(f"{name}: {column} is empty in {named(frame, empty)}; these rows are left out")
            frame = frame[~empty]
    return frame


def _unique(path: Path, frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Rows that stand twice count once; two different rows of one key are nobody's to choose from."""
    key = list(columns.KEY)
    if not bool(frame.duplicated(key).any()):
        return frame
    again = frame[frame.duplicated(key, keep=False)].duplicated()
    copies = pd.Series(False, index=frame.index)
    copies[again.index[again]] = True
    if bool(copies.any()):
        notes.mended(f"{path.name}: the same row stands twice: {named(frame, copies)}; it counts once")
        frame = frame[~copies]
    twice = frame.duplicated(key, keep=False)
    if bool(twice.any()):
        raise InputError(
            f"{path}: two rows have the same {', '.join(key)} but not the same values: "
            f"{named(frame, twice)}. A row is one program of one run: remove the wrong rows, or give "
            "the programs of a pair the roles a and b"
        )
    return frame


def _timestamps(name: str, frame: pd.DataFrame, notes: Notes) -> None:
    given = frame["timestamp"]
    if bool((given == "").all()):
        return
    moments = pd.to_datetime(given, errors="coerce", format="ISO8601", utc=True)
    bad = moments.isna()
    if bool(bad.any()):
        notes.lost(
            f"{name}: timestamp is no moment in {named(frame, bad, given)}; the order of these runs is not "
            "known. Write 2026-11-21T19:00:00"
        )


def _durations(name: str, frame: pd.DataFrame, notes: Notes) -> None:
    none = (frame["duration_seconds"] == 0) & frame["training_success"]
    if bool(none.any()):
        notes.lost(
            f"{name}: duration_seconds is 0 in {named(frame, none)}: it took some time; taken as missing"
        )
        frame["duration_seconds"] = frame["duration_seconds"].mask(none)
    gone = frame["duration_seconds"].isna() & frame["training_success"] & ~none
    if bool(gone.any()):
        notes.mended(f"{name}: duration_seconds is missing in {named(frame, gone)}")
