"""Reads a table that stands alone: the published study's in any of its forms, or a summary.csv of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report.errors import InputError
from causal_report.sources import modes, rows
from causal_report.sources.notes import Notes, named
from causal_report.sources.source import Source, digest

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

OURS = {"session", "total_energy_status", "case_key"}
"""Columns that together no other table has."""
SUMS = ("energy_cpu_total_joules", "energy_gpu_total_joules")
SUMMED = "as published: the GPU part is a plain sum of power samples, which reads low when the CPU is busy"
NOT_SAID = "as given: how these joules were measured is not recorded"
WHOLE, MOST = 1e-6, 0.95
"""A sum over the mean of its terms is their number: whole, up to the digits that are kept."""


def read(path: Path) -> Source:
    """The table at *path*; where it has no total, that is CPU plus GPU, with status ``partial``.

    Raises:
        InputError: it cannot be read, or has no row.
    """
    notes = Notes()
    frame = rows.read(path, notes)
    if not len(frame):
        lost = f": {'; '.join(notes.unread)}" if notes.unread else ""
        raise InputError(f"{path}: column names but no row that can be used{lost}")
    ours = set(frame) >= OURS
    if not ours or "session" not in frame:
        frame["session"] = path.stem
    modes.settle(path.name, frame, notes)
    if not ours:
        _zeros(path.name, frame, notes)
    _total(frame)
    return Source(
        kind="summary" if ours else "published",
        path=path,
        name=path.stem,
        frame=frame,
        sha256=digest(path),
        done=len(frame),
        notes=(_about(frame, ours), *notes.sentences),
        unread=tuple(notes.unread),
    )


def _about(frame: pd.DataFrame, ours: bool) -> str:
    if not ours:
        partly = " In some runs not every hyperparameter was: there it is unknown." if _unknown(frame) else ""
        return f"A published table: meters, machine and how its runs were ordered were not recorded.{partly}"
    sessions = frame["session"].nunique()
    return (
        f"The table of {sessions} session{'s' if sessions > 1 else ''} outside its folder: readings, machine "
        "and catalogue are not at hand. Give the folder to see them."
    )


def _unknown(frame: pd.DataFrame) -> bool:
    """Whether a run lacks a hyperparameter that others of its model have."""
    given = [name for name in map(str, frame) if name.startswith("hyperparam_")]
    known = frame[given].notna().groupby([frame["repository"], frame["model"]]).mean()
    return bool(((known > 0) & (known < 1)).any(axis=None))


def _zeros(name: str, frame: pd.DataFrame, notes: Notes) -> None:
    """No joules in a run that took time: the counter was dead, as a machine that is on draws power."""
    for column in (*SUMS, "total_energy_joules"):
        if column not in frame:
            continue
        dead = (frame[column] == 0.0) & (frame["duration_seconds"] > 0)
        if bool(dead.any()):
            notes.lost(
                f"{name}: {column} is 0 in {named(frame, dead)}: no counter that is alive reads nothing; "
                "taken as missing"
            )
            frame[column] = frame[column].mask(dead)


def _total(frame: pd.DataFrame) -> None:
    """``total_energy_*`` where the table has none of its own."""
    if "total_energy_joules" in frame:
        known = frame["total_energy_joules"].notna()
        if "total_energy_status" not in frame:
            frame["total_energy_status"] = np.where(known, "partial", "unavailable")
            frame["total_energy_reason"] = np.where(known, NOT_SAID, "missing in the table")
        return
    parts = [column for column in SUMS if column in frame]
    frame["total_energy_joules"] = frame[parts].sum(axis=1, skipna=False) if parts else np.nan
    known = frame["total_energy_joules"].notna()
    alone = "" if len(parts) == len(SUMS) else f"; {' and '.join(set(SUMS) - set(parts))} is not in the table"
    gone = "a part is missing in the table" if parts else "the table has no column of joules"
    frame["total_energy_status"] = np.where(known, "partial", "unavailable")
    reason = SUMMED if _summed(frame) else NOT_SAID
    frame["total_energy_reason"] = np.where(known, reason + alone, gone)


def _summed(frame: pd.DataFrame) -> bool:
    """Whether GPU joules are the watts of all samples added up, as if they lay a second apart."""
    joules, watts = "energy_gpu_total_joules", "energy_gpu_avg_watts"
    if joules not in frame or watts not in frame:
        return False
    count = (frame[joules] / frame[watts].where(frame[watts] > 0)).dropna()
    whole = (count - count.round()).abs() <= WHOLE * count
    return bool(len(count)) and float((whole & (count >= 1)).mean()) >= MOST
