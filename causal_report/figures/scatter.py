"""Scatter of dose and response: one mark a run, a shape and a colour a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures.scale import Scale, padded

if TYPE_CHECKING:
    from causal_report.findings import Dose

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 12, 52
SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.8L4.4 3.4h-8.8z",
    "M0-5L5 0L0 5L-5 0z",
    "M0 4.8L4.4-3.4h-8.8z",
    "M-4.5-1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3z",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A run: its place, its series (colour and shape by turns) and its words."""

    x: float
    y: float
    series: int
    shape: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """Everything the template places."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    marks: tuple[Mark, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    series: tuple[tuple[str, int, str], ...]
    low: str
    high: str


def scatter(dose: Dose | None) -> Scatter | None:
    """Response on a logarithmic axis against the dose; None without points."""
    if dose is None or not dose.points:
        return None
    show = number.energy if dose.unit == "J" else number.duration
    xs, ys = [p.x for p in dose.points], [p.y for p in dose.points]
    low, high = padded(xs, log=dose.log_x)
    across = Scale(low=low, high=high, start=LEFT, end=WIDTH - RIGHT, log=dose.log_x)
    low, high = padded(ys, log=True)
    up = Scale(low=low, high=high, start=HEIGHT - BOTTOM, end=TOP, log=True)
    models = sorted({p.model for p in dose.points})
    return Scatter(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        marks=tuple(
            Mark(
                x=across(p.x),
                y=up(p.y),
                series=_series(models.index(p.model))[0],
                shape=_series(models.index(p.model))[1],
                words=f"{p.experiment_id}: {dose.factor_label} {p.x:g}, {show(p.y)}",
            )
            for p in dose.points
        ),
        x_ticks=tuple((across(v), f"{v:g}") for v in across.ticks(8)),
        y_ticks=tuple((up(v), show(v)) for v in up.ticks(6)),
        series=tuple((m, *_series(i)) for i, m in enumerate(models)),
        low=show(min(ys)),
        high=show(max(ys)),
    )


def _series(index: int) -> tuple[int, str]:
    """Colour and shape: both go round by turns, so that after six models no pair comes twice."""
    count = len(SHAPES)
    return (index + index // count) % count, SHAPES[index % count]
