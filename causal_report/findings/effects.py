"""What was found on total effects: hyperparameters to energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Total effect of one design factor on one outcome.

    Attributes:
        scope: a model, or ``all models`` for the pooled slope within models.
        scale: ``elasticity`` (log outcome, log factor), ``rate`` (log outcome, plain factor),
            ``per-log`` (plain outcome, log factor), ``slope`` (plain, plain).
        estimate: coefficient, with ``lo`` and ``hi`` of its 95 % HC3 interval; None if ``reason``.
        plain: the same in plain terms, ``plain_lo`` and ``plain_hi`` its interval: per cent change
            (log outcomes) or change of the metric, for a factor times ``step`` (log) or plus ``step``.
        q: Benjamini-Hochberg over every effect of the report.
        top2: share of the factor's own variation that two rows carry.
    """

    outcome: str
    outcome_label: str
    outcome_part: str
    scope: str
    factor: str
    factor_label: str
    scale: Literal["elasticity", "rate", "per-log", "slope"]
    n: int
    method: str
    levels: int = 0
    step: float = 1.0
    df: int = 0
    estimate: float | None = None
    lo: float | None = None
    hi: float | None = None
    p: float | None = None
    q: float | None = None
    r2: float | None = None
    plain: float | None = None
    plain_lo: float | None = None
    plain_hi: float | None = None
    top2: float | None = None
    exploratory: bool = False
    reason: str = ""
