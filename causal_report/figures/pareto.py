"""Settings in the plane of energy and a metric, and the line that nothing beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures.scale import Scale, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.tradeoff import Front, Setting

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 72, 20, 12, 52
LIKELY = 0.5
MOST_FIGURES = 6
MOST_MARKS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A setting with the whiskers of its 95 % intervals; ``kind`` is sure, unsure or beaten."""

    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    kind: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Everything the template places; ``seconds`` where duration stands in for energy."""

    scope: str
    mode: str
    metric: str
    width: int
    height: int
    left: int
    right: int
    bottom: int
    marks: tuple[Mark, ...]
    path: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    on: int
    of: int


def planes(fronts: Sequence[Front], *, joules: bool = True) -> tuple[Plane, ...]:
    """Figures of the fronts that rest on most runs, in their order; none without settings."""
    usable = [front for front in fronts if front.settings]
    largest = sorted(usable, key=lambda front: -front.n)[:MOST_FIGURES]
    return tuple(_plane(front, joules=joules) for front in usable if front in largest)


def _plane(front: Front, *, joules: bool) -> Plane:
    shown = front.settings[:MOST_MARKS]
    low, high = padded([s.energy_j for s in shown], log=True)
    across = Scale(low=low, high=high, start=LEFT, end=WIDTH - RIGHT, log=True)
    low, high = padded([s.metric for s in shown])
    up = Scale(low=low, high=high, start=HEIGHT - BOTTOM, end=TOP)
    best = sorted((s for s in shown if s.front), key=lambda s: s.energy_j)
    show = number.energy if joules else number.duration
    return Plane(
        scope=front.scope,
        mode=front.mode,
        metric=front.metric_label,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=HEIGHT - BOTTOM,
        marks=tuple(
            _mark(s, across, up, f"{s.words}: {show(s.energy_j)}, {number.significant(s.metric)}")
            for s in shown
        ),
        path=_stairs([(across(s.energy_j), up(s.metric)) for s in best]),
        x_ticks=tuple((across(v), show(v)) for v in across.ticks(6)),
        y_ticks=tuple((up(v), number.significant(v)) for v in up.ticks(5)),
        on=len(best),
        of=front.of,
    )


def _mark(setting: Setting, across: Scale, up: Scale, words: str) -> Mark:
    sure = "sure" if setting.probability > LIKELY else "unsure"
    return Mark(
        x=across(setting.energy_j),
        y=up(setting.metric),
        left=across.clipped(setting.energy_lo),
        right=across.clipped(setting.energy_hi),
        top=up.clipped(setting.metric_hi),
        bottom=up.clipped(setting.metric_lo),
        kind=sure if setting.front else "beaten",
        words=f"{words} (n = {setting.n}; on the front in {setting.probability:.0%} of draws)",
    )


def _stairs(points: Sequence[tuple[float, float]]) -> str:
    """The border of what the front beats: along at the same metric, then to the next setting."""
    steps = [f"M{points[0][0]:g} {points[0][1]:g}"] if points else []
    steps += [f"H{x:g}V{y:g}" for x, y in points[1:]]
    return "".join(steps)
