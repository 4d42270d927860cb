"""The perf meter against a simulated perf of known power, and against the real one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from energy_plugin.meters.perf import PerfMeter
from energy_plugin.record.trace import Reading, Window, integrate
from tests.simulated.hardware import Cpu, Segment

ROOT = Path(__file__).parents[2]
POWERS = {"energy-pkg": 50.0, "energy-ram": 5.0}


def meter_of(cpu: Cpu) -> PerfMeter:
    return PerfMeter(**cpu.install(), probe_s=0.05)  # type: ignore[arg-type]


def attempt(meter: PerfMeter, duration_s: float = 0.3) -> dict[str, Reading]:
    meter.start()
    meter.edge("open")
    t0 = time.monotonic_ns()
    time.sleep(duration_s)
    window = Window(program="a", name="process", t0_ns=t0, t1_ns=time.monotonic_ns())
    meter.edge("close")
    return {trace.channel.id: integrate(trace, window, None) for trace in meter.stop()}


def test_a_known_power_is_measured_within_its_bounds(tmp_path: Path) -> None:
    meter = meter_of(Cpu(folder=tmp_path, power_w=POWERS))
    readings = attempt(meter)
    assert set(readings) == {"cpu:package:0", "cpu:dram:0"}
    for name, power_w in (("cpu:package:0", 50.0), ("cpu:dram:0", 5.0)):
        reading = readings[name]
        assert (reading.status, reading.method, reading.source) == ("measured", "exact-window", "rapl-pmu")
        truth = power_w * reading.window.duration_s
        assert reading.lo_j is not None
        assert reading.hi_j is not None
        assert reading.lo_j <= truth <= reading.hi_j
        assert reading.joules == pytest.approx(truth, rel=0.2)


def test_only_what_lies_between_the_edges_is_counted(tmp_path: Path) -> None:
    meter = meter_of(Cpu(folder=tmp_path, power_w=POWERS))
    meter.start()
    time.sleep(0.4)
    meter.edge("open")
    meter.edge("split")
    time.sleep(0.1)
    meter.edge("close")
    time.sleep(0.4)
    (package, _) = meter.stop()
    assert 5.0 <= package.samples[-1].joules < 15.0


def test_each_attempt_counts_anew(tmp_path: Path) -> None:
    meter = meter_of(Cpu(folder=tmp_path, power_w=POWERS))
    first, second = (attempt(meter, 0.2)["cpu:package:0"].joules for _ in range(2))
    assert first == pytest.approx(10.0, rel=0.3)
    assert second == pytest.approx(10.0, rel=0.3)


@pytest.mark.parametrize("mode", ["", "old"])
def test_every_socket_is_a_channel_and_mirrored_ones_count_once(tmp_path: Path, mode: str) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "same").mkdir()
    two = meter_of(Cpu(folder=tmp_path / "two", power_w=POWERS, sockets=2, skew=0.1, mode=mode))
    same = meter_of(Cpu(folder=tmp_path / "same", power_w=POWERS, sockets=2, mode=mode))
    assert [c.id for c in two.probe() if c.alive] == [
        "cpu:package:0",
        "cpu:package:1",
        "cpu:dram:0",
        "cpu:dram:1",
    ]
    assert [c.reason for c in same.probe()] == ["", "mirrored", "", "mirrored"]
    assert set(attempt(two)) == {"cpu:package:0", "cpu:package:1", "cpu:dram:0", "cpu:dram:1"}
    assert set(attempt(same)) == {"cpu:package:0", "cpu:dram:0"}


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("zero", "dead-counter"),
        ("not-counted", "not-counted"),
        ("not-supported", "not-supported" if os.geteuid() == 0 else "no-permission"),
        ("no-permission", "no-permission"),
    ],
)
def test_a_counter_that_cannot_be_read_is_dead_with_its_reason(
    tmp_path: Path, mode: str, reason: str
) -> None:
    meter = meter_of(Cpu(folder=tmp_path, power_w=POWERS, mode=mode))
    assert [(c.alive, c.reason) for c in meter.probe()] == [(False, reason)] * 2
    assert not attempt(meter, 0.01)


def test_lack_of_permission_comes_with_the_command_that_mends_it(tmp_path: Path) -> None:
    (package, _) = meter_of(Cpu(folder=tmp_path, power_w=POWERS, mode="no-permission")).probe()
    assert "sysctl kernel.perf_event_paranoid=0" in package.fix
    assert "setcap cap_perfmon+ep" in package.fix
    assert "2" in package.detail


@pytest.mark.parametrize(("power_w", "reason"), [(0.1, "implausible"), (9000.0, "implausible"), (0.6, "")])
def test_an_implausible_package_power_is_refused(tmp_path: Path, power_w: float, reason: str) -> None:
    (channel, *_) = meter_of(Cpu(folder=tmp_path, power_w={"energy-pkg": power_w, "energy-ram": 1.0})).probe()
    assert channel.id == "cpu:package:0"
    assert channel.reason == reason


def test_a_counter_in_another_unit_is_refused(tmp_path: Path) -> None:
    channels = meter_of(Cpu(folder=tmp_path, power_w=POWERS, unit="Celsius")).probe()
    assert {c.reason for c in channels} == {"bad-unit"}


def test_psys_is_listed_but_never_read(tmp_path: Path) -> None:
    meter = meter_of(Cpu(folder=tmp_path, power_w={**POWERS, "energy-psys": 80.0}, hypervisor=True))
    psys = next(c for c in meter.probe() if c.id == "cpu:psys:0")
    assert (psys.alive, psys.reason) == (False, "not-used")
    assert "virtual" in psys.detail
    assert "cpu:psys:0" not in attempt(meter)


def test_a_psys_that_stands_still_is_a_dead_counter(tmp_path: Path) -> None:
    channels = meter_of(Cpu(folder=tmp_path, power_w={"energy-psys": 0.0})).probe()
    assert {c.id: c.reason for c in channels} == {
        "cpu:package:0": "no-event",
        "cpu:dram:0": "no-event",
        "cpu:psys:0": "dead-counter",
    }


def test_a_missing_event_is_told_apart_from_a_missing_program(tmp_path: Path) -> None:
    arguments = Cpu(folder=tmp_path, power_w={"energy-pkg": 50.0}).install()
    here = {c.id: c.reason for c in PerfMeter(**arguments, probe_s=0.05).probe()}  # type: ignore[arg-type]
    assert here == {"cpu:package:0": "", "cpu:dram:0": "no-event"}
    gone = PerfMeter(**{**arguments, "program": "no-such-perf"}).probe()  # type: ignore[arg-type]
    assert {c.id: c.reason for c in gone} == {"cpu:package:0": "no-perf", "cpu:dram:0": "no-event"}
    assert "apt-get install linux-perf" in next(c.fix for c in gone if c.reason == "no-perf")


def test_an_event_the_kernel_lists_but_perf_does_not_know_hurts_no_other(tmp_path: Path) -> None:
    arguments = Cpu(folder=tmp_path, power_w=POWERS).install()
    (tmp_path / "perf.json").write_text(
        json.dumps({"power_w": {"energy-pkg": 50.0}, "mode": "", "sockets": 1, "dies_after": 0})
    )
    channels = PerfMeter(**arguments, probe_s=0.05).probe()  # type: ignore[arg-type]
    assert {c.id: c.reason for c in channels} == {"cpu:package:0": "", "cpu:dram:0": "no-event"}


@pytest.mark.parametrize("dies_after", [1, 2])
def test_a_perf_that_dies_is_a_fault_and_not_an_exception(tmp_path: Path, dies_after: int) -> None:
    meter = meter_of(Cpu(folder=tmp_path, power_w=POWERS))
    meter.probe()
    Cpu(folder=tmp_path, power_w=POWERS, dies_after=dies_after).install()
    readings = attempt(meter, 0.05)
    assert {(r.status, r.reason, r.joules) for r in readings.values()} == {("unavailable", "perf-died", None)}


def test_a_killed_perf_leaves_a_fault(tmp_path: Path) -> None:
    meter = meter_of(Cpu(folder=tmp_path, power_w=POWERS))
    meter.start()
    meter.edge("open")
    assert meter._process is not None
    os.kill(meter._process._process.pid, signal.SIGKILL)
    meter.edge("close")
    assert {trace.faults[0].code for trace in meter.stop()} == {"perf-died"}


def test_close_is_safe_at_any_time_and_ends_perf(tmp_path: Path) -> None:
    meter = meter_of(Cpu(folder=tmp_path, power_w=POWERS))
    meter.close()
    meter.start()
    assert meter._process is not None
    process = meter._process._process
    meter.close()
    meter.close()
    assert process.returncode == -signal.SIGKILL
    assert all(not trace.samples for trace in meter.stop())


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
def test_perf_ends_when_this_process_is_killed(tmp_path: Path) -> None:
    arguments = {k: str(v) for k, v in Cpu(folder=tmp_path, power_w=POWERS).install().items()}
    program = (
        "import sys, time, json; from pathlib import Path; from energy_plugin.meters.perf import PerfMeter\n"
        "a = json.loads(sys.argv[1]); m = PerfMeter(program=a['program'], sysfs=Path(a['sysfs']),"
        " procfs=Path(a['procfs']), probe_s=0.05)\n"
        "m.start(); print(m._process._process.pid, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, json.dumps(arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        perf = Path("/proc") / child.stdout.readline().strip()
        assert perf.exists()
        child.kill()
    end = time.monotonic() + 5
    while perf.exists() and "Z" not in (perf / "stat").read_text() and time.monotonic() < end:
        time.sleep(0.02)
    assert not perf.exists() or ") Z " in (perf / "stat").read_text()


@pytest.mark.parametrize(
    ("mode", "reason", "mend"),
    [
        ("silent", "perf-silent", ""),
        ("older", "old-perf", "apt-get install linux-perf"),
        ("wrapper", "no-perf", "apt-get install linux-tools-$(uname -r)"),
    ],
)
def test_a_perf_that_will_not_do_names_its_mend(tmp_path: Path, mode: str, reason: str, mend: str) -> None:
    channels = meter_of(Cpu(folder=tmp_path, power_w=POWERS, mode=mode)).probe()
    assert {c.reason for c in channels} == {reason}
    assert {mend in c.fix for c in channels} == {True}


@pytest.mark.parametrize("mode", ["", "old"])
def test_a_german_perf_is_asked_in_english_whatever_it_can_write(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    cpu = Cpu(folder=tmp_path, power_w=POWERS, mode=mode, locale="de_DE")
    reading = attempt(meter_of(cpu), 1.3)["cpu:package:0"]
    assert reading.status == "measured"
    assert reading.joules == pytest.approx(50.0 * reading.window.duration_s, rel=0.1)


@pytest.mark.parametrize("mirrored", [True, False])
def test_dies_add_up_to_their_package_whether_they_show_it_each_or_share_it(
    tmp_path: Path, mirrored: bool
) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS, dies=2, mirrored_dies=mirrored)
    meter = PerfMeter(**cpu.install(), probe_s=0.3)  # type: ignore[arg-type]
    assert [c.id for c in meter.probe() if c.alive] == ["cpu:package:0", "cpu:dram:0"]
    reading = attempt(meter)["cpu:package:0"]
    assert reading.joules == pytest.approx(50.0 * reading.window.duration_s, rel=0.15)


def test_intervals_measure_a_window_within_a_changing_load(tmp_path: Path) -> None:
    t0_ns = time.monotonic_ns()
    load = {"energy-pkg": [Segment(start_s=0.0, end_s=60.0, power_w=100.0, period_s=0.7, duty=0.5)]}
    cpu = Cpu(folder=tmp_path, power_w=POWERS, t0_ns=t0_ns, segments=load)
    meter = meter_of(cpu)
    meter.start()
    meter.edge("open")
    process = [time.monotonic_ns()]
    time.sleep(0.5)
    inner = [time.monotonic_ns()]
    time.sleep(1.5)
    inner.append(time.monotonic_ns())
    time.sleep(0.3)
    process.append(time.monotonic_ns())
    meter.edge("close")
    trace = next(t for t in meter.stop() if t.channel.id == "cpu:package:0")
    for name, (t0, t1), method in (("process", process, "exact-window"), ("training", inner, "linear-edges")):
        reading = integrate(trace, Window(program="a", name=name, t0_ns=t0, t1_ns=t1), None)
        truth = cpu.energy_j("energy-pkg", t0, t1)
        assert (reading.status, reading.method) == ("measured", method)
        assert reading.lo_j is not None
        assert reading.hi_j is not None
        assert reading.lo_j <= truth * 1.01
        assert truth * 0.99 <= reading.hi_j
