"""Where in time the rows lie that fail a check: one line a model, one bar a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from causal_report.figures.labels import MARGIN, fitted, room
from causal_report.figures.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.quality import Day

WIDTH, RIGHT, TOP, LINE, BAR, FOOT = 860, 44, 12, 34, 24, 30
LEAST_LEFT, MOST_LEFT = 160, 340
"""Pixels: the whole, margins, a line, its highest bar, the room for dates; the room for names."""
MOST_DAYS = 120
"""Bars a line has at most: beyond that, several days share one."""
MOST_MODELS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: left edge and top, width and height, and its words."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A model's line: its name, the height of its foot, its bars."""

    label: str
    y: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flagged:
    """The figure in pixels; ``ticks`` are positions with their dates; ``left_out`` models have no line."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    left_out: int


def flagged(days: Sequence[Day]) -> Flagged | None:
    """The figure of *days*; None where no row fails a check or no timestamp is a date."""
    dated = [(day, number) for day in days if (number := _number(day.day)) is not None]
    if not any(day.false for day, _ in dated):
        return None
    first, last = min(n for _, n in dated), max(n for _, n in dated)
    wide = max(1, -(-(last - first + 1) // MOST_DAYS))
    slots = (last - first) // wide + 1
    sums: dict[str, dict[int, list[int]]] = {}
    for day, number in dated:
        cell = sums.setdefault(day.model, {}).setdefault((number - first) // wide, [0, 0])
        cell[0] += day.rows
        cell[1] += day.false
    models = sorted(sums, key=lambda m: (-sum(cell[1] for cell in sums[m].values()), m))
    shown = sorted(models[:MOST_MODELS])
    left = room(shown, LEAST_LEFT, MOST_LEFT)
    across = Scale(low=0, high=slots, start=left, end=WIDTH - RIGHT)
    lines = tuple(
        _line(model, TOP + LINE * (i + 1), sums[model], across, first, wide) for i, model in enumerate(shown)
    )
    bottom = TOP + LINE * len(shown) + 4
    steps = sorted({round(i * (slots - 1) / 4) for i in range(5)})
    return Flagged(
        width=WIDTH,
        height=bottom + FOOT,
        left=left,
        right=WIDTH - RIGHT,
        bottom=bottom,
        ticks=tuple((across(s + 0.5), date.fromordinal(first + s * wide).isoformat()) for s in steps),
        lines=lines,
        left_out=len(models) - len(shown),
    )


def _number(day: str) -> int | None:
    try:
        return date.fromisoformat(day).toordinal()
    except ValueError:
        return None


def _line(model: str, foot: float, cells: dict[int, list[int]], across: Scale, first: int, wide: int) -> Line:
    bars = []
    for slot, (rows, false) in sorted(cells.items()):
        height = max(1.0, round(BAR * false / rows, 1))
        day = date.fromordinal(first + slot * wide).isoformat()
        bars.append(
            Bar(
                x=across(slot),
                y=round(foot - height, 1),
                width=round(max(1.5, across(slot + 1) - across(slot) - 0.5), 1),
                height=height,
                words=f"{model}, {day}: {false} of {rows}",
            )
        )
    return Line(label=fitted(model, MOST_LEFT - MARGIN), y=foot, bars=tuple(bars))
