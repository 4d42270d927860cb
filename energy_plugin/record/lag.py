"""How much older than its moment is what a counter shows: what the window's own two ends tell of it.

Of a counter with a lag all of a window's joules appear late by the same time. Where power was steady
next to an end, the tick that holds this end says when it came to the counter:

- At the start the load began no earlier than the window: it comes to the counter no later than if it
  had begun with it. That bounds the lag from above.
- At the end the load lasted no longer than the window: that bounds the lag from below.

Both take the steady power for the most there was. A load whose bursts keep step with the counter is steady
to it and is none, so neither is a fact, and no hard bound is made of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STEADY = 0.05  # two ticks next to each other whose powers differ by less are steady
CLEAR = 4.0  # standard deviations that make an excess of energy a fact
SURE = 2.0  # ... and by which a bound is moved outwards
AGREED = 0.1  # ends that tell the lag to this share of a tick agree
STEPS = 30


class Ticks(NamedTuple):
    """Edges of a counter and its excess over idle power up to each, from the window's start on.

    Attributes:
        times_s: of the edges after the start, in seconds from it.
        excess_j: what was counted by then beyond the line of idle power before the start.
        jitter_s: standard deviation of these times.
        noise_j: and of the excess at idle power.
        end_s: the window's end.
    """

    times_s: Sequence[float]
    excess_j: Sequence[float]
    jitter_s: float
    noise_j: float
    end_s: float

    def steady_w(self, last: int, count: int = 2) -> float | None:
        """Power above idle of the *count* ticks that end at this edge, None where they differ."""
        if last < count:
            return None
        powers = [
            (self.excess_j[i] - self.excess_j[i - 1]) / (self.times_s[i] - self.times_s[i - 1])
            for i in range(last - count + 1, last + 1)
        ]
        high_w = max(powers)
        if high_w <= 0 or high_w - min(powers) > STEADY * high_w + CLEAR * self.noise_w(high_w):
            return None
        first = last - count
        return (self.excess_j[last] - self.excess_j[first]) / (self.times_s[last] - self.times_s[first])

    def noise_w(self, power_w: float) -> float:
        """Standard deviation of the power of one tick."""
        tick_s = (self.times_s[-1] - self.times_s[0]) / (len(self.times_s) - 1)
        return math.sqrt(2) * math.hypot(self.jitter_s * power_w, self.noise_j) / tick_s

    def doubt_s(self, power_w: float) -> float:
        """Standard deviation of a moment that an edge's excess tells, given this power."""
        return math.hypot(self.jitter_s, self.noise_j / power_w)


class Ends(NamedTuple):
    """What the counter shows just after a window's start and around its end.

    Attributes:
        mean_w: power above idle of the window.
        tick_s: of the counter.
    """

    before: Ticks
    after: Ticks
    mean_w: float
    tick_s: float


def between(
    ends: Ends, first_s: float, flowed_j: Callable[[int, float], float], among: tuple[float, float]
) -> tuple[float, float]:
    """The shortest and longest lag that a window's ends allow, in seconds; *among* where they say nothing.

    Of a window with one whole tick nobody knows whether its power was steady, unless both ends agree
    upon the lag.

    Args:
        ends: what the counter shows there.
        first_s: from the window's end to the first edge after it.
        flowed_j: excess after the end that the first (0) or second (1) edge holds, given a lag.
        among: the lag is between these.
    """
    low, high = _at_least(ends.after, first_s, flowed_j, among, 2), _at_most(ends.before, among[1], 2)
    if (low, high) == among:
        low, high = _at_least(ends.after, first_s, flowed_j, among, 1), _at_most(ends.before, among[1], 1)
        if high == among[1] or high - low > AGREED * ends.tick_s:
            return among
    return (low, high) if low <= high else among


def _at_most(ticks: Ticks, most_s: float, count: int) -> float:
    """The longest lag that the start allows; *most_s* where it says nothing."""
    clear = (i for i, excess_j in enumerate(ticks.excess_j) if excess_j > CLEAR * ticks.noise_j)
    first = next(clear, len(ticks.times_s))
    if first + count >= len(ticks.times_s) or ticks.times_s[first + count] > ticks.end_s:
        return most_s
    power_w = ticks.steady_w(first + count, count)
    if power_w is None:
        return most_s
    told_s = ticks.times_s[first] - ticks.excess_j[first] / power_w
    doubt_s = SURE * ticks.doubt_s(power_w)
    # A load that began with more than its steady power says nothing.
    return min(most_s, max(0.0, told_s + doubt_s)) if told_s > -doubt_s else most_s


def _at_least(
    ticks: Ticks,
    first_s: float,
    flowed_j: Callable[[int, float], float],
    among: tuple[float, float],
    count: int,
) -> float:
    """The shortest lag that the end allows; the first of *among* where it says nothing."""
    last = next((i for i in range(len(ticks.times_s) - 1, -1, -1) if ticks.times_s[i] <= ticks.end_s), -1)
    power_w = ticks.steady_w(last, count)
    if power_w is None or last + 2 >= len(ticks.times_s):
        return among[0]
    doubt_s = SURE * ticks.doubt_s(power_w)
    shown_j = [ticks.excess_j[i + 1] - ticks.excess_j[i] for i in (last, last + 1)]
    since_s = [ticks.end_s - ticks.times_s[i] for i in (last, last + 1)]

    def missing_s(late: int, lag_s: float) -> float:
        """How much longer the load must have lasted for the joules of this tick, given the lag."""
        return (shown_j[late] - flowed_j(late, lag_s)) / power_w - since_s[late] - lag_s

    late = int(among[0] >= first_s or (among[1] > first_s and missing_s(0, first_s) > -doubt_s))
    least_s, most_s = max(among[0], first_s * late), among[1] if late else min(first_s, among[1])
    if missing_s(late, most_s) > doubt_s:  # more than the steady power at the end
        return among[0]
    for _ in range(STEPS):
        middle_s = (least_s + most_s) / 2
        least_s, most_s = (middle_s, most_s) if missing_s(late, middle_s) > 0 else (least_s, middle_s)
    return max(among[0], most_s - doubt_s)
