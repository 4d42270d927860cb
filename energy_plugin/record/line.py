"""The line on which a counter's values lie while power is steady, and its value at any moment."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.record import rhythm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.staircase import Flight

AROUND = 8  # edges to either side of a line that help to tell when its own came
NEAR_S = 1.0  # edges further away say nothing about the window's ends, unless there are no others
BENDS = 4  # knots that show whether a line bends


class Level(NamedTuple):
    """Cumulative joules at one moment, with their standard uncertainty.

    Attributes:
        scatter_j: standard deviation of the counter's values about the line they are from.
    """

    joules: float
    unc_j: float
    scatter_j: float = 0.0


class Line(NamedTuple):
    """Knots of a flight, at times in seconds from the moment asked for."""

    times_s: Sequence[float]
    joules: Sequence[float]
    jitter_s: float


def line_of(flight: Flight, indices: Sequence[int], t_ns: int) -> Line:
    """Edges of these *indices* near *t_ns*, at times from it; at least the nearest."""
    near_ns = NEAR_S * 1e9 + 2 * flight.tick_ns
    kept = [i for i in indices if abs(flight.moments_ns[i] - t_ns) <= near_ns] or [
        min(indices, key=lambda i: abs(flight.moments_ns[i] - t_ns))
    ]
    around = range(max(0, kept[0] - AROUND), min(len(flight.edges), kept[-1] + 1 + AROUND))
    at_ns, unc_ns = rhythm.moments(flight, around, kept)
    return Line([(at - t_ns) / 1e9 for at in at_ns], [flight.edges[i].joules for i in kept], unc_ns / 1e9)


def level_of(line: Line, power_w: float, unc_w: float) -> Level:
    """The line's value at time 0; its slope joins *power_w* ± *unc_w* with what the knots say."""
    n, times, values = len(line.times_s), line.times_s, line.joules
    mean_s, mean_j = statistics.fmean(times), statistics.fmean(values)
    spread = sum((t - mean_s) ** 2 for t in times)
    noise_j, scatter_j, rest = line.jitter_s * abs(power_w), 0.0, [0.0] * n
    if n >= 3 and spread > 0:
        slope = sum((t - mean_s) * (j - mean_j) for t, j in zip(times, values, strict=True)) / spread
        rest = [j - mean_j - slope * (t - mean_s) for t, j in zip(times, values, strict=True)]
        scatter_j = math.sqrt(sum(r * r for r in rest) / (n - 2))
        noise_j = max(noise_j, scatter_j)
        own_unc_w = max(noise_j / math.sqrt(spread), 1e-12)
        weight = 1 / (1 + (own_unc_w / max(unc_w, 1e-12)) ** 2)
        power_w += weight * (slope - power_w)
        unc_w *= math.sqrt(1 - weight)
    bend_j = _bend(times, rest) if n >= BENDS else 0.0
    return Level(mean_j - power_w * mean_s, math.hypot(noise_j, unc_w * mean_s, bend_j), scatter_j)


def _bend(times: Sequence[float], rest: Sequence[float]) -> float:
    """How far from the straight line its knots' own curve lies at time 0, by what they leave of the line.

    Power that swings or drifts bends the line; nobody knows whether it bent on between the last knot and
    the moment asked for.
    """
    mean_s = statistics.fmean(times)
    from_mean = [t - mean_s for t in times]
    spread = sum(t * t for t in from_mean)
    skew = sum(t**3 for t in from_mean) / spread
    # The square, freed of what a straight line tells.
    square = [t * t - spread / len(times) - skew * t for t in from_mean]
    norm = sum(q * q for q in square)
    curve = sum(q * r for q, r in zip(square, rest, strict=True)) / norm if norm > 0 else 0.0
    return abs(curve * (mean_s**2 - spread / len(times) + skew * mean_s))
