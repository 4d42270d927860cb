"""The bootstrap of paths by cross-moments: no regression is ever fitted twice.

A resample is a vector of counts. Counts times products of column pairs are the cross-moments of that
resample, for all resamples in one matrix product; taking the controls out of small matrices (the sweep
of Goodnight 1979) leaves what every slope of a path needs. The numbers are those of refitting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Codes = NDArray[np.intp]
    Rows = NDArray[np.bool_]

SINGULAR = 1e-9
"""A column with less than this share of its variation left moves only with those before it."""
CELLS = 4_000_000
"""Counts held at a time (32 MB): resamples are drawn in chunks of so many rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slopes:
    """One value a resample; ``usable`` is false where the resample could not tell the columns apart."""

    a: Array
    b: Array
    direct: Array
    total: Array
    usable: Rows

    @property
    def indirect(self) -> Array:
        """A times b of the usable resamples."""
        return (self.a * self.b)[self.usable]


def counts(n: int, draws: int, rng: np.random.Generator) -> Iterator[Array]:
    """Multinomial counts, shape (chunk, n), for *draws* resamples of *n* rows in chunks."""
    size = max(1, CELLS // n)
    for start in range(0, draws, size):
        chunk = min(size, draws - start)
        rows = rng.integers(0, n, (chunk, n)) + n * np.arange(chunk)[:, None]
        yield np.bincount(rows.ravel(), minlength=chunk * n).reshape(chunk, n).astype(np.float64)


def resampled(columns: Array, strata: Codes, draws: int, rng: np.random.Generator) -> Array:
    """Cross-products within strata of *draws* resamples, shape (draws, k, k).

    Args:
        columns: shape (n, k), centred within strata.
        strata: shape (n,): each has its own level in every resample; one that was not drawn has none.
        draws: how many.
        rng: of the resamples.
    """
    return np.concatenate([weighted(columns, strata, w) for w in counts(len(columns), draws, rng)])


def weighted(columns: Array, strata: Codes, weights: Array) -> Array:
    """Cross-products within strata under *weights* of shape (B, n)."""
    k = columns.shape[1]
    first, second = np.triu_indices(k)
    upper = weights @ (columns[:, first] * columns[:, second])
    found = np.empty((len(weights), k, k))
    found[:, first, second] = upper
    found[:, second, first] = upper
    for stratum in range(int(strata.max()) + 1):
        rows = strata == stratum
        mine = weights[:, rows]
        sums = mine @ columns[rows]
        size = np.maximum(mine.sum(axis=1), 1.0)  # nothing drawn: the sums are nought too
        found -= sums[:, :, None] * (sums / size[:, None])[:, None, :]
    return found


def jackknifed(columns: Array, strata: Codes) -> Array:
    """Cross-products within strata without each row in turn, shape (n, k, k).

    A row that leaves a stratum of m takes m / (m - 1) times its own products with it.
    """
    sizes = np.bincount(strata)[strata].astype(np.float64)
    share = np.where(sizes > 1, sizes / np.maximum(sizes - 1, 1.0), 0.0)
    whole = columns.T @ columns
    return np.asarray(whole - share[:, None, None] * columns[:, :, None] * columns[:, None, :])


def swept(grams: Array, controls: Sequence[int]) -> tuple[Array, Rows]:
    """The cross-products after *controls* are taken out, and where that was possible."""
    left, least = grams.copy(), _least(grams)
    usable = np.ones(len(grams), dtype=bool)
    for at in controls:
        pivot = left[:, at, at]
        good = pivot > least[at]
        usable &= good
        row = left[:, at, :] / np.where(good, pivot, 1.0)[:, None]
        left = left - left[:, :, at, None] * row[:, None, :]
    return left, usable


def slopes(grams: Array, left: Array, usable: Rows, places: tuple[int, int, int]) -> Slopes:
    """a, b, direct and total slope of cause, mediator, outcome at *places*, controls swept out."""
    x, m, y = places
    xx, mm, xm = left[:, x, x], left[:, m, m], left[:, x, m]
    xy, my = left[:, x, y], left[:, m, y]
    apart = xx * mm - xm**2
    least = _least(grams)
    good = usable & (xx > least[x]) & (apart > xx * least[m])
    xx, apart = np.where(good, xx, 1.0), np.where(good, apart, 1.0)
    return Slopes(
        a=xm / xx,
        b=(my * xx - xm * xy) / apart,
        direct=(xy * mm - xm * my) / apart,
        total=xy / xx,
        usable=good,
    )


def _least(grams: Array) -> Array:
    """The variation below which a column stands still, shape (k,): a share of its usual one.

    Not of that in the same resample: where a column stands still, its own is round-off.
    """
    return np.asarray(SINGULAR * grams.diagonal(axis1=1, axis2=2).mean(axis=0))
