"""What was found on total effects: hyperparameters to energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Total effect of one design factor on one outcome.

    Attributes:
        scope: a model, or ``all models`` for the pooled slope within models.
        scale: ``elasticity`` (log outcome, log factor), ``rate`` (log outcome, plain factor),
            ``per-log`` (plain outcome, log factor), ``slope`` (plain, plain).
        estimate: coefficient, with ``lo`` and ``hi`` of its 95 % interval; None if ``reason``.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """A number with its 95 % interval, p, and q over the table it stands in."""

    estimate: float
    lo: float
    hi: float
    p: float
    q: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposition:
    """An effect on energy as its effect on mean power and on time: E = P × t, so the logs add up.

    Attributes:
        outcome: the energy; its mean power is energy over duration of the same row.
        power_share: power's part of the whole, None unless both parts push the same way and the
            whole is clear of zero by two standard errors (else a share means nothing).
    """

    outcome: str
    outcome_label: str
    scope: str
    factor: str
    factor_label: str
    scale: Literal["elasticity", "rate"]
    step: float
    n: int
    method: str
    energy: Slope | None = None
    power: Slope | None = None
    time: Slope | None = None
    power_share: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEffect:
    """Units of the outcome for *per* more of a factor, in one model: joules per epoch.

    Attributes:
        per: how much more of the factor; one, or the power of ten that fits a range below one.
        mean: the outcome's mean over the same rows, to judge the slope by.
    """

    outcome: str
    outcome_label: str
    unit: str
    scope: str
    factor: str
    factor_label: str
    per: float
    n: int
    method: str
    mean: float
    slope: Slope | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorInteraction:
    """How the slope of one factor changes with another; on log scales: per e-fold of both."""

    outcome: str
    outcome_label: str
    scope: str
    first: str
    first_label: str
    second: str
    second_label: str
    n: int
    method: str
    slope: Slope | None = None
    top2: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveOneOut:
    """What a significant effect owes to one row and to one block.

    Attributes:
        experiment_id: the row whose leaving changes the estimate most, with its timestamp.
        without_row: the estimate then; ``dfbetas`` the change in standard errors.
        beyond: rows whose DFBETAS is above 2/√n (Belsley, Kuh and Welsch 1980).
        worst_p: largest p when one of the rows that hold the effect up most is left out.
        without_block: the estimate furthest away when one block is left out, and which block.
        survives: same sign and p below 0.05 in every such refit.
        reason: why no block was left out, where none was.
    """

    outcome: str
    outcome_label: str
    scope: str
    factor: str
    factor_label: str
    n: int
    estimate: float
    experiment_id: str
    timestamp: str
    without_row: float
    dfbetas: float
    beyond: int
    worst_p: float
    block: str = ""
    without_block: float | None = None
    block_p: float | None = None
    survives: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignFacts:
    """How the factors of one scope were varied.

    Attributes:
        one_at_a_time: share of runs in which at most one factor left its model's commonest value.
        inflation: variance inflation of each factor by the others; above 5 they can hardly be told apart.
    """

    scope: str
    n: int
    one_at_a_time: float
    inflation: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question1:
    """Hyperparameters to energy, beyond the table of total effects; the first sentence is the answer."""

    sentences: tuple[Sentence, ...]
    parts: tuple[Decomposition, ...]
    raw: tuple[RawEffect, ...]
    interactions: tuple[FactorInteraction, ...]
    influence: tuple[LeaveOneOut, ...]
    designs: tuple[DesignFacts, ...]
