"""Intervals by resampling runs that may not be independent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWS = 2000
LEAST = 3
"""With fewer runs no interval is given."""


def block(n: int) -> int:
    """Length of the blocks for *n* runs: the cube root, so that neighbours stay together.

    A warm machine or a busy neighbour spoils several runs in a row; drawn one by one they would
    pass for independent evidence.
    """
    return max(1, int(math.cbrt(n) + 1e-9))


def interval(
    values: Array, statistic: Callable[[Array], Array], *, seed: int, level: float = 0.95
) -> tuple[float, float] | None:
    """Interval of a statistic over runs in the order they were taken; None for fewer than three.

    Circular blocks (Politis and Romano 1992) are drawn with replacement. The percentiles are widened
    for small n as Hesterberg 2015 advises, so that the interval of a mean is about as wide as Student's.

    Args:
        values: shape (n,) or (n, k): one row a run.
        statistic: from resampled values, shape (draws, n) or (draws, n, k), to shape (draws,).
        seed: of the draws.
        level: share of intervals that are to hold the truth.
    """
    n = len(values)
    if n < LEAST:
        return None
    size = block(n)
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, n, (DRAWS, math.ceil(n / size)))
    rows = (starts[:, :, None] + np.arange(size)).reshape(DRAWS, -1)[:, :n] % n
    found = statistic(values[rows])
    low, high = np.quantile(found, (_tail(n, level), 1 - _tail(n, level)))
    return float(low), float(high)


def describe(n: int) -> str:
    """The method in words."""
    return f"block bootstrap: {DRAWS:,} draws of {block(n)} runs in a row, percentiles widened for n = {n}"


def _tail(n: int, level: float) -> float:
    """The share to cut off at each end: that of a normal as far out as Student's bound."""
    from scipy.special import ndtr, stdtrit

    bound = stdtrit(n - 1, (1 + level) / 2)
    return float(ndtr(-math.sqrt(n / (n - 1)) * bound))
