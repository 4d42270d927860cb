"""Exact Bayesian model averaging over all graphs the tiers allow.

Each node's parent sets of up to four are scored by BIC with a prior that gives every *number* of
parents the same weight. Outcomes have parents only in earlier tiers, so their sets are simply
summed. Mediators may cause each other; there the sum runs over orders by dynamic programming
(Koivisto and Sood 2004), so cyclic graphs have no weight.
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

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

MOST_PARENTS = 4
MOST_MEDIATORS = 8
LEAST_RSS = 1e-9
"""Floor of the unexplained share: a perfect fit must not give an infinite score."""


def edge_probabilities(x: Matrix, allowed: Mask, n_effective: int | None = None) -> Matrix:
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
    n, d = x.shape
    gram = x.T @ x / n
    rows = n if n_effective is None else n_effective
    mutual = [j for j in range(d) if bool((allowed[:, j] & allowed[j, :]).any())]
    if len(mutual) > MOST_MEDIATORS:
        raise EngineError(f"{len(mutual)} mediators; orders of more than {MOST_MEDIATORS} are not summed")
    result = np.zeros((d, d))
    for child in range(d):
        parents = [int(i) for i in np.flatnonzero(allowed[:, child])]
        if child not in mutual and parents:
            sets = _scored(gram, child, parents, rows)
            result[:, child] = _frequencies([s for s, _ in sets], _softmax([v for _, v in sets]), d)
    if mutual:
        _order_sum(gram, allowed, mutual, rows, result)
    return result


def _scored(gram: Matrix, child: int, parents: Sequence[int], n: int) -> list[tuple[tuple[int, ...], float]]:
    """Every parent set with its log weight: BIC and the prior over the number of parents."""
    found = []
    for k in range(min(MOST_PARENTS, len(parents)) + 1):
        prior = -math.log(len(parents) + 1) - math.log(math.comb(len(parents), k))
        sets = list(combinations(parents, k))
        for parent_set, rss in zip(sets, _unexplained(gram, child, sets), strict=True):
            score = -0.5 * n * math.log(max(rss, LEAST_RSS)) - 0.5 * k * math.log(max(n, 2))
            found.append((parent_set, score + prior))
    return found


def _unexplained(gram: Matrix, child: int, sets: Sequence[tuple[int, ...]]) -> list[float]:
    if not sets[0]:
        return [float(gram[child, child])]
    index = np.array(sets)
    inner = gram[index[:, :, None], index[:, None, :]] + 1e-10 * np.eye(index.shape[1])
    cross = gram[index, child]
    slopes = np.linalg.solve(inner, cross[..., None])[..., 0]
    return [float(v) for v in gram[child, child] - np.einsum("ij,ij->i", cross, slopes)]


def _softmax(scores: Sequence[float]) -> Matrix:
    array = np.array(scores)
    weights: Matrix = np.exp(array - array.max())
    weights /= weights.sum()
    return weights


def _frequencies(sets: Sequence[tuple[int, ...]], weights: Matrix, d: int) -> Matrix:
    total = np.zeros(d)
    for parent_set, weight in zip(sets, weights, strict=True):
        total[list(parent_set)] += weight
    return np.minimum(total, 1.0)


def _order_sum(gram: Matrix, allowed: Mask, mutual: Sequence[int], n: int, result: Matrix) -> None:
    """Fill the columns of the mediators: forward and backward sums over all their orders."""
    m = len(mutual)
    place = {node: bit for bit, node in enumerate(mutual)}
    sets = []
    for node in mutual:
        scored = _scored(gram, node, [int(i) for i in np.flatnonzero(allowed[:, node])], n)
        sets.append([(s, sum(1 << place[i] for i in s if i in place), v) for s, v in scored])
    # local[j][S]: log sum over parent sets of j whose mediators lie in S
    local = [_below([(mask, v) for _, mask, v in each], m) for each in sets]
    forward, backward = _forward(local, m), _backward(local, m)
    whole = (1 << m) - 1
    for j, node in enumerate(mutual):
        weights = np.full(1 << m, -np.inf)  # of the orders in which exactly S comes before j
        for before in _without(j, m):
            weights[before] = forward[before] + backward[before | 1 << j]
        above = _above(weights, m)
        share = [math.exp(min(0.0, v + above[mask] - forward[whole])) for _, mask, v in sets[j]]
        result[:, node] = _frequencies([s for s, _, _ in sets[j]], np.array(share), len(gram))


def _without(j: int, m: int) -> Iterator[int]:
    return (subset for subset in range(1 << m) if not subset >> j & 1)


def _below(scored: Sequence[tuple[int, float]], m: int) -> Matrix:
    """Log sums over subsets (zeta transform)."""
    sums = np.full(1 << m, -np.inf)
    for mask, value in scored:
        sums[mask] = np.logaddexp(sums[mask], value)
    for bit in range(m):
        for subset in range(1 << m):
            if subset >> bit & 1:
                sums[subset] = np.logaddexp(sums[subset], sums[subset ^ 1 << bit])
    return sums


def _above(weights: Matrix, m: int) -> Matrix:
    """Log sums over supersets."""
    sums = weights.copy()
    for bit in range(m):
        for subset in range(1 << m):
            if not subset >> bit & 1:
                sums[subset] = np.logaddexp(sums[subset], sums[subset | 1 << bit])
    return sums


def _forward(local: Sequence[Matrix], m: int) -> Matrix:
    sums = np.full(1 << m, -np.inf)
    sums[0] = 0.0
    for subset in range(1, 1 << m):
        for j in (j for j in range(m) if subset >> j & 1):
            before = subset ^ 1 << j
            sums[subset] = np.logaddexp(sums[subset], sums[before] + local[j][before])
    return sums


def _backward(local: Sequence[Matrix], m: int) -> Matrix:
    sums = np.full(1 << m, -np.inf)
    sums[-1] = 0.0
    for subset in range((1 << m) - 2, -1, -1):
        for j in (j for j in range(m) if not subset >> j & 1):
            sums[subset] = np.logaddexp(sums[subset], local[j][subset] + sums[subset | 1 << j])
    return sums
