"""Effects on log energy by least squares and by double machine learning, two intervals a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures.labels import room
from causal_report.figures.rows import Interval, Plot, ends
from causal_report.figures.scale import Scale, padded

if TYPE_CHECKING:
    from causal_report.findings.heterogeneity import Heterogeneity, Learned, LearnedEffect

WIDTH, RIGHT, TOP, ROW, AXIS = 720, 24, 8, 34, 30
LEAST_LEFT, MOST_LEFT = 140, 380
MOST_LINES, APART = 40, 6
LOW, HIGH = -2.0, 3.0
"""Elasticities beyond these are cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One factor of one repository; the mark of the learner is clear, that of least squares is not."""

    y: float
    label: str
    marks: tuple[Interval, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning(Plot):
    """Everything the template places."""

    zero: float
    lines: tuple[Line, ...]


def learning(found: Heterogeneity) -> Learning | None:
    """Elasticities that double machine learning estimated, beside least squares; None without any."""
    effects = [e for e in found.effects if e.dml.estimate is not None and e.scale == "elasticity"][
        :MOST_LINES
    ]
    if not effects:
        return None
    values = [min(max(v, LOW), HIGH) for e in effects for one in (e.ols, e.dml) for v in _bounds(one)]
    low, high = padded([0.0, 1.0, *values])
    left = room([_label(effect) for effect in effects], LEAST_LEFT, MOST_LEFT)
    scale = Scale(low=low, high=high, start=left, end=WIDTH - RIGHT)
    bottom = float(TOP + ROW * len(effects))
    return Learning(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=left,
        bottom=bottom,
        zero=scale(0.0),
        lines=tuple(_line(e, scale, TOP + ROW * (i + 0.5)) for i, e in enumerate(effects)),
        ticks=tuple((scale(v), number.tick(v)) for v in scale.ticks(8)),
    )


def _bounds(one: Learned) -> list[float]:
    return [v for v in (one.lo, one.estimate, one.hi) if v is not None]


def _label(effect: LearnedEffect) -> str:
    return f"{effect.repository}: {effect.factor_label}"


def _line(effect: LearnedEffect, scale: Scale, y: float) -> Line:
    both = ((effect.dml, True, y - APART), (effect.ols, False, y + APART))
    marks = [_mark(effect, one, learned, scale, at) for one, learned, at in both if one.estimate is not None]
    return Line(y=y, label=_label(effect), marks=tuple(marks))


def _mark(effect: LearnedEffect, one: Learned, learned: bool, scale: Scale, y: float) -> Interval:
    lo, middle, hi = _bounds(one)
    shown = ", ".join(f"{v:.2f}" for v in (lo, middle, hi))
    return Interval(
        **ends(scale, middle, lo, hi),
        y=y,
        label="",
        clear=learned,
        words=f"{_label(effect)}, {one.method}: low, estimate, high {shown}",
    )
