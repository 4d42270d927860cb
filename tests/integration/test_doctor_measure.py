"""``wattwhy doctor --measure`` on simulated hardware: every meter at once, beside what is true."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.plugs import Plug
from tests.simulated.hardware import Cpu, Gpu

pytestmark = [pytest.mark.compiler, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "energy_plugin", "doctor", "--tdp", "cpu=65,gpu=300"]


def rows(text: str) -> dict[tuple[str, str], list[str]]:
    """Cells of the table's lines by channel and meter."""
    table = text.partition("\nchannel ")[2].splitlines()[1:]
    found = {}
    for line in table:
        cells = re.split(r"\s{2,}", line.strip())
        if len(cells) == 6:
            found[cells[0], cells[1]] = cells
    return found


def span(cell: str) -> tuple[float, float]:
    """``35.2 ± 0.1`` as bounds, with what rounding may hide."""
    power, _, half = cell.partition(" ± ")
    return float(power) - float(half) - 0.1, float(power) + float(half) + 0.1


def test_every_living_meter_stands_in_one_table_with_bounds_that_hold(tmp_path: Path) -> None:
    now_ns, power_w = time.monotonic_ns(), {"energy-pkg": 20.0, "energy-ram": 3.0}
    gpu = Gpu(folder=tmp_path / "gpu", t0_ns=now_ns, idle_w=70.0)
    cpu = Cpu(folder=tmp_path / "cpu", t0_ns=now_ns, power_w=power_w)
    for part in (gpu, cpu):
        part.folder.mkdir()
    sysfs = str(cpu.install()["sysfs"])
    environment = os.environ | cpu.environment() | gpu.install()
    environment["PATH"] = f"{gpu.folder}{os.pathsep}{cpu.folder}{os.pathsep}{os.environ['PATH']}"
    with cpu.live(period_s=0.01), Plug("shelly2") as plug:
        done = subprocess.run(
            [*COMMAND, "--measure", "3", "--wall", f"desk={plug.host}", "--sysfs", sysfs],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED: " in done.stdout.splitlines()[1]
    found = rows(done.stdout)
    truth = {"mains:desk": 60.0, "cpu:package:0": 20.0, "cpu:dram:0": 3.0}
    truth |= {channel: 70.0 for channel, meter in found if meter == "nvml"}
    measured = {key: cells for key, cells in found.items() if cells[5] == "measured"}
    assert {meter for _, meter in measured} == {"wall", "perf", "rapl", "nvml"}, done.stdout
    for (channel, _), cells in measured.items():
        for cell in cells[3:5]:
            lo, hi = span(cell)
            assert lo <= truth[channel] <= hi, done.stdout
    assert found["cpu", "calculator"][3:] == ["65.0", "65.0", "estimated"]
    assert ("cpu", "codecarbon") in found
    assert next(iter(found))[0] == "mains:desk"


def test_ctrl_c_leaves_no_load_behind_and_shows_the_idle_half(tmp_path: Path) -> None:
    plain = ["--meters", "calculator", "--wall", "desk=command:echo 45 W", "--measure", "3"]
    with subprocess.Popen(
        [*COMMAND, *plain], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        loads = 0
        until_s = time.monotonic() + 40
        while not loads and time.monotonic() < until_s:
            time.sleep(0.1)
            loads = len(children(running.pid, "sum(range("))
        time.sleep(1.5)
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=30)
    assert loads == len(os.sched_getaffinity(0))
    assert running.returncode == 130, error
    assert "Interrupted" in out
    assert "Traceback" not in out + error
    assert re.search(r"mains:desk\s+wall\s+command-power\s+45\.0\s+--\s+estimated", out)
    assert not children(1, "sum(range(")


def children(pid: int, marker: str) -> list[int]:
    """Children of *pid* whose command line has *marker*."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and marker in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return found
