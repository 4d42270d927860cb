"""The rapl meter on a scripted kernel: every system call it makes answers as the test says."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from energy_plugin.meters.liveness import BusyLoop, unmirrored
from energy_plugin.meters.polling import SensorError
from energy_plugin.meters.rapl import LEAD_S, TAIL_S, RaplMeter
from energy_plugin.meters.rapl_counters import EventCounter, zone_places
from energy_plugin.meters.rapl_kernel import EventValue, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from energy_plugin.record.trace import Channel

SCALE = 2.0**-32
PACKAGE, DRAM = 0x02, 0x03


class Steps:
    """A clock that goes on by 0.1 ms a look."""

    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        self.now += 100_000
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


class Scripted(Kernel):
    """Package of 50 W and memory of 5 W on every processor, unless told otherwise."""

    def __init__(self, clock: Steps) -> None:
        self.clock = clock
        self.open: dict[int, tuple[int, int]] = {}
        self.opened: list[tuple[int, int, int]] = []
        self.refuse: dict[int, int] = {}
        self.watts: Callable[[int, int], float] = lambda config, cpu: {PACKAGE: 50.0, DRAM: 5.0}[config] + cpu
        self.lost_ns = 0

    def open_event(self, type_: int, config: int, processor: int) -> int:
        self.opened.append((type_, config, processor))
        if number := self.refuse.get(config):
            raise OSError(number, os.strerror(number))
        descriptor = len(self.opened)
        self.open[descriptor] = (config, processor)
        return descriptor

    def read_event(self, descriptor: int) -> EventValue:
        joules = self.watts(*self.open[descriptor]) * self.clock.now / 1e9
        return EventValue(int(joules / SCALE), self.clock.now, self.clock.now - self.lost_ns)

    def close(self, descriptor: int) -> None:
        del self.open[descriptor]


class Ticking(Scripted):
    """Counters that are updated every 10 ms only, so that two reads in a row agree."""

    def read_event(self, descriptor: int) -> EventValue:
        joules = self.watts(*self.open[descriptor]) * (self.clock.now // 10_000_000) / 100
        return EventValue(int(joules / SCALE), self.clock.now, self.clock.now)


class Slow(Scripted):
    """Counters that are updated every 0.1 s only."""

    def read_event(self, descriptor: int) -> EventValue:
        joules = self.watts(*self.open[descriptor]) * (self.clock.now // 100_000_000) / 10
        return EventValue(int((0.123 + joules) / SCALE), self.clock.now, self.clock.now)


def pmu(sysfs: Path, *, cpumask: str = "0", packages: tuple[int, ...] = (0,), unit: str = "Joules") -> None:
    folder = sysfs / "bus/event_source/devices/power"
    (folder / "events").mkdir(parents=True)
    (folder / "type").write_text("9\n")
    (folder / "cpumask").write_text(f"{cpumask}\n")
    for event, config in (("energy-pkg", PACKAGE), ("energy-ram", DRAM)):
        (folder / "events" / event).write_text(f"event=0x{config:02x}\n")
        (folder / "events" / f"{event}.unit").write_text(f"{unit}\n")
        (folder / "events" / f"{event}.scale").write_text("2.3283064365386962890625e-10\n")
    for cpu, package in enumerate(packages):
        topology = sysfs / f"devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")


def zone(sysfs: Path, folder: str, name: str, joules: float = 0.0, range_j: float = 262143.328850) -> Path:
    path = sysfs / "class/powercap" / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
    (path / "max_energy_range_uj").write_text(f"{round(range_j * 1e6)}\n")
    return path


def meter(tmp_path: Path, kernel: Kernel | None = None) -> RaplMeter:
    clock = kernel.clock if isinstance(kernel, Scripted) else Steps()
    return RaplMeter(sysfs=tmp_path, procfs=tmp_path / "proc", kernel=kernel or Scripted(clock), clock=clock)  # type: ignore[arg-type]


def probed(tmp_path: Path, kernel: Kernel | None = None) -> dict[str, Channel]:
    return {channel.id: channel for channel in meter(tmp_path, kernel).probe()}


def reasons(channels: dict[str, Channel]) -> dict[str, str]:
    return {name: channel.reason for name, channel in channels.items()}


# --- perf_event_open --------------------------------------------------------------------------------


def test_every_counter_is_opened_on_the_processor_that_reads_for_its_package(tmp_path: Path) -> None:
    pmu(tmp_path, cpumask="0-1", packages=(0, 1))
    kernel = Scripted(Steps())
    channels = probed(tmp_path, kernel)
    assert kernel.opened == [(9, PACKAGE, 0), (9, PACKAGE, 1), (9, DRAM, 0), (9, DRAM, 1)]
    assert reasons(channels) == dict.fromkeys(
        ("cpu:package:0", "cpu:package:1", "cpu:dram:0", "cpu:dram:1"), ""
    )
    assert {channel.source for channel in channels.values()} == {"rapl-pmu"}
    assert kernel.open == {}, "the probe gives its counters back"


def test_counts_become_joules_by_the_kernels_scale(tmp_path: Path) -> None:
    pmu(tmp_path)
    clock = Steps()
    counter = EventCounter(Scripted(clock), 9, PACKAGE, 0, SCALE)
    clock.now = 2_000_000_000
    assert counter.joules(0) == pytest.approx(100.0)


def test_time_in_which_the_kernel_did_not_count_is_a_fault(tmp_path: Path) -> None:
    clock = Steps()
    kernel = Scripted(clock)
    counter = EventCounter(kernel, 9, PACKAGE, 0, SCALE)
    counter.joules(0)
    kernel.lost_ns = 4_000_000
    with pytest.raises(SensorError, match=r"0\.004 s") as caught:
        counter.joules(0)
    assert caught.value.code == "not-counted"
    counter.joules(0)  # said once; the joules go on


@pytest.mark.parametrize(
    ("number", "reason", "mend"),
    [
        (errno.EACCES, "no-permission", "sysctl kernel.perf_event_paranoid=0"),
        (errno.EPERM, "no-permission", "sysctl kernel.perf_event_paranoid=0"),
        (errno.EINVAL, "no-event", ""),
        (errno.ENOENT, "no-event", ""),
        (errno.ENODEV, "no-event", ""),
        (errno.ENOSYS, "not-supported", ""),
        (errno.EIO, "read-failed", ""),
    ],
)
def test_what_the_kernel_refuses_is_dead_with_a_stable_reason(
    tmp_path: Path, number: int, reason: str, mend: str
) -> None:
    pmu(tmp_path)
    kernel = Scripted(Steps())
    kernel.refuse = {PACKAGE: number}
    channels = probed(tmp_path, kernel)
    assert reasons(channels) == {"cpu:package:0": reason, "cpu:dram:0": ""}
    assert channels["cpu:package:0"].fix == mend


@pytest.mark.parametrize(
    ("watts", "reason"),
    [(0.0, "dead-counter"), (0.1, "implausible"), (9000.0, "implausible"), (0.6, ""), (1900.0, "")],
)
def test_a_package_must_take_a_believable_power(tmp_path: Path, watts: float, reason: str) -> None:
    pmu(tmp_path)
    kernel = Scripted(Steps())
    kernel.watts = lambda _config, _cpu: watts
    assert probed(tmp_path, kernel)["cpu:package:0"].reason == reason


def test_a_counter_that_moves_in_joules_counts_in_another_unit(tmp_path: Path) -> None:
    pmu(tmp_path)

    class Coarse(Scripted):
        def read_event(self, descriptor: int) -> EventValue:
            value = super().read_event(descriptor)
            return value._replace(counted=int(value.counted * SCALE / 4) * int(4 / SCALE))

    assert probed(tmp_path, Coarse(Steps()))["cpu:package:0"].reason == "bad-unit"


@pytest.mark.parametrize("unit", ["Celsius", ""])
def test_a_unit_that_is_not_joules_is_refused(tmp_path: Path, unit: str) -> None:
    pmu(tmp_path, unit=unit)
    assert set(reasons(probed(tmp_path)).values()) == {"bad-unit"}


def test_a_package_seen_twice_counts_once(tmp_path: Path) -> None:
    pmu(tmp_path, cpumask="0,1", packages=(0, 1))
    kernel = Ticking(Steps())
    kernel.watts = lambda config, _cpu: {PACKAGE: 50.0, DRAM: 5.0}[config]
    channels = probed(tmp_path, kernel)
    assert channels["cpu:package:0"].alive
    assert channels["cpu:package:1"].reason == "mirrored"


@pytest.mark.parametrize(("skew", "whole_w"), [(0.001, 50.0), (0.5, 125.0)])
def test_dies_with_the_packages_own_counter_are_not_added_up(
    tmp_path: Path, skew: float, whole_w: float
) -> None:
    pmu(tmp_path, cpumask="0-1", packages=(0, 0))
    kernel = Scripted(Steps())
    kernel.watts = lambda _config, cpu: 50.0 * (1 + skew * cpu)
    rapl = meter(tmp_path, kernel)
    assert {c.id for c in rapl.probe()} == {"cpu:package:0", "cpu:dram:0"}
    joules = []
    for _ in range(2):
        kernel.clock.now += 1_000_000_000
        joules.append(sum(p.counter.joules(0) for p in rapl._probe.places["cpu:package:0"]))
    assert joules[1] - joules[0] == pytest.approx(whole_w, rel=0.05)


def test_where_the_kernel_lists_nothing_the_module_is_named(tmp_path: Path) -> None:
    (package, dram) = meter(tmp_path).probe()
    assert (package.id, dram.id) == ("cpu:package:0", "cpu:dram:0")
    assert package.reason == "no-event"
    assert "modprobe rapl" in package.fix
    assert "modprobe intel_rapl_msr" in package.fix


@pytest.mark.parametrize(("kind", "tail_s"), [(Scripted, TAIL_S), (Slow, 0.25)])
def test_a_slow_counter_is_watched_until_it_has_surely_moved(
    tmp_path: Path, kind: type[Scripted], tail_s: float
) -> None:
    pmu(tmp_path)
    found = meter(tmp_path, kind(Steps()))
    assert next(iter(found.probe())).alive
    assert found.tail_s == pytest.approx(tail_s, rel=0.05)
    assert found.lead_s >= max(LEAD_S, 2 * found.tail_s)


# --- powercap ---------------------------------------------------------------------------------------


class Zones(Scripted):
    """Reads zones from real files, each read adding joules at a power that its name tells."""

    def __init__(self, watts: dict[str, float]) -> None:
        super().__init__(Steps())
        self.watts_of = watts
        self.denied: set[str] = set()

    def read_text(self, file: Path) -> str:
        text = super().read_text(file)
        if file.name != "energy_uj":
            return text
        if file.parent.name in self.denied:
            raise PermissionError(errno.EACCES, "Permission denied")
        watts = self.watts_of.get(file.parent.name, 0.0)
        return str(int(text) + round(watts * (self.clock.now // 10_000_000) * 1e4))


def test_package_and_memory_zones_are_read_and_no_other(tmp_path: Path) -> None:
    for folder, name in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:0:1", "uncore"),
        ("intel-rapl:0:2", "dram"),
        ("intel-rapl:1", "psys"),
        ("intel-rapl:2", "package-1"),
        ("intel-rapl:2/intel-rapl:2:0", "dram"),
        ("intel-rapl-mmio:0", "package-0"),
    ):
        zone(tmp_path, folder, name)
    found = [(p.domain, p.package, p.detail.removeprefix("by ")) for p in zone_places(Zones({}), tmp_path)]
    assert found == [
        ("package", 0, "intel-rapl:0"),
        ("dram", 0, "intel-rapl:0:2"),
        ("package", 1, "intel-rapl:2"),
        ("dram", 1, "intel-rapl:2:0"),
    ]


def test_zones_within_what_contains_them_are_found_as_those_side_by_side(tmp_path: Path) -> None:
    top = "intel-rapl/intel-rapl"
    for folder, name in ((":0", "package-0"), (":0/intel-rapl:0:1", "dram"), (":1", "psys")):
        zone(tmp_path, top + folder, name)
    assert [(p.domain, p.package) for p in zone_places(Zones({}), tmp_path)] == [("package", 0), ("dram", 0)]


@pytest.mark.parametrize("folder", ["amd-rapl:0", "intel-rapl:0"])
def test_zones_live_by_their_own_name_whoever_made_the_processor(tmp_path: Path, folder: str) -> None:
    zone(tmp_path, folder, "package-0-die-0")
    channels = probed(tmp_path, Zones({folder: 40.0}))
    assert channels["cpu:package:0"].alive
    assert channels["cpu:package:0"].source == "rapl-powercap"
    assert channels["cpu:dram:0"].reason == "no-event"


def test_the_event_is_preferred_and_the_zone_stands_in(tmp_path: Path) -> None:
    pmu(tmp_path)
    zone(tmp_path, "intel-rapl:0", "package-0")
    kernel = Zones({"intel-rapl:0": 40.0})
    assert probed(tmp_path, kernel)["cpu:package:0"].source == "rapl-pmu"
    kernel.refuse = {PACKAGE: errno.EACCES, DRAM: errno.EACCES}
    channels = probed(tmp_path, kernel)
    assert channels["cpu:package:0"].source == "rapl-powercap"
    assert channels["cpu:dram:0"].reason == "no-permission"


def test_a_zone_only_root_may_read_says_so_with_both_mends(tmp_path: Path) -> None:
    pmu(tmp_path)
    zone(tmp_path, "intel-rapl:0", "package-0")
    kernel = Zones({})
    kernel.refuse, kernel.denied = {PACKAGE: errno.EACCES, DRAM: errno.EACCES}, {"intel-rapl:0"}
    package = probed(tmp_path, kernel)["cpu:package:0"]
    assert package.reason == "no-permission"
    assert "perf_event_paranoid=0" in package.fix
    assert "chmod a+r" in package.fix
    assert "only root" in package.detail


def test_two_zones_of_one_value_since_the_start_are_one_counter(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1000.0)
    zone(tmp_path, "intel-rapl:1", "package-1", 1000.0)
    kernel = Zones({"intel-rapl:0": 40.0, "intel-rapl:1": 40.0})
    channels = probed(tmp_path, kernel)
    assert channels["cpu:package:0"].alive
    assert channels["cpu:package:1"].reason == "mirrored"


# --- the busy loop ----------------------------------------------------------------------------------


def test_all_meters_share_one_loop() -> None:
    told: list[str] = []

    class Watcher:
        def begin(self) -> None:
            told.append("begin")

        def look(self) -> None:
            told.append("look")

        def end(self) -> None:
            told.append("end")

    clock = Steps()
    busy = BusyLoop(0.1, clock=clock)  # type: ignore[arg-type]
    busy.join(Watcher())
    busy.join(Watcher())
    busy.run()
    busy.run()
    assert told[:2] == ["begin", "begin"]
    assert told[-2:] == ["end", "end"]
    assert told.count("begin") == 2
    assert told.count("look") >= 8
    assert clock.now < 0.2e9


def test_two_sockets_of_nearly_the_same_power_are_both_kept() -> None:
    assert unmirrored([(0, 30.0), (1, 30.001)]) == [0, 1]
    assert unmirrored([(0, 30.0), (0, 30.1), (0, 25.0)]) == [0, 2]
