"""The staircase a polled counter shows, and the joules between two moments of it.

The true counter ticks at a moment we can only bound: by the last time the old value was seen and the
first time the new one was seen. Every joule here comes from such edges, so a bound is a fact and no fit.
"""

from __future__ import annotations

import bisect
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.trace import Sample


class Edge(NamedTuple):
    """The counter became ``joules`` somewhere in ``[lo_ns, hi_ns]``."""

    lo_ns: int
    hi_ns: int
    joules: float

    @property
    def mid_ns(self) -> float:
        """The middle of what is known of the moment."""
        return (self.lo_ns + self.hi_ns) / 2


def runs_of(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    """Cut where the counter went backwards: a reset, never energy given back."""
    cuts = [i for i in range(1, len(samples)) if samples[i].joules < samples[i - 1].joules]
    return [samples[a:b] for a, b in itertools.pairwise([0, *cuts, len(samples)]) if b > a]


def edges_of(run: Sequence[Sample]) -> list[Edge]:
    """Every change of value in a run that never goes backwards."""
    return [Edge(a.t_ns, b.t_ns, b.joules) for a, b in itertools.pairwise(run) if b.joules > a.joules]


def stalled_ns(run: Sequence[Sample], t0_ns: int, t1_ns: int, stall_ns: int) -> int:
    """Nanoseconds of ``[t0, t1]`` in standstills longer than *stall_ns*, though the counter was read."""
    total = 0
    for _, same in itertools.groupby(run, key=lambda s: s.joules):
        still = list(same)
        if still[-1].t_ns - still[0].t_ns > stall_ns:
            total += max(0, min(still[-1].t_ns, t1_ns) - max(still[0].t_ns, t0_ns))
    return total


def bracket(edges: Sequence[Edge], t0: float, t1: float, unc_ns: int) -> tuple[float, float]:
    """Hard bounds in joules: what had surely been counted from *t0* to *t1*, and what at most."""
    narrow = _at_least(edges, t1 - unc_ns) - _at_most(edges, t0 + unc_ns)
    wide = _at_most(edges, t1 + unc_ns) - _at_least(edges, t0 - unc_ns)
    # Beyond the outermost edges there is no bound but the mean power.
    mean_w = (edges[-1].joules - edges[0].joules) / (edges[-1].mid_ns - edges[0].mid_ns)
    missing = max(0.0, edges[0].mid_ns - (t0 - unc_ns)) + max(0.0, t1 + unc_ns - edges[-1].mid_ns)
    return max(0.0, narrow), wide + mean_w * missing


def _at_least(edges: Sequence[Edge], t_ns: float) -> float:
    i = bisect.bisect_right(edges, t_ns, key=lambda e: e.hi_ns)
    return edges[max(0, i - 1)].joules


def _at_most(edges: Sequence[Edge], t_ns: float) -> float:
    i = bisect.bisect_left(edges, t_ns, key=lambda e: e.lo_ns)
    return edges[min(i, len(edges) - 1)].joules


def resolved(edges: Sequence[Edge], t0: float, t1: float, idle_w: float) -> float:
    """Joules by the outer difference less idle power over the two partial ticks."""
    before = edges[bisect.bisect_right(edges, t0, key=lambda e: e.mid_ns) - 1]
    after = edges[bisect.bisect_left(edges, t1, key=lambda e: e.mid_ns)]
    return after.joules - before.joules - idle_w * (t0 - before.mid_ns + after.mid_ns - t1) / 1e9


def linear(edges: Sequence[Edge], t_ns: float) -> float:
    """Cumulative joules at *t_ns*, linear between the middles of the edges."""
    i = min(max(1, bisect.bisect_right(edges, t_ns, key=lambda e: e.mid_ns)), len(edges) - 1)
    a, b = edges[i - 1], edges[i]
    return a.joules + (b.joules - a.joules) * (t_ns - a.mid_ns) / (b.mid_ns - a.mid_ns)


def mean_power(edges: Sequence[Edge]) -> tuple[float, float]:
    """Mean watts over at least four edges, and its standard uncertainty.

    The uncertainty joins the scatter of the ticks' powers with that of the two outer edges, each
    uniform within its poll gap (variance gap²/12).
    """
    span_s = (edges[-1].mid_ns - edges[0].mid_ns) / 1e9
    power_w = (edges[-1].joules - edges[0].joules) / span_s
    ticks = [(b.joules - a.joules) / (b.mid_ns - a.mid_ns) * 1e9 for a, b in itertools.pairwise(edges)]
    variance = sum((p - power_w) ** 2 for p in ticks) / (len(ticks) - 1)
    gap_s = math.hypot(*((e.hi_ns - e.lo_ns) / 1e9 for e in (edges[0], edges[-1]))) / math.sqrt(12)
    return power_w, math.hypot(math.sqrt(variance / len(ticks)), power_w * gap_s / span_s)
