"""Percentile and BCa intervals, and the p of a bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEVEL = 0.95


def percentile(found: Array) -> tuple[float, float]:
    """The middle 95 % of the resamples (Efron 1981): the interval that the verdict rests on."""
    low, high = np.quantile(found, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def bca(found: Array, estimate: float, jackknife: Array) -> tuple[float, float]:
    """Bias-corrected and accelerated interval (Efron 1987).

    On products of slopes it rejects a true nought too often when one slope is nought and the other is
    not: 6 to 8 % of tables instead of 5 %, 11 % under heavy tails (Fritz, Taylor and MacKinnon 2012).
    """
    from scipy.special import ndtr, ndtri

    n = len(found)
    below = (np.sum(found < estimate) + 0.5 * np.sum(found == estimate)) / n
    bias = float(ndtri(min(max(below, 1 / (n + 1)), n / (n + 1))))
    away = jackknife.mean() - jackknife
    spread = float(np.sum(away**2)) ** 1.5
    pull = float(np.sum(away**3)) / (6 * spread) if spread > 0 else 0.0
    tails = bias + ndtri(np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    low, high = np.quantile(found, ndtr(bias + tails / (1 - pull * tails)))
    return float(low), float(high)


def probability(found: Array) -> float:
    """Two-sided: twice the smaller share on either side of nought, never below 2 / (B + 1).

    One is added above and below (Davison and Hinkley 1997, section 4.2): no resample proves p = 0.
    """
    least = min(int(np.sum(found <= 0)), int(np.sum(found >= 0)))
    return min(1.0, 2 * (least + 1) / (len(found) + 1))
