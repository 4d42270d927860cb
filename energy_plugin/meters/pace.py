"""When to poll: dense where a window's edges need it, and within a budget everywhere else.

Three paces, by the time since the last edge of a window:

- ``burst``, the first second: every update of the counter is seen within one poll gap (10 ms).
- ``brisk``, up to five and a half seconds: a pair of polls around each update foretold (:class:`Ticker`),
  so that the bounds of windows of a few seconds are as narrow as in a burst at a fifth of the polls;
  of a counter that ticks every 20 ms or faster any one poll sees an update, so no pairs are needed.
- ``calm``: such a pair every 0.2 s, less often where polling would take more than its share of CPU.

Where epochs begin and end cannot be foreseen, so their edges fall into the calm. An edge of a counter is
then known to a few milliseconds, but only every other update of a 100 ms counter is seen: the bounds of
an epoch are those of the two pairs around each of its ends, at most ``BEAT_S`` of power apart at each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from energy_plugin.meters.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable

Speed = Literal["burst", "brisk", "calm"]

BURST_S = 1.0
BRISK_S = 5.5
BEAT_S = 0.2  # between two looks at the counter in the calm
SLOWEST_S = 1.0  # ... and the longest the CPU's budget may stretch it to
CPU_SHARE = 0.0008  # of one core, for all that a meter's polling threads do in the calm ...
SHARED = 0.0009  # ... and for all meters that poll at the same time
CALL_SHARE = 0.25  # of the time, for calls into the driver in the calm
BURST_REST = 0.25  # pause in a burst as a share of a call that is slower than the rate
BLIND_FACTOR = 5  # brisk without foresight: a fifth of the burst's rate
BLIND_BEAT_S = 0.1  # calm without foresight
FINE_S = 0.02  # a counter this fine needs no foresight: whatever a poll shows came within the last tick
POLLS_A_TICK = 4  # a burst of fewer cannot find the rhythm
AIM_S = 0.0025  # poll this long before and after the update foretold
AIM_SCATTER = 2.5  # ... or as many times as much as updates scatter around their rhythm
AIM_WIDEST = 0.25  # of a tick
AIM_NARROWS = 0.97  # after a hit
AIM_WIDENS = 1.5  # after a miss
TRUST = 8  # hits in a row that make up for two misses and more
MISS_COSTS = 3
LATEST_FAILING_S = 1.0


class Pace:
    """The times of one thread's polls. Knows no sensor and never sleeps: ask ``next_ns``, tell ``polled``.

    Args:
        rate_hz: polls a second in a burst.
        tick_s: time between updates of the counter, 0 where it is unknown or there is none.
        rhythmic: whether updates come one by one in a rhythm; False for several counters of their own
            phases, which are then polled blindly.
        budget: the share of one core that this thread may take in the calm, now.
    """

    def __init__(
        self,
        rate_hz: float,
        tick_s: float = 0.0,
        *,
        rhythmic: bool = True,
        budget: Callable[[], float] = lambda: CPU_SHARE,
    ) -> None:
        self._given = (rate_hz, tick_s, rhythmic, budget)
        self._burst_ns = 1e9 / rate_hz
        self._tick_s = tick_s
        self._fine = 0 < tick_s <= FINE_S and rate_hz >= 1 / FINE_S
        self._rhythmic = rhythmic and tick_s > FINE_S and rate_hz * tick_s >= POLLS_A_TICK
        self._cpu_share = budget
        self._ticker = Ticker(tick_s)
        self._edge_ns = self._begun_ns = self._ended_ns = 0
        self._aim_ns = AIM_S * 1e9
        self._trust = TRUST
        self._second_ns: float | None = None  # the pair's other poll, while it is due
        self._meant_ns: float | None = None  # the update that the next poll is to come just before
        self._aimed = False  # the pair's first poll did come before it
        self._searching_until_ns = 0.0
        self._failures = 0
        self._call_ns = 0.0
        self._least_ns = 0.0  # between two beats, by the budget
        self._beat_begun_ns = 0
        self._spent: tuple[float, float] = (0.0, 0.0)  # CPU and calls of a beat, smoothed
        self._cpu_then_ns = 0
        self._calls_ns = 0

    def anew(self) -> Pace:
        """The same pace for another attempt: the counter's phase is not what it was."""
        rate_hz, tick_s, rhythmic, budget = self._given
        return Pace(rate_hz, tick_s, rhythmic=rhythmic, budget=budget)

    def edge(self, now_ns: int) -> None:
        """A window opens or closes now, or the attempt begins: poll at once, and densely."""
        self._edge_ns = now_ns
        self._second_ns = None
        self._trust = TRUST
        self._beat_begun_ns = 0

    def speed(self, now_ns: int) -> Speed:
        """The pace at this time."""
        age_s = (now_ns - self._edge_ns) / 1e9
        return "burst" if age_s < BURST_S else "brisk" if age_s < BRISK_S else "calm"

    def calm(self, now_ns: int) -> bool:
        """Whether no edge of a window was announced for a while."""
        return self.speed(now_ns) == "calm"

    @property
    def pairing(self) -> bool:
        """The first poll of a pair is done and its second is near: no time for anything else."""
        return self._second_ns is not None

    def next_ns(self, now_ns: int) -> int:
        """When to poll next; in the past when it is late."""
        return round(self._plan(now_ns))

    def _plan(self, now_ns: int) -> float:
        self._meant_ns = None
        if self._begun_ns < self._edge_ns:
            return self._edge_ns
        if self._failures:
            wait_ns = self._burst_ns * float(2**self._failures)
            return self._ended_ns + min(wait_ns, LATEST_FAILING_S * 1e9)
        speed = self.speed(now_ns)
        if speed == "burst" or self._ended_ns < self._searching_until_ns:
            return max(self._begun_ns + self._burst_ns, self._ended_ns + BURST_REST * self._call_ns)
        if self._second_ns is not None:
            return self._second_ns
        return self._next_beat(speed)

    def _next_beat(self, speed: Speed) -> float:
        """The first poll of the next pair, or the next poll of all where pairs make no sense."""
        foretold = self._rhythmic and self._ticker.known and self._trust > 0
        if foretold:
            tick_ns = self._ticker.tick_ns
            wait_ns = tick_ns if speed == "brisk" else max(BEAT_S * 1e9, self._least_ns, tick_ns)
            # From the last update on, the nearest to the beat wanted.
            update_ns = self._ticker.first_after(self._begun_ns + wait_ns - tick_ns / 2)
            self._meant_ns = update_ns
            return update_ns - self._aim_ns - self._call_ns
        return max(self._begun_ns + self._blind_ns(speed), self._ended_ns + self._call_ns)

    def _blind_ns(self, speed: Speed) -> float:
        calm_ns = max(self._least_ns, (BEAT_S if self._fine else BLIND_BEAT_S) * 1e9)
        brisk_ns = calm_ns if self._fine else self._burst_ns * BLIND_FACTOR
        return max(self._burst_ns, calm_ns if speed == "calm" else min(brisk_ns, calm_ns))

    def polled(self, begun_ns: int, ended_ns: int, *, moved: bool, cpu_ns: int) -> None:
        """A poll took from *begun_ns* to *ended_ns*.

        Args:
            begun_ns: before the call.
            ended_ns: after it.
            moved: the counter has another value than at the poll before.
            cpu_ns: CPU time of the thread so far.
        """
        if moved and self._begun_ns:
            self._ticker.saw(self._begun_ns, ended_ns)
            self._searching_until_ns = 0.0
        self._failures = 0
        took_ns = ended_ns - begun_ns
        self._call_ns += 0.2 * (took_ns - self._call_ns)
        self._calls_ns += took_ns
        second, aimed = self._second_ns is not None, self._aimed
        self._begun_ns, self._ended_ns = begun_ns, ended_ns
        self._second_ns, self._aimed = None, False
        if self.speed(ended_ns) == "burst":
            self._aim_ns = self._aim(AIM_SCATTER * self._ticker.scatter_ns)
            return
        if ended_ns < self._searching_until_ns:
            return
        if second:
            if aimed:
                self._judge(hit=moved, now_ns=ended_ns)
            return
        self._budget(begun_ns, cpu_ns)
        self._plan_second(begun_ns, ended_ns)

    def failed(self, begun_ns: int, ended_ns: int) -> None:
        """A poll ended in an error: the next one comes later, twice as late each time."""
        self._begun_ns, self._ended_ns = begun_ns, ended_ns
        self._second_ns = None
        self._failures = min(self._failures + 1, 10)

    def _plan_second(self, begun_ns: int, ended_ns: int) -> None:
        if self._meant_ns is not None:
            second_ns = self._meant_ns + self._aim_ns
            if ended_ns < second_ns:  # else the thread came too late, which says nothing of the rhythm
                self._second_ns, self._aimed = second_ns, begun_ns <= self._meant_ns

    def _judge(self, *, hit: bool, now_ns: int) -> None:
        """After a miss look for the rhythm again; after many leave it until the next edge."""
        if hit:
            self._trust = min(self._trust + 1, TRUST)
            self._aim_ns = self._aim(self._aim_ns * AIM_NARROWS)
            return
        self._trust -= MISS_COSTS
        self._aim_ns = self._aim(self._aim_ns * AIM_WIDENS)
        self._searching_until_ns = now_ns + 1.5 * self._ticker.tick_ns

    def _aim(self, wanted_ns: float) -> float:
        return min(max(AIM_S * 1e9, wanted_ns), AIM_WIDEST * self._ticker.tick_ns)

    def _budget(self, now_ns: int, cpu_ns: int) -> None:
        """Stretch the beat until CPU and calls stay within their shares."""
        cpu, calls = cpu_ns - self._cpu_then_ns, self._calls_ns
        self._cpu_then_ns, self._calls_ns = cpu_ns, 0
        begun, self._beat_begun_ns = self._beat_begun_ns, now_ns
        if not begun or self.speed(now_ns) != "calm":
            return
        old_cpu, old_calls = self._spent
        self._spent = (old_cpu + 0.2 * (cpu - old_cpu), old_calls + 0.2 * (calls - old_calls))
        by_cpu = min(self._spent[0] / self._cpu_share(), SLOWEST_S * 1e9)
        self._least_ns = max(by_cpu, self._spent[1] / CALL_SHARE)
