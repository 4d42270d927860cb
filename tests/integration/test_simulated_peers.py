"""Unmodified tools of others read the simulated GPU: each sees the joules that it is known to take.

CodeCarbon is one of our own dependencies; the others run where WATTWHY_PEERS names the Python of an
environment made from tests/benchmarks/peers.txt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.simulated.hardware import H100, Gpu

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.compiler, pytest.mark.slow]

COMMON = """
import json, sys, time
from tests.simulated.activity import activity
def work():
    t0 = time.monotonic_ns()
    with activity(sys.argv[1], 300.0):
        time.sleep(3)
    return t0, time.monotonic_ns()
def tell(span, joules):
    print("JOULES", json.dumps([*span, joules]))
"""
CODECARBON = """
import os
os.environ["CODECARBON_LOG_LEVEL"] = "critical"
from codecarbon import OfflineEmissionsTracker
for _ in range(2):  # the first is slow to start
    tracker = OfflineEmissionsTracker(country_iso_code="DEU", measure_power_secs=1, save_to_file=False)
    tracker.start()
    span = work() if _ else None
    tracker.stop()
tell(span, tracker.final_emissions_data.gpu_energy * 3.6e6)
"""
ZEUS = """
from zeus.monitor import ZeusMonitor
monitor = ZeusMonitor(gpu_indices=[0], cpu_indices=[])
monitor.begin_window("w", sync_execution=False)
span = work()
tell(span, monitor.end_window("w", sync_execution=False).gpu_energy[0])
"""
PYJOULES = """
from pyJoules.device import DeviceFactory
from pyJoules.device.nvidia_device import NvidiaGPUDomain
from pyJoules.energy_meter import EnergyMeter
meter = EnergyMeter(DeviceFactory.create_devices([NvidiaGPUDomain(0)]))
meter.start(tag="w")
span = work()
meter.stop()
tell(span, sum(meter.get_trace()[0].energy.values()) / 1000)
"""
CARBONTRACKER = """
import tempfile
from carbontracker import parser
from carbontracker.tracker import CarbonTracker
logs = tempfile.mkdtemp()
settings = dict(epochs_before_pred=0, update_interval=1, components="gpu", log_dir=logs, verbose=0)
tracker = CarbonTracker(epochs=1, **settings)
tracker.epoch_start()
span = work()
tracker.epoch_end()
tracker.stop()
tell(span, parser.parse_all_logs(logs)[0]["actual"]["energy (kWh)"] * 3.6e6)
"""
OTHERS = os.environ.get("WATTWHY_PEERS", "")
PEERS = [
    (CODECARBON, sys.executable),
    *((code, OTHERS) for code in (ZEUS, PYJOULES, CARBONTRACKER) if OTHERS),
]
NAMES = ["codecarbon", "zeus", "pyjoules", "carbontracker"]


@pytest.mark.parametrize(("code", "python"), PEERS, ids=NAMES[: len(PEERS)])
def test_a_tool_reads_about_what_the_gpu_takes(tmp_path: Path, code: str, python: str) -> None:
    gpu = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), sensor=H100)
    environment = {**os.environ, **gpu.install(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [python, "-c", COMMON + code, str(gpu.activity)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("JOULES")]
    assert told, done.stdout + done.stderr
    t0_ns, t1_ns, joules = json.loads(told[0].removeprefix("JOULES"))
    # A quarter either way: their edges are a second wide, and that is not what is tested here.
    assert joules == pytest.approx(gpu.energy_j(t0_ns, t1_ns), rel=0.25)
