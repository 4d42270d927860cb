"""When the polling thread polls: in virtual time, against counters of known rhythm."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest

from energy_plugin.meters.pace import BRISK_S, BURST_S, CPU_SHARE, Pace
from energy_plugin.meters.ticker import Ticker

SECOND = 1_000_000_000


@dataclass
class Thread:
    """A polling thread in virtual time, on a counter that updates at ``ticks``.

    Attributes:
        late_s: how late each wake-up is, at most.
        call_s: how long a call takes.
        poll_cpu_s: CPU time of a poll.
    """

    pace: Pace
    ticks: list[int]
    late_s: float = 0.0002
    call_s: float = 0.0
    poll_cpu_s: float = 60e-6
    polls: list[int] = field(default_factory=list)
    cpu_ns: int = 0
    now_ns: int = SECOND
    failing: bool = False

    def run(self, seconds: float) -> Thread:
        rng, end_ns = random.Random(1), self.now_ns + int(seconds * SECOND)
        value = -1
        while True:
            due_ns = self.pace.next_ns(self.now_ns)
            if max(due_ns, self.now_ns) >= end_ns:
                self.now_ns = end_ns
                return self
            if due_ns > self.now_ns:
                self.now_ns = due_ns + int(rng.uniform(0, self.late_s) * 1e9)
            begun_ns = self.now_ns
            self.now_ns += int(self.call_s * 1e9) + 5000
            self.polls.append(begun_ns)
            self.cpu_ns += int(self.poll_cpu_s * 1e9)
            if self.failing:
                self.pace.failed(begun_ns, self.now_ns)
                continue
            seen = sum(
                1 for _ in itertools.takewhile(lambda tick: tick <= self.now_ns, self._upcoming(value))
            )
            moved = seen > 0
            value += seen
            self.pace.polled(begun_ns, self.now_ns, moved=moved, cpu_ns=self.cpu_ns)

    def _upcoming(self, value: int) -> itertools.islice[int]:
        return itertools.islice(self.ticks, value + 1, None)

    def edge(self) -> None:
        self.pace.edge(self.now_ns)

    def between(self, a_s: float, b_s: float) -> int:
        return sum(SECOND + a_s * SECOND <= t < SECOND + b_s * SECOND for t in self.polls)

    def resolved(self, a_s: float, b_s: float, gap_s: float) -> int:
        """How many updates in this span lie between two polls at most *gap_s* apart."""
        a, b = SECOND + a_s * SECOND, SECOND + b_s * SECOND
        return sum(
            any(x < tick <= y and y - x <= gap_s * SECOND for x, y in itertools.pairwise(self.polls))
            for tick in self.ticks
            if a <= tick < b
        )


def rhythm(tick_s: float, seconds: float, jitter_s: float = 0.0, phase_s: float = 0.0337) -> list[int]:
    rng = random.Random(2)
    count = int((seconds + 2) / tick_s)
    return [SECOND + int((phase_s + k * tick_s + rng.uniform(0, jitter_s)) * 1e9) for k in range(count)]


def thread(tick_s: float = 0.1, said_s: float | None = None, jitter_s: float = 0.0, **more: float) -> Thread:
    made = Thread(Pace(100, said_s or tick_s), rhythm(tick_s, 70, jitter_s), **more)  # type: ignore[arg-type]
    made.edge()
    return made


def test_near_an_edge_every_update_is_seen_within_a_poll_gap() -> None:
    found = thread().run(BURST_S)
    assert found.resolved(0, BURST_S, 0.0105) == 10


def test_for_five_seconds_every_update_is_foretold_at_a_fifth_of_the_polls() -> None:
    found = thread().run(BRISK_S)
    assert found.resolved(BURST_S, BRISK_S, 0.02) >= 43
    assert found.between(2, BRISK_S) <= 3.5 * 25


def test_in_the_calm_every_other_update_is_foretold_with_ten_polls_a_second() -> None:
    found = thread().run(60)
    assert found.resolved(20, 60, 0.0105) >= 150
    assert found.resolved(20, 60, 0.02) >= 190
    assert found.between(20, 60) <= 40 * 12


@pytest.mark.parametrize("said_s", [0.098, 0.102])
def test_a_period_that_the_probe_mistook_is_learned(said_s: float) -> None:
    found = thread(said_s=said_s).run(60)
    assert found.resolved(20, 60, 0.02) >= 190
    assert found.between(20, 60) <= 40 * 12


def test_a_rhythm_with_jitter_is_met_with_a_wider_aim() -> None:
    found = thread(jitter_s=0.02).run(60)
    assert found.resolved(20, 60, 0.06) >= 150
    assert found.between(20, 60) <= 40 * 15


def test_without_any_rhythm_it_polls_blindly_and_no_more() -> None:
    rng = random.Random(3)
    ticks = sorted(SECOND + int(rng.uniform(0, 62) * SECOND) for _ in range(620))
    found = Thread(Pace(100, 0.1), ticks)
    found.edge()
    found.run(60)
    assert 40 * 9 <= found.between(20, 60) <= 40 * 14


def test_a_fine_counter_is_polled_one_by_one_without_foresight() -> None:
    found = thread(tick_s=0.001).run(60)
    assert found.between(2, 5) == pytest.approx(3 * 5, abs=2)
    assert found.between(20, 60) == pytest.approx(40 * 5, abs=5)


def test_meters_that_poll_at_the_same_time_share_what_one_may_take() -> None:
    alone = Thread(Pace(100, 0.1), rhythm(0.1, 70), poll_cpu_s=100e-6)
    beside = Thread(Pace(100, 0.1, budget=lambda: CPU_SHARE / 2), rhythm(0.1, 70), poll_cpu_s=100e-6)
    for found in (alone, beside):
        found.edge()
        found.run(60)
    assert beside.between(30, 60) <= 0.6 * alone.between(30, 60)


def test_dear_polls_are_fewer() -> None:
    found = thread(poll_cpu_s=150e-6).run(60)
    cheap = thread(poll_cpu_s=40e-6).run(60)
    assert found.between(30, 60) < cheap.between(30, 60)
    assert found.between(30, 60) * 150e-6 / 30 <= 0.0010


@pytest.mark.parametrize("call_s", [0.01, 0.05, 0.5])
def test_slow_calls_take_no_more_than_a_quarter_of_the_calm(call_s: float) -> None:
    found = thread(call_s=call_s).run(60)
    assert 2 <= found.between(20, 60) * call_s <= 0.27 * 40
    assert found.between(0, 1) * call_s <= 0.9 + call_s


def test_an_edge_is_polled_at_once_and_begins_a_burst() -> None:
    found = thread().run(30.05)
    found.edge()
    edge_ns = found.now_ns
    found.run(0.5)
    after = [t for t in found.polls if t >= edge_ns]
    assert after[0] - edge_ns < 0.001 * SECOND
    assert len(after) >= 45


def test_what_fails_is_asked_less_and_less_but_never_given_up() -> None:
    found = thread()
    found.failing = True
    found.run(30)
    assert found.between(0, 1) < 10
    assert 25 <= found.between(2, 30) <= 30


def test_a_slow_meter_keeps_its_own_rate() -> None:
    found = Thread(Pace(2, 1.0), rhythm(1.0, 70))
    found.edge()
    found.run(60)
    assert found.between(0, 60) == pytest.approx(120, abs=3)


def test_a_ticker_foretells_nothing_until_it_knows_and_forgets_a_broken_rhythm() -> None:
    ticker, known = Ticker(0.1), []
    for k in range(4):
        ticker.saw(k * 1e8, k * 1e8 + 4e6)
        known.append(ticker.known)
    assert known == [False, False, False, True]
    assert ticker.first_after(3.5e8) == pytest.approx(4.02e8, abs=1e6)
    ticker.saw(4.45e8, 4.5e8)
    known.append(ticker.known)
    assert not known[-1]


def test_a_ticker_learns_nothing_from_an_edge_it_only_saw_roughly() -> None:
    ticker = Ticker(0.1)
    for k in range(9):
        ticker.saw(k * 1e8, k * 1e8 + 9e7)
    assert not ticker.known
