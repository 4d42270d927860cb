"""The NVML meter at work in a child process, where the simulated library is found by its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulated.hardware import Gpu

ROOT = Path(__file__).parents[1]

CHILD = """
import json, sys, time
from dataclasses import asdict
from energy_plugin.meters.nvml import NvmlMeter
from energy_plugin.record.trace import Window, idle_of, integrate

t0, start, end, gpus = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
def until(second):
    while (left := t0 / 1e9 + second - time.monotonic()) > 0:
        time.sleep(left)
    return time.monotonic_ns()

meter = NvmlMeter(gpus=gpus)
began = time.monotonic()
channels = meter.probe()
probed_s = time.monotonic() - began
lead = time.monotonic_ns()
meter.start()
opened = until(start)
meter.edge("open")
closed = until(end)
meter.edge("close")
time.sleep(meter.tail_s)
began = time.monotonic()
traces = meter.stop()
stopped_s = time.monotonic() - began
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
    "probed_s": probed_s, "stopped_s": stopped_s, "lead_s": meter.lead_s, "tail_s": meter.tail_s,
    "idle": {name: asdict(i) if i else None for name, i in idle.items()},
    "readings": readings,
    "gauges": {t.channel.id: t.gauges for t in traces},
    "faults": {t.channel.id: t.faults for t in traces},
    "samples": {t.channel.id: len(t.samples) for t in traces},
    "processes": [asdict(p) for p in meter.processes()],
}))
"""


def begin(gpu: Gpu, start_s: float, end_s: float, *chosen: str) -> subprocess.Popen[str]:
    """Measure from *start_s* to *end_s* of the GPU's own time, in a child."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(gpu.t0_ns), str(start_s), str(end_s), *chosen],
        cwd=ROOT,
        env={**os.environ, **gpu.install()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(child: subprocess.Popen[str]) -> dict[str, Any]:
    """What it saw: channels, and readings, gauges, faults and processes of every GPU."""
    out, error = child.communicate(timeout=60)
    assert child.returncode == 0, error
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def uuid(index: int) -> str:
    """Of the simulated GPU at *index*."""
    return f"GPU-00000000-0000-0000-0000-{index + 1:012}"


def process(answer: dict[str, Any], index: int = 0) -> dict[str, Any]:
    """The reading of the process window on one GPU."""
    (found,) = (
        r
        for r in answer["readings"]
        if r["window"]["name"] == "process" and r["channel"] == f"gpu:{uuid(index)}"
    )
    assert isinstance(found, dict)
    return found


def truth_j(gpu: Gpu, reading: dict[str, Any], index: int = 0) -> float:
    """What that GPU really took in the reading's window."""
    return gpu.energy_j(reading["window"]["t0_ns"], reading["window"]["t1_ns"], index)
