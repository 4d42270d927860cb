"""Edges, moments and bounds of a polled staircase."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_plugin.record import rhythm, staircase
from energy_plugin.record.counter import counter_of
from energy_plugin.record.trace import Channel, Idle, Sample, Trace, Window, integrate

S = 1_000_000_000
MS = 1_000_000
GPU = Channel(id="gpu:G", meter="nvml", source="nvml-counter", tick_s=0.1)
FINE = Channel(id="cpu:package:0", meter="rapl", source="rapl-pmu", tick_s=0.001)


def test_a_value_seen_after_a_long_gap_became_so_within_its_last_tick() -> None:
    (edge,) = staircase.edges_of([Sample(0, 1.0), Sample(500 * MS, 9.0)], tick_ns=100 * MS)
    assert edge == (375 * MS, 500 * MS, 9.0)
    (unknown,) = staircase.edges_of([Sample(0, 1.0), Sample(500 * MS, 9.0)])
    assert unknown == (0, 500 * MS, 9.0)


def test_a_value_seen_once_in_a_slow_call_may_have_been_read_when_the_call_began() -> None:
    seen = [Sample(0, 1.0), Sample(10 * MS, 1.0), Sample(60 * MS, 2.0), Sample(110 * MS, 3.0)]
    edges = staircase.edges_of(seen, call_ns=50 * MS)
    assert [(e.lo_ns, e.hi_ns) for e in edges] == [(10 * MS, 60 * MS), (10 * MS, 110 * MS)]


def test_a_fine_counter_polled_rarely_is_stale_by_its_tick_and_not_by_the_gap() -> None:
    samples = tuple(Sample(i * 100 * MS, 10.0 * i) for i in range(60))  # 100 W, every poll another value
    trace = Trace(meter="rapl", channel=FINE, form="counter", samples=samples)
    asked = Window(program="a", name="epoch:1", t0_ns=round(1.03 * S), t1_ns=round(3.08 * S))
    reading = integrate(trace, asked, None)
    assert reading.joules == pytest.approx(205.0, abs=0.1)
    assert reading.lo_j == pytest.approx(190.0)
    assert reading.hi_j == pytest.approx(210.0)


def test_an_edge_nobody_saw_sharply_came_a_tick_before_the_sharp_one_that_follows() -> None:
    seen = [Sample(0, 1.0), Sample(200 * MS, 2.0), Sample(204 * MS, 2.0), Sample(208 * MS, 3.0)]
    flight = staircase.flight_of(seen, tick_ns=100 * MS)
    assert list(flight.moments_ns) == [106 * MS, 206 * MS]


def test_a_standstill_is_as_long_as_it_was_seen() -> None:
    seen = [Sample(0, 1.0), Sample(10, 1.0), Sample(20, 2.0), Sample(90, 2.0), Sample(95, 3.0)]
    assert staircase.stalls_of(seen, 50) == [(20, 90)]
    assert staircase.stalls_of([], 50) == []


@pytest.mark.parametrize("gap_ms", [8.9, 9.7, 10.3, 11.4])
def test_the_rhythm_of_a_clock_is_known_better_than_any_edge_alone(gap_ms: float) -> None:
    found_ns, alone_ns = [], []
    for phase_ms in range(0, 100, 7):
        samples = [
            Sample(round(i * gap_ms * MS), 10.0 * ((i * gap_ms - phase_ms) // 100)) for i in range(200)
        ]
        flight = staircase.flight_of(samples, tick_ns=99 * MS)
        every = range(len(flight.edges))
        found = rhythm.moments(flight, every, every)
        for edge, at_ns in zip(flight.edges, found.at_ns, strict=True):
            truth_ns = (edge.joules * 10 + phase_ms) * MS
            found_ns.append(abs(at_ns - truth_ns))
            alone_ns.append(abs(edge.mid_ns - truth_ns))
    assert statistics.fmean(found_ns) < 0.5 * statistics.fmean(alone_ns)
    assert max(found_ns) <= max(alone_ns) + 0.5 * MS


def test_a_counter_without_rhythm_is_left_as_it_was_seen() -> None:
    rng = random.Random(1)
    times = list(itertools.accumulate(rng.uniform(0.06, 0.14) for _ in range(20)))
    samples = [Sample(round(i * 0.01 * S), float(sum(t <= i * 0.01 for t in times))) for i in range(250)]
    flight = staircase.flight_of(samples, tick_ns=100 * MS)
    every = range(len(flight.edges))
    assert list(rhythm.moments(flight, every, every).at_ns) == list(flight.moments_ns)


# --- the property that makes a bound a bound ---

rises = st.lists(st.integers(0, 40), min_size=8, max_size=60)


@given(
    rises=rises,
    kept=st.data(),
    tick_s=st.sampled_from([0.0, 0.001, 0.05, 0.1]),
    idle=st.sampled_from([None, Idle(power_w=60.0, unc_w=0.5)]),
    name=st.sampled_from(["process", "epoch:1"]),
    unc_ms=st.sampled_from([0, 3]),
)
def test_more_samples_of_a_faultless_counter_never_widen_the_bounds(
    rises: list[int], kept: st.DataObject, tick_s: float, idle: Idle | None, name: str, unc_ms: int
) -> None:
    """Idle power is that of the trace here: every tick takes at least as much."""
    floor = 3 if idle else 0
    load = itertools.accumulate([0, *(floor + rise for rise in rises)])
    # Enough steady ticks at both ends that the window is covered with any choice of samples.
    levels = [float(i * 3) for i in range(8)] + [24.0 + level for level in load]
    levels += [levels[-1] + 3.0 * i for i in range(1, 9)]
    every = [Sample(i * 50 * MS, level) for i, level in enumerate(levels)]
    inner = range(8, len(every) - 8)
    chosen = kept.draw(st.sets(st.sampled_from(list(inner))))
    few = [s for i, s in enumerate(every) if i in chosen or i not in inner]
    channel = Channel(id="gpu:G", meter="nvml", source="nvml-counter", tick_s=tick_s)
    asked = Window(
        program="a",
        name=name,
        t0_ns=round(0.42 * S),
        t1_ns=every[-9].t_ns + 20 * MS,
        unc_ns=unc_ms * MS,
    )
    narrow, wide = (
        integrate(Trace(meter="nvml", channel=channel, form="counter", samples=tuple(s)), asked, idle)
        for s in (every, few)
    )
    assert narrow.status == wide.status == "measured"
    assert (narrow.lo_j or 0) >= (wide.lo_j or 0) - 1e-6
    assert (narrow.hi_j or 0) <= (wide.hi_j or 0) + 1e-6


@given(cuts=st.lists(st.floats(1.0, 4.0), min_size=1, max_size=6), rises=rises)
def test_epochs_add_up_to_the_training_within_the_bounds(cuts: list[float], rises: list[int]) -> None:
    levels = list(itertools.accumulate([0.0, *itertools.islice(itertools.cycle(rises), 120)]))
    if levels[-1] == levels[0]:
        return
    samples = tuple(Sample(i * 50 * MS, level) for i, level in enumerate(levels))
    trace = Trace(meter="nvml", channel=GPU, form="counter", samples=samples)

    def of(t0_s: float, t1_s: float, name: str) -> tuple[float, float, float]:
        asked = Window(program="a", name=name, t0_ns=round(t0_s * S), t1_ns=round(t1_s * S))
        reading = integrate(trace, asked, None)
        return reading.joules or 0.0, reading.lo_j or 0.0, reading.hi_j or 0.0

    ends = [1.0, *sorted(cuts), 4.0]
    spans = [(a, b) for a, b in itertools.pairwise(ends) if round(b * S) > round(a * S)]
    epochs = [of(a, b, f"epoch:{i}") for i, (a, b) in enumerate(spans)]
    whole, lo_j, hi_j = of(1.0, 4.0, "training")
    total = sum(joules for joules, _, _ in epochs)
    assert lo_j - 1e-6 <= total <= hi_j + 1e-6
    assert sum(lo for _, lo, _ in epochs) <= whole + 1e-6
    assert sum(hi for _, _, hi in epochs) >= whole - 1e-6


def test_many_windows_of_a_long_trace_share_its_preparation() -> None:
    samples = tuple(Sample(i * 50 * MS, 5.0 * (i // 2)) for i in range(20_000))
    trace = Trace(meter="nvml", channel=GPU, form="counter", samples=samples)
    assert counter_of(trace) is counter_of(trace)
    for i in range(200):
        asked = Window(program="a", name=f"epoch:{i}", t0_ns=(i + 1) * 2 * S, t1_ns=(i + 2) * 2 * S)
        assert integrate(trace, asked, None).joules == pytest.approx(100.0, rel=0.05)
