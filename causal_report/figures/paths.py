"""Paths from a setting by way of the hardware to energy: indirect, direct and total effects on one axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures.labels import MARGIN, fitted, room
from causal_report.figures.rows import Interval, Plot, ends, grouped, stacked
from causal_report.figures.scale import Scale, padded
from causal_report.mediation.modes import BACKGROUND
from causal_report.mediation.plain import change
from causal_report.mediation.words import surest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.mediation import MediationPath

WIDTH, RIGHT, TOP, ROW, GAP, AXIS = 840, 24, 8, 26, 12, 26
LEAST_LEFT, MOST_LEFT = 160, 500
MOST_LINES = 16
SQUARE, TRIANGLE = "M-3.6-3.6h7.2v7.2h-7.2z", "M0-4.8L4.4 3.4h-8.8z"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLine(Interval):
    """One path in pixels; ``direct`` and ``total`` are None where they lie beyond the plot."""

    direct: float | None
    total: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPlot(Plot):
    """Everything the template places."""

    lines: tuple[PathLine, ...]
    zero: float
    square: str
    triangle: str


def effects(paths: Sequence[MediationPath]) -> PathPlot | None:
    """The surest paths with outcomes in per cent, by repository; None where there are none.

    A background load moves the counters of the whole machine tenfold what a hyperparameter does: its
    paths are drawn only where there are no others.

    Per cent are placed on the scale of logarithms, where a halving is as far from nought as a doubling.
    """
    known = [p for p in surest(paths) if p.log_outcome and p.lo is not None]
    shown = ([p for p in known if p.cause != BACKGROUND] or known)[:MOST_LINES]
    if not shown:
        return None
    reach = [v for p in shown for v in (p.plain, p.plain_lo, p.plain_hi) if v is not None]
    low, high = padded([*map(_log, reach), 0.0])
    left = room([_label(p) for p in shown], LEAST_LEFT, MOST_LEFT)
    scale = Scale(low=low, high=high, start=left, end=WIDTH - RIGHT)
    lines, headings, bottom = stacked(
        sorted(grouped(shown, lambda path: path.group).items()),
        lambda path, y: _line(path, scale, y),
        top=TOP,
        row=ROW,
        gap=GAP,
    )
    return PathPlot(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=left,
        bottom=bottom,
        lines=lines,
        headings=headings,
        ticks=tuple((scale(_log(v)), number.percent(v, 0, sign=v != 0)) for v in _ticks(low, high)),
        zero=scale(0.0),
        square=SQUARE,
        triangle=TRIANGLE,
    )


def _log(per_cent: float) -> float:
    return math.log1p(max(per_cent, -99.99) / 100)


def _ticks(low: float, high: float) -> list[float]:
    """Round per cent within the bounds, not closer than a tenth of the axis."""
    wanted = [-90, -75, -50, -40, -30, -20, -10, -5, -2, 0, 2, 5, 10, 20, 30, 50, 100, 200, 400, 900]
    kept: list[float] = [0.0]
    for value in sorted((v for v in wanted if low <= _log(v) <= high), key=abs, reverse=True):
        if all(abs(_log(value) - _log(other)) >= (high - low) / 9 for other in kept):
            kept.append(float(value))
    return sorted(kept)


def _label(path: MediationPath) -> str:
    return f"{path.cause_label} → {path.mediator_label} → {path.outcome_label}"


def _line(path: MediationPath, scale: Scale, y: float) -> PathLine:
    estimate, lo, hi = (_log(v or 0.0) for v in (path.plain, path.plain_lo, path.plain_hi))
    direct, total = (change(path, value) for value in (path.direct, path.total))
    interval = number.span(path.plain_lo, path.plain_hi, number.percent)
    return PathLine(
        **ends(scale, estimate, lo, hi),
        y=y,
        direct=_inside(scale, direct),
        total=_inside(scale, total),
        label=fitted(_label(path), MOST_LEFT - MARGIN),
        clear=path.clear,
        words=f"{path.group}, {_label(path)}: indirect {number.percent(path.plain)} "
        f"(95 % interval {interval}), direct {number.percent(direct)}, total {number.percent(total)}",
    )


def _inside(scale: Scale, per_cent: float | None) -> float | None:
    if per_cent is None or not scale.low <= _log(per_cent) <= scale.high:
        return None
    return scale(_log(per_cent))
