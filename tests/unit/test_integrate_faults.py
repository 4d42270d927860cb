"""What goes wrong while a counter or a power sensor is read: the right status, never an exception."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_plugin.record.trace import (
    Channel,
    Fault,
    Idle,
    Reading,
    Sample,
    Trace,
    Window,
    idle_of,
    integrate,
)
from energy_plugin.record.tracefile import read_traces, write_traces

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

S = 1_000_000_000
GPU = Channel(id="gpu:G", meter="nvml", source="nvml-counter", tick_s=0.1)
ZONE = Channel(
    id="cpu:package:0", meter="rapl", source="rapl-powercap", tick_s=0.001, range_j=1000.0, limit_w=500.0
)
AVERAGED = Channel(id="gpu:G", meter="nvml", source="nvml-power-average", kind="model", average_s=1.0)
IDLE = Idle(power_w=60.0, unc_w=0.5)
TICKS = tuple(Sample(round(i * 0.1 * S), 1000.0 + 36.0 * i) for i in range(60))  # 360 W throughout


def counter(samples: Sequence[Sample], channel: Channel = GPU, **more: object) -> Trace:
    return Trace(meter=channel.meter, channel=channel, form="counter", samples=tuple(samples), **more)  # type: ignore[arg-type]


def window(t0_s: float, t1_s: float, name: str = "process") -> Window:
    return Window(program="a", name=name, t0_ns=round(t0_s * S), t1_ns=round(t1_s * S))


def verdict(reading: Reading) -> tuple[str, str]:
    return reading.status, reading.reason


# --- samples that cannot be true ---


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -5.0])
def test_a_value_that_is_no_energy_is_left_out_and_named(bad: float) -> None:
    samples = [*TICKS[:25], Sample(TICKS[25].t_ns, bad), *TICKS[26:]]
    reading = integrate(counter(samples), window(1.0, 4.0), None)
    assert verdict(reading) == ("partial", "bad-value")
    assert reading.joules == pytest.approx(1080, rel=0.02)
    assert integrate(counter(samples), window(4.0, 5.0), None).status == "measured"


@pytest.mark.parametrize("bad", [math.nan, -1.0])
def test_nothing_but_such_values_is_no_measurement(bad: float) -> None:
    samples = [Sample(t_ns, bad) for t_ns, _ in TICKS]
    for form in ("counter", "window"):
        trace = replace(counter(samples), form=form)
        assert verdict(integrate(trace, window(1.0, 4.0), IDLE)) == ("unavailable", "bad-value")


def test_nothing_is_carried_over_a_step_of_the_clock() -> None:
    stepped = [s if i < 30 else Sample(s.t_ns - 2 * S, s.joules) for i, s in enumerate(TICKS)]
    reading = integrate(counter(stepped), window(1.0, 5.0), None)
    assert verdict(reading) == ("partial", "clock-step")
    assert reading.joules == pytest.approx(360 * reading.covered_s, rel=0.02)
    assert 2.4 < reading.covered_s < 4


@given(
    samples=st.lists(
        st.tuples(st.integers(0, 6 * S), st.floats(allow_nan=True, allow_infinity=True)), max_size=40
    ),
    form=st.sampled_from(["counter", "window", "power"]),
    kind=st.sampled_from(["direct", "model"]),
    tick_s=st.sampled_from([0.0, 0.001, 0.1, 10.0]),
    range_j=st.sampled_from([0.0, 1000.0]),
    idle=st.sampled_from([None, IDLE, Idle(power_w=0.0, unc_w=0.0, after_w=500.0, after_unc_w=0.0)]),
    name=st.sampled_from(["process", "epoch:1"]),
)
def test_no_samples_whatever_raise_or_give_joules_that_are_no_number(
    samples: list[tuple[int, float]],
    form: str,
    kind: str,
    tick_s: float,
    range_j: float,
    idle: Idle | None,
    name: str,
) -> None:
    channel = replace(GPU, kind=kind, tick_s=tick_s, range_j=range_j, average_s=tick_s)  # type: ignore[arg-type]
    gauges = {"power_w": tuple(samples), "call_s": tuple(samples)}
    trace = replace(counter([Sample(*s) for s in samples], channel, gauges=gauges), form=form)  # type: ignore[arg-type]
    idle_of(trace, window(0.0, 6.0))
    reading = integrate(trace, window(1.0, 4.0, name), idle)
    assert (reading.joules is None) == (reading.status == "unavailable")
    assert reading.status != "unavailable" or reading.reason
    for value in (reading.joules, reading.lo_j, reading.hi_j, reading.unc_j):
        assert value is None or (math.isfinite(value) and value >= 0)
    if reading.lo_j is not None and reading.hi_j is not None and reading.joules is not None:
        assert reading.lo_j <= reading.joules * (1 + 1e-9) + 1e-9
        assert reading.joules <= reading.hi_j * (1 + 1e-9) + 1e-9
    assert 0 <= reading.covered_s <= 3.0 + 1e-9


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_samples_cover_nothing(count: int) -> None:
    reading = integrate(counter(TICKS[20 : 20 + count]), window(1.0, 4.0), IDLE)
    assert (reading.status, reading.joules) == ("unavailable", None)


def test_a_window_within_one_tick_may_hold_nothing_and_is_measured() -> None:
    reading = integrate(counter(TICKS), window(2.02, 2.06, "epoch:1"), None)
    assert reading.status == "measured"
    assert reading.lo_j == 0.0
    assert reading.joules == pytest.approx(0.04 * 360, rel=0.01)


# --- wraps and resets ---

WRAPPING = tuple(Sample(round(i * 0.05 * S), (800.0 + 5.0 * i) % 1000.0) for i in range(100))  # 100 W


def test_a_wrap_within_a_known_range_is_undone() -> None:
    reading = integrate(counter(WRAPPING, ZONE), window(1.0, 4.0), None)
    assert verdict(reading) == ("measured", "")
    assert reading.joules == pytest.approx(300, rel=0.01)


def test_a_wrap_of_unknown_range_is_a_reset() -> None:
    reading = integrate(counter(WRAPPING, replace(ZONE, range_j=0.0)), window(1.0, 4.0), None)
    assert verdict(reading) == ("partial", "counter-reset")
    assert reading.joules == pytest.approx(100 * reading.covered_s, rel=0.1)
    assert 2.8 < reading.covered_s < 3.0


def test_a_reset_that_would_take_an_impossible_power_to_be_a_wrap_stays_a_reset() -> None:
    samples = [Sample(t, 300.0 + 5 * i if i < 40 else 5.0 * (i - 40)) for i, (t, _) in enumerate(WRAPPING)]
    reading = integrate(counter(samples, ZONE), window(1.0, 4.0), None)
    assert verdict(reading) == ("partial", "counter-reset")
    assert reading.joules == pytest.approx(295, rel=0.05)


def test_a_gap_in_which_the_counter_may_have_wrapped_unseen_is_no_difference_to_trust() -> None:
    samples = [Sample(i * S, 10.0 * i) for i in (0, 1, 2, 3, 4, 30, 31, 32)]
    reading = integrate(counter(samples, ZONE), window(1.0, 31.0), None)
    assert verdict(reading) == ("partial", "wrap-unseen")
    assert reading.covered_s < 6


def test_a_leap_that_no_device_can_draw_is_no_energy() -> None:
    leapt = [s if s.t_ns < 2.5 * S else Sample(s.t_ns, s.joules + 1e6) for s in TICKS]
    reading = integrate(counter(leapt), window(1.0, 4.0), None)
    assert verdict(reading) == ("partial", "implausible")
    assert reading.joules == pytest.approx(360 * reading.covered_s, rel=0.05)
    assert 2.6 < reading.covered_s < 3.0
    before = integrate(counter(leapt), window(3.0, 5.0), None)
    assert verdict(before) == ("measured", "")
    assert before.joules == pytest.approx(720, rel=0.05)


def test_what_a_counter_makes_up_for_after_a_pause_is_no_leap() -> None:
    late = [s for s in TICKS if not 2.0 * S < s.t_ns < 2.9 * S]
    busy = replace(GPU, limit_w=700.0)
    strong = [Sample(t, 1000.0 + 5 * (j - 1000.0)) for t, j in late]  # 1.8 kW, unread for 0.9 s
    assert verdict(integrate(counter(strong, busy), window(1.0, 4.0), None)) == ("measured", "")
    assert verdict(integrate(counter(strong), window(1.0, 4.0), None)) == ("measured", "")


# --- counters that stand still or contradict their device ---


def test_a_standstill_while_the_device_says_it_draws_nothing_is_no_freeze() -> None:
    still = [*TICKS[:20], *(Sample(round(i * 0.1 * S), TICKS[19].joules) for i in range(20, 60))]
    moving = Sample(6 * S, TICKS[19].joules + 0.001)
    at_rest = tuple((round(t * 0.2 * S), 360.0 if t < 9 else 0.0) for t in range(30))
    silent = counter([*still, moving], gauges={"power_w": at_rest})
    busy = counter([*still, moving], gauges={"power_w": tuple((t, 360.0) for t, _ in at_rest)})
    assert integrate(silent, window(2.5, 5.5), None).status == "measured"
    assert verdict(integrate(busy, window(2.5, 5.5), None)) == ("unavailable", "frozen-counter")


def test_a_counter_that_contradicts_its_power_gauge_is_partial_with_both_values() -> None:
    long = [Sample(round(i * 0.1 * S), 36.0 * i) for i in range(100)]
    gauge = tuple((round(i * 0.2 * S), 120.0) for i in range(50))
    reading = integrate(counter(long, gauges={"power_w": gauge}), window(1.0, 8.0), None)
    assert verdict(reading) == ("partial", "power-mismatch")
    assert reading.joules == pytest.approx(2520, rel=0.01)
    assert reading.power_j == pytest.approx(840, rel=0.01)
    assert "840" in reading.detail


def test_a_power_gauge_that_agrees_is_kept_beside_the_joules() -> None:
    gauge = tuple((round(i * 0.2 * S), 350.0) for i in range(30))
    reading = integrate(counter(TICKS, gauges={"power_w": gauge}), window(1.0, 4.0), None)
    assert verdict(reading) == ("measured", "")
    assert reading.power_j == pytest.approx(1050, rel=0.01)


def test_a_gauge_of_less_than_the_window_checks_nothing() -> None:
    gauge = tuple((round(i * 0.2 * S), 10.0) for i in range(10))
    assert integrate(counter(TICKS, gauges={"power_w": gauge}), window(1.0, 5.5), None).power_j is None


def test_a_power_gauge_that_is_dead_checks_nothing_and_this_is_said() -> None:
    gauge = tuple((round(i * 0.2 * S), 0.0) for i in range(30))
    reading = integrate(counter(TICKS, gauges={"power_w": gauge}), window(1.0, 4.0), None)
    assert verdict(reading) == ("measured", "")
    assert "nothing checks the counter" in reading.detail


def test_a_reading_of_more_than_was_asked_for_says_so() -> None:
    shared = replace(GPU, detail="H200; power limit 700 W; scope whole-gpu: MIG is on")
    assert integrate(counter(TICKS, shared), window(1.0, 4.0), None).detail == "scope whole-gpu: MIG is on"
    assert integrate(counter(TICKS), window(1.0, 4.0), None).detail == ""


def test_what_keeps_the_edge_after_the_end_from_being_seen_is_the_reason() -> None:
    lost = (Fault(round(4.02 * S), "gpu-lost", "GPU is lost"),)
    reading = integrate(counter([s for s in TICKS if s.t_ns < 4.0 * S], faults=lost), window(1.0, 4.0), None)
    assert verdict(reading) == ("partial", "gpu-lost")


# --- nobody looked ---


def test_a_counter_nobody_looked_at_ran_on_and_says_so() -> None:
    blind = [s for s in TICKS if not 1.5 * S < s.t_ns < 4.5 * S]
    told = (Fault(round(1.5 * S), "starved", "no poll for 3.1 s"),)
    reading = integrate(counter(blind, faults=told), window(1.0, 5.0), None)
    assert verdict(reading) == ("measured", "")
    assert reading.joules == pytest.approx(4 * 360, rel=0.01)
    assert reading.covered_s == 4.0
    assert "not read for 3.0 s" in reading.detail


SUMMED = tuple(Sample(round(i * 0.02 * S), 360.0 * 0.02 * i) for i in range(400))


def test_power_nobody_read_is_not_made_up() -> None:
    blind = [s for s in SUMMED if not 3.0 * S < s.t_ns < 4.0 * S]
    trace = replace(counter(blind, AVERAGED), form="power")
    reading = integrate(trace, window(2.0, 5.0), None)
    assert verdict(reading) == ("partial", "starved")
    assert reading.covered_s == pytest.approx(2.0, abs=0.05)
    assert reading.joules == pytest.approx(720, rel=0.03)
    assert (reading.lo_j, reading.hi_j) == (None, None)


def test_a_sum_that_stands_still_over_an_error_misses_something() -> None:
    held = [Sample(t, min(j, 1080.0) if t < 3.5 * S else j - 180.0) for t, j in SUMMED]
    kept = [
        a for a, b in zip(held, [*held[1:], held[-1]], strict=True) if a.joules != b.joules or a is held[-1]
    ]
    reading = integrate(replace(counter(kept, AVERAGED), form="power"), window(2.0, 5.0), None)
    assert verdict(reading) == ("partial", "starved")
    assert reading.covered_s == pytest.approx(2.5, abs=0.1)


def test_power_that_ends_midway_is_partial_and_of_what_the_sensor_had_shown() -> None:
    whole = averaged(5.0)
    lost = Fault(round(4.5 * S), "gpu-lost", "GPU is lost")
    cut = replace(whole, samples=tuple(s for s in whole.samples if s.t_ns <= 4.5 * S), faults=(lost,))
    reading = integrate(cut, window(2.0, 7.0), IDLE)
    assert verdict(reading) == ("partial", "gpu-lost")
    assert reading.covered_s == pytest.approx(2.0, abs=0.05)  # the mean of a second is half a second late
    assert reading.joules == pytest.approx(360 * reading.covered_s, rel=0.1)


# --- averaged power ---


def averaged(load_s: float, start_s: float = 2.0) -> Trace:
    """Power of 60 W and 300 W more for *load_s*, summed from a sensor that shows the mean of a second."""

    def energy(t_s: float) -> float:
        return 60 * t_s + 300 * min(max(t_s - start_s, 0.0), load_s)

    joules, samples, gauge = 0.0, [], []
    for a_s, b_s in itertools.pairwise(i * 0.02 for i in range(round((start_s + load_s + 1.6) * 50))):
        mean_w = energy(b_s) - energy(b_s - 1.0)
        joules += (b_s - a_s) * mean_w
        samples.append(Sample(round(b_s * S), joules))
        gauge.append((round(b_s * S), mean_w))
    return replace(counter(samples, AVERAGED, gauges={"power_w": tuple(gauge)}), form="power")


@pytest.mark.parametrize("load_s", [0.2, 1.0, 5.0])
def test_averaged_power_is_awaited_until_all_of_the_window_has_drained(load_s: float) -> None:
    trace, asked = averaged(load_s), window(2.0, 2.0 + load_s)
    idle = idle_of(trace, window(1.4, 2.0, "idle:before"))
    reading = integrate(trace, asked, idle)
    assert (reading.status, reading.method) == ("estimated", "power-drain")
    assert reading.joules == pytest.approx(360 * load_s, rel=0.02)
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.lo_j <= 360 * load_s <= reading.hi_j


def test_without_idle_power_averaged_power_is_only_moved_by_its_delay() -> None:
    reading = integrate(averaged(5.0), window(3.0, 6.0, "epoch:1"), None)
    assert (reading.status, reading.method) == ("estimated", "power-integral")
    assert reading.joules == pytest.approx(1080, rel=0.03)


def test_a_sensor_that_looks_part_of_the_time_gets_no_bounds() -> None:
    trace = averaged(1.0)
    glancing = replace(trace, channel=replace(AVERAGED, average_s=0.0, tick_s=0.1))
    reading = integrate(glancing, window(2.0, 3.0), IDLE)
    assert (reading.lo_j, reading.hi_j, reading.unc_j) == (None, None, None)


# --- exact windows with samples inside (perf -I) ---

INTERVALS = tuple(
    Sample(round((1.0 + i * 0.1) * S), j) for i, j in enumerate([0.0, 5, 12, 12, 40, 41, 50, 60])
)


def intervals(**more: object) -> Trace:
    channel = replace(ZONE, range_j=0.0, meter="perf", source="rapl-pmu")
    return replace(counter(INTERVALS, channel, **more), form="window")


def test_intervals_leave_the_whole_window_exact() -> None:
    reading = integrate(intervals(), window(1.0, 1.7), None)
    assert (reading.status, reading.method, reading.joules) == ("measured", "exact-window", 60.0)


def test_an_inner_window_lies_between_the_intervals_inside_it_and_those_around_it() -> None:
    reading = integrate(intervals(), window(1.15, 1.45, "epoch:1"), None)
    assert (reading.status, reading.method) == ("measured", "linear-edges")
    tick_j = 0.001 * 32 / 0.3
    assert reading.lo_j == pytest.approx(28.0 - tick_j)
    assert reading.hi_j == pytest.approx(36.0 + tick_j)
    assert reading.joules == pytest.approx(40.5 - 8.5)


def test_a_window_within_one_interval_is_a_guess_at_its_share() -> None:
    reading = integrate(intervals(), window(1.32, 1.38, "epoch:1"), None)
    assert (reading.status, reading.method) == ("estimated", "interpolated")
    assert reading.joules == pytest.approx(0.6 * 28)
    assert reading.lo_j == 0.0
    assert reading.hi_j == pytest.approx(28.0, rel=0.02)


def test_an_inner_window_that_ends_on_the_samples_is_exact() -> None:
    reading = integrate(intervals(), window(1.2, 1.5, "training"), None)
    assert (reading.status, reading.method, reading.joules) == ("measured", "exact-window", 29.0)


def test_a_guess_that_covers_a_part_only_is_partial() -> None:
    ended = replace(intervals(), samples=(Sample(1 * S, 0.0), Sample(3 * S, 100.0)))
    reading = integrate(ended, window(2.0, 5.0, "epoch:1"), None)
    assert (reading.status, reading.method, reading.covered_s) == ("partial", "interpolated", 1.0)


def test_an_impossible_total_is_named() -> None:
    wrong = replace(intervals(), samples=(Sample(1 * S, 0.0), Sample(3 * S, 1e300)))
    assert verdict(integrate(wrong, window(1.0, 3.0), None)) == ("unavailable", "bad-value")


def stopped() -> Trace:
    """50 W in intervals of 0.2 s; from 2 s on the counter stands still."""
    samples = [Sample(round(i * 0.2 * S), min(10.0 * i, 100.0)) for i in range(26)]
    return replace(intervals(), samples=tuple(samples))


def test_intervals_of_nothing_are_a_counter_that_stopped() -> None:
    reading = integrate(stopped(), window(0.0, 5.0), None)
    assert verdict(reading) == ("partial", "frozen-counter")
    assert reading.joules == 100.0
    assert reading.covered_s == pytest.approx(2.0)


def test_an_inner_window_in_which_nothing_was_counted_has_no_joules() -> None:
    reading = integrate(stopped(), window(3.0, 4.0, "epoch:3"), None)
    assert (verdict(reading), reading.joules) == (("unavailable", "frozen-counter"), None)
    assert integrate(stopped(), window(0.4, 1.4, "epoch:1"), None).status == "measured"


def test_what_a_channel_knows_of_its_sensor_survives_the_trace_file(tmp_path: Path) -> None:
    traces = [counter(TICKS[:3], ZONE), replace(averaged(0.2), faults=(Fault(1, "starved", "x"),))]
    write_traces(tmp_path / "trace.csv", traces)
    assert read_traces(tmp_path / "trace.csv") == traces
