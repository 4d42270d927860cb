"""The NVML meter on simulated GPUs whose energy is known in closed form.

Each scenario is one child process (the library is found by its environment), all of them at once:
they mostly sleep. The child measures while the simulated GPU works from second 2.0 to 3.5.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.simulated.hardware import Gpu, Segment

pytestmark = pytest.mark.compiler

ROOT = Path(__file__).parents[2]
START_S, END_S = 2.0, 3.5
FAULT_S = 2.75
STEADY = (Segment(start_s=START_S, end_s=END_S, power_w=300.0),)
BURSTS = (Segment(start_s=START_S, end_s=END_S, power_w=400.0, period_s=0.13, duty=0.35),)

MEASURE = """
import json, sys, time
from dataclasses import asdict
from energy_plugin.meters.nvml import NvmlMeter
from energy_plugin.record.trace import Window, idle_of, integrate

t0, start, end = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
def until(second):
    while (left := t0 / 1e9 + second - time.monotonic()) > 0:
        time.sleep(left)
    return time.monotonic_ns()

meter = NvmlMeter()
channels = meter.probe()
lead = time.monotonic_ns()
meter.start()
opened = until(start)
meter.edge("open")
closed = until(end)
meter.edge("close")
time.sleep(meter.tail_s)
traces = meter.stop()
quarter = (closed - opened) // 4
spans = {"process": (opened, closed)}
spans |= {f"epoch:{i}": (opened + i * quarter, opened + (i + 1) * quarter) for i in range(4)}
before = Window(program=None, name="idle:before", t0_ns=lead, t1_ns=opened)
idle = {t.channel.id: idle_of(t, before) for t in traces}
readings = [
    asdict(integrate(t, Window(program="a", name=name, t0_ns=a, t1_ns=b), idle[t.channel.id]))
    for t in traces for name, (a, b) in spans.items()
]
print(json.dumps({
    "channels": [asdict(c) for c in channels],
    "late_s": (lead - t0) / 1e9,
    "idle": {name: asdict(i) if i else None for name, i in idle.items()},
    "readings": readings,
    "gauges": [sorted(t.gauges) for t in traces],
    "samples": [len(t.samples) for t in traces],
}))
"""

SCENARIOS: dict[str, dict[str, Any]] = {
    "steady": {"segments": STEADY},
    "bursts": {"segments": BURSTS},
    "fast": {"segments": STEADY, "tick_s": 0.02},
    "two": {"segments": STEADY, "gpus": 2},
    "slow calls": {"segments": STEADY, "extra": ("call_s 0.02",)},
    "lost": {"segments": STEADY, "extra": (f"fault TotalEnergyConsumption {FAULT_S} inf 15",)},
    "reset": {"segments": STEADY, "extra": (f"reset {FAULT_S}",)},
    "frozen": {"segments": STEADY, "extra": (f"freeze {START_S + 0.2}",)},
    "hiccup": {"segments": STEADY, "extra": (f"fault TotalEnergyConsumption {FAULT_S} {FAULT_S + 0.05} 10",)},
    "zero": {"segments": STEADY, "extra": ("zero",)},
    "no counter": {"segments": STEADY, "extra": ("fault TotalEnergyConsumption -inf inf 3",)},
    "neither": {"extra": ("fault TotalEnergyConsumption -inf inf 3", "fault PowerUsage -inf inf 3")},
    "implausible": {"idle_w": 5000.0},
    "none": {"gpus": 0},
    "no driver": {"extra": ("fault InitWithFlags -inf inf 9",)},
    "no temperature": {"segments": STEADY, "extra": ("fault GetTemperature -inf inf 3",)},
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Gpu, dict[str, Any]]]:
    running = {}
    for name, arguments in SCENARIOS.items():
        gpu = Gpu(folder=tmp_path_factory.mktemp("gpu"), t0_ns=time.monotonic_ns(), **arguments)
        environment = {**os.environ, **gpu.install()}
        command = [sys.executable, "-c", MEASURE, str(gpu.t0_ns), str(START_S), str(END_S)]
        running[name] = (
            gpu,
            subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ),
        )
    found = {}
    for name, (gpu, child) in running.items():
        out, error = child.communicate(timeout=60)
        assert child.returncode == 0, error
        found[name] = gpu, json.loads(out)
    return found


Measured = dict[str, tuple[Gpu, dict[str, Any]]]


def process(measured: Measured, name: str) -> tuple[float, dict[str, Any]]:
    gpu, answer = measured[name]
    reading = next(r for r in answer["readings"] if r["window"]["name"] == "process")
    return gpu.energy_j(reading["window"]["t0_ns"], reading["window"]["t1_ns"]), reading


@pytest.mark.parametrize("name", ["steady", "bursts", "fast", "two", "slow calls", "no temperature"])
def test_a_known_energy_is_measured_within_its_bounds(measured: Measured, name: str) -> None:
    truth, reading = process(measured, name)
    assert reading["status"] == "measured", reading["reason"]
    assert reading["lo_j"] <= truth <= reading["hi_j"]
    assert reading["lo_j"] <= reading["joules"] <= reading["hi_j"]
    assert reading["source"] == "nvml-counter"


@pytest.mark.parametrize("name", ["steady", "bursts", "fast"])
def test_resolved_edges_come_close_to_the_truth(measured: Measured, name: str) -> None:
    truth, reading = process(measured, name)
    if measured[name][1]["idle"][reading["channel"]] is None:
        # Too busy a machine for an idle baseline before the load: then the bracket is all there is.
        assert reading["method"] == "linear-edges"
        assert reading["lo_j"] <= truth <= reading["hi_j"]
    else:
        assert reading["method"] == "resolved-edges"
        assert reading["joules"] == pytest.approx(truth, rel=0.02)


def test_epochs_add_up_and_hold_the_truth(measured: Measured) -> None:
    gpu, answer = measured["steady"]
    epochs = [r for r in answer["readings"] if r["window"]["name"].startswith("epoch:")]
    for reading in epochs:
        truth = gpu.energy_j(reading["window"]["t0_ns"], reading["window"]["t1_ns"])
        assert reading["status"] == "measured"
        assert reading["lo_j"] <= truth <= reading["hi_j"]
    total, whole = sum(r["joules"] for r in epochs), process(measured, "steady")[1]
    assert whole["lo_j"] <= total <= whole["hi_j"]


def test_every_gpu_is_a_channel_by_its_uuid(measured: Measured) -> None:
    channels = measured["two"][1]["channels"]
    assert [c["id"] for c in channels] == [f"gpu:GPU-00000000-0000-0000-0000-{i:012}" for i in (1, 2)]
    assert all(c["alive"] and c["tick_s"] == pytest.approx(0.1, rel=0.5) for c in channels)


def test_gauges_are_recorded_and_those_unknown_are_left_out(measured: Measured) -> None:
    every = ["memory_used_bytes", "power_w", "temperature_c", "utilization_percent"]
    assert measured["steady"][1]["gauges"] == [every]
    assert measured["no temperature"][1]["gauges"] == [[g for g in every if g != "temperature_c"]]


@pytest.mark.parametrize(
    ("name", "reason"), [("lost", "gpu-lost"), ("reset", "counter-reset"), ("frozen", "frozen-counter")]
)
def test_a_fault_midway_gives_the_covered_part_and_never_more(
    measured: Measured, name: str, reason: str
) -> None:
    truth, reading = process(measured, name)
    assert (reading["status"], reading["reason"]) == ("partial", reason)
    assert 0 < reading["joules"] < truth
    assert 0 < reading["covered_s"] < END_S - START_S
    # Before the fault the GPU ran at one power, so the covered part is known too.
    assert reading["joules"] == pytest.approx(360 * reading["covered_s"], rel=0.15)


def test_a_passing_error_costs_the_label_but_not_the_joules(measured: Measured) -> None:
    truth, reading = process(measured, "hiccup")
    assert (reading["status"], reading["reason"]) == ("partial", "timeout")
    assert reading["lo_j"] <= truth <= reading["hi_j"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("zero", "dead-counter"),
        ("neither", "not-supported"),
        ("implausible", "implausible"),
        ("none", "no-gpu"),
        ("no driver", "no-driver"),
    ],
)
def test_what_cannot_be_read_is_dead_with_its_reason_and_has_no_reading(
    measured: Measured, name: str, reason: str
) -> None:
    answer = measured[name][1]
    assert [(c["alive"], c["reason"]) for c in answer["channels"]] == [(False, reason)]
    assert answer["readings"] == []


def test_without_a_counter_power_is_summed_and_called_an_estimate(measured: Measured) -> None:
    truth, reading = process(measured, "no counter")
    assert (reading["status"], reading["source"]) == ("estimated", "nvml-power")
    assert reading["method"] == "power-integral"
    assert reading["joules"] == pytest.approx(truth, rel=0.15)
    assert reading["lo_j"] is None


def test_a_staircase_is_kept_without_its_flat_parts(measured: Measured) -> None:
    (samples,) = measured["steady"][1]["samples"]
    assert samples < 2.5 * (END_S + 1) / 0.1
