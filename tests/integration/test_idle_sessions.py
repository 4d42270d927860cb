"""Whole sessions on a simulated GPU that idles at 60 W and takes 240 W more while a program runs."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from energy_plugin.record.baseline import net
from energy_plugin.record.journal import read_journal, records, session_facts
from energy_plugin.record.tracefile import read_traces
from tests.conftest import ROOT, lines_with, summary
from tests.simulated.hardware import Gpu

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

IDLE_W, LOAD_W = 60.0, 240.0
HEAT = f"""
import atexit, os, time

def tell(line):
    file = os.open(os.environ["WATTWHY_TINY_HEAT"], os.O_WRONLY | os.O_APPEND)
    os.write(file, line.encode())

if "WATTWHY_TINY_HEAT" in os.environ:
    tell(f"L {{time.monotonic_ns()}} {{os.getpid()}} {LOAD_W} 0\\n")
    atexit.register(lambda: tell(f"E {{time.monotonic_ns()}} {{os.getpid()}} 0\\n"))
"""


@pytest.fixture
def gpu(project: Project, tmp_path: Path) -> Gpu:
    """Follows the programs of ``tiny``, each of which takes 2.4 s."""
    folder = tmp_path / "hardware"
    folder.mkdir()
    found = Gpu(folder=folder, t0_ns=time.monotonic_ns(), idle_w=IDLE_W)
    project.environment |= found.install()
    project.environment |= {"WATTWHY_TINY_HEAT": str(found.activity), "WATTWHY_TINY_EPOCH_S": "1.2"}
    program = project.images / "tiny" / "train.py"
    program.write_text(HEAT + program.read_text())
    return found


def levels(project: Project) -> dict[str, list[dict[str, Any]]]:
    """Baselines in the journal by name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in read_journal(project.session):
        if event["event"] == "idle":
            found.setdefault(event["baseline"]["name"], []).append(event["baseline"])
    return found


@pytest.mark.compiler
@pytest.mark.slow
def test_session_holds_gross_and_net_of_idle_within_their_bounds(project: Project, gpu: Gpu) -> None:
    project.case("good", replicates=3)
    done = project.run("--energy-meters", "nvml", "--energy-idle", "5", "--energy-cooldown", "10")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lines_with(done.stdout, "energy: watching the machine at rest for 7 s")) == 2
    seen = levels(project)
    assert {name: len(found) for name, found in seen.items()} == {
        "idle:before": 1,
        "idle:between": 2,
        "idle:after": 1,
    }
    for baseline in (one for found in seen.values() for one in found):
        (level,) = baseline["levels"]
        assert level["reason"] == ""
        assert abs(level["power_w"] - IDLE_W) <= max(3 * level["unc_w"], 0.3)
        assert level["median_w"] == pytest.approx(IDLE_W, rel=0.05)
        assert level["unc_w"] < 0.05 * IDLE_W
    for record in records(project.session):
        (reading,) = (r for r in record.readings if r.window.name == "process")
        window = reading.window
        truth = gpu.energy_j(window.t0_ns, window.t1_ns)
        assert reading.lo_j is not None
        assert reading.hi_j is not None
        assert reading.lo_j <= truth <= reading.hi_j
        above = net(reading)
        assert above.joules is not None
        assert above.unc_j is not None
        assert abs(above.joules - (truth - IDLE_W * window.duration_s)) <= 3 * above.unc_j
        assert above.joules == pytest.approx(truth - IDLE_W * window.duration_s, rel=0.03)
        assert record.provenance["foreign_gpu_processes"] == []
    first, *later = (record.cooldown for record in records(project.session))
    assert (first.seconds, first.reason) == (0.0, "first case")
    for cooldown in later:  # power is back at once; the chip may stay warm for longer than the limit
        back = cooldown.reason == "back at idle"
        assert back or (cooldown.reason.endswith("°C") and cooldown.seconds > 8)
        assert cooldown.seconds <= 11


@pytest.mark.compiler
@pytest.mark.slow
def test_files_of_a_session_tell_net_tail_usage_and_that_it_was_simulated(project: Project, gpu: Gpu) -> None:
    project.case("good")
    project.run("--energy-meters", "nvml", "--energy-idle", "3")
    (row,) = summary(project.session)
    gross, seconds = float(row["energy_gpu_total_joules"]), float(row["duration_seconds"])
    idle_w = float(row["idle_power_watts"])
    assert float(row["energy_net_joules"]) == pytest.approx(gross - idle_w * seconds)
    assert 0 < float(row["energy_net_uncertainty_joules"]) < 0.2 * gross
    assert 0 < float(row["idle_power_uncertainty_watts"]) < 5
    assert 0 < float(row["tail_seconds"]) < 3
    assert abs(float(row["energy_tail_joules"])) < LOAD_W * 0.15  # it ends with the program, to a tick
    assert row["energy_net_reason"] == ""
    assert row["foreign_gpu_processes"] == "0"
    assert row["simulated"] == session_facts(project.session)["simulated"] != ""
    session = json.loads((project.session / "session.json").read_text())
    assert [baseline["name"] for baseline in session["idle"]] == ["idle:before", "idle:after"]
    experiment = project.session / "tiny_good_001" / "experiment.json"
    assert json.loads(experiment.read_text())["simulated"] == row["simulated"]
    readings = json.loads((experiment.parent / "energy" / "readings.json").read_text())
    assert {r["window"]: r["idle_w"] for r in readings if r["meter"] == "nvml"}["process"] == idle_w
    usage = {
        t.channel.id: t for t in read_traces(experiment.parent / "energy" / "trace.csv") if t.meter == "usage"
    }
    gauges = usage["program:a"].gauges
    assert len(gauges["cpu_time_s"]) >= 5
    assert all(a[1] <= b[1] for a, b in itertools.pairwise(gauges["cpu_time_s"]))
    assert gauges["memory_bytes"][-1][1] > 5e6
    assert gauges["gpu_sm_percent"][-1][1] > 0
    schemas = ROOT / "energy_plugin" / "record" / "schema"
    for path, name in (
        (project.session / "session.json", "session.json"),
        (experiment, "experiment.json"),
        (experiment.parent / "energy" / "readings.json", "readings.json"),
    ):
        jsonschema.validate(json.loads(path.read_text()), json.loads((schemas / name).read_text()))
    for event in read_journal(project.session):
        jsonschema.validate(event, json.loads((schemas / "journal.json").read_text()))


@pytest.mark.compiler
@pytest.mark.slow
def test_stranger_on_the_gpu_is_recorded_and_no_baseline_is_taken(project: Project, gpu: Gpu) -> None:
    project.case("good")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        with gpu.activity.open("a") as file:
            file.write(f"B {time.monotonic_ns()} {stranger.pid} 100.0 0\n")
        project.run("--energy-meters", "nvml", "--energy-idle", "2")
        stranger.kill()
    (record,) = records(project.session)
    assert record.idle is not None
    assert [level.reason for level in record.idle.levels] == ["foreign-gpu-process"]
    (foreign,) = record.provenance["foreign_gpu_processes"]
    assert (foreign["pid"], foreign["when"]) == (stranger.pid, "before")
    (row,) = summary(project.session)
    assert row["foreign_gpu_processes"] == "1"
    assert (row["energy_net_joules"], row["idle_power_watts"]) == ("", "")
    assert "idle power unknown" in row["energy_net_reason"]
    assert float(row["energy_gpu_total_joules"]) > 0


@pytest.mark.compiler
@pytest.mark.slow
def test_idle_0_takes_no_time_and_says_why_net_is_missing(project: Project, gpu: Gpu) -> None:
    project.case("good")
    project.run("--energy-meters", "nvml", "--energy-idle", "0")
    (record,) = records(project.session)
    assert record.idle is not None
    assert record.idle.reason == "--energy-idle 0"
    assert not levels(project)
    assert summary(project.session)[0]["energy_net_joules"] == ""


def test_case_without_a_direct_meter_waits_for_nothing(project: Project) -> None:
    project.case("good", replicates=3)
    project.run("--energy-tdp", "cpu=65")
    found = records(project.session)
    assert not levels(project)
    assert {record.idle.reason for record in found if record.idle} == {"no direct meter lives here"}
    starts = [record.outcomes[0].windows[0] for record in found]
    gaps = [(b.t0_ns - a.t1_ns) / 1e9 for a, b in itertools.pairwise(starts)]
    assert min(gaps) < 0.5  # the machine may be busy, but not through all of them
    assert os.environ.get("WATTWHY_SIMULATED", "") == session_facts(project.session)["simulated"]
