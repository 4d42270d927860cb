"""Cells as numbers, words and truth values; a cell that is none of what its column holds is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causal_report.sources import columns
from causal_report.sources.csvtext import MISSING
from causal_report.sources.notes import named

if TYPE_CHECKING:
    from causal_report.sources.notes import Notes

TRUE = {"true", "1", "1.0", "yes", "success"}
FALSE = {"false", "0", "0.0", "no", "failed", "failure"}
UNIT_RATIO = 10.0
"""Sums of power samples read up to 60 % low on busy machines; a factor of ten is another unit."""


def typed(name: str, frame: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Every column as what its name says: numbers, words, or whatever all its cells are."""
    for column in list(frame.columns):
        if columns.is_number(column):
            values = _numbers(name, column, frame, notes)
            frame[column] = _possible(name, column, frame, values, notes)
        elif not columns.is_words(column) and column != "training_success":
            frame[column] = _whatever(frame[column])
    return frame.copy()  # in one piece: pandas warns of frames patched column by column


def truth(name: str, column: str, frame: pd.DataFrame, notes: Notes) -> pd.Series[bool]:
    """The column as true or false; a cell that is neither counts as false, and is named."""
    words = frame[column].astype(str).str.strip().str.lower()
    distinct = words.unique()
    yes = words.isin([word for word in distinct if word in TRUE])
    odd = ~words.isin([word for word in distinct if word in TRUE | FALSE])
    if bool(odd.any()):
        notes.lost(
            f"{name}: {column} is neither True nor False in {named(frame, odd, frame[column])}; "
            "taken as False"
        )
    return yes.astype(bool)


def said_units(name: str, frame: pd.DataFrame, notes: Notes) -> None:
    """Hold joules against watts × seconds: a whole column far off is in another unit."""
    needed = ("energy_gpu_total_joules", "energy_gpu_avg_watts", "duration_seconds")
    if any(column not in frame for column in needed):
        return
    joules, watts, seconds = (frame[column].to_numpy(dtype=float) for column in needed)
    product = watts * seconds
    with np.errstate(invalid="ignore"):
        sound = (product > 0) & (joules > 0)
    if not sound.any():
        return
    ratio = float(np.median(joules[sound] / product[sound]))
    if not 1 / UNIT_RATIO <= ratio <= UNIT_RATIO:
        notes.lost(
            f"{name}: {needed[0]} is {ratio:.3g} times {needed[1]} × {needed[2]} in the middle row: one of "
            "these columns is not in the unit its name says"
        )


def _numbers(name: str, column: str, frame: pd.DataFrame, notes: Notes) -> pd.Series[float]:
    given = frame[column]
    if given.dtype == np.float64:
        return given
    words = given.astype("str").str.strip()
    values = pd.to_numeric(words, errors="coerce").astype(float)
    bad = values.isna() & ~words.isin(MISSING) & given.notna()
    if bool(bad.any()):
        notes.lost(
            f"{name}: {column} is not a number in {named(frame, bad, given)}; taken as missing. "
            "Write a plain number such as 1234.5, or leave the cell empty"
        )
    return values


def _possible(
    name: str, column: str, frame: pd.DataFrame, values: pd.Series[float], notes: Notes
) -> pd.Series[float]:
    """The values that a quantity of this unit can have; others become missing, and are named."""
    least, most = columns.bounds(column.removeprefix(columns.FOREGROUND))
    numbers = values.to_numpy()
    infinite = np.isinf(numbers)
    beyond = ~infinite & ((numbers < least) | (numbers > most))
    for rows, what in ((infinite, "infinite"), (beyond, _beyond(least))):
        if rows.any():
            bad = pd.Series(rows, index=frame.index)
            notes.lost(f"{name}: {column} is {what} in {named(frame, bad, values)}; taken as missing")
    odd = infinite | beyond
    return values.mask(odd) if odd.any() else values


def _beyond(least: float) -> str:
    return "below zero, or above what is possible," if least == 0.0 else "outside what is possible"


def _whatever(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers where every cell is one, else words; empty cells are missing."""
    if cells.dtype.kind in "fib":
        return cells
    words = cells.mask(cells.isin(MISSING))
    numbers = pd.to_numeric(words.head(100), errors="coerce")
    if bool((numbers.isna() & words.head(100).notna()).any()):
        return words
    numbers = pd.to_numeric(words, errors="coerce")
    return words if bool((numbers.isna() & words.notna()).any()) else numbers.astype(float)
