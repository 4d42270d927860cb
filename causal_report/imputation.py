"""Holes in states of the hardware, filled several times over, so that no run is lost that knows the rest.

Multiple imputation (Rubin 1987): each filling draws from what all other columns predict, causes and
results alike, so that the spread between fillings is what nobody knows. It is sound where whether a cell is
empty depends on what the run does know, as when a gauge misses short runs; leaving such runs out bends every
slope. Only what was measured on the way is ever filled. A setting that was not recorded stayed at a
default that nobody wrote down, a metric that is missing is one that the program does not report, and a
gauge that no run of a model and mode has read is none of its machine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from causal_report import regression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Codes = NDArray[np.intp]

TIMES = 5
ROUNDS = 10
"""Passes over the columns with holes (van Buuren and Groothuis-Oudshoorn 2011 advise 5 to 20)."""
COMPLETE = 0.7
"""With at least this share of rows complete, the others are left out instead."""
LEAST = 3
"""Complete rows of a model and mode without which its holes are not filled."""


def fillable(holes: Mask, cells: Codes) -> Mask:
    """Rows that may be filled: those of cells (models in their modes) with a few complete rows.

    Args:
        holes: shape (n, k), of the columns that may be filled.
        cells: shape (n,).
    """
    complete = np.bincount(cells, ~holes.any(axis=1), int(cells.max(initial=-1)) + 1)
    return np.asarray(complete[cells] >= LEAST, dtype=np.bool_)


def wanted(holes: Mask, least: int) -> bool:
    """Whether so many rows have a hole that leaving them out costs too much, and *least* have none."""
    complete = int(np.sum(~holes.any(axis=1)))
    return least <= complete < COMPLETE * len(holes)


def fill(x: Matrix, groups: Codes, seed: Sequence[int]) -> tuple[Matrix, ...]:
    """*x* without holes, several times.

    Chained Bayesian regressions of each column with holes on all others, a draw from the posterior for
    each hole. Columns are centred within groups by their complete rows, which all groups then share one
    line through.

    Args:
        x: shape (n, d), NaN where a cell is empty; every group has a complete row.
        groups: shape (n,): each has its own level.
        seed: names the stream of draws.
    """
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    complete = ~np.isnan(x).any(axis=1)
    size = int(groups.max()) + 1
    n = np.bincount(groups[complete], minlength=size)
    level = np.column_stack([np.bincount(groups[complete], column[complete], size) / n for column in x.T])
    centred = x - level[groups]
    scale = np.nanstd(centred, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    streams = np.random.SeedSequence(list(seed)).generate_state(TIMES)
    return tuple(
        IterativeImputer(sample_posterior=True, max_iter=ROUNDS, random_state=int(stream)).fit_transform(
            centred / scale
        )
        * scale
        + level[groups]
        for stream in streams
    )


def pooled(
    found: Sequence[regression.Coefficient], df: float, *, level: float = regression.LEVEL
) -> regression.Coefficient:
    """One slope of several fillings (Rubin 1987); degrees of freedom after Barnard and Rubin (1999).

    Args:
        found: the slope in each filling.
        df: degrees of freedom were no cell empty.
        level: of the interval.
    """
    m = len(found)
    estimates = np.array([one.estimate for one in found])
    within = float(np.mean([one.se**2 for one in found]))
    between = (1 + 1 / m) * float(estimates.var(ddof=1))
    estimate, se = float(estimates.mean()), math.sqrt(within + between)
    lo = hi = p = float("nan")
    if df > 0 and math.isfinite(se):
        missing = between / (within + between) if se > 0 else 0.0
        observed = (df + 1) / (df + 3) * df * (1 - missing)
        freedom = observed if missing == 0 else 1 / (missing**2 / (m - 1) + 1 / observed) if observed else 0.0
        if freedom > 0:
            lo, hi, p = regression.interval(estimate, se, freedom, level)
    top2 = float(np.mean([one.top2 for one in found]))
    return regression.Coefficient(estimate=estimate, lo=lo, hi=hi, p=p, top2=top2, se=se)
