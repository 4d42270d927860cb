"""What the numbers of a path amount to: its kind, who disagrees, what would undo it, and instruments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.mediation import instrument, intervals, sensitivity
from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal_report.findings.mediation import MediationPath
    from causal_report.mediation.block import Resampled
    from causal_report.mediation.fit import Path, Slope
    from causal_report.text import Text

TWO_ERRORS = 2.0


def judged(path: MediationPath, text: Text) -> MediationPath:
    """Kind after Zhao, Lynch and Chen 2010, the share that is mediated, and who disagrees."""
    direct, indirect, total, se = (v or 0.0 for v in (path.direct, path.indirect, path.total, path.total_se))
    found = _outside(path.lo, path.hi)
    same = direct * indirect > 0
    kind = path.kind
    if found and not significant(path.direct_p):
        kind = "indirect-only"
    elif found:
        kind = "complementary" if same else "inconsistent"
    sure = found and same and abs(total) > TWO_ERRORS * se > 0
    path = replace(path, kind=kind, proportion=indirect / total if sure else None)
    if path.bca_lo is None:
        return path
    votes = {
        "Sobel": significant(path.sobel_p),
        text("mediation.percentile"): found,
        "BCa": _outside(path.bca_lo, path.bca_hi),
    }
    if len(set(votes.values())) == 1:
        return path
    yes, no = (", ".join(name for name, vote in votes.items() if vote is which) for which in (True, False))
    key = "bca_alone" if yes == "BCa" else "votes"
    return replace(path, agreement=text(f"mediation.{key}", yes=yes, no=no))


def _outside(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and (low > 0 or high < 0)


def sensitive(path: MediationPath, rho: float, df: int, text: Text) -> MediationPath:
    """How strong a hidden cause of mediator and outcome must be to undo the path."""
    found = sensitivity.of(rho, df)
    said = text(
        "mediation.sensitivity",
        rho=number.fixed(found.rho),
        both=number.unsigned(100 * abs(found.rho)),
        robustness=number.unsigned(100 * found.robustness),
        robustness_05=number.unsigned(100 * found.robustness_05),
    )
    return replace(
        path,
        rho=found.rho,
        robustness=found.robustness,
        robustness_05=found.robustness_05,
        sensitivity=said,
    )


def instrumental(
    path: MediationPath,
    fitted: Path,
    others: Mapping[str, Slope],
    resampled: Resampled | None,
    text: Text,
) -> MediationPath:
    """Whether the cause is an instrument for the mediator; the ratio only where nothing speaks against it."""
    found = instrument.judge(fitted, others)
    said = text(
        f"mediation.instrument_{found.answer.replace('-', '_')}",
        cause=path.cause_label,
        mediator=path.mediator_label,
        outcome=path.outcome_label,
        f=number.significant(found.f, 2),
        ways=", ".join(found.ways),
        p=number.probability(path.direct_p),
    )
    path = replace(path, instrument=found.answer, instrument_f=found.f, instrument_answer=said)
    if found.answer != "unproven" or resampled is None:
        return path
    drawn = resampled.draws
    usable = drawn.usable & (drawn.a != 0)
    low, high = intervals.percentile(drawn.total[usable] / drawn.a[usable])
    return replace(path, wald=fitted.total.estimate / fitted.a.estimate, wald_lo=low, wald_hi=high)
