"""Predicted energy of advised and closest settings relative to the reference, one line a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report.figures.labels import MARGIN, fitted, named, room
from causal_report.figures.rows import Interval, Plot, ends
from causal_report.figures.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal_report.findings.advice import Advice, AdviceGroup, AdviceSetting

WIDTH, RIGHT, TOP, ROW, AXIS = 720, 24, 8, 26, 44
LEAST_LEFT, MOST_LEFT = 140, 380
MOST_LINES = 40
LOW, HIGH = 0.2, 2.0
"""Ratios beyond these are cut, with an arrow: an interval to a hundredfold says no more than to twofold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings(Plot):
    """Everything the template places; a line is clear where the setting is safe."""

    one: float
    lines: tuple[Interval, ...]


def savings(advice: Advice) -> Savings | None:
    """Safe settings first, then the closest ones, each by its ratio; None without any."""
    pairs = [(g, s) for g in advice.groups if (s := g.advised or g.closest) is not None]
    pairs.sort(key=lambda pair: (pair[0].advised is None, pair[1].ratio, pair[0].model, pair[0].mode))
    pairs = pairs[:MOST_LINES]
    if not pairs:
        return None
    bounds = [min(max(v, LOW), HIGH) for _, s in pairs for v in (s.lo, s.ratio, s.hi, 1.0)]
    names = named(name for g, _ in pairs for name in (g.model, g.partner) if name)
    left = room([_label(g, names) for g, _ in pairs], LEAST_LEFT, MOST_LEFT)
    low, high = min(bounds) * 0.98, max(bounds) * 1.02
    scale = Scale(low=low, high=high, start=left, end=WIDTH - RIGHT, log=True)
    bottom = float(TOP + ROW * len(pairs))
    return Savings(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=left,
        bottom=bottom,
        one=scale(1.0),
        lines=tuple(
            _line(g, s, _label(g, names), scale, TOP + ROW * (i + 0.5)) for i, (g, s) in enumerate(pairs)
        ),
        ticks=tuple((scale(v), f"×{v:g}") for v in _ticks(low, high)),
    )


def _ticks(low: float, high: float) -> list[float]:
    return [v for v in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0) if low <= v <= high]


def _label(group: AdviceGroup, names: Mapping[str, str]) -> str:
    models = [names[name] for name in (group.model, group.partner) if name]
    return fitted(f"{' + '.join(models)}, {group.mode}", MOST_LEFT - MARGIN)


def _line(group: AdviceGroup, setting: AdviceSetting, label: str, scale: Scale, y: float) -> Interval:
    changed = ", ".join(f"{c.label} {c.value:.4g}" for c in setting.changes)
    return Interval(
        **ends(scale, setting.ratio, setting.lo, setting.hi),
        y=y,
        label=label,
        clear=setting.safe,
        words=f"{group.model}, {group.mode}: {changed}: energy times {setting.ratio:.2f}, "
        f"95 % interval {setting.lo:.2f} to {setting.hi:.2f}, {'safe' if setting.safe else 'not shown safe'}",
    )
