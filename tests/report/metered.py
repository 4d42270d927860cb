"""The golden session with everything meters can leave: two readers of one counter, traces, idle, tail.

Truth: every channel draws its golden power in the process window (evenly), IDLE_W of it before and
after, and TAIL_W more than that for TAIL_S after the end.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from tests.report import tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Row = dict[str, Any]

GPU = "gpu:GPU-00000000-0000-0000-0000-000000000001"
IDLE_W = {"cpu:package:0": 8.0, "cpu:dram:0": 1.0, GPU: 10.0}
IDLE_UNC_W, LEAD_S, TAIL_S, TAIL_W = 0.2, 3.0, 1.0, 20.0
RAPL_SHARE, CODECARBON_SHARE = 1.002, 0.98
"""What rapl reads of perf's joules, and CodeCarbon of the GPU counter that both it and nvml read."""
LABEL = "made-up meters"
HEAD = ("meter", "channel", "kind", "source", "form", "quantity", "t_ns", "value")


def session(folder: Path, *, simulated: bool = False, mains: bool = False) -> Path:
    """A copy of the golden session with the rest of the meters' work in it."""
    found = tables.golden(folder)
    table = pd.read_csv(found / "summary.csv")
    for path in sorted(found.glob("*/energy/readings.json")):
        readings = [
            r for r in json.loads(path.read_text()) if not str(r["window"]).startswith(("idle", "tail"))
        ]
        whole = {r["channel"]: r for r in readings if r["window"] == "process" and r["kind"] == "direct"}
        readings += list(_others(whole, mains=mains))
        path.write_text(json.dumps(readings))
        _write_traces(path.with_name("trace.csv"), whole)
        _net(table, path.parent.parent.name, whole)
    table["simulated"] = LABEL if simulated else ""
    table.to_csv(found / "summary.csv", index=False)
    if simulated:
        facts = json.loads((found / "session.json").read_text())
        (found / "session.json").write_text(json.dumps({**facts, "simulated": LABEL}))
    return found


def _seconds(reading: Row) -> float:
    return float(reading["t1_ns"] - reading["t0_ns"]) / 1e9


def _others(whole: dict[str, Row], *, mains: bool) -> Iterator[Row]:
    package, gpu = whole["cpu:package:0"], whole[GPU]
    rapl = {"meter": "rapl", "source": "rapl-powercap", "method": "linear-edges"}
    yield {**package, **rapl, "joules": package["joules"] * RAPL_SHARE}
    same = {"meter": "codecarbon", "channel": "gpu", "kind": "model", "status": "estimated"}
    yield {**gpu, **same, "joules": gpu["joules"] * CODECARBON_SHARE, "lo_j": None, "hi_j": None}
    yield {**package, **rapl, "window": "training", "status": "unavailable", "reason": "lost", "joules": None}
    for name, start_s, end_s in (("idle:before", -LEAD_S, 0.0), ("tail", 0.0, TAIL_S)):
        edge = gpu["t0_ns"] if name == "idle:before" else gpu["t1_ns"]
        span = {"window": name, "t0_ns": edge + int(start_s * 1e9), "t1_ns": edge + int(end_s * 1e9)}
        joules = IDLE_W[GPU] * LEAD_S if name == "idle:before" else (IDLE_W[GPU] + TAIL_W) * TAIL_S
        yield {**gpu, **span, "program": None, "joules": joules, "covered_s": end_s - start_s}
    if mains:
        joules = 1.2 * sum(r["joules"] for r in whole.values()) + 40 * _seconds(gpu)
        wall = {"meter": "wall", "channel": "mains:desk", "source": "shelly-counter", "method": "display"}
        yield {**gpu, **wall, "joules": joules, "lo_j": joules - 30, "hi_j": joules + 30, "idle_w": None}


def _net(table: pd.DataFrame, run: str, whole: dict[str, Row]) -> None:
    seconds, idle_w = _seconds(whole[GPU]), sum(IDLE_W.values())
    row = table["experiment_id"] == run
    gross = table.loc[row, "total_energy_joules"].iloc[0]
    for name, value in {
        "energy_net_joules": gross - idle_w * seconds,
        "energy_net_uncertainty_joules": IDLE_UNC_W * seconds,
        "idle_power_watts": idle_w,
        "idle_power_uncertainty_watts": IDLE_UNC_W,
        "energy_tail_joules": TAIL_W * TAIL_S,
        "tail_seconds": TAIL_S,
    }.items():
        table.loc[row, name] = value


def power_w(channel: str, whole: dict[str, Row], t_ns: int) -> float:
    """The truth at one moment."""
    reading = whole[channel]
    if reading["t0_ns"] <= t_ns < reading["t1_ns"]:
        return float(reading["joules"]) / _seconds(reading)
    after_s = (t_ns - reading["t1_ns"]) / 1e9
    return IDLE_W[channel] + (TAIL_W if channel == GPU and 0 <= after_s < TAIL_S else 0.0)


def _write_traces(path: Path, whole: dict[str, Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        for row in _rows(whole):
            writer.writerow(row)


def _rows(whole: dict[str, Row]) -> Iterator[tuple[object, ...]]:
    reading = whole[GPU]
    nvml = ("nvml", GPU, "direct", "nvml-counter", "counter")
    yield (*nvml, "tick_s", "", "0.1")
    times = range(reading["t0_ns"] - int(LEAD_S * 1e9), reading["t1_ns"] + int(2 * TAIL_S * 1e9), 20_000_000)
    joules = shown = 1000.0
    for i, t_ns in enumerate(times):
        if i % 5 == 0:  # the counter ticks every 100 ms and is read every 20 ms
            shown = joules
        yield (*nvml, "energy_j", t_ns, repr(shown))
        joules += power_w(GPU, whole, t_ns) * 0.02
    for t_ns in times[::5]:
        yield (*nvml, "power_w", t_ns, repr(power_w(GPU, whole, t_ns) + (3.0 if t_ns % 3 else -3.0)))
    rapl = ("rapl", "cpu:package:0", "direct", "rapl-powercap", "counter")
    yield (*rapl, "tick_s", "", "0.001")
    joules = 50.0
    for t_ns in times[::5]:
        yield (*rapl, "energy_j", t_ns, repr(joules))
        joules += power_w("cpu:package:0", whole, t_ns) * 0.1
    for meter, channel, kind, source in (
        ("perf", "cpu:dram:0", "direct", "rapl-pmu"),
        ("codecarbon", "cpu", "model", "load-model"),
    ):
        two = (meter, channel, kind, source, "window", "energy_j")
        yield (*two, reading["t0_ns"], "0.0")
        yield (*two, reading["t1_ns"], repr(whole["cpu:dram:0"]["joules"]))
    usage = ("usage", "program:a", "direct", "cgroup", "counter")
    for t_ns in times[::10]:
        used = min(max(t_ns, reading["t0_ns"]), reading["t1_ns"]) - reading["t0_ns"]
        yield (*usage, "cpu_time_s", t_ns, repr(1.5 * used / 1e9))
