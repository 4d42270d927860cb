"""The raw form of the published table: background runs have their values in ``fg_*`` copies of columns.

Some of its rows have a value in the copy only, some in both, some in the plain column only. Merging
them is safe only where both agree; the published study joined by hand, and overwrote other runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causal_report.sources.columns import FOREGROUND
from causal_report.sources.notes import named

if TYPE_CHECKING:
    import pandas as pd

    from causal_report.sources.notes import Notes

TOLERANCE = 1e-9
"""Two floats this close in relation are one number printed twice."""
PLACEHOLDERS = ("repository", "model")
"""A background experiment's own names may stand for nothing: what was trained is the foreground."""
BOOKKEEPING = ("error_message", "log_directory", "note")
"""Words that may be said of the run and of its foreground in different ways."""


def merge(name: str, frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """The same rows with every ``fg_x`` moved into ``x``; two different values are said, never mixed.

    Of two numbers that differ neither is taken. Of two repositories or models the foreground's is.
    """
    copies = [column for column in map(str, frame) if column.startswith(FOREGROUND)]
    if not copies:
        return frame
    moved = np.zeros(len(frame), dtype=bool)
    for copy in copies:
        plain = copy.removeprefix(FOREGROUND)
        here = known(frame[copy])
        if plain not in frame:
            frame[plain] = frame[copy]
            moved |= here.to_numpy()
            continue
        there = known(frame[plain])
        if plain not in BOOKKEEPING:
            _contradictions(name, plain, frame, here & there, notes)
        take = here & (~there if plain not in PLACEHOLDERS else True)
        moved |= (here & ~there).to_numpy()
        if bool(take.any()):
            frame[plain] = _joined(frame[plain], frame[copy], take)
    if moved.any():
        notes.mended(
            f"{name}: in {int(moved.sum()):,} rows values stand in {FOREGROUND}* columns only; "
            "they were taken from there"
        )
    return frame.drop(columns=copies)


def known(cells: pd.Series[Any]) -> pd.Series[bool]:
    """Where a cell holds anything."""
    if cells.dtype.kind in "fib":
        return cells.notna()
    return cells.notna() & (cells.astype("str").str.strip() != "")


def _joined(plain: pd.Series[Any], copy: pd.Series[Any], take: pd.Series[bool]) -> pd.Series[Any]:
    if plain.dtype != copy.dtype:
        plain, copy = plain.astype(object), copy.astype(object)
    return plain.where(~take, copy)


def _contradictions(name: str, plain: str, frame: pd.DataFrame, both: pd.Series[bool], notes: Notes) -> None:
    """Name cells whose copy says something else; numbers among them become missing in both."""
    copy = f"{FOREGROUND}{plain}"
    one, other = frame[plain], frame[copy]
    if one.dtype.kind in "fib" and other.dtype.kind in "fib":
        apart = both & ~_close(one, other)
    else:
        apart = both & (one.astype("str").str.strip() != other.astype("str").str.strip())
    if not bool(apart.any()):
        return
    shown = one.astype(str) + " against " + other.astype(str)
    taken = f"taken from {copy}" if plain in PLACEHOLDERS else "neither is taken"
    notes.lost(f"{name}: {plain} and {copy} differ in {named(frame, apart, shown)}; {taken}")
    if plain not in PLACEHOLDERS:
        for column in (plain, copy):
            frame[column] = frame[column].mask(apart)


def _close(one: pd.Series[float], other: pd.Series[float]) -> pd.Series[bool]:
    scale = np.maximum(one.abs(), other.abs())
    return (one - other).abs() <= TOLERANCE * scale
