"""When a counter that ticks like a clock ticked: better than any one look at it can tell.

Each edge is known to a poll gap. But if the ticks come at ``start + n * period``, every edge bounds
start and period, and all bounds together leave far less than a poll gap. Where they leave nothing, the
counter is no clock, and each edge stands for itself.
"""

from __future__ import annotations

import itertools
import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_plugin.record.staircase import Flight

CLOCKED = 0.6  # an edge known to this share of a tick can tell which tick it was
FEWEST = 5  # edges that make a clock
SPAN = 0.1  # a period is within this share of what the mean of the edges says
UNEVEN = 0.5  # a clock's ticks may miss what was seen by this share of a poll gap
FINEST = 0.1  # and none is known better than to this share of one
STEPS = 40
SLICES = 8


class Moments(NamedTuple):
    """Likeliest moments of some edges in nanoseconds, and how far off they are, as a standard deviation."""

    at_ns: Sequence[float]
    unc_ns: float


def moments(flight: Flight, indices: Sequence[int], wanted: Sequence[int]) -> Moments:
    """When the edges *wanted* came, as all edges of *indices* together tell."""
    edges = [flight.edges[i] for i in indices]
    plain = [flight.moments_ns[i] for i in wanted]
    widths = [flight.edges[i].hi_ns - flight.edges[i].lo_ns for i in wanted]
    alone = Moments(plain, statistics.fmean(widths) / math.sqrt(12))
    sharp = [e for e in edges if e.hi_ns - e.lo_ns <= CLOCKED * flight.tick_ns]
    if len(sharp) < FEWEST:
        return alone
    zero_ns = sharp[0].mid_ns
    counts = _counts([e.mid_ns for e in sharp], flight.tick_ns)
    lows = [e.lo_ns - zero_ns for e in sharp]
    highs = [e.hi_ns - zero_ns for e in sharp]
    found = _clock(counts, lows, highs)
    if found is None:
        return alone
    start_ns, period_ns, unc_ns = found
    at = []
    for i, plain_ns in zip(wanted, plain, strict=True):
        edge = flight.edges[i]
        ticks = round((plain_ns - zero_ns - start_ns) / period_ns)
        at.append(min(max(zero_ns + start_ns + ticks * period_ns, edge.lo_ns), edge.hi_ns))
    return Moments(at, unc_ns)


def _counts(at_ns: Sequence[float], tick_ns: float) -> list[int]:
    """Which tick each edge was, counted from the first."""
    counts = [0]
    for a, b in itertools.pairwise(at_ns):
        counts.append(counts[-1] + max(1, round((b - a) / tick_ns)))
    return counts


def _clock(
    counts: Sequence[int], lows: Sequence[float], highs: Sequence[float]
) -> tuple[float, float, float] | None:
    """Mean start and period of all clocks that fit, and the spread of the start; None if none fits."""
    mids = [(lo + hi) / 2 for lo, hi in zip(lows, highs, strict=True)]
    guess = (mids[-1] - mids[0]) / counts[-1]

    def starts(period: float) -> tuple[float, float]:
        least = max(lo - n * period for n, lo in zip(counts, lows, strict=True))
        most = min(hi - n * period for n, hi in zip(counts, highs, strict=True))
        return least, most

    def room(period: float) -> float:
        least, most = starts(period)
        return most - least

    best = _peak(room, guess * (1 - SPAN), guess * (1 + SPAN))
    gap = statistics.fmean(hi - lo for lo, hi in zip(lows, highs, strict=True))
    if room(best) <= 0:  # a clock that goes a little unevenly is one still
        least, most = starts(best)
        return ((least + most) / 2, best, gap / math.sqrt(12)) if room(best) > -UNEVEN * gap else None
    first, last = _root(room, best, guess * (1 - SPAN)), _root(room, best, guess * (1 + SPAN))
    periods = [first + (last - first) * (i + 0.5) / SLICES for i in range(SLICES)]
    weights = [max(room(period), 0.0) + 1e-9 for period in periods]
    whole = sum(weights)
    period = sum(p * w for p, w in zip(periods, weights, strict=True)) / whole
    # The start of the tick in the middle: it hardly depends on the period.
    middle = statistics.fmean(counts)
    centre = sum((sum(starts(p)) / 2 + middle * p) * w for p, w in zip(periods, weights, strict=True)) / whole
    drift = (last - first) * (counts[-1] / 2)
    unc = math.hypot(sum(w * w for w in weights) / whole, drift, FINEST * gap) / math.sqrt(12)
    return centre - middle * period, period, unc


def _peak(room: Callable[[float], float], a: float, b: float) -> float:
    """Where a concave function is greatest between *a* and *b*."""
    for _ in range(STEPS):
        c, d = a + (b - a) / 3, b - (b - a) / 3
        if room(c) < room(d):
            a = c
        else:
            b = d
    return (a + b) / 2


def _root(room: Callable[[float], float], inside: float, outside: float) -> float:
    """Where the function turns negative on the way from *inside* to *outside*."""
    for _ in range(STEPS // 2):
        middle = (inside + outside) / 2
        if room(middle) > 0:
            inside = middle
        else:
            outside = middle
    return inside
