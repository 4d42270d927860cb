"""Joules of a window with nothing running around it: better than the counter's ticks allow by themselves.

Before and after such a window the counter runs on at idle power, known and steady. So the edges before
it lie on a line, whose value at the window's start is far better known than any one edge, and the same
holds for its end. A counter that lags shifts both lines alike, and the difference loses nothing. After
the end the power may come down slowly: then the excess of the later ticks is carried back to the end.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from energy_plugin.record.decay import decayed, decays
from energy_plugin.record.lag import Ends, Ticks
from energy_plugin.record.late import beyond_a_tick
from energy_plugin.record.line import Level, Line, level_of, line_of

if TYPE_CHECKING:
    from energy_plugin.record.staircase import Flight
    from energy_plugin.record.trace import Idle, Window

EDGES = 6  # of a line: more average the poll gaps better, fewer follow a drift
DRIFT = 0.02  # idle power differs by this share from one second to the next
AFTER = 0.05  # ... and by this share after a load
FLOOR = 0.8  # ... and never falls below this share of its mean for longer than a tick


def whole(flight: Flight, window: Window, idle: Idle) -> tuple[Level, float, float]:
    """Joules of *window* with hard bounds, also of a counter that lags by more than its tick.

    Such a counter is read as much later as it lags. The bounds hold whether it does or not; where one end
    of the window alone tells a lag, the uncertainty is theirs.
    """
    scatter_j = _before(flight, window.t0_ns, idle).scatter_j
    late = beyond_a_tick(flight, window, idle.power_w, scatter_j)
    if late is None:
        return resolved(flight, window, idle), *bracket(flight, window, idle)
    bounds = [bracket(flight, _later(window, ns), idle) for ns in (0, *late.steps_ns(flight.tick_ns))]
    lo_j, hi_j = min(lo for lo, _ in bounds), max(hi for _, hi in bounds)
    if late.sure:  # what it shows right after the end is load, too
        before = replace(idle, after_w=None, after_unc_w=None)
        return resolved(flight, _later(window, (late.least_ns + late.most_ns) // 2), before), lo_j, hi_j
    level = resolved(flight, window, idle)
    return level._replace(unc_j=max(level.unc_j, (hi_j - lo_j) / math.sqrt(12))), lo_j, hi_j


def _later(window: Window, ns: int) -> Window:
    return replace(window, t0_ns=window.t0_ns + ns, t1_ns=window.t1_ns + ns)


def resolved(flight: Flight, window: Window, idle: Idle) -> Level:
    """Joules of *window* and their standard uncertainty.

    Args:
        flight: holds at least one edge before the window and one after it.
        window: nothing may run right before and right after it.
        idle: power before, and if known after it.
    """
    begun = _before(flight, window.t0_ns, idle)
    ended = _after(flight, window, idle, begun)
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
    line = line_of(flight, range(max(0, last - EDGES + 1), last + 1), t_ns)
    return level_of(line, idle.power_w, _slope_unc(idle.power_w, idle.unc_w))


def _slope_unc(power_w: float, unc_w: float) -> float:
    return math.hypot(unc_w, DRIFT * power_w)


# --- the end ---


def _after(flight: Flight, window: Window, idle: Idle, begun: Level) -> Level:
    """The counter's value at the end as the edges after it tell, without what flowed after it."""
    t_ns = window.t1_ns
    first = flight.after(t_ns)
    indices = range(first, min(first + EDGES + 1, len(flight.edges)))
    if not indices:
        return Level(flight.linear(t_ns), 0.0)
    line = line_of(flight, indices, t_ns)
    unc_w = math.hypot(idle.unc_w, AFTER * idle.power_w)
    known_w = idle.power_w if idle.after_w is None else idle.after_w
    known_unc_w = unc_w if idle.after_w is None else _slope_unc(known_w, idle.after_unc_w or 0.0)
    if len(line.times_s) < 3:
        late = len(line.times_s) - 1  # the later of two: a counter that lags has all of it by then
        return level_of(Line(line.times_s[late:], line.joules[late:], line.jitter_s), known_w, known_unc_w)
    excess = [
        b - a - idle.power_w * (u - t)
        for (t, a), (u, b) in itertools.pairwise(zip(line.times_s, line.joules, strict=True))
    ]
    noise_j = math.sqrt(2) * math.hypot(line.jitter_s * idle.power_w, begun.scatter_j)
    if decays(excess[1:], noise_j, unc_w * (line.times_s[-1] - line.times_s[1])):
        return decayed(line, excess, idle.power_w, noise_j, _ends(flight, window, idle, begun))
    late_line = Line(line.times_s[1:], line.joules[1:], line.jitter_s)
    return level_of(late_line, known_w, known_unc_w)


def _ends(flight: Flight, window: Window, idle: Idle, begun: Level) -> Ends:
    first, end = flight.after(window.t0_ns), flight.after(window.t1_ns)
    starting = _ticks(flight, range(first, first + EDGES), window.t0_ns, idle, begun)
    ending = _ticks(flight, range(max(first, end - 3), end + 2), window.t1_ns, idle, begun)
    mean_w = (flight.edges[end].joules - begun.joules) / window.duration_s - idle.power_w
    return Ends(starting._replace(end_s=window.duration_s), ending, mean_w, flight.tick_ns / 1e9)


def _ticks(flight: Flight, indices: range, t_ns: int, idle: Idle, begun: Level) -> Ticks:
    kept = range(indices.start, min(indices.stop, len(flight.edges)))
    if not kept:
        return Ticks((), (), 0.0, 0.0, 0.0)
    line = line_of(flight, kept, t_ns)
    excess = [j - begun.joules - idle.power_w * t for t, j in zip(line.times_s, line.joules, strict=True)]
    noise_j = math.hypot(begun.unc_j, line.jitter_s * idle.power_w)
    return Ticks(line.times_s, excess, line.jitter_s, noise_j, 0.0)
