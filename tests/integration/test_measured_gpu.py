"""A whole session on a simulated GPU of known power: joules are measured, through the real NVML client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import records, session_facts
from tests.conftest import ROOT, lines_with, summary
from tests.simulated.hardware import Gpu

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

pytestmark = pytest.mark.compiler
OPTIONS = (
    "--energy-meters=nvml,calculator",
    "--energy-tdp=gpu=200",
    "--energy-cooldown=0",
    "--energy-idle=2",
)


@pytest.fixture
def gpu(project: Project, tmp_path: Path) -> Gpu:
    """One GPU that takes 200 W whatever runs: its joules are 200 W times any window."""
    folder = tmp_path / "hardware"
    folder.mkdir()
    found = Gpu(folder=folder, t0_ns=time.monotonic_ns(), idle_w=200.0)
    project.environment |= found.install()
    project.environment["WATTWHY_TINY_EPOCH_S"] = "0.6"
    project.case("good", replicates=2)
    return found


@pytest.mark.slow
def test_joules_of_a_session_are_measured_near_the_truth_beside_the_estimate(
    project: Project, gpu: Gpu
) -> None:
    done = project.run("-v", *OPTIONS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines_with(done.stdout, "nvml: alive gpu:")
    assert lines_with(done.stdout, "PASSED", " J ")
    assert session_facts(project.session)["value"] == "total_energy_joules"
    for record in records(project.session):
        total = record.total()
        (window,) = (w for w in record.outcomes[0].windows if w.name == "process")
        truth = gpu.energy_j(window.t0_ns, window.t1_ns)
        assert total.status == "measured", total.reason
        assert total.joules == pytest.approx(truth, rel=0.02)
        assert total.lo_j is not None
        assert total.hi_j is not None
        assert total.lo_j <= truth <= total.hi_j
        (reading,) = (r for r in record.readings if r.window == window and r.meter == "nvml")
        assert reading.idle_w == pytest.approx(200, rel=0.05)
        assert record.provenance["gpu_gauges"]["power_w_avg"] == pytest.approx(200, rel=0.05)

    rows = summary(project.session)
    assert len(rows) == 2
    for row in rows:
        measured, seconds = float(row["energy_gpu_total_joules"]), float(row["duration_seconds"])
        assert measured / seconds == pytest.approx(200, rel=0.03)
        assert row["energy_gpu_status"] == "measured"
        assert row["energy_cpu_total_joules"] == ""
        assert float(row["estimate_calculator_joules"]) == pytest.approx(200 * seconds, rel=0.05)


def test_gpu_that_was_not_chosen_is_not_counted(tmp_path: Path) -> None:
    hardware = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), idle_w=100.0, gpus=2)
    code = (
        "import json; from energy_plugin.meters.nvml import NvmlMeter\n"
        "every = [c.id for c in NvmlMeter().probe()]\n"
        "chosen = NvmlMeter(gpus=[every[1].removeprefix('gpu:'), 'GPU-none']).probe()\n"
        "print(json.dumps([[c.id == every[1], c.alive, c.reason] for c in chosen]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **hardware.install()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = [[False, False, "not-chosen"], [True, True, ""], [False, False, "no-such-gpu"]]
    assert json.loads(done.stdout) == expected
