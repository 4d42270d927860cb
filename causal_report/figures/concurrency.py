"""Pairs against one after the other: energy and time saved; and whose the joint energy is."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from causal_report import number
from causal_report.figures.rows import Plot, stacked
from causal_report.figures.scale import Scale, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.concurrency import ConcurrentPair, PairAttribution, PairEstimate

WIDTH, RIGHT, TOP, ROW, GAP, AXIS, LEFT = 720, 24, 8, 22, 10, 44, 130
MOST_PAIRS = 20
METHODS = {"segments": "own time", "usage": "use", "shapley": "Shapley"}


class Quantity(NamedTuple):
    """What a mark shows, in per cent; ``lo`` and ``hi`` are None without an interval.

    Attributes:
        square: time, and a round mark energy.
        clear: the interval leaves out nothing saved.
    """

    label: str
    value: float
    lo: float | None
    hi: float | None
    words: str
    square: bool = False
    clear: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A quantity of one pair in pixels."""

    y: float
    x: float
    lo: float | None
    hi: float | None
    label: str
    square: bool
    clear: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks(Plot):
    """Everything a template places; ``left_out`` pairs had no room."""

    zero: float | None
    marks: tuple[Mark, ...]
    left_out: int


def saved(pairs: Sequence[ConcurrentPair]) -> Marks | None:
    """Energy and time saved against one after the other, in per cent; None where no pair has either."""
    groups = [(pair.name, found) for pair in pairs if (found := _savings(pair))]
    if not groups:
        return None
    shown = [one for _, found in groups[:MOST_PAIRS] for one in found]
    low, high = padded([0.0, *(v for one in shown for v in (one.value, one.lo, one.hi) if v is not None)])
    scale = Scale(low=low, high=high, start=LEFT, end=WIDTH - RIGHT)
    return _placed(groups, scale, scale(0.0))


def shares(pairs: Sequence[ConcurrentPair]) -> Marks | None:
    """Share of the first program in the joint energy by each method, the bounds as the bar."""
    shown = [pair for pair in pairs if pair.attribution]
    groups = [(f"{pair.name}: share of {pair.a.rpartition('/')[2]}", _methods(pair)) for pair in shown]
    scale = Scale(low=0.0, high=100.0, start=LEFT, end=WIDTH - RIGHT)
    return _placed(groups, scale, None) if groups else None


def _savings(pair: ConcurrentPair) -> list[Quantity]:
    """What is known of it: energy by the saving, and time by the makespan, which grows the other way."""
    both = (("energy saved", pair.saving, 1), ("time saved", pair.makespan, -1))
    return [_saving(pair.name, label, one, sign) for label, one, sign in both if one.value is not None]


def _saving(name: str, label: str, found: PairEstimate, sign: int) -> Quantity:
    value, lo, hi = (None if v is None else 100 * sign * v for v in (found.value, found.lo, found.hi))
    words = f"{name}, {label}: {number.percent(value)}"
    if lo is None or hi is None:
        return Quantity(label, value or 0.0, None, None, f"{words}, no interval", square=sign < 0)
    lo, hi = sorted((lo, hi))
    words += f", 95 % interval {number.percent(lo)} to {number.percent(hi)}"
    return Quantity(label, value or 0.0, lo, hi, words, square=sign < 0, clear=lo > 0 or hi < 0)


def _methods(pair: ConcurrentPair) -> list[Quantity]:
    cells = {name: [one for one in pair.attribution if one.method == name] for name in METHODS}
    return [_share(pair.name, METHODS[name], found) for name, found in cells.items() if found]


def _share(name: str, label: str, cells: Sequence[PairAttribution]) -> Quantity:
    value = 100 * statistics.fmean(one.a_share for one in cells)
    lo = 100 * statistics.fmean(one.a_lo_j / one.joint_j for one in cells)
    hi = 100 * statistics.fmean(one.a_hi_j / one.joint_j for one in cells)
    shown = [number.percent(v, 0, sign=False) for v in (value, lo, hi)]
    words = f"{name} by {label}: {shown[0]}, between {shown[1]} and {shown[2]}, estimated"
    return Quantity(label, value, lo, hi, words)


def _placed(groups: Sequence[tuple[str, Sequence[Quantity]]], scale: Scale, zero: float | None) -> Marks:
    def mark(one: Quantity, y: float) -> Mark:
        lo, hi = (None if v is None else scale(v) for v in (one.lo, one.hi))
        x = scale(one.value)
        return Mark(
            y=y, x=x, lo=lo, hi=hi, label=one.label, square=one.square, clear=one.clear, words=one.words
        )

    marks, headings, bottom = stacked(groups[:MOST_PAIRS], mark, top=TOP, row=ROW, gap=GAP)
    return Marks(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=LEFT,
        bottom=bottom,
        zero=zero,
        marks=marks,
        headings=headings,
        ticks=tuple((scale(v), f"{number.tick(v)} %") for v in scale.ticks(7)),
        left_out=max(0, len(groups) - MOST_PAIRS),
    )
