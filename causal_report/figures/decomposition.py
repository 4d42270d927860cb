"""Effects on energy split into time and power: two bars and the whole, one row a factor and model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.effects import POOLED
from causal_report.effects.total import in_plain
from causal_report.figures.labels import MARGIN, fitted, named, room
from causal_report.figures.rows import Plot, grouped, stacked
from causal_report.figures.scale import Scale, padded
from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.effects import Decomposition, Slope

WIDTH, RIGHT, TOP, ROW, GAP, AXIS = 720, 24, 8, 26, 10, 44
LEAST_LEFT, MOST_LEFT = 140, 360
BAR = 7.0
MOST_ROWS = 40
BEYOND = 4.0
"""Doublings of energy at which the axis ends at the latest; longer bars are cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One part as a rectangle."""

    x: float
    y: float
    width: float
    series: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A factor in a model: its two bars, the whole with its interval, and all of it in words."""

    y: float
    label: str
    time: Bar
    power: Bar
    x: float
    lo: float
    hi: float
    clear: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposed(Plot):
    """Everything the template places; ``left_out`` rows did not fit."""

    rows: tuple[Row, ...]
    zero: float
    left_out: int


def decomposition(parts: Sequence[Decomposition]) -> Decomposed | None:
    """The first energy's effects, grouped by factor; None where there is none.

    The axis is in doublings of energy, so that the bars of time and power add up along it.
    """
    known = [p for p in parts if p.outcome == parts[0].outcome and p.energy]
    shown = known
    for keep in (_clear, lambda p: POOLED in p.scope):
        shown = [p for p in shown if keep(p)] if len(shown) > MOST_ROWS else shown
    shown = shown[:MOST_ROWS]
    if not shown:
        return None
    ends = [v for p in shown for s in (p.energy, p.power, p.time) if s for v in (_doublings(p, s.estimate),)]
    ends += [_doublings(p, v) for p in shown if p.energy for v in (p.energy.lo, p.energy.hi)]
    low, high = padded([0.0, *(min(max(v, -BEYOND), BEYOND) for v in ends)])
    names = named(p.scope for p in shown)
    left = room(names.values(), LEAST_LEFT, MOST_LEFT)
    scale = Scale(low=low, high=high, start=left, end=WIDTH - RIGHT)
    by_factor = grouped(shown, lambda part: part.factor_label)
    drawn, headings, bottom = stacked(
        ((f"{factor} ({_step(mine[0])})", mine) for factor, mine in by_factor.items()),
        lambda part, y: _row(part, fitted(names[part.scope], left - MARGIN), scale, y),
        top=TOP,
        row=ROW,
        gap=GAP,
    )
    return Decomposed(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=left,
        bottom=bottom,
        rows=drawn,
        headings=headings,
        ticks=tuple((scale(v), number.tick(v)) for v in scale.ticks(8)),
        zero=scale(0.0),
        left_out=len(known) - len(shown),
    )


def _clear(part: Decomposition) -> bool:
    return part.energy is not None and significant(part.energy.q)


def _step(part: Decomposition) -> str:
    return "doubled" if part.scale == "elasticity" else f"+{number.significant(part.step, 1)}"


def _doublings(part: Decomposition, slope: float) -> float:
    """Doublings of energy for a doubling or a step of the factor."""
    return slope * (1.0 if part.scale == "elasticity" else part.step / math.log(2))


def _row(part: Decomposition, label: str, scale: Scale, y: float) -> Row:
    assert part.energy is not None
    assert part.power is not None
    assert part.time is not None
    whole = part.energy

    def at(value: float) -> float:
        return scale.clipped(_doublings(part, value))

    def bar(slope: Slope, top: float, series: int) -> Bar:
        ends = sorted((scale(0.0), at(slope.estimate)))
        return Bar(x=ends[0], y=top, width=round(ends[1] - ends[0], 1), series=series)

    told = [
        f"{name} {number.percent(in_plain(part.scale, part.step, slope.estimate))}"
        for name, slope in (("energy", whole), ("time", part.time), ("power", part.power))
    ]
    return Row(
        y=y,
        label=label,
        time=bar(part.time, y - BAR, 0),
        power=bar(part.power, y, 1),
        x=at(whole.estimate),
        lo=at(whole.lo),
        hi=at(whole.hi),
        clear=_clear(part),
        words=f"{part.factor_label} ({part.scope}): {', '.join(told)}",
    )
