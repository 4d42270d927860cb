"""Which counters are believed, and what takes the place of the others."""

from __future__ import annotations

import random
import statistics
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_plugin.clock import SystemClock
from energy_plugin.meters.nvml_probe import all_within, judge, settle, watch
from energy_plugin.meters.nvml_sensors import CounterSensor, PowerSensor
from energy_plugin.meters.tape import SensorError
from energy_plugin.record.trace import Channel, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNEL = Channel(id="gpu:GPU-1", meter="nvml", source="nvml-counter", detail="A GPU", limit_w=300.0)


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


def library(energy: Callable[[], float], power_w: float | None = 100.0) -> SimpleNamespace:
    """An nvidia-ml-py of one GPU; no power field, and no power at all where *power_w* is None."""

    def usage(handle: object) -> float:
        if power_w is None:
            raise NVMLError(3)
        return power_w * 1000

    def fields(handle: object, asked: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(nvmlReturn=3)]

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: energy() * 1000,
        nvmlDeviceGetPowerUsage=usage,
        nvmlDeviceGetFieldValues=fields,
        nvmlDeviceGetArchitecture=lambda handle: 9,
        nvmlDeviceGetName=lambda handle: "A GPU",
    )


def settled(
    monkeypatch: pytest.MonkeyPatch, energy: Callable[[], float], power_w: float | None = 100.0
) -> CounterSensor:
    monkeypatch.setitem(sys.modules, "pynvml", library(energy, power_w))
    monkeypatch.setattr("energy_plugin.meters.nvml_probe.WATCH_MOST_S", 0.4)
    return settle(CounterSensor(object(), CHANNEL, SystemClock()), SystemClock())


def staircase(power_w: float, tick_s: float, span_s: float, gap_s: float = 0.004) -> list[Sample]:
    times = [k * gap_s for k in range(int(span_s / gap_s))]
    return [Sample(int(t * 1e9), 1e6 + power_w * tick_s * (t // tick_s)) for t in times]


@given(power_w=st.floats(2, 440), tick_s=st.sampled_from([0.01, 0.02, 0.05, 0.1]))
def test_a_steady_counter_is_believed_and_its_tick_known(power_w: float, tick_s: float) -> None:
    channel = judge(CHANNEL, staircase(power_w, tick_s, 0.5))
    assert channel.alive
    assert channel.tick_s == pytest.approx(tick_s, abs=0.005)


def test_a_counter_slower_than_the_probe_has_at_least_the_time_it_stood() -> None:
    channel = judge(CHANNEL, staircase(100, 0.7, 1.2))
    assert channel.alive
    assert channel.tick_s == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize(
    ("call_s", "late_s"), [((0.0, 0.0001), 0.0), ((0.005, 0.05), 0.04), ((0.05, 0.05), 0.0)]
)
def test_the_tick_is_not_taken_for_much_shorter_however_slow_calls_are_and_late_updates_come(
    call_s: tuple[float, float], late_s: float
) -> None:
    ticks, spans = zip(*(slowly_watched(seed, call_s, late_s) for seed in range(100)), strict=True)
    assert min(ticks) >= 0.089  # six of them hold four edges still
    assert max(ticks) <= 0.13  # an update may be missed between two slow calls
    assert statistics.fmean(ticks) == pytest.approx(0.1, abs=0.003)
    assert max(spans) <= (1.4 if call_s[0] else 0.4)


def slowly_watched(seed: int, call_s: tuple[float, float], late_s: float) -> tuple[float, float]:
    """Tick judged of a 100 ms counter in virtual time, and for how long it was watched."""
    rng = random.Random(seed)
    begun_s = now_s = 5 + rng.random()
    late: dict[int, float] = {}

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    def read() -> Sample:
        took_s = rng.uniform(*call_s)
        seen_s = now_s + took_s * rng.random()
        tick = int(seen_s // 0.1)
        tick -= seen_s - tick * 0.1 < late.setdefault(tick, rng.random() * late_s)
        sleep(took_s)
        return Sample(int(now_s * 1e9), 1000 + 36.0 * tick)

    clock = SimpleNamespace(now_ns=lambda: int(now_s * 1e9), sleep=sleep)
    samples = watch(SimpleNamespace(read=read), clock)  # type: ignore[arg-type]
    return judge(CHANNEL, samples).tick_s, now_s - begun_s


@pytest.mark.parametrize("power_w", [0.2, 2000, 1e6])
def test_a_counter_of_an_impossible_power_is_implausible(power_w: float) -> None:
    channel = judge(CHANNEL, staircase(power_w, 0.02, 0.5))
    assert (channel.alive, channel.reason) == (False, "implausible")


def test_a_counter_that_runs_backwards_is_implausible() -> None:
    channel = judge(CHANNEL, [Sample(int(k * 1e7), 1e6 - k) for k in range(50)])
    assert (channel.alive, channel.reason) == (False, "implausible")


def test_a_passing_error_in_the_probe_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(10_000))

    def energy() -> float:
        if next(calls) in (0, 5, 6):
            raise NVMLError(10)
        return 100 * 0.02 * (time.monotonic() // 0.02)

    sensor = settled(monkeypatch, energy)
    assert (sensor.channel.alive, sensor.channel.kind) == (True, "direct")


def test_a_counter_that_is_not_supported_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def energy() -> float:
        asked.append(1)
        raise NVMLError(3)

    monkeypatch.setitem(sys.modules, "pynvml", library(energy))
    with pytest.raises(SensorError, match="error 3"):
        watch(CounterSensor(object(), CHANNEL, SystemClock()), SystemClock())
    assert len(asked) == 1


@pytest.mark.parametrize(("value", "why"), [(0.0, "dead-counter"), (1234.5, "dead-counter")])
def test_for_a_counter_that_stands_power_is_summed(
    monkeypatch: pytest.MonkeyPatch, value: float, why: str
) -> None:
    sensor = settled(monkeypatch, lambda: value)
    assert isinstance(sensor, PowerSensor)
    assert (sensor.channel.kind, sensor.channel.source) == ("model", "nvml-power")
    assert why in sensor.channel.detail
    assert f"{value:g} J" in sensor.channel.detail


@pytest.mark.parametrize("power_w", [None, 0.0, 5000.0])
def test_without_believable_power_there_is_nothing_and_both_are_told(
    monkeypatch: pytest.MonkeyPatch, power_w: float | None
) -> None:
    sensor = settled(monkeypatch, lambda: 0.0, power_w)
    assert (sensor.channel.alive, sensor.channel.reason) == (False, "dead-counter")
    assert "power:" in sensor.channel.detail


def test_power_is_summed_by_trapezoids_and_told_with_each_read(monkeypatch: pytest.MonkeyPatch) -> None:
    powers = iter([100.0, 300.0, 300.0])
    monkeypatch.setitem(sys.modules, "pynvml", library(lambda: 0.0))
    clock = SimpleNamespace(now_ns=iter([0, 0, 10**9, 2 * 10**9]).__next__)
    sensor = PowerSensor(object(), CHANNEL, clock, lambda _: next(powers))
    assert [sensor.read().joules for _ in range(3)] == [0.0, 200.0, 500.0]
    assert sensor.told == {"power_w": 300.0}


def test_power_of_nothing_is_an_error_and_no_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library(lambda: 0.0))
    sensor = PowerSensor(object(), CHANNEL, SystemClock(), lambda _: 0.0)
    with pytest.raises(SensorError) as error:
        sensor.read()
    assert error.value.code == "zero-power"


def test_work_that_fails_or_hangs_leaves_its_reason_in_its_place() -> None:
    def fail() -> int:
        raise SensorError("gpu-lost", "GPU is lost")

    def hang() -> int:
        time.sleep(1)
        return 1

    began = time.monotonic()
    good, bad, silent = all_within(0.2, [lambda: 7, fail, hang])
    assert time.monotonic() - began < 0.9
    assert good == 7
    assert getattr(bad, "code", "") == "gpu-lost"
    assert getattr(silent, "code", "") == "sensor-hangs"
