"""What is usual for a run: the level of the runs of its model and mode that were set most like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.quality.thresholds import limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from causal_report.quality.view import Codes, Mask, Vector, View

REFERENCES = 400
"""Runs of a large cell that others are compared with, drawn once with a fixed seed."""
CHUNK = 20_000
STRETCH, STRETCH_LEAST = 8, 2
"""One eighth of a cell's runs before and after a run, and at least two, are its own stretch of time."""
UNLIKE = 1.0
"""Distance of one hyperparameter handed over in one run and not in the other: the whole range of its values."""
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


def neighbours(view: View, rows: Mask) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each cell its rows and, shape (rows, k), positions of the most comparable others, -1 for none.

    Runs of the same stretch of time are not asked: what went wrong there went wrong with all of them.
    """
    most = int(limit("comparable"))
    for at in cells(view.cell, rows):
        if len(at) < limit("least"):
            continue
        at = at[np.argsort(view.when[at], kind="stable")]
        doses, known = _coordinates(view, at)
        pool = np.arange(len(at))
        if len(at) > REFERENCES:
            pool = np.sort(np.random.default_rng(len(at)).choice(len(at), REFERENCES, replace=False))
        found = [
            _nearest(doses, known, np.arange(start, min(start + CHUNK, len(at))), pool, most)
            for start in range(0, len(at), CHUNK)
        ]
        near = np.concatenate(found)
        yield at, np.where(near >= 0, at[near], -1)


def _coordinates(view: View, at: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Doses as ranks from 0 to 1 and what was handed over, shape (rows, settings)."""
    doses, known = [], []
    for setting in view.settings:
        passed = setting.passed[at]
        if not passed.any():
            continue
        ranks = pd.Series(np.where(passed, setting.dose[at], np.nan)).rank(pct=True).fillna(0.0)
        doses.append(np.zeros(len(at)) if setting.label_only else ranks.to_numpy())
        known.append(passed)
    partners = view.partner[at]
    if (partners != partners[0]).any():
        for partner in np.unique(partners):
            doses.append(np.zeros(len(at)))
            known.append(partners == partner)
    if not doses:
        return np.zeros((len(at), 1), np.float32), np.zeros((len(at), 1), np.float32)
    return np.column_stack(doses).astype(np.float32), np.column_stack(known).astype(np.float32)


def _nearest(
    doses: NDArray[np.float32],
    known: NDArray[np.float32],
    rows: NDArray[np.intp],
    pool: NDArray[np.intp],
    most: int,
) -> NDArray[np.intp]:
    distance = np.zeros((len(rows), len(pool)), np.float32)
    for column in range(doses.shape[1]):
        mine, theirs = known[rows, column, None], known[pool, column]
        distance += UNLIKE * (mine != theirs)
        distance += np.abs(doses[rows, column, None] - doses[pool, column]) * mine * theirs
    width = max(STRETCH_LEAST, len(doses) // STRETCH)
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
    return ordered[rows, low] + (place - low) * (ordered[rows, high] - ordered[rows, low])


def level(view: View, values: Vector, rows: Mask, floor: float, share: float = 0.5) -> Level:
    """How far each of *rows* is from its comparable runs' *share* quantile in *values*."""
    usual, scale = np.full(view.n, np.nan), np.full(view.n, floor)
    for at, near in neighbours(view, rows & np.isfinite(values)):
        usual[at] = quantile_of(np.where(near >= 0, values[near], np.nan), share)
        scale[at] = spread(values[at] - usual[at], floor)
    return Level(usual=usual, off=values - usual, spread=scale)
