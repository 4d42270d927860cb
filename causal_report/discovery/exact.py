"""Exact Bayesian model averaging over all graphs the tiers allow.

Each node's parent sets of up to four (fewer of more than 22 candidates) are scored by their marginal
likelihood under Zellner's g-prior with unit information, g = n (Liang et al. 2008, eq. 6); each possible
edge is there with probability one quarter before the data. Outcomes have parents only in earlier tiers,
so their sets are simply summed. Mediators may cause each other; there the sum runs over orders by
dynamic programming (Koivisto and Sood 2004), so cyclic graphs have no weight. Everything is a function
of the Gram matrix, so that many resamples are averaged at once.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from causal_report.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Parents = tuple[int, ...]

MOST_PARENTS = 4
MOST_SETS = 10_000
"""Larger sets of a node's parents are left out where there would be more sets than this."""
EDGE_PRIOR = 0.25
"""Chosen on the tuning seeds of tests/benchmarks/discovery.py, where 0.2 to 0.3 do equally well."""
MOST_MEDIATORS = 8
LEAST_RSS = 1e-9
"""Floor of the unexplained share: a perfect fit must not give an infinite score."""
NUDGE = 1e-10
"""Added to the diagonal so that parents which say the same can be solved for."""


def edge_probabilities(x: Array, allowed: Mask, n_effective: int | None = None) -> Array:
    """Posterior probability of each edge, shape (d, d), [parent, child].

    Args:
        x: standardised complete data, shape (n, d).
        allowed: [parent, child]; pairs allowed both ways form the group that orders are summed over.
        n_effective: rows less what centring used up; n by default.

    Raises:
        EngineError: a cell is not a number, or more mediators than orders can be summed over.
    """
    if not np.isfinite(x).all():
        raise EngineError("the data have cells that are not numbers")
    n = len(x)
    rows = n if n_effective is None else n_effective
    found: Array = from_grams((x.T @ x / n)[None], allowed, rows)[0]
    return found


def from_grams(grams: Array, allowed: Mask, rows: int) -> Array:
    """The same for many covariance matrices at once, shape (b, d, d) in and out.

    Args:
        grams: x'x / n of each resample.
        allowed: [parent, child].
        rows: effective rows of one resample.

    Raises:
        EngineError: more mediators than orders can be summed over.
    """
    d = allowed.shape[0]
    mutual = [j for j in range(d) if bool((allowed[:, j] & allowed[j, :]).any())]
    if len(mutual) > MOST_MEDIATORS:
        raise EngineError(f"{len(mutual)} mediators; orders of more than {MOST_MEDIATORS} are not summed")
    result = np.zeros((len(grams), d, d))
    for child in range(d):
        parents = [int(i) for i in np.flatnonzero(allowed[:, child])]
        if child not in mutual and parents:
            sets, scores = scored(grams, child, parents, rows)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            result[:, :, child] = np.minimum(weights @ _membership(sets, d), 1.0)
    if mutual:
        _order_sum(grams, allowed, mutual, rows, result)
    return result


def scored(grams: Array, child: int, parents: Sequence[int], rows: int) -> tuple[list[Parents], Array]:
    """Every parent set, and its log weight in each resample, shape (b, sets): likelihood and prior."""
    found: list[Parents] = []
    scores = []
    g = max(rows, 2)
    odds = math.log(EDGE_PRIOR / (1 - EDGE_PRIOR))
    whole = np.maximum(grams[:, child, child][:, None], LEAST_RSS)
    for k in range(min(_largest(len(parents)), max(0, rows - 2)) + 1):
        sets = list(combinations(parents, k))
        rest = np.maximum(_unexplained(grams, child, sets) / whole, LEAST_RSS)
        likelihood = 0.5 * (g - 1 - k) * math.log(1 + g) - 0.5 * (g - 1) * np.log(1 + g * rest)
        scores.append(likelihood + k * odds)
        found += sets
    return found, np.concatenate(scores, axis=1)


def _largest(candidates: int) -> int:
    """How many parents a node may have at most, so that its sets can all be scored."""
    sets = 1
    for k in range(1, min(MOST_PARENTS, candidates) + 1):
        sets += math.comb(candidates, k)
        if sets > MOST_SETS:
            return k - 1
    return min(MOST_PARENTS, candidates)


def _unexplained(grams: Array, child: int, sets: Sequence[Parents]) -> Array:
    """What each parent set leaves of the child's variance, shape (b, sets)."""
    whole = grams[:, child, child][:, None]
    if not sets[0]:
        return whole
    index = np.array(sets)
    inner = grams[:, index[:, :, None], index[:, None, :]] + NUDGE * np.eye(index.shape[1])
    cross = grams[:, index, child]
    slopes = np.linalg.solve(inner, cross[..., None])[..., 0]
    return np.asarray(whole - np.einsum("bij,bij->bi", cross, slopes))


def _membership(sets: Sequence[Parents], d: int) -> Array:
    member = np.zeros((len(sets), d))
    for row, parents in enumerate(sets):
        member[row, list(parents)] = 1.0
    return member


def _order_sum(grams: Array, allowed: Mask, mutual: Sequence[int], rows: int, result: Array) -> None:
    """Fill the columns of the mediators: forward and backward sums over all their orders."""
    m, d = len(mutual), allowed.shape[0]
    place = {node: bit for bit, node in enumerate(mutual)}
    all_sets, all_scores, masks = [], [], []
    for node in mutual:
        sets, scores = scored(grams, node, [int(i) for i in np.flatnonzero(allowed[:, node])], rows)
        all_sets.append(sets)
        all_scores.append(scores)
        masks.append(np.array([sum(1 << place[i] for i in s if i in place) for s in sets]))
    # local[j][:, S]: log sum over parent sets of j whose mediators lie in S
    local = [_below(mask, scores, m) for mask, scores in zip(masks, all_scores, strict=True)]
    forward, backward = _forward(local, m), _backward(local, m)
    for j, node in enumerate(mutual):
        weights = np.full((len(grams), 1 << m), -np.inf)  # of the orders in which exactly S comes before j
        for before in _without(j, m):
            weights[:, before] = forward[:, before] + backward[:, before | 1 << j]
        above = _above(weights, m)
        share = np.exp(np.minimum(0.0, all_scores[j] + above[:, masks[j]] - forward[:, -1:]))
        result[:, :, node] = np.minimum(share @ _membership(all_sets[j], d), 1.0)


def _without(j: int, m: int) -> Iterator[int]:
    return (subset for subset in range(1 << m) if not subset >> j & 1)


def _below(masks: NDArray[np.int_], scores: Array, m: int) -> Array:
    """Log sums over subsets (zeta transform)."""
    sums = np.full((len(scores), 1 << m), -np.inf)
    for mask in np.unique(masks):
        sums[:, mask] = np.logaddexp.reduce(scores[:, masks == mask], axis=1)
    for bit in range(m):
        for subset in range(1 << m):
            if subset >> bit & 1:
                sums[:, subset] = np.logaddexp(sums[:, subset], sums[:, subset ^ 1 << bit])
    return sums


def _above(weights: Array, m: int) -> Array:
    """Log sums over supersets."""
    sums = weights.copy()
    for bit in range(m):
        for subset in range(1 << m):
            if not subset >> bit & 1:
                sums[:, subset] = np.logaddexp(sums[:, subset], sums[:, subset | 1 << bit])
    return sums


def _forward(local: Sequence[Array], m: int) -> Array:
    sums = np.full((len(local[0]), 1 << m), -np.inf)
    sums[:, 0] = 0.0
    for subset in range(1, 1 << m):
        for j in (j for j in range(m) if subset >> j & 1):
            before = subset ^ 1 << j
            sums[:, subset] = np.logaddexp(sums[:, subset], sums[:, before] + local[j][:, before])
    return sums


def _backward(local: Sequence[Array], m: int) -> Array:
    sums = np.full((len(local[0]), 1 << m), -np.inf)
    sums[:, -1] = 0.0
    for subset in range((1 << m) - 2, -1, -1):
        for j in (j for j in range(m) if not subset >> j & 1):
            sums[:, subset] = np.logaddexp(sums[:, subset], local[j][:, subset] + sums[:, subset | 1 << j])
    return sums
