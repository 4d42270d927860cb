"""Findings of mediation: by which state of the hardware a setting changes energy, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from causal_report.regression import significant

if TYPE_CHECKING:
    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class MediationPath:
    """One path: cause (set by the design), mediator (came of it), outcome.

    Slopes are on the columns' analysed scales (logarithms where typed so), within models, adjusted
    for the other factors the design set and for nothing that came after them.

    Attributes:
        group: the repository.
        origin: ``declared`` by the user or by the parts that columns play, ``discovered`` in the graph.
        n: rows that know cause, mediator, outcome and controls.
        controls: labels of the factors adjusted for.
        unknown: labels of factors left out because too few of these rows know their value.
        a: cause on mediator, with its HC3 ``a_p``.
        b: mediator on outcome at the same cause, with its HC3 ``b_p``.
        indirect: a times b; ``lo``, ``hi`` its 95 % percentile interval, which the verdict rests on
            (of normal theory where ``draws`` is 0); ``bca_lo``, ``bca_hi`` bias-corrected and accelerated.
        direct: what is left of the total effect at the same mediator (c').
        total: of the cause on the outcome in these rows (c), with HC3 ``total_se``.
        p: of the bootstrap; ``q`` Benjamini-Hochberg over all paths of the report.
        plain: the indirect effect in plain terms with ``plain_lo`` and ``plain_hi``: per cent of the
            outcome (its own unit where it is no logarithm), for a cause times ``step`` (log) or plus it.
        proportion: share of the total that goes this way; None unless direct and indirect agree in
            sign and the total is more than two standard errors from nought.
        kind: ``none`` where the percentile interval holds nought; ``complementary`` direct effect of the
            same sign; ``inconsistent`` of the other sign (suppression); ``indirect-only`` no clear one.
        agreement: empty where Sobel, percentile and BCa agree, else who says what.
        rho: correlation of the errors of mediator and outcome at which the indirect effect is nought.
        robustness: share of what is left of mediator and of outcome that a hidden common cause must
            explain to bring b to nought; ``robustness_05`` to bring nought into b's 95 % interval.
        instrument: whether the cause could be an instrument for the mediator.
        instrument_f: F of the cause on the mediator.
        wald: total / a, the slope of the mediator by that instrument, where nothing speaks against it.
        dropped: resamples that could not tell the columns apart.
        top2: share of the cause's own variation that two rows carry.
    """

    group: str
    cause: str
    mediator: str
    outcome: str
    cause_label: str
    mediator_label: str
    outcome_label: str
    origin: Literal["declared", "discovered", "both"]
    n: int = 0
    method: str = ""
    controls: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    step: float = 1.0
    log_cause: bool = False
    log_outcome: bool = False
    a: float | None = None
    a_p: float | None = None
    b: float | None = None
    b_p: float | None = None
    indirect: float | None = None
    lo: float | None = None
    hi: float | None = None
    bca_lo: float | None = None
    bca_hi: float | None = None
    sobel_z: float | None = None
    sobel_p: float | None = None
    p: float | None = None
    q: float | None = None
    direct: float | None = None
    direct_p: float | None = None
    total: float | None = None
    total_se: float | None = None
    total_p: float | None = None
    plain: float | None = None
    plain_lo: float | None = None
    plain_hi: float | None = None
    proportion: float | None = None
    kind: Literal["none", "indirect-only", "complementary", "inconsistent"] = "none"
    agreement: str = ""
    rho: float | None = None
    robustness: float | None = None
    robustness_05: float | None = None
    sensitivity: str = ""
    instrument: Literal["none", "weak", "another-way", "contradicted", "unproven"] = "none"
    instrument_f: float | None = None
    instrument_answer: str = ""
    wald: float | None = None
    wald_lo: float | None = None
    wald_hi: float | None = None
    draws: int = 0
    dropped: int = 0
    top2: float | None = None
    exploratory: bool = False
    reason: str = ""

    @property
    def clear(self) -> bool:
        """Whether the interval leaves nought out and the path survives the correction for many."""
        return self.kind != "none" and significant(self.q)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeIndirect:
    """The indirect effect of a path in one mode."""

    mode: str
    n: int
    indirect: float | None = None
    lo: float | None = None
    hi: float | None = None
    p: float | None = None
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeDifference:
    """A path's indirect effect with a background load less that alone.

    Each mode is resampled by itself; ``q`` is Benjamini-Hochberg over all differences.
    """

    group: str
    cause: str
    mediator: str
    outcome: str
    cause_label: str
    mediator_label: str
    outcome_label: str
    alone: ModeIndirect
    background: ModeIndirect
    difference: float | None = None
    lo: float | None = None
    hi: float | None = None
    p: float | None = None
    q: float | None = None
    draws: int = 0
    exploratory: bool = False
    reason: str = ""

    @property
    def clear(self) -> bool:
        """Whether the interval leaves nought out and the difference survives the correction."""
        if self.lo is None or self.hi is None:
            return False
        return significant(self.q) and (self.lo > 0 or self.hi < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mediation:
    """Question 3 of the report; ``reason`` where there are no paths to ask about."""

    sentences: tuple[Sentence, ...]
    paths: tuple[MediationPath, ...]
    differences: tuple[ModeDifference, ...]
    method: str
    reason: str = ""
