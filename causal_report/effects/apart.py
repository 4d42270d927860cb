"""Whether models differ in what a factor does to them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from causal_report import regression
from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from causal_report.findings.effects import Effect


def apart(effects: Iterable[Effect]) -> tuple[Effect, Effect] | None:
    """The least and the largest of one factor's effects, where they differ; None where that is not shown.

    Picked as the extremes of many, two models differ by chance more often than two that were named
    before: the difference is held against the range of so many (Games and Howell 1976).

    Args:
        effects: of one factor on one outcome, one a model.
    """
    known = [(e, se) for e in effects if e.estimate is not None and (se := _error(e)) is not None]
    if len(known) < 2:
        return None
    (least, low), (most, high) = (f(known, key=lambda k: k[0].estimate or 0.0) for f in (min, max))
    variance = low**2 + high**2
    difference = (most.estimate or 0.0) - (least.estimate or 0.0)
    if variance == 0.0:
        return (least, most) if difference > 0 else None
    from scipy.stats import studentized_range

    df = variance**2 / (low**4 / (least.df or 1) + high**4 / (most.df or 1))
    p = float(studentized_range.sf(difference / math.sqrt(variance / 2), len(known), df))
    return (least, most) if significant(p) else None


def _error(effect: Effect) -> float | None:
    """The standard error, back from the interval."""
    if effect.lo is None or effect.hi is None or not effect.df:
        return None
    return (effect.hi - effect.lo) / (regression.interval(0.0, 1.0, effect.df)[1] * 2)
