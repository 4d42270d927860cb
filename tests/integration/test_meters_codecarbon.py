"""The real CodeCarbon in its helper: silent, warmed, and honest about where its joules come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from energy_plugin.meters.codecarbon import CodeCarbonMeter
from energy_plugin.record.trace import Window, integrate
from tests.simulated.hardware import Gpu, Segment

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def test_a_busy_second_is_estimated_above_zero(tmp_path: Path) -> None:
    meter = CodeCarbonMeter(log=tmp_path / "codecarbon.log")
    try:
        channels = {channel.id: channel for channel in meter.probe()}
        assert channels["cpu"].alive
        assert channels["cpu"].source in {"load-model", "tdp", "rapl-powercap"}
        for _ in range(2):  # the second task starts from totals that are no longer zero
            meter.start()
            meter.edge("open")
            t0 = time.monotonic_ns()
            while time.monotonic_ns() - t0 < 1_000_000_000:
                pass
            window = Window(program="a", name="process", t0_ns=t0, t1_ns=time.monotonic_ns())
            meter.edge("close")
            readings = {t.channel.id: integrate(t, window, None) for t in meter.stop()}
            for part in ("cpu", "ram"):
                assert readings[part].status == "estimated"
                assert readings[part].method == "exact-window"
                assert 0 < (readings[part].joules or 0) < 1000
    finally:
        meter.close()
    assert (tmp_path / "codecarbon.log").read_text() == ""


MEASURE = """
import json, sys, time
from energy_plugin.meters.codecarbon import CodeCarbonMeter
meter = CodeCarbonMeter()
gpu = next(c for c in meter.probe() if c.id == "gpu")
meter.start(); meter.edge("open"); time.sleep(2); meter.edge("close")
trace = next(t for t in meter.stop() if t.channel.id == "gpu")
meter.close()
print(json.dumps({"source": gpu.source, "samples": trace.samples}))
"""


@pytest.mark.compiler
def test_where_codecarbon_reads_the_counter_of_the_gpu_its_source_says_so(tmp_path: Path) -> None:
    load = Segment(start_s=0, end_s=3600, power_w=240)
    gpu = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), segments=(load,))
    environment = {**os.environ, **gpu.install()}
    command = [sys.executable, "-c", MEASURE]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["source"] == "nvml-counter"
    (t0, _), (t1, joules) = answer["samples"]
    assert joules == pytest.approx(gpu.energy_j(t0, t1), rel=0.1)
