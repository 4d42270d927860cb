"""Rated power times time, and nothing where no power was given."""

from __future__ import annotations

import time

from energy_plugin.meters.calculator import CalculatorMeter
from energy_plugin.record.trace import Window, integrate


def test_a_rated_power_times_the_window_is_an_estimate() -> None:
    meter = CalculatorMeter({"cpu": 65.0})
    meter.start()
    meter.edge("open")
    t0 = time.monotonic_ns()
    time.sleep(0.2)
    t1 = time.monotonic_ns()
    meter.edge("close")
    (trace,) = meter.stop()
    reading = integrate(trace, Window(program="a", name="process", t0_ns=t0, t1_ns=t1), None)
    assert (reading.status, reading.kind, reading.source) == ("estimated", "model", "tdp-table")
    assert reading.joules is not None
    assert 0.2 * 65 <= reading.joules < 0.4 * 65


def test_a_power_that_was_not_given_is_never_guessed() -> None:
    channels = {channel.id: channel for channel in CalculatorMeter({"cpu": 65.0, "gpu": 0.0}).probe()}
    assert channels["cpu"].alive
    assert (channels["gpu"].alive, channels["gpu"].reason) == (False, "no-tdp")
    assert "--energy-tdp gpu=" in channels["gpu"].fix
    assert "--energy-tdp cpu=65" in CalculatorMeter().probe()[0].fix


def test_without_edges_there_are_no_samples() -> None:
    meter = CalculatorMeter({"gpu": 300})
    meter.start()
    assert [trace.samples for trace in meter.stop()] == [()]
    meter.close()
