"""Indicators taken out of a regression without ever being built: fixed effects, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Codes = NDArray[np.intp]

ZERO = 1e-9
"""An eigenvalue below this share of the largest is a direction that the first set holds already."""
MOST_SECOND = 1000
"""Indicators of the second set: its matrix is solved as a dense one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorption:
    """The projection onto the indicators of one or two groupings, intercept included.

    By Frisch and Waugh (1933) and Lovell (1963) a regression on what is left of every column after
    this projection has the slopes and residuals of the regression with all the indicators. For two
    groupings the second is projected off the first: rows share ``counts`` of each pair of groups.

    Attributes:
        first: group of each row, from 0.
        second: another group of each row, -1 where it has none; None without a second grouping.
        sizes: rows in each first group.
        counts: shape (second groups, first groups).
        inverse: generalised inverse of the second's cross-products after the first is taken out.
        rank: number of independent indicators, the intercept among them.
    """

    first: Codes
    second: Codes | None
    sizes: Vector
    counts: Vector
    inverse: Vector
    rank: int

    def residual(self, column: Vector) -> Vector:
        """What is left of *column*, shape (n,)."""
        means = np.bincount(self.first, column, len(self.sizes)) / self.sizes
        left = np.asarray(column - means[self.first], dtype=np.float64)
        if self.second is None:
            return left
        held = self.second >= 0
        sums = np.bincount(self.second[held], left[held], len(self.inverse))
        slopes = self.inverse @ sums
        own = np.where(held, slopes[np.maximum(self.second, 0)], 0.0)
        return np.asarray(left - own + (slopes @ self.counts / self.sizes)[self.first], dtype=np.float64)

    def leverage(self) -> Vector:
        """The diagonal of the projection: 1/n of its group for each row, and the second's part."""
        found = np.asarray(1.0 / self.sizes[self.first], dtype=np.float64)
        if self.second is None:
            return found
        held, at = self.second >= 0, np.maximum(self.second, 0)
        crossed = self.inverse @ self.counts
        among = np.einsum("bg,bg->g", self.counts, crossed) / self.sizes**2
        own = np.diag(self.inverse)[at] - 2 * crossed[at, self.first] / self.sizes[self.first]
        return np.asarray(found + np.where(held, own, 0.0) + among[self.first], dtype=np.float64)


def centred(columns: Vector, groups: Codes) -> Vector:
    """Columns, shape (n, k), less their mean within each group."""
    sizes = np.maximum(np.bincount(groups), 1)
    means = [np.bincount(groups, weights=column) / sizes for column in columns.T]
    return np.asarray(columns - np.column_stack(means)[groups]) if means else columns


def none(n: int) -> Absorption:
    """The intercept alone over *n* rows."""
    return absorb(np.zeros(n, dtype=np.intp))


def absorb(first: Codes, second: Codes | None = None) -> Absorption:
    """The projection onto the groups of *first* and, where given, of *second*.

    Args:
        first: shape (n,); any integers, every row has a group.
        second: shape (n,); negative where a row has none. At most :data:`MOST_SECOND` groups.
    """
    groups, codes = np.unique(first, return_inverse=True)
    sizes = np.bincount(codes, minlength=len(groups)).astype(np.float64)
    nothing = np.zeros((0, len(groups)))
    if second is None or not bool((second >= 0).any()):
        return Absorption(
            first=codes,
            second=None,
            sizes=sizes,
            counts=nothing,
            inverse=np.zeros((0, 0)),
            rank=len(groups),
        )
    names, others = np.unique(second[second >= 0], return_inverse=True)
    placed = np.full(len(second), -1, dtype=np.intp)
    placed[second >= 0] = others
    held = placed >= 0
    pairs = placed[held] * len(groups) + codes[held]
    counts = np.bincount(pairs, minlength=len(names) * len(groups)).reshape(len(names), -1).astype(np.float64)
    inverse, rank = _inverse(np.diag(counts.sum(axis=1)) - (counts / sizes) @ counts.T)
    return Absorption(
        first=codes, second=placed, sizes=sizes, counts=counts, inverse=inverse, rank=len(groups) + rank
    )


def _inverse(matrix: Vector) -> tuple[Vector, int]:
    """Generalised inverse and rank of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > ZERO * max(1.0, float(values[-1]))
    chosen = vectors[:, kept]
    return np.asarray((chosen / values[kept]) @ chosen.T, dtype=np.float64), int(kept.sum())
