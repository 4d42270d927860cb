"""Beyond the study: effects by double machine learning and causal forest, beside least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """One estimator's average effect of a factor on log energy, or why there is none.

    Attributes:
        low: with ``high``, the middle eight tenths of its effects on single runs (causal forest).
    """

    estimate: float | None = None
    lo: float | None = None
    hi: float | None = None
    p: float | None = None
    q: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedPart:
    """The effect in one model and mode, from the same residuals."""

    model: str
    mode: str
    n: int
    estimate: float
    lo: float
    hi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedEffect:
    """A factor's effect on log energy in one repository, by several estimators.

    Attributes:
        scale: ``elasticity`` for a logged factor, ``rate`` for one unit of a plain one.
        ols: least squares on the same rows.
        dml: double machine learning by cross-fitting, always tried.
        linear: econml's LinearDML, ``forest`` its CausalForestDML; where econml is installed.
        parts: by model and mode; ``differ`` is the p that they are all one number.
        agrees: the interval of ``dml`` holds the estimate of ``ols``; None where either is missing.
    """

    repository: str
    factor: str
    factor_label: str
    scale: Literal["elasticity", "rate"]
    n: int
    ols: Learned
    dml: Learned
    linear: Learned
    forest: Learned
    parts: tuple[LearnedPart, ...] = ()
    differ: float | None = None
    agrees: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heterogeneity:
    """What machine learning adds; ``reason`` where nothing could be tried at all."""

    sentences: tuple[Sentence, ...]
    effects: tuple[LearnedEffect, ...] = ()
    econml: str = ""
    reason: str = ""
