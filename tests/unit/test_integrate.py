"""From samples to joules: on staircases of known power, and on everything that goes wrong."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_plugin.record.trace import (
    Channel,
    Fault,
    Idle,
    Sample,
    Trace,
    Window,
    idle_of,
    integrate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S = 1_000_000_000
GPU = Channel(id="gpu:G", meter="nvml", source="nvml-counter", tick_s=0.1)
PACKAGE = Channel(id="cpu:package:0", meter="perf", source="rapl-pmu", tick_s=0.001)
MODEL = Channel(id="cpu", meter="codecarbon", source="load-model", kind="model")


def window(t0_s: float, t1_s: float, name: str = "process", unc_s: float = 0.0) -> Window:
    return Window(
        program="a", name=name, t0_ns=round(t0_s * S), t1_ns=round(t1_s * S), unc_ns=round(unc_s * S)
    )


def step(t0_s: float, t1_s: float, idle_w: float, load_w: float) -> Callable[[float], float]:
    """Cumulative joules of idle, load from t0 to t1, idle again."""

    def energy(t_s: float) -> float:
        return idle_w * t_s + load_w * (min(max(t_s, t0_s), t1_s) - t0_s)

    return energy


def staircase(
    energy: Callable[[float], float],
    end_s: float,
    tick_s: float = 0.1,
    poll_s: float = 0.01,
    phase_s: float = 0.0,
) -> tuple[Sample, ...]:
    """What polling sees of a counter that publishes *energy* once a tick."""
    polls = range(int(end_s / poll_s))
    return tuple(
        Sample(round(i * poll_s * S), energy(((i * poll_s - phase_s) // tick_s) * tick_s + phase_s))
        for i in polls
    )


def counter(samples: Sequence[Sample], channel: Channel = GPU, faults: tuple[Fault, ...] = ()) -> Trace:
    return Trace(meter=channel.meter, channel=channel, form="counter", samples=tuple(samples), faults=faults)


def two_points(
    t0_s: float, t1_s: float, joules: float, channel: Channel = PACKAGE, faults: tuple[Fault, ...] = ()
) -> Trace:
    samples = (Sample(round(t0_s * S), 0.0), Sample(round(t1_s * S), joules))
    return Trace(meter=channel.meter, channel=channel, form="window", samples=samples, faults=faults)


IDLE = Idle(power_w=60.0, unc_w=0.5)
LOADED = counter(staircase(step(1.0, 3.0, 60, 300), 4.0, phase_s=0.037))


@given(
    t0=st.floats(1.0, 1.5),
    length=st.floats(0.05, 4.0),
    idle_w=st.floats(1, 100),
    load_w=st.floats(0, 500),
    tick=st.floats(0.02, 0.15),
    poll=st.floats(0.002, 0.05),
    phase=st.floats(0, 0.1),
    with_idle=st.booleans(),
)
def test_the_truth_lies_within_the_bracket(
    t0: float,
    length: float,
    idle_w: float,
    load_w: float,
    tick: float,
    poll: float,
    phase: float,
    with_idle: bool,
) -> None:
    energy = step(t0, t0 + length, idle_w, load_w)
    trace = counter(staircase(energy, t0 + length + 0.6, tick, poll, phase))
    reading = integrate(trace, window(t0, t0 + length), Idle(power_w=idle_w, unc_w=0) if with_idle else None)
    truth = energy(t0 + length) - energy(t0)
    assert reading.status == "measured"
    assert reading.joules is not None
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.lo_j - 1e-3 <= truth <= reading.hi_j + 1e-3
    assert reading.lo_j <= reading.joules <= reading.hi_j
    assert reading.method == ("resolved-edges" if with_idle else "linear-edges")


@given(cuts=st.lists(st.floats(1.0, 3.0), min_size=1, max_size=8), phase=st.floats(0, 0.1))
def test_epochs_that_partition_a_window_add_up_to_it(cuts: list[float], phase: float) -> None:
    trace = counter(staircase(step(1.0, 3.0, 60, 300), 4.0, phase_s=phase))
    edges = [1.0, *sorted(cuts), 3.0]
    epochs = [
        integrate(trace, window(a, b, f"epoch:{i}"), IDLE).joules or 0.0
        for i, (a, b) in enumerate(itertools.pairwise(edges))
    ]
    whole = integrate(trace, window(1.0, 3.0, "training"), IDLE)
    assert sum(epochs) == pytest.approx(whole.joules, abs=1e-3)


@given(t1=st.floats(1.1, 3.0), more=st.floats(0, 0.9), unc=st.floats(0, 0.1))
def test_a_longer_window_never_holds_less_and_uncertain_edges_never_narrow_the_bracket(
    t1: float, more: float, unc: float
) -> None:
    short = integrate(LOADED, window(1.0, t1), None)
    longer = integrate(LOADED, window(1.0, t1 + more), None)
    loose = integrate(LOADED, window(1.0, t1, unc_s=unc), None)
    assert short.joules is not None
    assert longer.joules is not None
    assert longer.joules >= short.joules - 1e-6
    assert (loose.lo_j or 0) <= (short.lo_j or 0)
    assert (loose.hi_j or 0) >= (short.hi_j or 0)


@pytest.mark.parametrize("phase", [0.0, 0.02, 0.05, 0.08])
def test_resolved_edges_hit_a_short_load_that_linear_interpolation_misses(phase: float) -> None:
    trace = counter(staircase(step(1.03, 1.23, 60, 300), 2.0, phase_s=phase))
    resolved = integrate(trace, window(1.03, 1.23), IDLE)
    assert resolved.joules == pytest.approx(72.0, rel=0.02)
    assert resolved.idle_w == 60.0


def test_an_inner_window_is_not_cleaned_of_idle_that_was_not_there() -> None:
    training = integrate(LOADED, window(1.55, 2.43, "training"), IDLE)
    assert training.method == "linear-edges"
    assert training.joules == pytest.approx(0.88 * 360, rel=1e-3)


def test_a_reset_splits_the_window_and_is_never_negative() -> None:
    samples = [s if s.t_ns < 2 * S else Sample(s.t_ns, s.joules - 300.0) for s in LOADED.samples]
    reading = integrate(counter(samples), window(1.0, 3.0), IDLE)
    assert (reading.status, reading.reason) == ("partial", "counter-reset")
    assert 1.7 < reading.covered_s < 2.0
    assert reading.joules == pytest.approx(reading.covered_s * 360, rel=0.05)


def test_a_reset_before_the_window_does_not_matter() -> None:
    samples = [s if s.t_ns < 0.5 * S else Sample(s.t_ns, s.joules - 29.0) for s in LOADED.samples]
    assert integrate(counter(samples), window(1.0, 3.0), IDLE).status == "measured"


@pytest.mark.parametrize(("first", "last"), [(1.5, 4.0), (0.0, 2.5), (1.4, 2.4)])
def test_a_window_the_samples_do_not_cover_is_partial_and_not_scaled_up(first: float, last: float) -> None:
    kept = [s for s in LOADED.samples if first * S <= s.t_ns <= last * S]
    reading = integrate(counter(kept), window(1.0, 3.0), IDLE)
    assert (reading.status, reading.reason) == ("partial", "not-covered")
    assert reading.joules == pytest.approx(360 * reading.covered_s, rel=0.02)
    assert reading.covered_s < min(last, 3.0) - max(first, 1.0) + 1e-9


def test_a_window_wholly_outside_the_samples_is_unavailable() -> None:
    reading = integrate(LOADED, window(10.0, 12.0), IDLE)
    assert (reading.status, reading.reason, reading.joules) == ("unavailable", "not-covered", None)


def test_no_samples_no_joules() -> None:
    assert integrate(counter([]), window(1, 2), None).reason == "no-samples"
    lost = counter([], faults=(Fault(S, "gpu-lost", "GPU is lost"),))
    assert integrate(lost, window(1, 2), None).reason == "gpu-lost"


def test_a_counter_that_never_moves_is_frozen_and_not_zero_joules() -> None:
    still = counter([Sample(round(i * 0.01 * S), 5.0) for i in range(400)])
    reading = integrate(still, window(1.0, 3.0), None)
    assert (reading.status, reading.reason, reading.joules) == ("unavailable", "frozen-counter", None)


@pytest.mark.parametrize("flat_parts", [True, False])
def test_a_counter_that_moves_only_around_the_window_is_frozen_in_it(flat_parts: bool) -> None:
    times = (
        [i * 0.01 for i in range(500)] if flat_parts else [0, 0.5, 0.51, 0.9, 0.91, 3.49, 3.5, 4.0, 4.01, 5]
    )
    samples = [Sample(round(t * S), float(sum(t >= c for c in (0.51, 0.91, 3.5, 4.01)))) for t in times]
    reading = integrate(counter(samples), window(1.0, 3.0), None)
    assert (reading.status, reading.reason) == ("unavailable", "frozen-counter")


def test_a_gap_in_the_polling_is_not_a_standstill_of_the_counter() -> None:
    kept = [s for s in LOADED.samples if not 0.98 * S < s.t_ns < 3.02 * S]
    reading = integrate(counter(kept), window(1.0, 3.0), IDLE)
    assert reading.status == "measured"
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.lo_j <= 720 <= reading.hi_j


def test_zero_joules_are_legal_only_from_a_counter_that_moved() -> None:
    slow = [Sample(round(i * 0.01 * S), 1.0 * (i >= 50) + 1.0 * (i >= 250)) for i in range(400)]
    moved = integrate(counter(slow, replace(GPU, tick_s=0.5)), window(1.0, 1.4), None)
    assert moved.status == "measured"
    assert moved.lo_j == 0.0
    assert moved.hi_j == 1.0


def test_a_counter_that_freezes_midway_is_partial() -> None:
    stuck = LOADED.samples[200].joules
    samples = [Sample(s.t_ns, min(s.joules, stuck)) for s in staircase(step(1.0, 5.0, 60, 300), 6.0)]
    reading = integrate(counter(samples), window(1.0, 5.0), IDLE)
    assert (reading.status, reading.reason) == ("partial", "frozen-counter")
    assert 0.8 < reading.covered_s < 1.1


def test_a_fault_within_the_window_makes_it_partial_and_one_before_it_does_not() -> None:
    inside = counter(LOADED.samples, faults=(Fault(2 * S, "timeout", "late"),))
    before = counter(LOADED.samples, faults=(Fault(S // 2, "timeout", "late"),))
    assert (integrate(inside, window(1, 3), IDLE).status, integrate(inside, window(1, 3), IDLE).reason) == (
        "partial",
        "timeout",
    )
    assert integrate(before, window(1, 3), IDLE).status == "measured"


def test_a_lost_device_is_named_as_the_reason_for_the_missing_part() -> None:
    kept = [s for s in LOADED.samples if s.t_ns <= 2 * S]
    reading = integrate(counter(kept, faults=(Fault(2 * S, "gpu-lost", ""),)), window(1, 3), IDLE)
    assert (reading.status, reading.reason) == ("partial", "gpu-lost")


@pytest.mark.parametrize(
    ("power_w", "reason"), [(360.0, ""), (100.0, "power-mismatch"), (900.0, "power-mismatch")]
)
def test_a_counter_is_held_against_its_own_power_gauge(power_w: float, reason: str) -> None:
    samples = staircase(step(1.0, 9.0, 60, 300), 10.0)
    gauge = tuple((round(i * 0.2 * S), power_w) for i in range(50))
    trace = replace(counter(samples), gauges={"power_w": gauge})
    assert integrate(trace, window(1.0, 9.0), IDLE).reason == reason


def test_a_dead_channel_stays_dead_whatever_its_samples_say() -> None:
    dead = replace(GPU, alive=False, reason="dead-counter")
    assert integrate(counter(LOADED.samples, dead), window(1, 3), IDLE).reason == "dead-counter"


def test_an_exact_window_is_measured_and_bounded_by_its_slack() -> None:
    reading = integrate(two_points(1.0, 3.02, 202.0), window(1.01, 3.0), None)
    assert (reading.status, reading.method, reading.joules) == ("measured", "exact-window", 202.0)
    tick_j = 202.0 / 1.99 * PACKAGE.tick_s  # at either end the counter may be a tick old
    assert reading.lo_j == pytest.approx(199.0 - tick_j)
    assert reading.hi_j == pytest.approx(202.0 + tick_j)


def test_what_surrounds_an_exact_window_counts_at_the_limit_of_the_channel_where_it_is_known() -> None:
    limited = replace(PACKAGE, limit_w=200.0, tick_s=0.0)
    reading = integrate(two_points(1.0, 3.02, 202.0, limited), window(1.01, 3.0), None)
    assert (reading.joules, reading.hi_j) == (202.0, 202.0)
    assert reading.lo_j == pytest.approx(202.0 - 1.5 * 200.0 * 0.03)


def test_an_inner_window_of_a_two_point_trace_is_estimated_between_zero_and_all() -> None:
    reading = integrate(two_points(0.0, 10.0, 100.0), window(2.0, 4.0, "epoch:1"), None)
    assert (reading.status, reading.method) == ("estimated", "interpolated")
    assert reading.joules == pytest.approx(20.0)
    assert reading.lo_j == 0.0
    assert reading.hi_j == pytest.approx(100.0 + 10.0 * PACKAGE.tick_s)


def test_an_inner_window_with_whole_intervals_is_measured_and_bounded_by_those_around() -> None:
    samples = tuple(Sample(i * S // 5, 2.0 * i) for i in range(51))  # 10 W every 0.2 s, as perf writes them
    trace = replace(two_points(0.0, 10.0, 100.0), samples=samples)
    reading = integrate(trace, window(2.1, 4.1, "epoch:1"), None)
    assert (reading.status, reading.method) == ("measured", "linear-edges")
    assert reading.joules == pytest.approx(20.0)
    assert reading.lo_j == pytest.approx(18.0, abs=0.02)
    assert reading.hi_j == pytest.approx(22.0, abs=0.02)
    within = integrate(trace, window(2.05, 2.15, "epoch:2"), None)
    assert (within.status, within.method) == ("estimated", "interpolated")


def test_a_model_is_never_measured() -> None:
    exact = integrate(two_points(1.0, 3.0, 50.0, MODEL), window(1.0, 3.0), None)
    broken = integrate(two_points(1.0, 2.0, 50.0, MODEL), window(1.0, 3.0), None)
    assert (exact.status, exact.kind) == ("estimated", "model")
    assert (broken.status, broken.reason, broken.covered_s) == ("partial", "not-covered", 1.0)


def test_power_summed_into_a_counter_is_estimated_and_claims_no_bounds() -> None:
    summed = replace(GPU, source="nvml-power", kind="model", tick_s=0.0)
    reading = integrate(counter(staircase(step(1, 3, 60, 300), 4.0, 0.01), summed), window(1, 3), None)
    assert (reading.status, reading.method) == ("estimated", "power-integral")
    assert reading.joules == pytest.approx(720, rel=0.02)
    assert (reading.lo_j, reading.hi_j) == (None, None)


def test_a_trace_that_ends_early_is_partial() -> None:
    reading = integrate(two_points(1.0, 2.0, 50.0), window(1.0, 3.0), None)
    assert (reading.status, reading.reason, reading.joules) == ("partial", "not-covered", 50.0)


@pytest.mark.parametrize(("channel", "reason"), [(PACKAGE, "frozen-counter"), (MODEL, "zero-estimate")])
def test_zero_over_a_long_window_is_no_energy(channel: Channel, reason: str) -> None:
    reading = integrate(two_points(1.0, 3.0, 0.0, channel), window(1.0, 3.0), None)
    assert (reading.status, reading.reason, reading.joules) == ("unavailable", reason, None)


def test_idle_power_and_its_uncertainty_come_from_whole_ticks() -> None:
    idle = idle_of(counter(staircase(lambda t: 60 * t, 5.0, phase_s=0.03)), window(1.0, 4.0, "idle:before"))
    assert idle is not None
    assert idle.power_w == pytest.approx(60, rel=0.01)
    assert 0 < idle.unc_w < 1.0


def test_too_few_ticks_tell_no_idle_power() -> None:
    trace = counter(staircase(lambda t: 60 * t, 5.0))
    assert idle_of(trace, window(1.05, 1.35, "idle:before")) is None
    assert idle_of(two_points(0, 5, 10.0), window(1, 4, "idle:before")) is None
