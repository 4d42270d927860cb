"""What a step of a factor does to energy in each mode, where the modes must be told apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.findings.modes import ModeAdvice
from causal_report.findings.sentence import Sentence
from causal_report.outcomes import DURATION

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from causal_report.findings.modes import ModeInteraction, ModeSlope, ModeVerdict
    from causal_report.text import Text

APART = (3, 4)
"""Scenarios in which one piece of advice cannot serve both modes."""


def advise(
    verdicts: Sequence[ModeVerdict],
    interactions: Sequence[ModeInteraction],
    energy: str,
    changed: Collection[tuple[str, str, str]],
) -> tuple[ModeAdvice, ...]:
    """For groups of scenario 3 or 4: every factor on energy in either mode, on duration where that changed.

    Args:
        verdicts: of the groups.
        interactions: of step 3.
        energy: the outcome that is analysed as energy.
        changed: group, factor and outcome of the slopes that clearly change with the mode.
    """
    groups = {v.group for v in verdicts if v.scenario in APART}
    found = []
    for item in interactions:
        changes = (item.group, item.factor, item.outcome) in changed
        asked = item.outcome == energy or (item.outcome == DURATION.name and changes)
        if item.group in groups and not item.model and asked:
            found += [_advice(item, slope, changes=changes) for slope in item.slopes]
    return tuple(found)


def _advice(item: ModeInteraction, slope: ModeSlope, *, changes: bool) -> ModeAdvice:
    times = item.scale in ("elasticity", "per-log")
    size = math.log(item.step) if times else item.step
    pct, lo, hi = (100 * math.expm1(min(v * size, 700.0)) for v in (slope.estimate, slope.lo, slope.hi))
    return ModeAdvice(
        group=item.group,
        mode=slope.mode,
        factor=item.factor,
        factor_label=item.factor_label,
        outcome=item.outcome,
        outcome_label=item.outcome_label,
        step=item.step,
        times=times,
        pct=pct,
        lo=lo,
        hi=hi,
        verdict=slope.verdict,
        changes=changes,
    )


def sentences(advice: Sequence[ModeAdvice], text: Text) -> tuple[Sentence, ...]:
    """One sentence for each slope that changes with the mode or is clear: both modes side by side."""
    found = []
    for alone, loaded in zip(advice[::2], advice[1::2], strict=True):
        if not alone.changes and "clear" not in (alone.verdict, loaded.verdict):
            continue
        step = f"×{number.level(alone.step)}" if alone.times else f"+{number.level(alone.step)}"
        values = {
            "group": alone.group,
            "factor": alone.factor_label,
            "step": step,
            "outcome": alone.outcome_label,
            "alone": number.percent(alone.pct),
            "alone_span": number.span(alone.lo, alone.hi, number.percent),
            "background": number.percent(loaded.pct),
            "background_span": number.span(loaded.lo, loaded.hi, number.percent),
        }
        key = "modes.advice_apart" if alone.changes else "modes.advice_both"
        found.append(Sentence(key=key, text=text(key, **values)))
    return tuple(found)
