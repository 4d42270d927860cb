"""One measuring tool in a process of its own: it measures the windows it is told to, one after another.

Called by ``accuracy.py`` with the interpreter that has the tool: ``python gpu_tools.py TOOL ACTIVITY``.
Windows come as JSON lines on stdin: ``{"gap_s", "duration_s", "load"}``. The load is written into the
simulated hardware's activity file ahead of time, to the nanosecond, so that a late wake-up of this
process makes its window late and not the load. Standard library only, but for the tool itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BURST = (400.0, 0.045, 0.130)
CONSTANT_W = 300.0
AHEAD_S = 0.002
"""The load begins so long after the tool said that it is ready: what a real program needs to start."""


def load_lines(kind: str, t0_ns: int, t1_ns: int) -> list[str]:
    """Activity from *t0* to *t1*: one piece, or bursts of 45 ms every 130 ms."""
    if kind == "constant":
        return [f"B {t0_ns} 1 {CONSTANT_W} 0", f"E {t1_ns} 1 0"]
    watts, on_s, period_s = BURST
    lines, begin = [], t0_ns
    while begin < t1_ns:
        lines += [f"B {begin} 1 {watts} 0", f"E {min(t1_ns, begin + round(on_s * 1e9))} 1 0"]
        begin += round(period_s * 1e9)
    return lines


def append(path: str, lines: list[str]) -> None:
    """All lines in one write."""
    number = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(number, ("\n".join(lines) + "\n").encode())
    os.close(number)


def sleep_until(t_ns: int) -> None:
    """Sleep in one piece."""
    time.sleep(max(0.0, (t_ns - time.monotonic_ns()) / 1e9))


class Tool:
    """What every adapter has; ``call`` is what is printed in the table."""

    call = ""

    def prepare(self) -> None:
        """Before the window, as long as it takes."""

    def begin(self) -> None:
        """The window opens."""

    def end(self) -> dict[str, float | None]:
        """The window has closed: ``joules``, and bounds where the tool has them."""
        raise NotImplementedError

    def close(self) -> None:
        """After the last window."""


class Ours(Tool):
    """This project's meter, driven as an attempt drives it."""

    call = "NvmlMeter(); integrate(trace, window, idle), default settings"

    def __init__(self) -> None:
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
        from energy_plugin.meters.nvml import NvmlMeter

        self._meter = NvmlMeter()
        self._meter.probe()

    def prepare(self) -> None:
        self._meter.start()
        self._lead_ns = time.monotonic_ns()
        time.sleep(self._meter.lead_s)

    def begin(self) -> None:
        self._meter.edge("open")
        self._open_ns = time.monotonic_ns()

    def end(self) -> dict[str, float | None]:
        self._meter.edge("close")
        self._close_ns = time.monotonic_ns()
        time.sleep(self._meter.tail_s)
        self._end_ns = time.monotonic_ns()
        (self._trace,) = self._meter.stop()
        return {}

    def judge(self, t0_ns: int, t1_ns: int) -> dict[str, Any]:
        """Integrate over the load's own window, as the process window of a record would be."""
        from energy_plugin.record.trace import Idle, Window, idle_of, integrate

        before = idle_of(self._trace, _span(Window, "idle:before", self._lead_ns, self._open_ns))
        after = idle_of(self._trace, _span(Window, "idle:after", self._close_ns, self._end_ns))
        idle = None
        if before is not None:
            idle = Idle(
                power_w=before.power_w,
                unc_w=before.unc_w,
                after_w=after.power_w if after else None,
                after_unc_w=after.unc_w if after else None,
            )
        window = Window(program="a", name="process", t0_ns=t0_ns, t1_ns=t1_ns)
        reading = integrate(self._trace, window, idle)
        return {
            "joules": reading.joules,
            "lo": reading.lo_j,
            "hi": reading.hi_j,
            "status": reading.status,
            "method": reading.method,
        }

    def close(self) -> None:
        self._meter.close()


def _span(window: Any, name: str, t0_ns: int, t1_ns: int) -> Any:
    return window(program=None, name=name, t0_ns=t0_ns, t1_ns=t1_ns)


class CodeCarbon(Tool):
    """Tasks of one warmed tracker: the counter is read at both ends, whatever the period."""

    call = "OfflineEmissionsTracker(measure_power_secs=1); start_task/stop_task, gpu_energy"

    def __init__(self) -> None:
        os.environ["CODECARBON_LOG_LEVEL"] = "critical"
        from codecarbon import OfflineEmissionsTracker

        self._tracker = OfflineEmissionsTracker(
            country_iso_code="USA", measure_power_secs=1, save_to_file=False, log_level="critical"
        )
        self._tracker.start_task("warm")
        self._tracker.stop_task("warm")
        self._number = 0

    def begin(self) -> None:
        self._number += 1
        self._tracker.start_task(f"w{self._number}")

    def end(self) -> dict[str, float | None]:
        data = self._tracker.stop_task(f"w{self._number}")
        return {"joules": data.gpu_energy * 3.6e6}

    def close(self) -> None:
        self._tracker.stop()


class Zeus(Tool):
    """Windows of one monitor, with its own remedy for short ones."""

    call = "ZeusMonitor(approx_instant_energy=True).begin_window/end_window(sync_execution=False)"

    def __init__(self) -> None:
        from zeus.monitor import ZeusMonitor

        self._monitor = ZeusMonitor(gpu_indices=[0], cpu_indices=[], approx_instant_energy=True)

    def begin(self) -> None:
        self._monitor.begin_window("w", sync_execution=False)

    def end(self) -> dict[str, float | None]:
        return {"joules": self._monitor.end_window("w", sync_execution=False).gpu_energy[0]}


class CarbonTracker(Tool):
    """One epoch a window: mean of its samples times the epoch, before its factor for data centres."""

    call = "CarbonTrackerThread(components 'gpu', update_interval=0.1); epoch_start/epoch_end, without PUE"

    def __init__(self) -> None:
        from carbontracker import loggerutil, tracker
        from carbontracker.components import component

        self._logger = loggerutil.Logger(log_dir=tempfile.mkdtemp(), verbose=0)
        self._thread = tracker.CarbonTrackerThread(
            components=component.create_components("gpu", pids=[], devices_by_pid=False, logger=self._logger),
            logger=self._logger,
            ignore_errors=False,
            delete=lambda: None,
            update_interval=0.1,
        )
        time.sleep(1.0)

    def begin(self) -> None:
        self._thread.epoch_start()

    def end(self) -> dict[str, float | None]:
        self._thread.epoch_end()
        times = self._thread.epoch_times
        return {"joules": sum(float(c.energy_usage(times)[-1]) * 3.6e6 for c in self._thread.components)}

    def close(self) -> None:
        self._thread.stop()


class PyJoules(Tool):
    """One state of its meter a window."""

    call = "EnergyMeter([NvidiaGPUDevice]); start/stop"

    def __init__(self) -> None:
        from pyJoules.device import DeviceFactory
        from pyJoules.device.nvidia_device import NvidiaGPUDomain
        from pyJoules.energy_meter import EnergyMeter

        self._meter = EnergyMeter(DeviceFactory.create_devices([NvidiaGPUDomain(0)]))

    def begin(self) -> None:
        self._meter.start(tag="w")

    def end(self) -> dict[str, float | None]:
        self._meter.stop()
        (sample,) = list(self._meter.get_trace())
        return {"joules": sum(sample.energy.values()) / 1000}


class Loop(Tool):
    """The loop of the seed study: a sample of nvidia-smi, a second of sleep; joules are the samples' sum."""

    call = "while true: nvidia-smi --query-gpu=power.draw; sleep 1 (sum of samples)"

    def begin(self) -> None:
        self._file = tempfile.TemporaryFile("w+")  # noqa: SIM115 - end() closes it
        query = "nvidia-smi --query-gpu=power.draw --format=csv,noheader,nounits"
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", f"while true; do {query}; sleep 1; done"],
            stdout=self._file,
            start_new_session=True,
        )

    def end(self) -> dict[str, float | None]:
        os.killpg(self._process.pid, 15)
        self._process.wait()
        self._file.seek(0)
        watts = [float(line) for line in self._file.read().split()]
        self._file.close()
        return {"joules": sum(watts) if watts else None}


TOOLS: dict[str, type[Tool]] = {
    "wattwhy": Ours,
    "codecarbon": CodeCarbon,
    "zeus": Zeus,
    "carbontracker": CarbonTracker,
    "pyjoules": PyJoules,
    "nvidia-smi": Loop,
}


def measure(tool: Tool, activity: str, window: dict[str, Any]) -> dict[str, Any]:
    """One window: rest, open, load, close; what the tool says and when the load really was."""
    time.sleep(window["gap_s"])
    tool.prepare()
    tool.begin()
    t0_ns = time.monotonic_ns() + round(AHEAD_S * 1e9)
    t1_ns = t0_ns + round(window["duration_s"] * 1e9)
    append(activity, load_lines(window["load"], t0_ns, t1_ns))
    sleep_until(t1_ns)
    late_s = (time.monotonic_ns() - t1_ns) / 1e9
    said: dict[str, Any] = dict(tool.end())
    if isinstance(tool, Ours):
        said = tool.judge(t0_ns, t1_ns)
    return {**window, "t0_ns": t0_ns, "t1_ns": t1_ns, "late_s": late_s, **said}


def main() -> None:
    """Answer each window on stdin with a line on stdout."""
    name, activity = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what tools print must not mix with the answers
    tool = TOOLS[name]()
    for line in sys.stdin:
        print(json.dumps(measure(tool, activity, json.loads(line))), file=answers, flush=True)
    tool.close()


if __name__ == "__main__":
    main()
