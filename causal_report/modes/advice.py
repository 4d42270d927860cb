"""What a step of a factor does to energy in each mode, where the modes must be told apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.findings.modes import ModeAdvice
from causal_report.findings.sentence import Sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.modes import ModeInteraction, ModeSlope, ModeVerdict
    from causal_report.text import Text

APART = (3, 4)
"""Scenarios in which one piece of advice cannot serve both modes."""


def advise(
    verdicts: Sequence[ModeVerdict], interactions: Sequence[ModeInteraction], energy: str
) -> tuple[ModeAdvice, ...]:
    """For groups of scenario 3 or 4, every factor's effect on energy in either mode."""
    groups = {v.group for v in verdicts if v.scenario in APART}
    return tuple(
        _advice(item, slope)
        for item in interactions
        if item.group in groups and not item.model and item.outcome == energy
        for slope in item.slopes
    )


def _advice(item: ModeInteraction, slope: ModeSlope) -> ModeAdvice:
    times = item.scale in ("elasticity", "per-log")
    size = math.log(item.step) if times else item.step
    changes = [100 * math.expm1(min(v * size, 700.0)) for v in (slope.estimate, slope.lo, slope.hi)]
    return ModeAdvice(
        group=item.group,
        mode=slope.mode,
        factor=item.factor,
        factor_label=item.factor_label,
        outcome=item.outcome,
        outcome_label=item.outcome_label,
        step=item.step,
        times=times,
        pct=changes[0],
        lo=changes[1],
        hi=changes[2],
        verdict=slope.verdict,
    )


def sentences(advice: Sequence[ModeAdvice], text: Text) -> tuple[Sentence, ...]:
    """One sentence a factor: both modes side by side."""
    found = []
    keys = dict.fromkeys((a.group, a.factor) for a in advice)
    for group, factor in keys:
        alone, loaded = (
            next(a for a in advice if (a.group, a.factor, a.mode) == (group, factor, mode))
            for mode in ("alone", "background")
        )
        if "clear" not in (alone.verdict, loaded.verdict):
            continue
        step = f"×{number.level(alone.step)}" if alone.times else f"+{number.level(alone.step)}"
        values = {
            "group": group,
            "factor": alone.factor_label,
            "step": step,
            "outcome": alone.outcome_label,
            "alone": number.percent(alone.pct),
            "alone_span": number.span(alone.lo, alone.hi, number.percent),
            "background": number.percent(loaded.pct),
            "background_span": number.span(loaded.lo, loaded.hi, number.percent),
        }
        key = "modes.advice_apart" if alone.verdict != loaded.verdict else "modes.advice_both"
        found.append(Sentence(key=key, text=text(key, **values)))
    return tuple(found)
