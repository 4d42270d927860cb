"""What is usual for a run: the level of the runs of its model and mode that were set most like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causal_report.quality.thresholds import limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from causal_report.quality.view import Codes, Mask, Vector, View

REFERENCES = 200
"""Runs of a large cell that others are compared with, drawn once with a fixed seed."""
CHUNK = 20_000
"""Rows worked on at once, so that memory stays bounded."""
STRETCH, STRETCH_LEAST = 8, 2
"""One eighth of a cell's runs before and after a run, and at least two, are its own stretch of time."""
UNLIKE = 1.0
"""Distance where only one of two runs was handed a hyperparameter: the whole range of its values."""
ASIDE, FEWEST = 0.1, 4
"""Where runs are asked that are alike in one hyperparameter: the weight of the others, and how many runs at
least; an eighth of the cell's, so that they are alike in small cells too."""
HALF = 1.349
"""Length of the shortest half of a normal sample in standard deviations (Rousseeuw and Leroy 1988)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How far rows are from comparable ones.

    Attributes:
        usual: the comparable runs' level, NaN where there are too few; shape (n,).
        off: value less usual.
        spread: robust spread of ``off`` in the row's cell, at least the floor.
    """

    usual: Vector
    off: Vector
    spread: Vector

    @property
    def z(self) -> Vector:
        """``off`` in spreads."""
        return self.off / self.spread


def cells(group: Codes, rows: Mask) -> Iterator[NDArray[np.intp]]:
    """Positions of the *rows* of each group, in the groups' order."""
    chosen = np.flatnonzero(rows & (group >= 0))
    order = chosen[np.argsort(group[chosen], kind="stable")]
    edges = np.flatnonzero(np.diff(group[order])) + 1
    yield from (part for part in np.split(order, edges) if len(part))


def spread(values: Vector, floor: float) -> float:
    """Robust standard deviation of what is finite, at least *floor*.

    From the half of the runs that lie closest together, so that a second level of up to half of
    them does not widen it (the shortest half of Rousseeuw and Leroy 1988).
    """
    known = np.sort(values[np.isfinite(values)])
    half = len(known) // 2
    if half < 2:
        return floor
    return max(floor, float((known[half:] - known[: len(known) - half]).min()) / HALF)


def neighbours(view: View, asked: Mask | None = None, alike: str = "") -> NDArray[np.intp]:
    """Positions of the most comparable others of each row, shape (n, k), -1 where there is none.

    Comparable are runs of the same model and mode with the same hyperparameters handed over, nearest
    in their ranks. Runs of the same stretch of time are not asked: what went wrong there went wrong
    with all of them.

    Args:
        view: the table.
        asked: rows whose comparable others are wanted; every row where none are named.
        alike: the hyperparameter that shall be as near as can be; all alike where none is named.
    """
    most = int(limit("comparable"))
    near = np.full((view.n, most), -1, dtype=np.intp)
    for some in cells(view.cell, view.success):
        if len(some) < limit("least") or (asked is not None and not asked[some].any()):
            continue
        at = some[np.argsort(view.when[some], kind="stable")]
        places = _coordinates(view, at, alike)
        mine = np.arange(len(at)) if asked is None else np.flatnonzero(asked[at])
        pool = np.arange(len(at))
        width = max(STRETCH_LEAST, 0 if alike else len(at) // STRETCH)
        few = max(FEWEST, len(at) // STRETCH) if alike else most
        if len(at) > REFERENCES:
            pool = np.sort(np.random.default_rng(len(at)).choice(len(at), REFERENCES, replace=False))
        for start in range(0, len(mine), CHUNK):
            rows = mine[start : start + CHUNK]
            found = _nearest(places, rows, pool, min(few, most), width)
            near[at[rows], : found.shape[1]] = np.where(found >= 0, at[found], -1)
    return near


def _coordinates(view: View, at: NDArray[np.intp], alike: str) -> NDArray[np.float64]:
    """Where each run stands: what was handed over, and its rank from 0 to 1; shape (rows, places)."""
    places: list[NDArray[np.floating[Any]]] = [np.zeros(len(at))]
    for setting in view.settings:
        passed = setting.passed[at]
        if not passed.any():
            continue
        places.append(UNLIKE * passed)
        if not setting.label_only:
            ranks = pd.Series(np.where(passed, setting.dose[at], np.nan)).rank(pct=True)
            weight = ASIDE if alike and setting.name != alike else 1.0
            places.append(weight * ranks.fillna(0.0).to_numpy())
    partners = view.partner[at]
    places += [UNLIKE * (partners == partner) for partner in np.unique(partners)[1:]]
    return np.column_stack(places).astype(np.float64)


def _nearest(
    places: NDArray[np.float64], rows: NDArray[np.intp], pool: NDArray[np.intp], most: int, width: int
) -> NDArray[np.intp]:
    from scipy.spatial.distance import cdist

    distance = cdist(places[rows], places[pool], "cityblock")
    distance[np.abs(rows[:, None] - pool) <= width] = np.inf
    count = min(most, len(pool))
    nearest = np.argpartition(distance, count - 1, axis=1)[:, :count]
    found = np.take_along_axis(distance, nearest, axis=1)
    return np.where(np.isfinite(found), pool[nearest], -1)


def quantile_of(values: NDArray[np.float64], share: float) -> Vector:
    """The *share* quantile of the finite entries of each row, NaN where there is none."""
    ordered = np.sort(values, axis=1)
    last = np.maximum(np.isfinite(ordered).sum(axis=1) - 1, 0)
    rows, place = np.arange(len(values)), share * last
    low = place.astype(np.intp)
    high = np.minimum(low + 1, last)
    found: Vector = ordered[rows, low] + (place - low) * (ordered[rows, high] - ordered[rows, low])
    return found


def level(
    view: View, near: NDArray[np.intp], values: Vector, rows: Mask, floor: float, share: float = 0.5
) -> Level:
    """How far *values* are from the *share* quantile of comparable runs among *rows*."""
    known = np.where(rows & np.isfinite(values), values, np.nan)
    usual = np.full(view.n, np.nan)
    for start in range(0, view.n, CHUNK):
        some = near[start : start + CHUNK]
        usual[start : start + CHUNK] = quantile_of(np.where(some >= 0, known[some], np.nan), share)
    off = values - usual
    scale = np.full(view.n, floor)
    for at in cells(view.cell, rows & np.isfinite(off)):
        scale[at] = spread(off[at], floor)
    return Level(usual=usual, off=off, spread=scale)
