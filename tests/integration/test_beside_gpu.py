"""Pairs and backgrounds on a simulated GPU of known power: the device's joules, counted once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import records
from tests.conftest import summary
from tests.simulated.hardware import Gpu, hook

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.record.record import Record
    from energy_plugin.record.trace import Reading
    from tests.conftest import Project

pytestmark = [pytest.mark.compiler, pytest.mark.slow]
OPTIONS = (
    "--energy-meters=nvml,calculator",
    "--energy-tdp=gpu=200",
    "--energy-cooldown=0",
    "--energy-idle=2",
)
IDLE_W, EACH_W = 60.0, 120.0

PAIR = """
[[experiments]]
pairs = [["tiny/spin", "tiny/late"]]
design = { kind = "explicit", base = { epochs = 4 }, runs = [{ epochs = 2 }] }
alone = false
"""
BACKGROUND = """
[[experiments]]
select = "tiny/spin"
background = { model = "tiny/spin", loop = "LOOP", values = { epochs = 3 } }
design = { kind = "defaults", base = { epochs = 4 } }
alone = false
"""


@pytest.fixture
def gpu(project: Project, tmp_path: Path) -> Gpu:
    """A GPU that takes 60 W at rest and 120 W more for every program that lives."""
    folder = tmp_path / "hardware"
    folder.mkdir()
    found = Gpu(folder=folder, t0_ns=time.monotonic_ns(), idle_w=IDLE_W)
    hook(folder, {"train.py": [(found.activity, EACH_W, 0)]})
    # Programs get a PYTHONPATH of their own, where they find the contract: it must hold the hook too.
    hooked = folder / "site" / "sitecustomize.py"
    (project.images / "base" / "sitecustomize.py").write_bytes(hooked.read_bytes())
    project.environment |= found.install()
    project.environment["WATTWHY_TINY_EPOCH_S"] = "0.5"
    return found


def run(project: Project, design: str) -> tuple[Record, list[dict[str, str]]]:
    path = project.folder / "study.toml"
    path.write_text(design)
    done = project.run(str(path), "--energy-warmup=1", *OPTIONS)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = records(project.session)
    return record, summary(project.session)


def readings(record: Record, **wanted: Any) -> list[Reading]:
    found = [r for r in record.readings if r.channel.startswith("gpu:") and r.meter == "nvml"]
    return [r for r in found if all(getattr(r.window, name) == value for name, value in wanted.items())]


def test_joules_of_a_pair_are_the_devices_over_its_joint_window_and_counted_once(
    project: Project, gpu: Gpu
) -> None:
    record, rows = run(project, PAIR)
    (joint,) = readings(record, name="joint")
    truth = gpu.energy_j(joint.window.t0_ns, joint.window.t1_ns)
    total = record.total()
    assert (total.status, total.joules) == ("measured", joint.joules)
    assert total.joules == pytest.approx(truth, rel=0.03)
    assert joint.lo_j is not None
    assert joint.hi_j is not None
    assert joint.lo_j <= truth <= joint.hi_j
    assert joint.method == "resolved-edges"

    own = [readings(record, name="process", program=role)[0] for role in ("a", "b")]
    for reading in own:
        assert reading.method == "linear-edges"  # the other one runs at this edge
        assert reading.joules == pytest.approx(
            gpu.energy_j(reading.window.t0_ns, reading.window.t1_ns), rel=0.05
        )
    assert sum(reading.joules or 0 for reading in own) > 1.2 * truth  # which is why it is in no column

    assert [row["role"] for row in rows] == ["a", "b"]
    for row in rows:
        for name in ("total_energy", "energy_gpu_total", "energy_net", "estimate_calculator"):
            assert row[f"{name}_joules"] == "", name
        assert row["energy_gpu_avg_watts"] == row["energy_per_epoch"] == ""
        assert row["total_energy_status"] == "unavailable"
        assert "shared_energy_joules" in row["total_energy_reason"]
        assert float(row["shared_energy_joules"]) == total.joules
        assert float(row["shared_gpu_joules"]) == total.joules
        assert row["shared_energy_status"] == "measured"
        seconds = float(row["shared_duration_seconds"])
        assert float(row["shared_net_joules"]) == pytest.approx(truth - IDLE_W * seconds, rel=0.05)
        assert float(row["energy_gpu_util_avg_percent"]) > 0
    assert abs(float(rows[0]["start_skew_seconds"])) < 0.2


@pytest.mark.parametrize("loop", ["restart", "endless"])
def test_joules_beside_a_background_are_the_devices_without_idle_edges(
    project: Project, gpu: Gpu, loop: str
) -> None:
    record, (row,) = run(project, BACKGROUND.replace("LOOP", loop))
    (process,) = readings(record, name="process")
    window = process.window
    truth = gpu.energy_j(window.t0_ns, window.t1_ns)
    assert process.status == "measured"
    assert process.method == "linear-edges"
    assert process.joules == pytest.approx(truth, rel=0.05)
    assert process.lo_j is not None
    assert process.hi_j is not None
    assert process.lo_j <= truth <= process.hi_j
    assert truth > 0.9 * (IDLE_W + 2 * EACH_W) * window.duration_s  # the load was there throughout
    assert process.idle_w == pytest.approx(IDLE_W, rel=0.05)  # taken before the load began
    assert readings(record, name="tail") == []
    assert float(row["total_energy_joules"]) == process.joules
    assert float(row["energy_net_joules"]) == pytest.approx(truth - IDLE_W * window.duration_s, rel=0.06)
    assert row["energy_tail_joules"] == ""
    work = record.background
    assert work is not None
    assert work.flag == ""
    assert record.provenance.get("foreign_gpu_processes") in ([], None)
