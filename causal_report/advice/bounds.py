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
    """Least squares of one outcome; rows of ``weights`` and ``residual`` are nought where it is unknown.

    Attributes:
        slopes: shape (columns,).
        weights: shape (runs, columns): how much each run counts in each slope.
        residual: shape (runs,).
        robust: the slopes' HC3 covariance.
        alone: of each run that decides its own prediction, its weights on the slopes.
        sd: standard deviation of the residuals.
        size: largest absolute value of the outcome.
    """

    slopes: Vector
    weights: Vector
    residual: Vector
    robust: Vector
    alone: Vector
    sd: float
    df: int
    size: float

    def decided(self, contrasts: Vector) -> NDArray[np.bool_]:
        """Which contrasts rest on a run that alone decides its prediction: no error can be given."""
        return np.asarray((np.abs(contrasts @ self.alone.T) > ALONE).any(axis=1))

    def error(self, contrasts: Vector) -> Vector:
        """Standard errors: the larger of HC3 and the classical one.

        HC3 (MacKinnon and White 1985) sees that noise differs between settings; where few runs decide a
        contrast it reads too low by chance, and then the classical error is the larger (Angrist and
        Pischke 2009, section 8.1).
        """
        robust = np.einsum("ij,jk,ik->i", contrasts, self.robust, contrasts)
        plain = self.sd**2 * ((contrasts @ self.weights.T) ** 2).sum(axis=1)
        error = np.sqrt(np.maximum(robust, plain))
        return np.where(error > EXACT * self.size, error, 0.0)


def fit(columns: Vector, outcome: Vector) -> Fit:
    """Regress *outcome* on *columns* over the runs that have it."""
    known = np.isfinite(outcome)
    x, y = columns[known], outcome[known]
    inverse = np.linalg.pinv(x)
    slopes = inverse @ y
    left = 1 - np.einsum("ij,ji->i", x, inverse)
    alone = left < ALONE
    residual = y - x @ slopes
    df = int(len(y) - np.linalg.matrix_rank(x))
    influence = inverse.T * (residual / np.where(alone, 1.0, left))[:, None]
    weights, rest = np.zeros(columns.shape), np.zeros(len(columns))
    weights[known], rest[known] = inverse.T, residual
    return Fit(
        slopes=slopes,
        weights=weights,
        residual=rest,
        robust=influence.T @ influence,
        alone=inverse.T[alone],
        sd=float(np.sqrt(residual @ residual / max(df, 1))),
        df=df,
        size=float(np.abs(y).max(initial=0.0)),
    )


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

    The largest t is drawn from a multivariate t with the fewest degrees of freedom (Hothorn, Bretz and
    Westfall 2008), its correlations those that the design gives to the contrasts and the residuals to
    the outcomes.

    Args:
        fits: one an outcome, over the same runs in the same order.
        contrasts: one an outcome, shape (settings, columns).
        sided: 2 where |t| counts, 1 where only t does.
        rng: of the draws.
    """
    counts = [len(c) for c in contrasts]
    estimate = np.concatenate([c @ f.slopes for f, c in zip(fits, contrasts, strict=True)])
    error = np.concatenate([f.error(c) for f, c in zip(fits, contrasts, strict=True)])
    widths = [c.shape[1] for c in contrasts]
    gram = _gram(np.hstack([f.weights for f in fits]))
    rests = _gram(np.column_stack([f.residual for f in fits]))
    covariance = gram * np.repeat(np.repeat(rests, widths, axis=0), widths, axis=1)
    counted = error > 0
    two = np.repeat(np.asarray(sided) == 2, counts)
    where = _blocks(contrasts)[counted]
    largest = _largest(covariance, where, two[counted], min(f.df for f in fits), rng)
    return Joint(estimate=estimate, error=error, largest=largest)


def _gram(columns: Vector) -> Vector:
    return np.asarray(columns.T @ columns)


def _blocks(contrasts: Sequence[Vector]) -> Vector:
    """Contrasts of each outcome in its own columns of the stacked slopes."""
    widths = [c.shape[1] for c in contrasts]
    rows = []
    for index, contrast in enumerate(contrasts):
        before, after = sum(widths[:index]), sum(widths[index + 1 :])
        rows.append(np.pad(contrast, ((0, 0), (before, after))))
    return np.vstack(rows)


def _largest(
    covariance: Vector, where: Vector, two: NDArray[np.bool_], df: int, rng: np.random.Generator
) -> Vector:
    if not len(where):
        return np.zeros(1)
    values, axes = np.linalg.eigh(covariance)
    scaled = where @ (axes * np.sqrt(np.maximum(values, 0.0)))
    scaled /= np.maximum(np.linalg.norm(scaled, axis=1), np.finfo(float).tiny)[:, None]
    t = rng.standard_normal((DRAWS, scaled.shape[1])) @ scaled.T
    t[:, two] = np.abs(t[:, two])
    return np.sort(t.max(axis=1) * np.sqrt(df / rng.chisquare(df, DRAWS)))
