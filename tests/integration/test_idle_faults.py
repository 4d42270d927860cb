"""Meters that fail during a session: the run goes on, and the record says what happened."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import records
from energy_plugin.run.executors import proctree
from tests.simulated.hardware import Cpu, Gpu

if TYPE_CHECKING:
    import subprocess

    from energy_plugin.record.record import Record
    from tests.conftest import Project

PLUGIN = 'pytest_plugins = ["energy_plugin.plugin"]\n'
QUIET = ("--energy-idle", "0", "--energy-cooldown", "0")


def hooked(project: Project, meter: str) -> None:
    """A conftest.py that brings a further meter, the last expression of *meter*."""
    *before, last = meter.strip().splitlines()
    body = [*before, "def pytest_energy_meters(config):", f"    return [{last}]"]
    (project.folder / "conftest.py").write_text(PLUGIN + "\n".join(body) + "\n")


def while_training(project: Project, running: subprocess.Popen[str]) -> None:
    """Return once the first epoch of the first program is over."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        for file in (project.folder / "results").glob("run_*/*/training.events.jsonl"):
            if '"epoch"' in file.read_text():
                return
        time.sleep(0.02)
    raise AssertionError(running.communicate()[0])


def child(running: subprocess.Popen[str], *words: str) -> int:
    """The descendant of the session whose command line holds all *words*."""
    used = proctree.used(running.pid)
    assert used is not None
    for pid in used.pids - {running.pid}:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
        if all(word in line for word in words):
            return pid
    raise AssertionError(f"no process of {words}")


def finished(project: Project, running: subprocess.Popen[str]) -> Record:
    """The only record of a session that passed."""
    output, _ = running.communicate(timeout=90)
    assert running.returncode == 0, output
    assert "Traceback" not in output
    (record,) = records(project.session)
    return record


@pytest.fixture
def training(project: Project) -> Project:
    """One case of 2.4 s."""
    project.environment["WATTWHY_TINY_EPOCH_S"] = "1.2"
    project.case("good")
    return project


@pytest.fixture
def gpu(training: Project, tmp_path: Path) -> Gpu:
    """A steady 200 W."""
    found = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), idle_w=200.0)
    training.environment |= found.install()
    return found


def test_perf_that_is_killed_leaves_its_reason(training: Project, tmp_path: Path) -> None:
    given = Cpu(folder=tmp_path, power_w={"energy-pkg": 50.0}).install()
    hooked(
        training,
        "from pathlib import Path\nfrom energy_plugin.meters.perf import PerfMeter\n"
        f"PerfMeter(program={given['program']!r}, sysfs=Path({str(given['sysfs'])!r}), "
        f"procfs=Path({str(given['procfs'])!r}))",
    )
    running = training.start(*QUIET)
    while_training(training, running)
    os.kill(child(running, str(given["program"]), "stat"), signal.SIGKILL)
    record = finished(training, running)
    (reading,) = (r for r in record.readings if r.window.name == "process" and r.channel == "cpu:package:0")
    assert reading.reason == "perf-died"
    if reading.status == "unavailable":  # a perf without intervals keeps nothing
        assert (reading.joules, reading.covered_s) == (None, 0.0)
        return
    assert reading.status == "partial"
    assert 0 < reading.covered_s < reading.window.duration_s - 0.5
    assert reading.joules == pytest.approx(50 * reading.covered_s, rel=0.1)
    assert record.total().status == "partial"


HELPER = """
import json, sys, time
def say(**fields): print(json.dumps(fields), flush=True)
say(ready=True, version="0", channels={"cpu": {"source": "load-model", "detail": "CPU"}})
for line in sys.stdin:
    ask = json.loads(line)
    extra = {"joules": {"cpu": 7.5}} if ask["op"] == "end" else {}
    say(id=ask["id"], t_ns=time.monotonic_ns(), **extra)
"""


def test_helper_that_is_killed_leaves_its_reason(training: Project, tmp_path: Path) -> None:
    helper = tmp_path / "helper_of_a_test.py"
    helper.write_text(HELPER)
    hooked(
        training,
        "from pathlib import Path\nfrom energy_plugin.meters.codecarbon import CodeCarbonMeter\n"
        f"CodeCarbonMeter(helper=Path({str(helper)!r}))",
    )
    running = training.start(*QUIET)
    while_training(training, running)
    os.kill(child(running, helper.name), signal.SIGKILL)
    record = finished(training, running)
    readings = [r for r in record.readings if r.meter == "codecarbon" and r.window.name == "process"]
    assert {(r.status, r.reason, r.covered_s) for r in readings if r.channel == "cpu"} == {
        ("unavailable", "helper-died", 0.0)
    }


ACME = """
import time
from energy_plugin.record.trace import Channel, Sample, Trace
CHANNEL = Channel(id="mains:desk", meter="acme", source="acme-plug")
class Acme:
    name, lead_s, tail_s = "acme", 0.0, 0.0
    def probe(self): return [CHANNEL]
    def start(self): self.t = []
    def edge(self, kind): self.t.append(Sample(time.monotonic_ns(), 9.0 * len(self.t)))
    def stop(self): return [Trace(meter="acme", channel=CHANNEL, form="window", samples=tuple(self.t))]
    def close(self): pass
    def METHOD(self, *a):
        BODY
Acme()
"""


@pytest.mark.parametrize("method", ["probe", "start", "edge", "stop", "close"])
def test_meter_that_raises_anywhere_costs_only_its_own_channels(project: Project, method: str) -> None:
    project.case("good")
    hooked(project, ACME.replace("METHOD", method).replace("BODY", "raise RuntimeError('planned')"))
    record = finished(project, project.start("--energy-tdp", "cpu=65", *QUIET))
    assert record.estimates()["calculator"].joules is not None
    mine = {(r.status, r.reason) for r in record.readings if r.meter == "acme" and r.window.name == "process"}
    expected = ("measured", "") if method == "close" else ("unavailable", "meter-raised")
    assert mine == {expected}


@pytest.mark.slow
def test_meter_that_hangs_in_an_edge_is_left_behind(project: Project) -> None:
    project.case("good", replicates=2)
    hooked(project, ACME.replace("METHOD", "edge").replace("BODY", "time.sleep(600)"))
    done = project.run(*QUIET, "--energy-tdp", "cpu=65")
    assert done.returncode == 0, done.stdout
    for record in records(project.session):
        (reading,) = (r for r in record.readings if r.meter == "acme" and r.window.name == "process")
        assert (reading.status, reading.reason) == ("unavailable", "meter-blocked")
        assert record.estimates()["calculator"].joules == pytest.approx(65 * record.duration_s, rel=0.5)


@pytest.mark.compiler
@pytest.mark.slow
def test_session_that_is_stopped_for_a_while_measures_all_the_same(training: Project, gpu: Gpu) -> None:
    running = training.start(*QUIET, "--energy-meters", "nvml")
    while_training(training, running)
    os.kill(running.pid, signal.SIGSTOP)
    time.sleep(0.3)  # the program goes on meanwhile, in a session of its own
    os.kill(running.pid, signal.SIGCONT)
    record = finished(training, running)
    (reading,) = (r for r in record.readings if r.window.name == "process")
    truth = gpu.energy_j(reading.window.t0_ns, reading.window.t1_ns)
    # A counter goes on counting; that nobody looked at it for a while may be said, and costs nothing.
    assert reading.reason in ("", "starved")
    assert reading.covered_s == pytest.approx(reading.window.duration_s)
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.lo_j <= truth <= reading.hi_j


@pytest.mark.compiler
@pytest.mark.slow
def test_end_that_the_session_slept_through_widens_the_window_and_the_bounds(
    training: Project, gpu: Gpu
) -> None:
    running = training.start(*QUIET, "--energy-meters", "nvml")
    while_training(training, running)
    os.kill(running.pid, signal.SIGSTOP)
    time.sleep(3.0)  # the program ends after 1.2 s of it
    os.kill(running.pid, signal.SIGCONT)
    record = finished(training, running)
    assert record.provenance["starved_s"][0] == pytest.approx(3.0, abs=0.5)
    (reading,) = (r for r in record.readings if r.window.name == "process")
    (end_ns,) = (w.t1_ns for w in record.outcomes[0].windows if w.name == "training")
    window = reading.window
    assert window.unc_ns > 1e9
    assert window.t1_ns - window.unc_ns <= end_ns + 3e8
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.lo_j <= gpu.energy_j(window.t0_ns, end_ns) <= reading.hi_j


@pytest.mark.compiler
@pytest.mark.slow
def test_wall_clock_that_is_set_back_changes_labels_only(training: Project, gpu: Gpu) -> None:
    (training.folder / "conftest.py").write_text(
        PLUGIN + "import time\nfrom datetime import timedelta\nfrom energy_plugin import clock\n"
        "began, real = time.monotonic(), clock.SystemClock.utc\n"
        "def utc(self):\n"
        "    events = __import__('pathlib').Path('results').glob('run_*/*/training.events.jsonl')\n"
        "    return real(self) - timedelta(hours=1 if list(events) else 0)\n"
        "clock.SystemClock.utc = utc\n"
    )
    record = finished(training, training.start(*QUIET, "--energy-meters", "nvml"))
    assert record.provenance["clock_step_s"] == pytest.approx(-3600, abs=1)
    (reading,) = (r for r in record.readings if r.window.name == "process")
    truth = gpu.energy_j(reading.window.t0_ns, reading.window.t1_ns)
    assert reading.status == "measured", reading.reason
    assert record.duration_s == pytest.approx(2.5, abs=0.6)
    assert reading.joules == pytest.approx(truth, rel=0.02)
