"""A counter that shows what flowed more than one tick ago: seen where both ends of a window come late.

Bounds take a counter's lag to be one tick at most. What says otherwise is load that is shown on after a
window in which all of it flowed. It may as well be power that comes down slowly; but that does not stay
high to fall at once, never rises again, and says nothing about the window's start. A lag shifts both
ends alike: the edge that shows the first of the load bounds it from above, the one that shows the last of
it from below.
"""

from __future__ import annotations

import itertools
import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.staircase import Edge, Flight
    from energy_plugin.record.trace import Window

LOADED = 0.6  # of the load's power: none that comes down by itself is so high more than a tick later
FALLS = 0.2  # ... and none falls by so much from one tick to the next: here the load ends
RISES = 0.35  # ... and none rises
SHOWN = 0.05  # ... where nothing comes down slowly: power of a tick that holds some of the load
QUIET = 0.03  # ... which is so where the last ticks are at idle power to this share
PAUSE = 0.4  # of the greatest power: below it the load pauses
LEAST = 0.25  # a load below this share of idle power tells nothing
IRREGULAR, IRREGULAR_S = 0.15, 0.008  # of a tick; and what polling alone leaves
AGREE_TICKS, AGREE = 1.0, 0.2  # what the ends tell may differ by this, and by this share of it
MOST_NS = 500_000_000  # no counter lags by more
SHARP = 0.6  # of a tick or a poll gap: edges known no better tell no power between two of them
STEPS = 64


class Late(NamedTuple):
    """A lag beyond a tick.

    Attributes:
        least_ns: the lag is at least this ...
        most_ns: ... and at most that.
        sure: whether both ends tell it; else power may have come down slowly.
    """

    least_ns: int
    most_ns: int
    sure: bool

    def steps_ns(self, tick_ns: int) -> list[int]:
        """Lags no more than a tick apart; with up to a tick more each they hold all from least to most."""
        step = max(tick_ns, (self.most_ns - self.least_ns) // STEPS, 1)
        return [*range(self.least_ns, self.most_ns, step), max(self.least_ns, self.most_ns - tick_ns)]


class _Step(NamedTuple):
    """Two edges in a row and the power above idle between them."""

    old: Edge
    new: Edge
    excess_w: float
    seconds: float


def beyond_a_tick(flight: Flight, window: Window, idle_w: float, scatter_j: float) -> Late | None:
    """The lag of a counter that lags by more than its tick, None where nothing says so.

    Args:
        flight: covers the window and what came before and after it.
        window: nothing may run right before and right after it.
        idle_w: power before it.
        scatter_j: of the counter's values about the line of that power: where it ticks irregularly, or
            lags now more and now less, single ticks tell nothing.
    """
    if scatter_j > idle_w * max(IRREGULAR_S, IRREGULAR * flight.tick_ns / 1e9):
        return None
    first, end = flight.after(window.t0_ns), flight.after(window.t1_ns)
    steps = _steps(flight, max(1, first), idle_w)
    after = _steps(flight, max(1, end), idle_w)
    load_w = _load_w(steps)
    if len(after) < 2 or load_w < LEAST * idle_w or not _is_sharp(after, flight.tick_ns):
        return None
    begins = next(step for step in steps if step.excess_w >= SHOWN * load_w)
    runs = next(step for step in steps if step.excess_w >= PAUSE * load_w)
    stop = _last_of_load(after, load_w)
    least_ns, most_ns = stop.old.lo_ns - window.t1_ns, runs.new.hi_ns - window.t0_ns
    if not flight.tick_ns < least_ns <= most_ns <= MOST_NS:
        return None
    rises = any(b.excess_w - a.excess_w >= RISES * load_w for a, b in itertools.pairwise(after[1:]))
    rises = rises or _stays_up(after[:3], load_w)
    if not rises and all(s.excess_w < LOADED * load_w for s in after if s.old.lo_ns > window.t1_ns):
        return None
    began_ns = runs.new.mid_ns - _loaded_ns(steps, begins, runs, load_w) - window.t0_ns
    ended_ns = after[0].old.mid_ns + _loaded_ns(after, after[0], stop, load_w) - window.t1_ns
    narrow = Late(
        max(least_ns, begins.old.lo_ns - window.t0_ns),
        min(most_ns, stop.new.hi_ns - window.t1_ns),
        sure=stop is not after[-1],
    )
    agreed = abs(ended_ns - began_ns) <= AGREE_TICKS * flight.tick_ns + AGREE * max(0.0, ended_ns)
    if narrow.least_ns <= narrow.most_ns and agreed:
        return narrow
    return Late(least_ns, most_ns, sure=rises)


def _loaded_ns(steps: Sequence[_Step], first: _Step, last: _Step, load_w: float) -> float:
    """How long the load ran from the first to the last of these steps, by its power."""
    span = steps[steps.index(first) : steps.index(last) + 1]
    return sum(step.excess_w * step.seconds for step in span) / load_w * 1e9


def _load_w(steps: Sequence[_Step]) -> float:
    """Power of the load while it runs: the mean of what is no pause, for single steps are blurred."""
    greatest_w = max((step.excess_w for step in steps), default=0.0)
    loaded = [step for step in steps if step.excess_w > PAUSE * greatest_w]
    whole_s = sum(step.seconds for step in loaded)
    return sum(step.excess_w * step.seconds for step in loaded) / whole_s if whole_s else 0.0


def _is_sharp(steps: Sequence[_Step], tick_ns: int) -> bool:
    """Whether the edges are known well enough to tell the power between them."""
    widths_ns = statistics.median(step.new.hi_ns - step.new.lo_ns for step in steps)
    return widths_ns <= SHARP * max(tick_ns, statistics.median(step.seconds for step in steps) * 1e9)


def _stays_up(ending: Sequence[_Step], load_w: float) -> bool:
    """Whether power rises at the end and is as high a whole tick later."""
    if len(ending) < 3:
        return False
    return ending[1].excess_w - ending[0].excess_w >= RISES * load_w and ending[2].excess_w >= LOADED * load_w


def _steps(flight: Flight, first: int, idle_w: float) -> list[_Step]:
    found = []
    for i in range(first, len(flight.edges)):
        old, new = flight.edges[i - 1 : i + 1]
        seconds = (flight.moments_ns[i] - flight.moments_ns[i - 1]) / 1e9
        if 2e9 * seconds >= flight.tick_ns:
            found.append(_Step(old, new, (new.joules - old.joules) / seconds - idle_w, seconds))
    return found


def _last_of_load(after: Sequence[_Step], load_w: float) -> _Step:
    """The step that shows the last of the load, by what comes after it."""
    quiet = abs(after[-1].excess_w) <= QUIET * load_w
    ends = [
        a
        for a, b in itertools.pairwise(after)
        if (a.excess_w >= SHOWN * load_w and abs(b.excess_w) <= QUIET * load_w and quiet)
        or a.excess_w - b.excess_w >= FALLS * load_w
    ]
    return ends[-1] if ends else after[0]
