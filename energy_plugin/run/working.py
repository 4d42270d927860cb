"""Whether a program really worked: seconds in which it used a processor or a GPU."""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energy_plugin.run.usage import Points

BIN_S = 0.5
LEAST_BINS = 4
LEAST_CPU = 0.05
"""Processors' worth of time below which a program idled in that bin, unless ..."""
LEAST_GPU_PERCENT = 5.0
"""... its processes used a GPU by so much."""


def worked_s(cpu_time_s: Points, gpu_percent: Points, t0_ns: int, t1_ns: int) -> float | None:
    """Seconds of the window that were spent working, counted in bins of half a second.

    Args:
        cpu_time_s: cumulative seconds of processor time.
        gpu_percent: utilisation by its processes, each value holding until the next.
        t0_ns: CLOCK_MONOTONIC of the window's begin.
        t1_ns: of its end.

    Returns:
        None where neither was seen.
    """
    if not cpu_time_s and not gpu_percent:
        return None
    count = max(LEAST_BINS, int((t1_ns - t0_ns) / 1e9 / BIN_S))
    edges = [t0_ns + (t1_ns - t0_ns) * i // count for i in range(count + 1)]
    return sum((b - a) / 1e9 for a, b in itertools.pairwise(edges) if _worked(cpu_time_s, gpu_percent, a, b))


def _worked(cpu_time_s: Points, gpu_percent: Points, a_ns: int, b_ns: int) -> bool:
    spent_s = grown(cpu_time_s, a_ns, b_ns)
    if spent_s is not None and spent_s >= LEAST_CPU * (b_ns - a_ns) / 1e9:
        return True
    mean = mean_of(gpu_percent, a_ns, b_ns)
    return mean is not None and mean >= LEAST_GPU_PERCENT


def grown(points: Points, t0_ns: int, t1_ns: int) -> float | None:
    """By how much a cumulative quantity grew, linear between its points and level beyond them."""
    return at(points, t1_ns) - at(points, t0_ns) if points else None


def at(points: Points, t_ns: int) -> float:
    """A cumulative quantity at one moment."""
    i = bisect.bisect_right(points, t_ns, key=lambda point: point[0])
    if i == 0 or i == len(points):
        return points[min(i, len(points) - 1)][1]
    (a_ns, a), (b_ns, b) = points[i - 1 : i + 1]
    return a + (b - a) * (t_ns - a_ns) / (b_ns - a_ns)


def mean_of(points: Points, t0_ns: int, t1_ns: int) -> float | None:
    """Time mean of a step function; 0 before its first point, None where it has none at all."""
    if not points or t1_ns <= t0_ns:
        return None
    edges = [t0_ns, *(t for t, _ in points if t0_ns < t < t1_ns), t1_ns]
    area = 0.0
    for a, b in itertools.pairwise(edges):
        i = bisect.bisect_right(points, a, key=lambda point: point[0])
        area += (points[i - 1][1] if i else 0.0) * (b - a)
    return area / (t1_ns - t0_ns)
