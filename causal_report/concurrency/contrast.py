"""Weighted sums of group means with an interval from the scatter between replicates."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import regression
from causal_report.findings.concurrency import PairEstimate

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

LEAST_DF = 1.0
"""Two runs of one setting: Student's bound is 12.7 there, so that the interval is as wide as it must be."""
ONE_RUN = "one run per setting: no test is possible, only a description"
SAME = "replicates repeat the same value: there is no scatter to test against"
MISSING = "not run alone at this setting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Replicates of one setting; groups of one ``kind`` scatter alike.

    Attributes:
        together: runs of a pair; else runs alone.
    """

    kind: str
    values: tuple[float, ...]
    together: bool = False

    @property
    def mean(self) -> float:
        """Of the replicates."""
        return math.fsum(self.values) / len(self.values)


def estimate(
    weights: Mapping[Hashable, float],
    groups: Mapping[Hashable, Group],
    *,
    value: float | None = None,
    level: float = 0.95,
) -> PairEstimate:
    """The sum of weight times group mean, with Student's interval (Satterthwaite 1946).

    The scatter of a kind is pooled over all its groups, also those without weight; a kind that was
    never replicated borrows that of all kinds together. That replicates of one block share the
    day's conditions is not used, which can only widen the interval.

    Args:
        weights: by group; groups that are not named here only lend their scatter.
        groups: all groups, each with at least one value.
        value: the number itself where it is no weighted sum; the weights are then its slopes.
        level: of the interval.
    """
    if value is None:
        value = math.fsum(weight * groups[key].mean for key, weight in weights.items())
    used = list(weights)
    n, n_alone = (sum(len(groups[k].values) for k in used if groups[k].together is t) for t in (True, False))
    found = PairEstimate(value=value, n=n, n_alone=n_alone)
    spread = scatter(groups)
    parts: dict[str, float] = defaultdict(float)
    for key in used:
        parts[groups[key].kind] += weights[key] ** 2 / len(groups[key].values)
    if any(kind not in spread for kind in parts):
        return replace(found, reason=ONE_RUN)
    variance = math.fsum(spread[kind][0] * share for kind, share in parts.items())
    if variance <= 1e-24 * max(1.0, value**2):
        return replace(found, lo=value, hi=value, reason=SAME)
    below = math.fsum((spread[kind][0] * share) ** 2 / spread[kind][1] for kind, share in parts.items())
    df = variance**2 / below
    if df < LEAST_DF:
        return replace(found, df=df, reason=ONE_RUN)
    from scipy.special import stdtr, stdtrit

    error = math.sqrt(variance)
    half = float(stdtrit(df, (1 + level) / 2)) * error
    p = 2 * float(stdtr(df, -abs(value) / error))
    return replace(found, lo=value - half, hi=value + half, df=df, p=p)


def scatter(groups: Mapping[Hashable, Group]) -> dict[str, tuple[float, float]]:
    """Variance between replicates and its degrees of freedom, by kind; empty where nothing was replicated."""
    squares: dict[str, float] = defaultdict(float)
    freedom: dict[str, float] = defaultdict(float)
    for group in groups.values():
        squares[group.kind] += math.fsum((v - group.mean) ** 2 for v in group.values)
        freedom[group.kind] += len(group.values) - 1
    whole = sum(freedom.values())
    if whole < LEAST_DF:
        return {}
    pooled = (sum(squares.values()) / whole, whole)
    return {
        kind: (squares[kind] / freedom[kind], freedom[kind]) if freedom[kind] else pooled for kind in squares
    }


def as_share(found: PairEstimate) -> PairEstimate:
    """From a log ratio to a relative change."""
    value, lo, hi = (None if v is None else math.expm1(v) for v in (found.value, found.lo, found.hi))
    return replace(found, value=value, lo=lo, hi=hi)


def as_saving(found: PairEstimate) -> PairEstimate:
    """From a log ratio to what is saved: 1 less the ratio."""
    value, lo, hi = (None if v is None else -math.expm1(v) for v in (found.value, found.hi, found.lo))
    return replace(found, value=value, lo=lo, hi=hi)


def over(values: Sequence[float | None]) -> PairEstimate:
    """Mean of independent values with Student's interval; a description below three."""
    known = [value for value in values if value is not None]
    if not known:
        return PairEstimate(value=None, reason="no pair of this class has it")
    groups: dict[Hashable, Group] = {"all": Group(kind="pairs", values=tuple(known), together=True)}
    found = estimate({"all": 1.0}, groups)
    few = f"{len(known)} {'pair' if len(known) == 1 else 'pairs'}: too few for an interval between pairs"
    return replace(found, reason=few, lo=None, hi=None, p=None) if len(known) < 3 else found


def adjusted(found: Sequence[PairEstimate]) -> list[PairEstimate]:
    """With q-values over the family of all that have a p (Benjamini and Hochberg 1995)."""
    q = regression.benjamini_hochberg([estimate.p for estimate in found])
    return [replace(estimate, q=value) for estimate, value in zip(found, q, strict=True)]


def slopes(columns: NDArray[np.float64], wanted: int) -> NDArray[np.float64] | None:
    """Weights of rows that give the slope of one column, the others held fixed; None if it is not told.

    Args:
        columns: shape (rows, k), one row a setting.
        wanted: which column.
    """
    centred = columns - columns.mean(axis=0)
    others = np.delete(centred, wanted, axis=1)
    rest = centred[:, wanted]
    if others.shape[1]:
        rest = rest - others @ np.linalg.lstsq(others, rest, rcond=None)[0]
    own = float(rest @ rest)
    total = float(centred[:, wanted] @ centred[:, wanted])
    return rest / own if total > 0 and own > 1e-9 * total else None
