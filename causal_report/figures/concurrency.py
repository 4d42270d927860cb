"""Pairs against one after the other: energy and time saved; and whose the joint energy is."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures.scale import Scale, padded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from causal_report.findings.concurrency import ConcurrentPair, PairAttribution, PairEstimate

WIDTH, RIGHT, TOP, ROW, GAP, AXIS, LEFT = 720, 24, 8, 22, 10, 44, 130
MOST_PAIRS = 20
METHODS = {"segments": "own time", "usage": "use", "shapley": "Shapley"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One quantity of one pair in pixels; ``lo`` and ``hi`` are None without an interval.

    Attributes:
        square: time, and a round mark energy.
        clear: the interval leaves out nothing saved.
    """

    y: float
    x: float
    lo: float | None
    hi: float | None
    label: str
    square: bool
    clear: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A pair's name above its marks."""

    y: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Everything a template places; ``left_out`` pairs had no room."""

    width: int
    height: int
    left: int
    bottom: float
    zero: float | None
    marks: tuple[Mark, ...]
    headings: tuple[Heading, ...]
    ticks: tuple[tuple[float, str], ...]
    left_out: int


def saved(pairs: Sequence[ConcurrentPair]) -> Marks | None:
    """Energy and time saved against one after the other, in per cent; None where no pair has either."""
    shown = [pair for pair in pairs if pair.saving.value is not None or pair.makespan.value is not None]
    rows = [(pair, _quantities(pair)) for pair in shown[:MOST_PAIRS]]
    if not rows:
        return None
    bounds = [bound for _, lines in rows for _, _, values in lines for bound in values if bound is not None]
    low, high = padded([*bounds, 0.0])
    scale = Scale(low=low, high=high, start=LEFT, end=WIDTH - RIGHT)
    marks: list[Mark] = []
    headings: list[Heading] = []
    y = float(TOP)
    for pair, lines in rows:
        headings.append(Heading(y=y + ROW / 2, label=pair.name))
        y += ROW
        for label, square, values in lines:
            marks.append(_mark(pair.name, label, square, values, scale, y + ROW / 2))
            y += ROW
        y += GAP
    return _placed(marks, headings, y, scale, scale(0.0), len(shown) - len(rows), "%")


def shares(pairs: Sequence[ConcurrentPair]) -> Marks | None:
    """Share of the first program in the joint energy by each method, the bounds as the bar."""
    shown = [pair for pair in pairs if pair.attribution]
    if not shown:
        return None
    scale = Scale(low=0.0, high=100.0, start=LEFT, end=WIDTH - RIGHT)
    marks: list[Mark] = []
    headings: list[Heading] = []
    y = float(TOP)
    for pair in shown[:MOST_PAIRS]:
        first = pair.a.rpartition("/")[2]
        headings.append(Heading(y=y + ROW / 2, label=f"{pair.name}: share of {first}"))
        y += ROW
        for method, label in METHODS.items():
            cells = [one for one in pair.attribution if one.method == method]
            if cells:
                marks.append(_share(pair, label, cells, scale, y + ROW / 2))
                y += ROW
        y += GAP
    return _placed(marks, headings, y, scale, None, max(0, len(shown) - MOST_PAIRS), "%")


def _quantities(
    pair: ConcurrentPair,
) -> list[tuple[str, bool, tuple[float | None, float | None, float | None]]]:
    """Label, square or not, and value with interval in per cent saved."""
    found = []
    if pair.saving.value is not None:
        found.append(("energy saved", False, _percent(pair.saving, 1)))
    if pair.makespan.value is not None:
        found.append(("time saved", True, _percent(pair.makespan, -1)))
    return found


def _percent(found: PairEstimate, sign: int) -> tuple[float | None, float | None, float | None]:
    values = [None if v is None else 100 * sign * v for v in (found.value, found.lo, found.hi)]
    return (values[0], values[1], values[2]) if sign > 0 else (values[0], values[2], values[1])


def _mark(
    name: str,
    label: str,
    square: bool,
    values: tuple[float | None, float | None, float | None],
    scale: Scale,
    y: float,
) -> Mark:
    value, lo, hi = values
    words = f"{name}, {label}: {number.percent(value)}"
    within = lo is not None and hi is not None
    words += f", 95 % interval {number.percent(lo)} to {number.percent(hi)}" if within else ", no interval"
    return Mark(
        y=y,
        x=scale(value or 0.0),
        lo=None if lo is None else scale(lo),
        hi=None if hi is None else scale(hi),
        label=label,
        square=square,
        clear=lo is not None and hi is not None and (lo > 0 or hi < 0),
        words=words,
    )


def _share(
    pair: ConcurrentPair, label: str, cells: Sequence[PairAttribution], scale: Scale, y: float
) -> Mark:
    value = 100 * _mean(one.a_share for one in cells)
    lo = 100 * _mean(one.a_lo_j / one.joint_j for one in cells)
    hi = 100 * _mean(one.a_hi_j / one.joint_j for one in cells)
    shown = [number.percent(v, 0, sign=False) for v in (value, lo, hi)]
    return Mark(
        y=y,
        x=scale(value),
        lo=scale(lo),
        hi=scale(hi),
        label=label,
        square=False,
        clear=False,
        words=f"{pair.name} by {label}: {shown[0]}, between {shown[1]} and {shown[2]}, estimated",
    )


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _placed(
    marks: Sequence[Mark],
    headings: Sequence[Heading],
    bottom: float,
    scale: Scale,
    zero: float | None,
    left_out: int,
    unit: str,
) -> Marks:
    ticks = tuple((scale(v), f"{v:g} {unit}".replace("-", number.MINUS)) for v in scale.ticks(7))
    return Marks(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=LEFT,
        bottom=bottom,
        zero=zero,
        marks=tuple(marks),
        headings=tuple(headings),
        ticks=ticks,
        left_out=left_out,
    )
