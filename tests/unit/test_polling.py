"""The polling thread: rigorous times, nothing lost, nothing raised."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_plugin.meters.pace import CPU_SHARE, SHARED
from energy_plugin.meters.polling import Ask, PollingMeter, SensorError
from energy_plugin.meters.tape import Tape
from energy_plugin.record import staircase
from energy_plugin.record.trace import Channel, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHANNEL = Channel(id="mains:desk", meter="polling", source="plug")


class Plug:
    """A counter with 50 ms ticks, or whatever *read* says."""

    def __init__(self, read: Callable[[], float] | None = None, channel: Channel = CHANNEL) -> None:
        self.channel = channel
        self.calls = 0
        self._read = read or (lambda: time.monotonic() // 0.05)

    def read(self) -> Sample:
        self.calls += 1
        return Sample(time.monotonic_ns(), self._read())


class Gauged(Plug):
    def gauges(self) -> Mapping[str, float]:
        return {"power_w": 12.5}


def record(meter: PollingMeter, seconds: float = 0.3) -> None:
    meter.start()
    meter.edge("open")
    time.sleep(seconds)
    meter.edge("close")


@given(values=st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_dropping_the_flat_parts_keeps_every_edge(values: list[int]) -> None:
    tape, full, level = Tape(), [], 0.0
    for i, more in enumerate(values):
        level += more
        tape.add(i * 10, Sample(i * 10 + 1, level), i * 10 + 2)
        full.append(Sample(i * 10 + 1, level))
    kept, every = staircase.edges_of(tape.samples), staircase.edges_of(full)
    assert [e.joules for e in kept] == [e.joules for e in every]
    assert all(
        abs(a.lo_ns - b.lo_ns) <= 2 and abs(a.hi_ns - b.hi_ns) <= 2 for a, b in zip(kept, every, strict=True)
    )
    assert tape.samples == sorted(tape.samples)


def test_an_edge_lies_between_the_start_of_the_last_old_read_and_the_end_of_the_first_new_one() -> None:
    tape = Tape()
    for before, joules, after in ((0, 1.0, 9), (10, 1.0, 19), (20, 2.0, 29), (30, 2.0, 39)):
        tape.add(before, Sample((before + after) // 2, joules), after)
    assert staircase.edges_of(tape.samples) == [(10, 29, 2.0)]


def test_a_sensor_that_stamps_its_own_time_is_believed() -> None:
    tape = Tape()
    tape.add(1000, Sample(500, 1.0), 1100)
    tape.add(2000, Sample(1500, 2.0), 2100)
    assert [s.t_ns for s in tape.samples] == [500, 1500]


def test_a_living_counter_gives_a_rising_trace_and_gauges() -> None:
    meter = PollingMeter([Gauged()], rate_hz=200)
    record(meter)
    (trace,) = meter.stop()
    assert trace.form == "counter"
    assert 4 <= len(staircase.edges_of(trace.samples)) <= 8
    assert trace.faults == ()
    assert {value for _, value in trace.gauges["power_w"]} == {12.5}


def test_each_spell_of_an_error_becomes_one_fault_and_reading_goes_on() -> None:
    calls = iter(range(10_000))

    def read() -> float:
        call = next(calls)
        if call in (3, 4, 5):
            raise SensorError("gpu-lost", "GPU is lost")
        if call == 6:
            raise ValueError("nonsense")
        if call == 9:
            raise SensorError("gpu-lost", "GPU is lost again")
        return float(call)

    meter = PollingMeter([Plug(read)])
    record(meter, 0.8)
    (trace,) = meter.stop()
    seen = [fault for fault in trace.faults if fault.code != "starved"]
    assert [fault.code for fault in seen] == ["gpu-lost", "read-failed", "gpu-lost"]
    assert len(trace.samples) > 6


def test_one_failing_sensor_does_not_hurt_another() -> None:
    def fail() -> float:
        raise OSError("unplugged")

    meter = PollingMeter([Plug(fail), Plug()])
    record(meter)
    broken, good = meter.stop()
    assert broken.samples == ()
    assert len(good.samples) > 5


def test_away_from_the_edges_it_polls_less_and_at_an_edge_at_once() -> None:
    plug = Plug()
    meter = PollingMeter([plug], rate_hz=100)
    meter.start()
    time.sleep(1.1)
    near = plug.calls
    time.sleep(0.5)
    far = plug.calls - near
    meter.edge("close")
    time.sleep(0.25)
    after = plug.calls - near - far
    meter.close()
    assert far <= 0.5 * 20 + 3
    assert after > far


def test_how_long_calls_take_is_a_gauge() -> None:
    def slowly() -> float:
        time.sleep(0.02)
        return time.monotonic() // 0.05

    meter = PollingMeter([Plug(slowly)])
    record(meter, 1.3)
    (trace,) = meter.stop()
    assert [value for _, value in trace.gauges["call_s"]][-1] == pytest.approx(0.02, rel=0.5)


def test_a_gap_between_polls_is_a_fault_that_says_how_long_it_was() -> None:
    calls = iter(range(10_000))

    def read() -> float:
        time.sleep(0.6 if next(calls) == 20 else 0)
        return time.monotonic() // 0.05

    meter = PollingMeter([Plug(read)])
    record(meter, 1.2)
    (trace,) = meter.stop()
    starved = [fault for fault in trace.faults if fault.code == "starved"]
    assert len(starved) >= 1
    assert starved[0].detail.startswith("no poll for 0.6")


def test_a_gauge_that_fails_is_no_fault_and_one_not_supported_is_never_asked_again() -> None:
    asked: list[str] = []

    class Odd(Plug):
        def asks(self) -> list[Ask]:
            return [Ask(0.01, self.absent), Ask(0.01, self.broken), Ask(0.01, self.good)]

        def absent(self) -> Mapping[str, float]:
            asked.append("absent")
            raise SensorError("not-supported", "no such thing")

        def broken(self) -> Mapping[str, float]:
            asked.append("broken")
            raise ValueError("nonsense")

        def good(self) -> Mapping[str, float]:
            asked.append("good")
            return {"temperature_c": 40.0}

    meter = PollingMeter([Odd()])
    for _ in range(2):
        record(meter, 0.6)
        (trace,) = meter.stop()
        assert {fault.code for fault in trace.faults} <= {"starved"}
        assert len(trace.gauges["temperature_c"]) > 5
    assert asked.count("absent") == 1
    assert asked.count("broken") == 2


def test_a_call_that_hangs_blocks_stop_for_two_seconds_at_most_and_is_a_fault_since_it_began() -> None:
    release = threading.Event()
    meter = PollingMeter([Plug(lambda: float(release.wait(30)))])
    hung_ns = time.monotonic_ns()
    meter.start()
    time.sleep(0.5)
    began = time.monotonic()
    (trace,) = meter.stop()
    assert time.monotonic() - began < 2
    assert [fault.code for fault in trace.faults] == ["sensor-hangs"]
    assert trace.faults[0].t_ns - hung_ns < 0.4e9
    meter.start()
    began = time.monotonic()
    (second,) = meter.stop()
    release.set()
    assert time.monotonic() - began < 0.5, "it hung before: that is known, and not waited for again"
    assert [fault.code for fault in second.faults] == ["sensor-hangs"]


def test_a_call_that_returns_after_the_attempt_changes_no_later_one() -> None:
    release = threading.Event()
    plug = Plug(lambda: time.monotonic() // 0.05 if release.is_set() else float(release.wait(30)))
    meter = PollingMeter([plug])
    meter.start()
    time.sleep(0.05)
    (hung,) = meter.stop()
    release.set()
    time.sleep(0.1)
    record(meter)
    (good,) = meter.stop()
    assert hung.samples == ()
    assert len(staircase.edges_of(good.samples)) >= 3


def test_it_is_safe_without_start_without_sensors_and_twice() -> None:
    meter = PollingMeter([Plug()])
    meter.close()
    meter.edge("open")
    assert [t.samples for t in meter.stop()] in ([], [()])
    meter.start()
    meter.start()
    meter.close()
    meter.close()
    assert PollingMeter([]).stop() == []
    assert not [t for t in threading.enumerate() if t.name == "energy-polling"]


def test_a_second_attempt_begins_empty() -> None:
    meter = PollingMeter([Plug()])
    record(meter)
    (first,) = meter.stop()
    record(meter)
    (second,) = meter.stop()
    assert second.samples[0].t_ns > first.samples[-1].t_ns


def test_a_dead_channel_is_never_read() -> None:
    dead = Channel(id="x", meter="polling", source="plug", alive=False, reason="no-permission")
    plug = Plug(channel=dead)
    meter = PollingMeter([plug])
    record(meter, 0.05)
    assert meter.stop() == []
    assert plug.calls == 0


def test_what_a_meter_may_take_is_less_while_others_poll_and_less_for_the_lighter() -> None:
    heavy, light, idle = PollingMeter([Plug()]), PollingMeter([Plug()]), PollingMeter([Plug()])
    heavy.weight = 2.0
    heavy.start()
    assert heavy.cpu_share() == CPU_SHARE
    light.start()
    assert heavy.cpu_share() == pytest.approx(2 * light.cpu_share())
    assert heavy.cpu_share() + light.cpu_share() <= SHARED * 1.001
    idle.probe()  # does not poll
    light.close()
    assert heavy.cpu_share() == CPU_SHARE
    heavy.close()
