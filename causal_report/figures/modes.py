"""Geometry of the comparison of modes: ratios by model, and slopes by mode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures.rows import Interval, Plot, ends, grouped, stacked
from causal_report.figures.scale import Scale, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.modes import ModeEffect, ModeInteraction

WIDTH, LEFT, RIGHT, TOP, ROW, GAP, AXIS = 720, 240, 24, 8, 24, 12, 48
CHARACTER = 29
"""Longest label that fits left of the plot, in characters."""
MOST_LINES = 45
SHOWN = ("total_energy_joules", "energy_gpu_avg_watts", "duration_seconds")
"""Energy, power, duration; an estimate of energy takes the first place where it is what is analysed."""
FARTHEST = 4.0
"""What lies beyond so many times alone, or so many parts of it, is cut, and marked as cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeLine(Interval):
    """One interval; ``series`` 0 alone, 1 with a load."""

    series: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModePlot(Plot):
    """Everything the template places; ``band`` is the equivalence margin."""

    lines: tuple[ModeLine, ...]
    reference: float
    band: tuple[float, float] | None


def ratios(effects: Sequence[ModeEffect], margin_pct: float) -> ModePlot | None:
    """Background over alone for energy, power and duration, on a logarithmic axis; None without any.

    Each model has a line; a group of one model is that model. Where these are too many, groups alone.
    """
    known = [e for e in effects if e.scale == "log-ratio" and e.pct is not None and e.part != "performance"]
    first = next((e.metric for e in effects), "")
    wanted = list(dict.fromkeys((first, *SHOWN)))
    several = {e.group for e in known if e.model}
    lines = [e for e in known if e.metric in wanted and (e.model or e.group not in several)]
    if len(lines) > MOST_LINES:
        lines = [e for e in known if e.metric in wanted and not e.model]
    lines = sorted(lines[: MOST_LINES * 2], key=lambda e: wanted.index(e.metric))
    if not lines:
        return None
    bounds = [b for e in lines for b in (e.lo, e.hi, e.estimate) if b is not None]
    within = [min(max(b, -math.log(FARTHEST)), math.log(FARTHEST)) for b in bounds]
    low, high = padded([*(math.exp(b) for b in within), 1.0], log=True)
    scale = Scale(low=low, high=high, start=LEFT, end=WIDTH - RIGHT, log=True)
    placed, headings, bottom = stacked(
        ((_heading(mine[0]), mine) for mine in grouped(lines, lambda effect: effect.metric).values()),
        lambda effect, y: _ratio(effect, scale, y),
        top=TOP,
        row=ROW,
        gap=GAP,
    )
    share = margin_pct / 100
    return ModePlot(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=LEFT,
        bottom=bottom,
        lines=placed,
        headings=headings,
        ticks=tuple((scale(v), _tick(v)) for v in scale.ticks(7)),
        reference=scale(1.0),
        band=(scale(max(1 - share, low)), scale(min(1 + share, high))),
    )


def slopes(interactions: Sequence[ModeInteraction], outcome: str) -> ModePlot | None:
    """What each factor with a log scale does to *outcome* alone and with a load; None without any."""
    lines = [i for i in interactions if i.outcome == outcome and i.scale == "elasticity" and i.slopes]
    several = [i for i in lines if not i.model]
    lines = (lines if len(lines) * 2 <= MOST_LINES else several)[:MOST_LINES]
    if not lines:
        return None
    bounds = [b for i in lines for s in i.slopes for b in (s.lo, s.hi) if -2 <= b <= 3]
    centres = [s.estimate for i in lines for s in i.slopes]
    low, high = padded([*bounds, *centres, 0.0, 1.0])
    scale = Scale(low=low, high=high, start=LEFT, end=WIDTH - RIGHT)
    placed, headings, bottom = stacked(
        grouped(lines, lambda item: item.factor_label).items(),
        lambda item, y: _slopes(item, scale, y),
        top=TOP,
        row=ROW,
        gap=GAP,
        each=1.5,
    )
    return ModePlot(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=LEFT,
        bottom=bottom,
        lines=tuple(line for both in placed for line in both),
        headings=headings,
        ticks=tuple((scale(v), number.tick(v)) for v in scale.ticks(8)),
        reference=scale(0.0),
        band=None,
    )


def _tick(ratio: float) -> str:
    return number.percent(100 * (ratio - 1), 0, sign=ratio != 1)


def _heading(effect: ModeEffect) -> str:
    return f"{effect.label}, whole machine" if effect.metered == "whole machine" else effect.label


def _ratio(effect: ModeEffect, scale: Scale, y: float) -> ModeLine:
    estimate, lo, hi = (math.exp(v or 0.0) for v in (effect.estimate, effect.lo, effect.hi))
    name = effect.model or effect.group
    return ModeLine(
        **ends(scale, estimate, lo, hi),
        y=y,
        label=_short(name),
        words=f"{effect.label} of {name}: {number.percent(effect.pct)}, 95 % interval "
        f"{number.span(effect.pct_lo, effect.pct_hi, number.percent)}; "
        f"{effect.n_alone} runs alone, {effect.n_background} with a load",
        clear=effect.verdict == "clear",
        series=1,
    )


def _slopes(item: ModeInteraction, scale: Scale, y: float) -> list[ModeLine]:
    """Alone above, with a load below, the label between them."""
    name = item.model or item.group
    return [
        ModeLine(
            **ends(scale, slope.estimate, slope.lo, slope.hi),
            y=y + 8 * series,
            label=_short(name) if series == 0 else "",
            words=f"{item.factor_label} on {item.outcome_label} in {name}, "
            f"{'alone' if series == 0 else 'with a load'}: {number.fixed(slope.estimate)}, 95 % interval "
            f"{number.fixed(slope.lo)} to {number.fixed(slope.hi)}",
            clear=slope.verdict == "clear",
            series=series,
        )
        for series, slope in enumerate(item.slopes)
    ]


def _short(name: str) -> str:
    model = name.rpartition("/")[2]
    if len(name) > CHARACTER and model != "default":
        name = model
    return name if len(name) <= CHARACTER else "…" + name[-CHARACTER + 1 :]
