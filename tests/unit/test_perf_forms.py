"""Every way perf is known to fail or to differ, by small programs in its place."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.meters import perf_process
from energy_plugin.meters.perf import INTERVAL_MS, PerfMeter
from energy_plugin.record.trace import Reading, Window, integrate

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE_W = 50.0
# Counts at PACKAGE_W while switched on; what it accepts and how it fails comes from a JSON file.
PROGRAM = r"""
import json, os, select, signal, sys, time
how = json.load(open(sys.argv[0] + ".json"))
a = sys.argv[1:]
how["seen"] = a + [os.environ.get("LC_ALL", "")]
json.dump(how, open(sys.argv[0] + ".seen", "w"))
for switch in how.get("refuses", []):
    if any(x.startswith("-" + switch) or x.startswith("--" + switch) for x in a):
        word = "switch" if len(switch) == 1 else "option"
        sys.exit(print(f"Error: unknown {word} `{switch}'", file=sys.stderr) or 129)
event = a[a.index("-e") + 1].split("/")[1]
if event not in how["events"]:
    sys.exit(print(f"event syntax error: '{event}'\n  \___ Bad event or PMU", file=sys.stderr) or 129)
csv, step = "-x;" in a, int(a[a.index("-I") + 1]) / 1000 if "-I" in a else None
theirs, mine = map(int, a[a.index("--control") + 1][3:].split(","))
t0, on, counted, last, due = time.monotonic(), None, 0.0, 0.0, step
stop = []
signal.signal(signal.SIGINT, lambda *_: stop.append(1))
def total():
    return counted + (time.monotonic() - on if on else 0.0)
def line(at, seconds):
    joules = "<not counted>" if seconds <= 0 else ("%.2f" if csv else "%.6f") % (how["watts"] * seconds)
    run = int(seconds * 1e9) if how.get("tells_time", True) else 0
    if csv:
        head = "" if at is None else f"{at:16.9f};"
        text = f"{head}S0;1;{joules};Joules;power/{event}/;{run};100.00;;"
    else:
        row = {} if at is None else {"interval": at}
        text = json.dumps({**row, "socket": "S0", "aggregate-number": 1, "counter-value": joules,
                           "unit": "Joules", "event": f"power/{event}/", "event-runtime": run})
    print(text, file=sys.stderr, flush=True)
def tick():
    global last
    now = total()
    line(time.monotonic() - t0, now - last)
    last = now
while not stop:
    if step and time.monotonic() - t0 >= due:
        tick()
        due += step
    if select.select([theirs], [], [], 0.002)[0]:
        for word in os.read(theirs, 4096).decode().split():
            if how.get("mute_after") is not None and how["mute_after"] <= 0:
                continue
            if "mute_after" in how:
                how["mute_after"] -= 1
            if word == "enable" and not on:
                on = time.monotonic()
            elif word == "disable" and on:
                counted, on = counted + time.monotonic() - on, None
            for part in how.get("ack", ["ack\n\0"]):
                os.write(mine, part.encode())
                time.sleep(how.get("ack_s", 0))
time.sleep(how.get("end_s", 0))
tick() if step else line(None, total())
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGINT)
"""


class World:
    """A folder with the kernel's list of events and a perf that behaves as told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "perf"
        events = folder / "sys/bus/event_source/devices/power/events"
        events.mkdir(parents=True)
        (events / "energy-pkg").write_text("event=0x02\n")
        (events / "energy-pkg.unit").write_text("Joules\n")
        (events / "energy-pkg.scale").write_text("2.3283064365386962890625e-10\n")

    def perf(self, **how: object) -> PerfMeter:
        self.behave(**how)
        return self._meter(f"#!{sys.executable} -S\n{PROGRAM}")

    def script(self, text: str) -> PerfMeter:
        return self._meter(f"#!/bin/sh\n{text}\n")

    def behave(self, **how: object) -> None:
        (self.folder / "perf.json").write_text(
            json.dumps({"watts": PACKAGE_W, "events": ["energy-pkg"], **how})
        )

    def _meter(self, text: str) -> PerfMeter:
        self.program.write_text(text)
        self.program.chmod(0o755)
        return PerfMeter(
            program=str(self.program), sysfs=self.folder / "sys", procfs=self.folder / "proc", probe_s=0.1
        )

    @property
    def seen(self) -> list[str]:
        """What the last perf was started with, and its LC_ALL."""
        found: list[str] = json.loads((self.folder / "perf.seen").read_text())["seen"]
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_process, "ACK_TIMEOUT_S", 0.6)


def package(meter: PerfMeter) -> tuple[str, str, str]:
    channel = next(c for c in meter.probe() if c.id == "cpu:package:0")
    assert channel.alive == (not channel.reason)
    return channel.reason, channel.detail, channel.fix


def attempt(meter: PerfMeter, *sleeps: float, kill: signal.Signals | None = None) -> list[Reading]:
    """Readings of the process window and of its last parts, each from one sleep on to the end."""
    meter.start()
    meter.edge("open")
    times = [time.monotonic_ns()]
    for seconds in sleeps:
        time.sleep(seconds)
        times.append(time.monotonic_ns())
        if kill and len(times) == 2:
            assert meter._process is not None
            os.kill(meter._process._process.pid, kill)
    meter.edge("close")
    (trace,) = meter.stop()
    names = ["process", *("training" for _ in sleeps[1:])]
    windows = [
        Window(program="a", name=name, t0_ns=t0, t1_ns=times[-1])
        for name, t0 in zip(names, times, strict=False)
    ]
    return [integrate(trace, window, None) for window in windows]


def holds(reading: Reading) -> bool:
    truth = PACKAGE_W * reading.window.duration_s
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    return reading.lo_j <= truth * 1.02 and truth * 0.98 <= reading.hi_j


# --- what perf accepts ------------------------------------------------------------------------------


def test_perf_speaks_english_and_writes_json_where_it_can(world: World) -> None:
    assert package(world.perf()) == ("", "", "")
    assert "-j" in world.seen
    assert world.seen[-1] == "C"


def test_a_perf_without_json_writes_semicolons_and_says_how_coarse(world: World) -> None:
    meter = world.perf(refuses=["j"])
    reason, detail, _ = package(meter)
    assert (reason, "0.01 J" in detail) == ("", True)
    meter._intervals = lambda: False
    (reading,) = attempt(meter, 0.3)
    assert "-x;" in world.seen
    assert (reading.status, reading.method) == ("measured", "exact-window")
    assert holds(reading)


def test_a_perf_without_control_is_too_old(world: World) -> None:
    reason, detail, fix = package(world.perf(refuses=["j", "control"]))
    assert reason == "old-perf"
    assert "control" in detail
    assert fix == "apt-get install linux-perf"


@pytest.mark.parametrize("ack", [["ack\n"], ["ack\n", "\0"]])
def test_an_ack_is_one_whenever_its_nul_comes(world: World, ack: list[str]) -> None:
    meter = world.perf(ack=ack, ack_s=0.02)
    assert package(meter) == ("", "", "")
    meter._intervals = lambda: False
    (reading,) = attempt(meter, 0.2)
    assert reading.status == "measured"
    assert holds(reading)


def test_perf_is_asked_also_where_the_kernel_lists_nothing(world: World) -> None:
    meter = world.perf()
    shutil.rmtree(world.folder / "sys")
    assert package(meter) == ("", "", "")
    (dram,) = (c for c in meter.probe() if c.id == "cpu:dram:0")
    assert (dram.reason, "modprobe rapl" in dram.fix) == ("no-event", True)


@pytest.mark.parametrize(("events", "reason"), [(["energy-pkg", "energy-ram"], ""), ([], "no-event")])
def test_what_perf_counts_is_what_there_is(world: World, events: list[str], reason: str) -> None:
    found = {c.id: c.reason for c in world.perf(events=events).probe()}
    assert found == {"cpu:package:0": reason, "cpu:dram:0": reason}


# --- intervals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tells_time", [True, False])
def test_intervals_measure_an_inner_window_and_leave_the_whole_one_exact(
    world: World, tells_time: bool
) -> None:
    process, training = attempt(world.perf(tells_time=tells_time), 0.5, 0.9)
    assert world.seen[world.seen.index("-I") + 1] == str(INTERVAL_MS["json"])
    assert (process.status, process.method) == ("measured", "exact-window")
    assert (training.status, training.method) == ("measured", "linear-edges")
    assert holds(process)
    assert holds(training)
    assert training.joules == pytest.approx(PACKAGE_W * training.window.duration_s, rel=0.1)


def test_without_intervals_an_inner_window_is_a_guess_and_says_so(world: World) -> None:
    meter = world.perf()
    meter._intervals = lambda: False
    process, training = attempt(meter, 0.4, 0.4)
    assert "-I" not in world.seen
    assert process.status == "measured"
    assert (training.status, training.method) == ("estimated", "interpolated")


def test_the_edges_carry_how_long_each_command_took(world: World) -> None:
    meter = world.perf()
    meter.start()
    meter.edge("open")
    meter.edge("close")
    (trace,) = meter.stop()
    assert len(trace.gauges["edge_s"]) == 2
    assert all(0 < seconds < 0.5 for _, seconds in trace.gauges["edge_s"])


# --- how it fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason", "mend"),
    [
        (
            'echo "WARNING: perf not found for kernel 6.8.0-41" >&2; exit 2',
            "no-perf",
            "apt-get install linux-tools-$(uname -r)",
        ),
        ('echo "event syntax error: unknown term" >&2; exit 129', "no-event", "modprobe rapl"),
        ('echo "perf_event_paranoid setting is 4:" >&2; exit 255', "no-permission", "setcap cap_perfmon+ep"),
        ('echo "Segmentation fault" >&2; exit 139', "perf-failed", "linux-perf"),
        ("exit 0", "perf-failed", "linux-perf"),
    ],
)
def test_a_perf_that_ends_at_once_is_told_apart_by_what_it_says(
    world: World, text: str, reason: str, mend: str
) -> None:
    (world.folder / "sys/bus/event_source/devices/power/type").write_text("9\n")
    found = package(world.script(text))
    assert found[0] == reason
    if reason != "no-event":
        assert mend in found[2]


def test_a_perf_that_is_no_program_is_a_reason_too(world: World) -> None:
    meter = world.script("exit 0")
    world.program.write_bytes(b"\x7fELF not really")
    assert package(meter)[0] in ("perf-failed", "no-perf")


def test_a_perf_that_never_answers_is_given_up_in_time(world: World) -> None:
    start = time.monotonic()
    reason, detail, _ = package(world.perf(mute_after=0))
    assert reason == "perf-silent"
    assert "no command" in detail
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_perf_that_falls_silent_holds_nothing_up_and_leaves_no_wrong_number(
    world: World, answers: int
) -> None:
    meter = world.perf()
    package(meter)
    world.behave(mute_after=answers)
    meter._intervals = lambda: False
    start = time.monotonic()
    (reading,) = attempt(meter, 0.1)
    assert time.monotonic() - start < 3
    assert (reading.status, reading.reason, reading.joules) == ("unavailable", "perf-silent", None)


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "perf-died"), (signal.SIGSTOP, "perf-silent")]
)
def test_a_perf_lost_amid_a_run_leaves_what_its_intervals_had_counted(
    world: World, number: signal.Signals, reason: str
) -> None:
    (reading, _) = attempt(world.perf(), 0.9, 0.5, kill=number)
    assert (reading.status, reading.reason) == ("partial", reason)
    assert 0.5 < reading.covered_s < 1.0
    assert reading.joules == pytest.approx(PACKAGE_W * reading.covered_s, rel=0.1)


def test_a_perf_killed_without_intervals_leaves_nothing_but_the_reason(world: World) -> None:
    meter = world.perf()
    meter._intervals = lambda: False
    reading = attempt(meter, 0.2, 0.1, kill=signal.SIGKILL)[0]
    assert (reading.status, reading.reason, reading.joules) == ("unavailable", "perf-died", None)


def test_a_perf_that_takes_its_time_to_write_its_counts_is_waited_for(world: World) -> None:
    meter = world.perf()
    package(meter)
    world.behave(end_s=2 * perf_process.ACK_TIMEOUT_S)
    meter._intervals = lambda: False
    (reading,) = attempt(meter, 0.2)
    assert reading.status == "measured"
    assert holds(reading)


def test_a_perf_that_is_uninstalled_between_two_cases_is_a_fault(world: World) -> None:
    meter = world.perf()
    package(meter)
    world.program.unlink()
    (reading,) = attempt(meter, 0.05)
    assert (reading.status, reading.reason) == ("unavailable", "perf-died")
