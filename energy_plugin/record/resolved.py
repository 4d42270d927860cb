"""Joules of a window with nothing running around it: better than the counter's ticks allow by themselves.

Before and after such a window the counter runs on at idle power, known and steady. So the edges before
it lie on a line, whose value at the window's start is far better known than any one edge, and the same
holds for its end. A counter that lags shifts both lines alike, and the difference loses nothing. After
the end the power may come down slowly: then the excess of the later ticks is carried back to the end.
"""

from __future__ import annotations

import itertools
import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.record import rhythm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.staircase import Flight
    from energy_plugin.record.trace import Idle, Window

EDGES = 6  # of a line: more average the poll gaps better, fewer follow a drift
AROUND = 8  # edges to either side of a line that help to tell when its own came
NEAR_S = 1.0  # edges further away say nothing about the window's ends, unless there are no others
DRIFT = 0.02  # idle power differs by this share from one second to the next
AFTER = 0.05  # ... and by this share after a load
FLOOR = 0.8  # ... and never falls below this share of its mean for longer than a tick
CLEAR = 4.0  # standard deviations that make an excess of energy a fact
MODEL = 0.1  # a decay is an exponential to this share
SLOWEST = 0.98  # ratio of one tick's excess to the one before it, at most ...
FASTEST = 0.3  # ... and at least: what decays faster looks like a counter that lags
USUAL = 0.85  # ... and where noise hides it: by this much
DOUBT = 4.0  # an excess of so many standard deviations weighs as much as what is usual


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


def resolved(flight: Flight, window: Window, idle: Idle) -> Level:
    """Joules of *window* and their standard uncertainty.

    Args:
        flight: holds at least one edge before the window and one after it.
        window: nothing may run right before and right after it.
        idle: power before, and if known after it.
    """
    begun = _before(flight, window.t0_ns, idle)
    ended = _after(flight, window.t1_ns, idle, begun.scatter_j)
    joules = ended.joules - begun.joules
    # The ends themselves are known to ± unc, and there the power steps.
    step_w = abs(joules / window.duration_s - idle.power_w)
    ends_j = step_w * window.unc_ns / 1e9 * math.sqrt(2 / 3)
    return Level(joules, math.hypot(begun.unc_j, ended.unc_j, ends_j))


def bracket(flight: Flight, window: Window, idle: Idle) -> tuple[float, float]:
    """Hard bounds that use what the device draws at least: the floor of its idle power.

    A counter that shows at T what had been counted at T - lag, with a lag of up to one tick:

    - most: by the second edge after the end everything of the window has been counted, and from the
      end to a tick before that edge flowed at least the floor, which is not the window's.
    - least: of the last edge before the end all was counted in time. What the first edge after the
      start holds too little flowed before the start, at idle power.
    """
    tick_ns, unc_ns = flight.tick_ns, window.unc_ns
    floor_w = _floor_w(flight, window, idle) / 1e9
    before_w = max(0.0, idle.power_w + 3 * idle.unc_w) / 1e9
    t0, t1, edges = window.t0_ns, window.t1_ns, flight.edges
    last = max(0, flight.before(t0 - unc_ns))
    least_before = edges[last].joules + floor_w * max(0, t0 - unc_ns - edges[last].hi_ns)
    most_after = _most(flight, t1 + unc_ns, floor_w)
    first = min(flight.after(t0 + unc_ns), len(edges) - 1)
    since = max(0, edges[first].lo_ns - t0 - unc_ns)
    most_before = edges[first].joules - floor_w * since + (before_w - floor_w) * max(0, tick_ns - since)
    final = max(0, flight.before(t1 - unc_ns))
    least_after = edges[final].joules + floor_w * max(0, t1 - unc_ns - edges[final].hi_ns)
    return max(0.0, least_after - most_before, floor_w * (t1 - t0 - 2 * unc_ns)), most_after - least_before


def _most(flight: Flight, t_ns: float, floor_w: float) -> float:
    """What had at most been counted by *t*, whatever the lag."""
    edges, i = flight.edges, flight.after(t_ns)
    if i >= len(edges):
        return edges[-1].joules
    if not flight.tick_ns or i + 1 >= len(edges):
        return edges[i].joules - floor_w * (edges[i].lo_ns - t_ns)
    late = edges[i + 1]
    return late.joules - floor_w * max(0.0, late.lo_ns - flight.tick_ns - t_ns)


def _floor_w(flight: Flight, window: Window, idle: Idle) -> float:
    """The least power to count on at both ends: of idle, or of the ticks there where they show less."""
    least = idle.power_w - 3 * idle.unc_w
    if idle.after_w is not None and idle.after_w < idle.power_w:
        least = min(least, idle.after_w - 3 * (idle.after_unc_w or 0.0))
    for t_ns in (window.t0_ns, window.t1_ns):
        i = flight.after(t_ns)
        for a, b in itertools.pairwise(flight.edges[max(0, i - 2) : i + 2]):
            if b.lo_ns > a.hi_ns:
                least = min(least, (b.joules - a.joules) / (b.lo_ns - a.hi_ns) * 1e9)
    return FLOOR * max(0.0, least)


# --- the start ---


def _before(flight: Flight, t_ns: int, idle: Idle) -> Level:
    last = flight.before(t_ns)
    if last < 0:
        return Level(flight.linear(t_ns), 0.0)
    line = _line(flight, range(max(0, last - EDGES + 1), last + 1), t_ns)
    return _level(line, idle.power_w, _slope_unc(idle.power_w, idle.unc_w))


def _slope_unc(power_w: float, unc_w: float) -> float:
    return math.hypot(unc_w, DRIFT * power_w)


def _line(flight: Flight, indices: Sequence[int], t_ns: int) -> Line:
    near_ns = NEAR_S * 1e9 + 2 * flight.tick_ns
    kept = [i for i in indices if abs(flight.moments_ns[i] - t_ns) <= near_ns] or [
        min(indices, key=lambda i: abs(flight.moments_ns[i] - t_ns))
    ]
    around = range(max(0, kept[0] - AROUND), min(len(flight.edges), kept[-1] + 1 + AROUND))
    at_ns, unc_ns = rhythm.moments(flight, around, kept)
    return Line([(at - t_ns) / 1e9 for at in at_ns], [flight.edges[i].joules for i in kept], unc_ns / 1e9)


def _level(line: Line, power_w: float, unc_w: float) -> Level:
    """The line's value at time 0; its slope joins *power_w* ± *unc_w* with what the knots say."""
    n, times, values = len(line.times_s), line.times_s, line.joules
    mean_s, mean_j = statistics.fmean(times), statistics.fmean(values)
    spread = sum((t - mean_s) ** 2 for t in times)
    noise_j, scatter_j = line.jitter_s * abs(power_w), 0.0
    if n >= 3 and spread > 0:
        slope = sum((t - mean_s) * (j - mean_j) for t, j in zip(times, values, strict=True)) / spread
        rest = [j - mean_j - slope * (t - mean_s) for t, j in zip(times, values, strict=True)]
        scatter_j = math.sqrt(sum(r * r for r in rest) / (n - 2))
        noise_j = max(noise_j, scatter_j)
        own_unc_w = max(noise_j / math.sqrt(spread), 1e-12)
        weight = 1 / (1 + (own_unc_w / max(unc_w, 1e-12)) ** 2)
        power_w += weight * (slope - power_w)
        unc_w *= math.sqrt(1 - weight)
    return Level(mean_j - power_w * mean_s, math.hypot(noise_j, unc_w * mean_s), scatter_j)


# --- the end ---


def _after(flight: Flight, t_ns: int, idle: Idle, scatter_j: float) -> Level:
    """The counter's value at the end as the edges after it tell, without what flowed after it."""
    first = flight.after(t_ns)
    indices = range(first, min(first + EDGES + 1, len(flight.edges)))
    if not indices:
        return Level(flight.linear(t_ns), 0.0)
    line = _line(flight, indices, t_ns)
    unc_w = math.hypot(idle.unc_w, AFTER * idle.power_w)
    known_w = idle.power_w if idle.after_w is None else idle.after_w
    known_unc_w = unc_w if idle.after_w is None else _slope_unc(known_w, idle.after_unc_w or 0.0)
    if len(line.times_s) < 3:
        late = len(line.times_s) - 1  # the later of two: a counter that lags has all of it by then
        return _level(Line(line.times_s[late:], line.joules[late:], line.jitter_s), known_w, known_unc_w)
    excess = [
        b - a - idle.power_w * (u - t)
        for (t, a), (u, b) in itertools.pairwise(zip(line.times_s, line.joules, strict=True))
    ]
    noise_j = math.sqrt(2) * math.hypot(line.jitter_s * idle.power_w, scatter_j)
    if _decays(excess[1:], noise_j, unc_w * (line.times_s[-1] - line.times_s[1])):
        return _decayed(line, excess, idle.power_w, noise_j)
    late_line = Line(line.times_s[1:], line.joules[1:], line.jitter_s)
    return _level(late_line, known_w, known_unc_w)


def _decays(excess: Sequence[float], noise_j: float, unc_j: float) -> bool:
    """Whether power is clearly still above idle, or clearly coming down, from the second edge on."""
    late_j = statistics.fmean(excess[1:]) if len(excess) > 2 else 0.0
    falling = len(excess) > 2 and excess[0] - late_j > CLEAR * noise_j
    return falling or sum(excess) > CLEAR * math.hypot(noise_j, unc_j)


def _decayed(line: Line, excess: Sequence[float], power_w: float, noise_j: float) -> Level:
    """Take off what flowed after the end while the power came down, as the later ticks show it.

    The excess over idle power falls by the same factor from tick to tick (an exponential decay). What
    the second tick holds beyond that is the window's own, shown late.
    """
    tick_s = statistics.fmean(u - t for t, u in itertools.pairwise(line.times_s))
    # What blurs a tick's energy at idle power blurs it more at a greater one.
    noise_j *= 1 + max(0.0, statistics.fmean(excess)) / max(power_w * tick_s, 1e-9)
    ratio = _ratio(excess[1:], noise_j)
    # The excess of the tick that ends at the second edge, from all later ones by the ratio.
    second = max(0.0, sum(excess[1:])) / sum(ratio**i for i in range(1, len(excess)))
    if excess[0] - second > CLEAR * noise_j + MODEL * second:
        start, amount = 1, second  # the lag is between the first edge's distance and a tick
        since_s = line.times_s[1] - (tick_s + line.times_s[0]) / 2
    else:
        second = max(0.0, sum(excess)) / sum(ratio**i for i in range(len(excess)))
        start, amount, since_s = 0, second / ratio, line.times_s[0]
    flowed = _back(amount, ratio, max(0.0, since_s) / tick_s)
    joules = line.joules[start] - flowed - power_w * line.times_s[start]
    return Level(joules, math.hypot(noise_j, 2 * MODEL * flowed))


def _ratio(excess: Sequence[float], noise_j: float) -> float:
    """The factor from one tick's excess to the next, from all of them; the usual one where noise rules."""
    doubt_j = (DOUBT * noise_j) ** 2 / max(sum(excess[:-1]), noise_j, 1e-9)
    old, new = sum(excess[:-1]) + doubt_j, sum(excess[1:]) + doubt_j * USUAL
    return min(max(new / old, FASTEST), SLOWEST) if old > 0 else USUAL


def _back(amount_j: float, ratio: float, ticks: float) -> float:
    """Excess of the last *ticks* (a share) of a tick that holds *amount_j* of a decay by *ratio* a tick.

    A tick with excess power *a* at its front holds ``a τ (1 - ratio)``, its last ``x`` ticks
    ``a τ (ratio^(1-x) - ratio)``.
    """
    return float(amount_j * (ratio ** (1 - ticks) - ratio) / (1 - ratio))
