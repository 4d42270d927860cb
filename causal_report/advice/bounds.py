"""Bounds that hold for all settings and all outcomes at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

DRAWS = 20_000
LEVEL = 0.95
EXACT = 1e-12
"""A standard error below this share of the outcome's size is none: the outcome did not vary."""
ALONE = 1e-9
"""A run with less than this left of its own residual decides its prediction by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Least squares of one outcome; ``influence`` has a row for every run, noughts where it is unknown.

    Attributes:
        slopes: shape (columns,).
        influence: shape (runs, columns): what each run adds to the error of the slopes (HC3).
        alone: of each run that decides its own prediction, its weights on the slopes.
        sd: standard deviation of the residuals.
        size: largest absolute value of the outcome.
    """

    slopes: Vector
    influence: Vector
    alone: Vector
    sd: float
    df: int
    size: float

    def decided(self, contrasts: Vector) -> NDArray[np.bool_]:
        """Which contrasts rest on a run that alone decides its prediction: no error can be given."""
        return np.asarray((np.abs(contrasts @ self.alone.T) > ALONE).any(axis=1))


def fit(columns: Vector, outcome: Vector) -> Fit:
    """Regress *outcome* on *columns* over the runs that have it.

    The influences are residuals over one minus leverage, squared and summed the HC3 covariance
    (MacKinnon and White 1985). A run that alone decides a prediction has no residual to tell its error by;
    :meth:`Fit.decided` says of which contrasts that is so.
    """
    known = np.isfinite(outcome)
    x, y = columns[known], outcome[known]
    inverse = np.linalg.pinv(x)
    slopes = inverse @ y
    leverage = np.einsum("ij,ji->i", x, inverse)
    left = 1 - leverage
    residual = y - x @ slopes
    alone = left < ALONE
    influence = np.zeros(columns.shape)
    influence[known] = inverse.T * (residual / np.where(alone, 1.0, left))[:, None]
    df = int(len(y) - np.linalg.matrix_rank(x))
    sd = float(np.sqrt(residual @ residual / max(df, 1)))
    size = float(np.abs(y).max(initial=0.0))
    return Fit(slopes=slopes, influence=influence, alone=inverse.T[alone], sd=sd, df=df, size=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """Estimates of many contrasts, their errors, and the largest of their t values by chance.

    Attributes:
        estimate: shape (contrasts,).
        error: the same shape.
        largest: sorted draws of the largest t value when every contrast is nought.
    """

    estimate: Vector
    error: Vector
    largest: Vector

    @property
    def critical(self) -> float:
        """What the largest t value exceeds by chance in 5 % of tables."""
        return float(np.quantile(self.largest, LEVEL))

    def chance(self, t: float) -> float:
        """How often the largest of all reaches *t* by chance; never nought."""
        above = len(self.largest) - int(np.searchsorted(self.largest, t, side="left"))
        return (above + 1) / (len(self.largest) + 1)


def joint(
    fits: Sequence[Fit], contrasts: Sequence[Vector], sided: Sequence[int], rng: np.random.Generator
) -> Joint:
    """All contrasts of all fits together, with the distribution of their largest t value.

    The slopes of all outcomes are drawn from a normal with their joint HC3 covariance, divided by
    a chi-square with the fewest degrees of freedom: a multivariate t (Hothorn, Bretz and Westfall 2008).

    Args:
        fits: one an outcome, over the same runs in the same order.
        contrasts: one an outcome, shape (settings, columns).
        sided: 2 where |t| counts, 1 where only t does.
        rng: of the draws.
    """
    estimate = np.concatenate([c @ f.slopes for f, c in zip(fits, contrasts, strict=True)])
    stacked = np.hstack([f.influence for f in fits])
    covariance = stacked.T @ stacked
    where = _blocks(contrasts)
    error = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", where, covariance, where), 0.0))
    sizes = np.repeat([f.size for f in fits], [len(c) for c in contrasts])
    counted = error > EXACT * sizes
    two = np.repeat(np.asarray(sided) == 2, [len(c) for c in contrasts])
    largest = _largest(covariance, where[counted], error[counted], two[counted], min(f.df for f in fits), rng)
    return Joint(estimate=estimate, error=np.where(error <= EXACT * sizes, 0.0, error), largest=largest)


def _blocks(contrasts: Sequence[Vector]) -> Vector:
    """Contrasts of each outcome in its own columns of the stacked slopes."""
    widths = [c.shape[1] for c in contrasts]
    rows = []
    for index, contrast in enumerate(contrasts):
        before, after = sum(widths[:index]), sum(widths[index + 1 :])
        rows.append(np.pad(contrast, ((0, 0), (before, after))))
    return np.vstack(rows)


def _largest(
    covariance: Vector, where: Vector, error: Vector, two: NDArray[np.bool_], df: int, rng: np.random.Generator
) -> Vector:
    if not len(where):
        return np.zeros(1)
    values, axes = np.linalg.eigh(covariance)
    root = axes * np.sqrt(np.maximum(values, 0.0))
    scaled = (where @ root) / error[:, None]
    normal = rng.standard_normal((DRAWS, root.shape[1]))
    shared = np.sqrt(df / rng.chisquare(df, DRAWS))
    t = normal @ scaled.T
    t = np.where(two, np.abs(t), t)
    return np.sort(t.max(axis=1) * shared)
