"""The rapl meter on the real kernel's perf_event_open, and on powercap files that move and wrap."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from energy_plugin.meters.perf import PerfMeter
from energy_plugin.meters.rapl import RaplMeter
from energy_plugin.meters.rapl_kernel import Kernel
from energy_plugin.record.record import total
from energy_plugin.record.trace import Reading, Window, integrate
from tests.simulated.hardware import Cpu, Segment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOFTWARE, CPU_CLOCK = 1, 0  # an event every kernel counts: nanoseconds
RANGE_UJ = 262_143_328_850


LABELS = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "dram", "intel-rapl:0:1": "core"}
WRITER = """
import json, os, sys, time
folder, watts, start_uj, range_uj, reset_at_s, t0 = json.loads(sys.argv[1])
while True:
    age_s = time.monotonic() - t0
    for name, power_w in watts.items():
        fresh = reset_at_s is not None and age_s >= reset_at_s
        now_uj = power_w * (age_s - reset_at_s) * 1e6 if fresh else start_uj + power_w * age_s * 1e6
        file = f"{folder}/{name}/energy_uj"
        with open(f"{file}.{os.getpid()}", "w") as new:
            new.write(f"{int(now_uj) % range_uj}\\n")
        os.replace(new.name, file)
    time.sleep(0.001)
"""


class Powercap:
    """Zones whose files a process writes anew every millisecond or so, as the hardware would."""

    def __init__(self, folder: Path, watts: dict[str, float], start_uj: int = 0) -> None:
        self.zones = folder / "class/powercap"
        self.watts = watts
        self.start_uj = start_uj
        self.t0 = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        for name in watts:
            (self.zones / name).mkdir(parents=True)
            (self.zones / name / "name").write_text(f"{LABELS[name]}\n")
            (self.zones / name / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.write()
        while not all((self.zones / name / "energy_uj").exists() for name in watts):
            time.sleep(0.01)

    def write(self, reset_at_s: float | None = None) -> None:
        """Write on, from *reset_at_s* after the start on with a counter that begins again at 0."""
        world = json.dumps([str(self.zones), self.watts, self.start_uj, RANGE_UJ, reset_at_s, self.t0])
        old, self._process = self._process, subprocess.Popen([sys.executable, "-S", "-c", WRITER, world])
        if old is not None:
            time.sleep(0.1)  # no gap: the new one writes already
            old.kill()
            old.wait()

    def end(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture
def zones(tmp_path: Path) -> Iterator[list[Powercap]]:
    made: list[Powercap] = []
    yield made
    for powercap in made:
        powercap.end()


def attempt(meter: RaplMeter, duration_s: float = 0.5) -> dict[str, Reading]:
    meter.start()
    time.sleep(meter.lead_s)
    meter.edge("open")
    t0 = time.monotonic_ns()
    time.sleep(duration_s)
    window = Window(program="a", name="process", t0_ns=t0, t1_ns=time.monotonic_ns())
    meter.edge("close")
    time.sleep(meter.tail_s)
    return {trace.channel.id: integrate(trace, window, None) for trace in meter.stop()}


POWERS = {"energy-pkg": 60.0, "energy-ram": 6.0, "energy-cores": 40.0, "energy-psys": 90.0}


def meter_of(cpu: Cpu) -> RaplMeter:
    """The meter on powercap alone: the kernel here knows no power events."""
    where = cpu.install()
    shutil.rmtree(cpu.folder / "sys/bus")
    return RaplMeter(sysfs=Path(where["sysfs"]), procfs=Path(where["procfs"]), probe_s=0.2)


@pytest.mark.parametrize("mmio", [False, True])
def test_package_and_memory_zones_are_measured_within_their_bounds(tmp_path: Path, mmio: bool) -> None:
    load = {"energy-pkg": [Segment(start_s=0.0, end_s=60.0, power_w=50.0, period_s=0.3, duty=0.5)]}
    cpu = Cpu(folder=tmp_path, power_w=POWERS, t0_ns=time.monotonic_ns(), segments=load, mmio=mmio)
    meter = meter_of(cpu)
    with cpu.live():
        readings = attempt(meter, 0.7)
    assert set(readings) == {"cpu:package:0", "cpu:dram:0"}
    for name, event in (("cpu:package:0", "energy-pkg"), ("cpu:dram:0", "energy-ram")):
        reading = readings[name]
        truth = cpu.energy_j(event, reading.window.t0_ns, reading.window.t1_ns)
        assert (reading.status, reading.source) == ("measured", "rapl-powercap")
        assert reading.lo_j is not None
        assert reading.hi_j is not None
        assert reading.lo_j <= truth <= reading.hi_j
        assert reading.joules == pytest.approx(truth, rel=0.05)


def test_two_packages_add_up_and_mirrored_ones_count_once(tmp_path: Path) -> None:
    seen = {}
    for name, mirrored in (("two", False), ("same", True)):
        (tmp_path / name).mkdir()
        cpu = Cpu(folder=tmp_path / name, power_w=POWERS, sockets=2, skew=0.1, mirrored=mirrored)
        meter = meter_of(cpu)
        with cpu.live():
            seen[name] = {c.id: c.reason for c in meter.probe()}
    assert seen["two"] == dict.fromkeys(("cpu:package:0", "cpu:package:1", "cpu:dram:0", "cpu:dram:1"), "")
    assert {k for k, reason in seen["same"].items() if reason} == {"cpu:package:1", "cpu:dram:1"}
    assert seen["same"]["cpu:package:1"] == "mirrored"


def test_wraps_within_the_window_are_counted_on(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS, t0_ns=time.monotonic_ns(), range_uj=20_000_000)
    meter = meter_of(cpu)
    with cpu.live():
        reading = attempt(meter, 1.0)["cpu:package:0"]  # 60 J: three wraps
    assert (reading.status, reading.reason) == ("measured", "")
    assert reading.joules == pytest.approx(60.0 * reading.window.duration_s, rel=0.05)


def test_a_counter_that_freezes_amid_a_run_is_a_hole(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS, t0_ns=time.monotonic_ns(), freeze_s=1.8)
    meter = meter_of(cpu)
    with cpu.live():
        meter.probe()
        time.sleep(max(0.0, cpu.t0_ns / 1e9 + 0.9 - time.monotonic()))
        reading = attempt(meter, 3.0)["cpu:package:0"]
    assert (reading.status, reading.reason) == ("partial", "frozen-counter")
    assert reading.joules == pytest.approx(
        60.0 * (cpu.t0_ns / 1e9 + 1.8 - reading.window.t0_ns / 1e9), rel=0.1
    )


def test_a_reset_within_the_window_is_a_hole_with_its_reason(tmp_path: Path, zones: list[Powercap]) -> None:
    zones.append(Powercap(tmp_path, {"intel-rapl:0": 60.0}, start_uj=90_000_000_000))
    meter = RaplMeter(sysfs=tmp_path, procfs=tmp_path, probe_s=0.1)
    meter.probe()
    zones[0].write(reset_at_s=time.monotonic() - zones[0].t0 + 0.1 + meter.lead_s + 0.4)
    reading = attempt(meter, 0.8)["cpu:package:0"]
    assert (reading.status, reading.reason) == ("partial", "counter-reset")
    assert reading.joules is not None
    assert reading.joules <= 60.0 * reading.window.duration_s


def test_zones_that_vanish_amid_a_run_leave_a_partial_reading(tmp_path: Path, zones: list[Powercap]) -> None:
    zones.append(Powercap(tmp_path, {"intel-rapl:0": 60.0}))
    meter = RaplMeter(sysfs=tmp_path, procfs=tmp_path, probe_s=0.1)
    meter.start()
    time.sleep(meter.lead_s)
    meter.edge("open")
    t0 = time.monotonic_ns()
    time.sleep(0.4)
    zones[0].end()
    (zones[0].zones / "intel-rapl:0/energy_uj").unlink()
    time.sleep(0.4)
    window = Window(program="a", name="process", t0_ns=t0, t1_ns=time.monotonic_ns())
    meter.edge("close")
    (trace,) = meter.stop()
    reading = integrate(trace, window, None)
    assert (reading.status, reading.reason) == ("partial", "no-event")
    assert 0.2 < reading.covered_s < 0.6
    assert reading.joules == pytest.approx(60.0 * reading.covered_s, rel=0.2)


def test_a_process_window_is_perfs_and_an_inner_one_rapls(tmp_path: Path) -> None:
    """Both read one package; the record takes one of them for each window, never both."""

    def reading(meter: str, status: str, method: str, window: str, joules: float) -> Reading:
        return Reading(
            meter=meter,
            channel="cpu:package:0",
            window=Window(program="a", name=window, t0_ns=0, t1_ns=10**9),
            status=status,  # type: ignore[arg-type]
            method=method,
            joules=joules,
            source="rapl-pmu",
        )

    process = total(
        [
            reading("rapl", "measured", "resolved-edges", "process", 50.1),
            reading("perf", "measured", "exact-window", "process", 50.0),
        ]
    )
    assert (process.joules, process.sources) == (50.0, ("rapl-pmu (perf)",))
    training = total(
        [
            reading("perf", "estimated", "interpolated", "training", 40.0),
            reading("rapl", "measured", "linear-edges", "training", 41.0),
        ]
    )
    assert (training.joules, training.sources) == (41.0, ("rapl-pmu (rapl)",))


# --- the real kernel --------------------------------------------------------------------------------


@pytest.mark.root
def test_the_real_kernel_counts_what_is_opened_through_us() -> None:
    kernel = Kernel()
    descriptor = kernel.open_event(SOFTWARE, CPU_CLOCK, 0)
    first, t0 = kernel.read_event(descriptor), time.monotonic_ns()
    time.sleep(0.2)
    second, t1 = kernel.read_event(descriptor), time.monotonic_ns()
    kernel.close(descriptor)
    assert second.counted - first.counted == pytest.approx(t1 - t0, rel=0.02)
    assert second.running_ns == second.enabled_ns
    assert second.running_ns - first.running_ns == pytest.approx(t1 - t0, rel=0.02)
    with pytest.raises(OSError, match="Bad file descriptor"):
        kernel.read_event(descriptor)


@pytest.mark.root
def test_the_real_kernel_refuses_an_unknown_counter() -> None:
    with pytest.raises(OSError, match=r"No such file|Invalid argument"):
        Kernel().open_event(9999, 2, 0)


@pytest.mark.root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
def test_the_real_kernel_tells_a_plain_user_that_permission_is_missing(tmp_path: Path) -> None:
    paranoid = int(Path("/proc/sys/kernel/perf_event_paranoid").read_text())
    assert paranoid > 0, "plain users may count here: the test has nothing to see"
    events = tmp_path / "sys/bus/event_source/devices/power/events"
    events.mkdir(parents=True)
    (events.parent / "type").write_text(f"{SOFTWARE}\n")
    (events.parent / "cpumask").write_text("0\n")
    (events / "energy-pkg").write_text("event=0x00\n")
    (events / "energy-pkg.unit").write_text("Joules\n")
    (events / "energy-pkg.scale").write_text("1e-9\n")
    program = (
        "import sys; from pathlib import Path; from energy_plugin.meters.rapl import RaplMeter\n"
        "c = RaplMeter(sysfs=Path(sys.argv[1])).probe()[0]; print(c.reason, c.fix, sep='|')"
    )
    shutil.copytree(ROOT / "energy_plugin", tmp_path / "code" / "energy_plugin")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    command = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c", program]
    done = subprocess.run(
        [*command, str(tmp_path / "sys")], cwd=tmp_path / "code", capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "no-permission|sysctl kernel.perf_event_paranoid=0", done.stderr


def test_the_real_counters_here_live_or_say_why_and_count_no_zero() -> None:
    meter = RaplMeter()
    channels = meter.probe()
    assert {"cpu:package:0", "cpu:dram:0"} <= {channel.id for channel in channels}
    assert all(channel.alive or (channel.reason and channel.detail) for channel in channels)
    for reading in attempt(meter, 0.2).values():
        assert reading.joules != 0.0


def test_two_meters_need_one_busy_moment(tmp_path: Path) -> None:
    from energy_plugin.meters.select import make_meters

    (tmp_path / "class").mkdir()
    meters = make_meters(["perf", "rapl"], sysfs=tmp_path)
    start = time.monotonic()
    for meter in meters:
        meter.probe()
    assert time.monotonic() - start < 0.5
    assert isinstance(meters[0], PerfMeter)
