"""How stable an edge is, and what chance alone would give, both by exact averaging over many tables."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_report.discovery import exact
from causal_report.discovery.evidence import PRESENT
from causal_report.findings.discovery import Chance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from causal_report.discovery.prepare import Prepared

    Matrix = NDArray[np.float64]

HALVES = 50
"""Half-samples of stability selection (Meinshausen and Bühlmann 2010; as many as Shah and Samworth 2013)."""
SHUFFLES = 100
LEVEL = 0.95
MOST_ROWS = 2000
"""Resamples draw from so many rows at most, so that a long table costs no more than a short one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """Per edge, [parent, child]: frequency in half-samples; 95 % quantile of chance, NaN where none."""

    stability: Matrix
    null: Matrix
    chance: Chance


def resample(prepared: Prepared, *, seed: int, name: str) -> Resampled:
    """Half-samples and shuffled tiers of *prepared*.

    Tiers are shuffled against each other, each as a block: what was set, what came of it and what
    came out keep their own correlations and lose those between them. So edges between tiers have a
    null, edges among mediators have none.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    tables = prepared.matrices
    if len(prepared.x) > MOST_ROWS:
        some = rng.choice(len(prepared.x), MOST_ROWS, replace=False)
        tables = tuple(x[some] for x in tables)
    size = len(tables[0])
    rows = max(2, min(prepared.n_effective, size))
    null, false_share, highest = _shuffled(tables, prepared, rows, rng)
    chance = Chance(tables=SHUFFLES, rows=size, false_share=false_share, highest=highest)
    return Resampled(stability=_halves(tables, prepared, rows, rng), null=null, chance=chance)


def _halves(tables: Sequence[Matrix], prepared: Prepared, rows: int, rng: np.random.Generator) -> Matrix:
    size = len(tables[0])
    grams = []
    for turn in range(HALVES):
        mine = tables[turn % len(tables)][rng.choice(size, size // 2, replace=False)]
        grams.append(_correlations(mine))
    found = exact.from_grams(np.array(grams), prepared.allowed, max(2, rows // 2))
    return np.asarray((found >= PRESENT).mean(axis=0))


def _correlations(x: Matrix) -> Matrix:
    """Of the columns; one that is constant here is related to nothing."""
    centred = x - x.mean(axis=0)
    size = centred.std(axis=0)
    centred = centred / np.where(size > 0, size, 1.0)
    gram = np.asarray(centred.T @ centred / len(x))
    np.fill_diagonal(gram, 1.0)
    return gram


def _shuffled(
    tables: Sequence[Matrix], prepared: Prepared, rows: int, rng: np.random.Generator
) -> tuple[Matrix, float, float]:
    tiers = np.array([{"design": 0, "mediator": 1}.get(c.part, 2) for c in prepared.columns])
    cross = prepared.allowed & (tiers[:, None] != tiers[None, :])
    grams = []
    for turn in range(SHUFFLES):
        x = tables[turn % len(tables)]
        mine = np.empty_like(x)
        for tier in np.unique(tiers):
            mine[:, tiers == tier] = x[np.ix_(rng.permutation(len(x)), tiers == tier)]
        grams.append(_correlations(mine))
    found = exact.from_grams(np.array(grams), prepared.allowed, rows)
    null = np.where(cross, np.quantile(found, LEVEL, axis=0), np.nan)
    if not cross.any():
        return null, 0.0, 0.0
    inside = found[:, cross]
    return null, float((inside >= PRESENT).mean()), float(np.quantile(inside.max(axis=1), LEVEL))
