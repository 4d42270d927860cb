"""Plots of rows: one line below the other in groups under headings, over one axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from causal_report.figures.scale import Scale

    Ticks = tuple[tuple[float, str], ...]

One = TypeVar("One")
Drawn = TypeVar("Drawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What every plot of rows has: ``left`` of the axis is room for names, ``bottom`` is where it lies.

    Attributes:
        ticks: places on the axis, and what stands there.
        headings: heights, and what stands there.
    """

    width: int
    height: int
    left: int
    bottom: float
    ticks: Ticks
    headings: Ticks = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A row's estimate and interval in pixels, with its name and all of it in words.

    Attributes:
        clear: its mark is filled.
        cut_lo: it runs on beyond the plot; likewise ``cut_hi``.
        outside: even its estimate lies beyond: then there is no dot to draw.
    """

    y: float
    x: float
    lo: float
    hi: float
    label: str
    words: str
    clear: bool
    cut_lo: bool = False
    cut_hi: bool = False
    outside: bool = False


class Ends(TypedDict):
    """Fields of the same names of :class:`Interval`."""

    x: float
    lo: float
    hi: float
    cut_lo: bool
    cut_hi: bool
    outside: bool


def ends(scale: Scale, estimate: float, lo: float, hi: float) -> Ends:
    """Where an interval lies on the axis, cut at its ends."""
    return {
        "x": scale.clipped(estimate),
        "lo": scale.clipped(lo),
        "hi": scale.clipped(hi),
        "cut_lo": lo < scale.low,
        "cut_hi": hi > scale.high,
        "outside": not scale.low <= estimate <= scale.high,
    }


def grouped(every: Iterable[One], key: Callable[[One], str]) -> dict[str, list[One]]:
    """Those with the same key together, in the order in which keys first come."""
    found: dict[str, list[One]] = {}
    for one in every:
        found.setdefault(key(one), []).append(one)
    return found


def stacked(
    groups: Iterable[tuple[str, Iterable[One]]],
    draw: Callable[[One, float], Drawn],
    *,
    top: float,
    row: float,
    gap: float,
    each: float = 1.0,
) -> tuple[tuple[Drawn, ...], Ticks, float]:
    """Draw each group's members below its heading.

    Args:
        groups: heading and members.
        draw: is given a member and the height of its middle.
        top: where the first heading begins.
        row: height of a row.
        gap: between two groups.
        each: rows that a member takes.

    Returns:
        What was drawn, the headings, and where it all ends.
    """
    drawn: list[Drawn] = []
    headings: list[tuple[float, str]] = []
    y = float(top)
    for heading, members in groups:
        headings.append((y + row / 2, heading))
        y += row
        for one in members:
            drawn.append(draw(one, y + row / 2))
            y += each * row
        y += gap
    return tuple(drawn), tuple(headings), y
