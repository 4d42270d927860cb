"""The staircase a polled counter shows, and the joules between two moments of it.

The true counter ticks at a moment we can only bound: by the last time the old value was seen and the
first time the new one was seen. Every bound here comes from such edges, so it is a fact and no fit.
What a counter shows may moreover be old already when it appears: by a lag of up to one tick.
"""

from __future__ import annotations

import bisect
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.trace import Sample

TICK_MARGIN = 1.25  # ticks come late by up to this factor of their usual time
SHARP = 0.25  # an edge known to this share of a tick tells where its neighbours are


class Edge(NamedTuple):
    """The counter became ``joules`` somewhere in ``[lo_ns, hi_ns]``."""

    lo_ns: int
    hi_ns: int
    joules: float

    @property
    def mid_ns(self) -> float:
        """The middle of what is known of the moment."""
        return (self.lo_ns + self.hi_ns) / 2


class Flight(NamedTuple):
    """One unbroken rise of a counter.

    Attributes:
        edges: its changes of value, in order.
        moments_ns: the likeliest moment of each edge, rising.
        tick_ns: usual time between updates, 0 where unknown. What appears may lag by as much.
    """

    samples: Sequence[Sample]
    edges: Sequence[Edge]
    moments_ns: Sequence[float]
    tick_ns: int = 0

    def at_least(self, t_ns: float) -> float:
        """What had surely been counted at *t*."""
        i = bisect.bisect_right(self.edges, t_ns, key=_hi_ns)
        return self.edges[max(0, i - 1)].joules

    def at_most(self, t_ns: float) -> float:
        """What the counter, up to its lag, had at most counted at *t*."""
        return self.edges[min(self.after(t_ns), len(self.edges) - 1)].joules

    def after(self, t_ns: float) -> int:
        """Index of the first edge that surely came at or after *t*."""
        return bisect.bisect_left(self.edges, t_ns, key=_lo_ns)

    def before(self, t_ns: float) -> int:
        """Index of the last edge that surely came at or before *t*, -1 if there is none."""
        return bisect.bisect_right(self.edges, t_ns, key=_hi_ns) - 1

    def linear(self, t_ns: float) -> float:
        """Cumulative joules at *t*, linear between the moments of the edges."""
        at = self.moments_ns
        i = min(max(1, bisect.bisect_right(at, t_ns)), len(at) - 1)
        a, b = self.edges[i - 1].joules, self.edges[i].joules
        return a + (b - a) * (t_ns - at[i - 1]) / (at[i] - at[i - 1])

    def bracket(self, t0: float, t1: float, unc_ns: int) -> tuple[float, float]:
        """Hard bounds in joules from *t0* to *t1*: least and most over every lag from none to one tick.

        Both ends lag alike, so what the lag takes off one end it adds at the other.
        """
        a, b = t0 - unc_ns, t1 + unc_ns
        inner, outer = t0 + unc_ns, t1 - unc_ns
        lo_j = min(self.at_least(outer + lag) - self.at_most(inner + lag) for lag in self._lags(inner))
        hi_j = max(self.at_most(b + lag) - self.at_least(a + lag) for lag in self._lags(b))
        # Beyond the outermost edges there is no bound but the mean power.
        first, last = self.moments_ns[0], self.moments_ns[-1]
        mean_w = (self.edges[-1].joules - self.edges[0].joules) / (last - first)
        missing = max(0.0, first - a) + max(0.0, b - last)
        return max(0.0, lo_j), hi_j + mean_w * missing

    def _lags(self, t_ns: float) -> list[float]:
        """Lags at which :meth:`at_most` of *t* jumps: between two of them the bounds cannot worsen."""
        i = self.after(t_ns)
        k = bisect.bisect_left(self.edges, t_ns + self.tick_ns, lo=i, key=_lo_ns)
        # Further than a few jumps within one tick is no staircase but noise.
        return [0.0, *(e.lo_ns - t_ns + 1 for e in self.edges[i : min(k, i + 16)])]


def _lo_ns(edge: Edge) -> int:
    return edge.lo_ns


def _hi_ns(edge: Edge) -> int:
    return edge.hi_ns


def flight_of(run: Sequence[Sample], tick_ns: int = 0, call_ns: int = 0) -> Flight:
    """The edges of a run that never goes backwards; *call_ns* is how long a read may take."""
    edges = edges_of(run, tick_ns, call_ns)
    return Flight(run, edges, _moments(edges, tick_ns), tick_ns)


def edges_of(run: Sequence[Sample], tick_ns: int = 0, call_ns: int = 0) -> list[Edge]:
    """Every change of value in a run that never goes backwards.

    Args:
        run: samples in order.
        tick_ns: usual time between updates, 0 if unknown: a value first seen at *t* became so within
            about a tick of *t*, however long nobody looked.
        call_ns: a value seen once only was read at some moment of a call that took up to this.
    """
    edges: list[Edge] = []
    once, lowest = True, 0
    for a, b in itertools.pairwise(run):
        if b.joules > a.joules:
            lo_ns = a.t_ns - call_ns if once else a.t_ns
            if tick_ns:
                lo_ns = max(lo_ns, b.t_ns - call_ns - int(TICK_MARGIN * tick_ns))
            lowest = max(lowest, min(lo_ns, b.t_ns))
            edges.append(Edge(lowest, b.t_ns, b.joules))
        once = b.joules > a.joules
    return edges


def _moments(edges: Sequence[Edge], tick_ns: int) -> list[float]:
    """The likeliest moment of each edge, rising: its middle, or a tick before the sharp edge that follows."""
    at = [edge.mid_ns for edge in edges]
    for i in range(len(edges) - 2, -1, -1):
        edge, after = edges[i], edges[i + 1]
        if after.hi_ns - after.lo_ns <= SHARP * tick_ns < edge.hi_ns - edge.lo_ns:
            at[i] = min(max(at[i + 1] - tick_ns, edge.lo_ns), edge.hi_ns)
    for i in range(1, len(at)):  # the order of the edges is a fact
        if at[i] <= at[i - 1]:
            at[i] = at[i - 1] + 1
    return at


def stalls_of(run: Sequence[Sample], stall_ns: int) -> list[tuple[int, int]]:
    """Spans longer than *stall_ns* in which the counter was read and stood still."""
    spans = []
    begun = run[0] if run else None
    for a, b in itertools.pairwise(run):
        assert begun is not None
        if b.joules != begun.joules:
            spans.append((begun.t_ns, a.t_ns))
            begun = b
    if begun is not None:
        spans.append((begun.t_ns, run[-1].t_ns))
    return [span for span in spans if span[1] - span[0] > stall_ns]


def mean_power(flight: Flight, first: int, last: int) -> tuple[float, float]:
    """Mean watts from one edge to another at least three further, and its standard uncertainty.

    The uncertainty joins the scatter of the ticks' powers with that of the two outer edges, each
    uniform within its poll gap (variance gap²/12).
    """
    edges, at = flight.edges[first : last + 1], flight.moments_ns[first : last + 1]
    span_s = (at[-1] - at[0]) / 1e9
    power_w = (edges[-1].joules - edges[0].joules) / span_s
    ticks = [
        (b[0].joules - a[0].joules) / (b[1] - a[1]) * 1e9
        for a, b in itertools.pairwise(zip(edges, at, strict=True))
    ]
    variance = sum((p - power_w) ** 2 for p in ticks) / (len(ticks) - 1)
    gap_s = math.hypot(*((e.hi_ns - e.lo_ns) / 1e9 for e in (edges[0], edges[-1]))) / math.sqrt(12)
    return power_w, math.hypot(math.sqrt(variance / len(ticks)), power_w * gap_s / span_s)
