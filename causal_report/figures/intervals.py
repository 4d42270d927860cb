"""Elasticities: one line an effect, a dot for the estimate, a bar for its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.effects import widest
from causal_report.figures.labels import MARGIN, fitted, named, room
from causal_report.figures.rows import Interval, Plot, ends, grouped, stacked
from causal_report.figures.scale import Scale, padded
from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings import Effect

WIDTH, RIGHT, TOP, ROW, GAP, AXIS = 720, 24, 8, 26, 12, 44
LEAST_LEFT, MOST_LEFT = 140, 360
MOST_LINES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals(Plot):
    """Everything the template places."""

    lines: tuple[Interval, ...]
    none: float
    proportional: float


def elasticities(effects: Sequence[Effect]) -> Intervals | None:
    """Elasticities of energy and duration, grouped by factor; None when there is none."""
    shown = _fitting([e for e in effects if e.scale == "elasticity" and e.estimate is not None])
    if not shown:
        return None
    centres = [e.estimate for e in shown if e.estimate is not None]
    bounds = [b for e in shown for b in (e.lo, e.hi) if b is not None and -1.5 <= b <= 2.5]
    low, high = padded([*centres, *bounds, 0.0, 1.0])
    names = _names(shown)
    left = room(names.values(), LEAST_LEFT, MOST_LEFT)
    scale = Scale(low=low, high=high, start=left, end=WIDTH - RIGHT)
    lines, headings, bottom = stacked(
        grouped(shown, lambda effect: effect.factor_label).items(),
        lambda effect, y: _line(effect, fitted(names[_place(effect)], left - MARGIN), scale, y),
        top=TOP,
        row=ROW,
        gap=GAP,
    )
    return Intervals(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=left,
        bottom=bottom,
        lines=lines,
        headings=headings,
        ticks=tuple((scale(v), number.tick(v)) for v in scale.ticks(8)),
        none=scale(0.0),
        proportional=scale(1.0),
    )


def _fitting(effects: Sequence[Effect]) -> Sequence[Effect]:
    """With too many lines to read, energy alone; with still too many, the pooled slopes alone."""
    if len(effects) > MOST_LINES:
        first = effects[0].outcome
        effects = [e for e in effects if e.outcome == first]
    return widest(effects) if len(effects) > MOST_LINES else effects


def _place(effect: Effect) -> tuple[str, str]:
    return effect.outcome, effect.scope


def _names(effects: Sequence[Effect]) -> dict[tuple[str, str], str]:
    """Outcome and model; where all lines are about one outcome, the model alone."""
    models = named(e.scope for e in effects)
    several = len({e.outcome for e in effects}) > 1
    return {
        _place(e): f"{e.outcome_label}, {models[e.scope]}" if several else models[e.scope] for e in effects
    }


def _line(effect: Effect, label: str, scale: Scale, y: float) -> Interval:
    lo, hi = effect.lo or 0.0, effect.hi or 0.0
    estimate = effect.estimate or 0.0
    return Interval(
        **ends(scale, estimate, lo, hi),
        y=y,
        label=label,
        clear=significant(effect.q),
        words=f"{effect.factor_label} on {effect.outcome_label} ({effect.scope}): "
        f"{estimate:.2f}, 95 % interval {lo:.2f} to {hi:.2f}",
    )
