"""Two ways to the processor's energy counters: ``perf_event_open`` and powercap."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from energy_plugin.meters.liveness import MAX_W
from energy_plugin.meters.polling import SensorError
from energy_plugin.meters.rapl_unit import DOMAINS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from energy_plugin.meters.rapl_kernel import Kernel
    from energy_plugin.meters.rapl_unit import PowerUnit

PMU, POWERCAP = "rapl-pmu", "rapl-powercap"
LONGEST_GAP_S = 1.0  # between two reads nothing real wraps twice in less
READ_TRIES = 3
PACKAGE = re.compile(r"package-(\d+)(?:-die-\d+)?")


class Counter(Protocol):
    """A cumulative energy counter of a package, a die or its memory."""

    def joules(self, t_ns: int) -> float:
        """Joules up to now; *t_ns* is now.

        Raises:
            SensorError: the counter says something impossible.
            OSError: the kernel refuses.
        """

    def close(self) -> None:
        """Give it back; the next read opens it anew."""


class Place(NamedTuple):
    """A counter and what it counts: ``package`` or ``dram`` of a package."""

    domain: str
    package: int
    source: str
    counter: Counter
    detail: str


class EventCounter:
    """One counter of the unit ``power``; joules since it was opened. The kernel knows no wrap here."""

    def __init__(self, kernel: Kernel, type_: int, config: int, processor: int, scale: float) -> None:
        self._kernel = kernel
        self._arguments = (type_, config, processor)
        self._scale = scale
        self._descriptor: int | None = None
        self._lost = False

    def joules(self, t_ns: int) -> float:
        """Joules since the first read; opens the counter if need be."""
        if self._descriptor is None:
            self._descriptor = self._kernel.open_event(*self._arguments)
        value = self._kernel.read_event(self._descriptor)
        if value.running_ns < value.enabled_ns and not self._lost:
            self._lost = True
            lost_s = (value.enabled_ns - value.running_ns) / 1e9
            raise SensorError("not-counted", f"the kernel did not count for {lost_s:.3f} s")
        return value.counted * self._scale

    def close(self) -> None:
        """Give the descriptor back."""
        descriptor, self._descriptor, self._lost = self._descriptor, None, False
        if descriptor is not None:
            self._kernel.close(descriptor)


class ZoneCounter:
    """``energy_uj`` of a powercap zone, with its wraps counted.

    A value below the last is a wrap if the zone tells its range and the power across it is one that a
    processor can take; else the counter was reset. After a gap in which it could have wrapped more
    than once, nobody knows.
    """

    def __init__(self, kernel: Kernel, zone: Path) -> None:
        self._kernel = kernel
        self._zone = zone
        self._range_j: float | None = None
        self._last: tuple[int, float] | None = None
        self._wrapped_j = 0.0

    def joules(self, t_ns: int) -> float:
        """The counter's own value, with the wraps since the first read added."""
        if self._range_j is None:
            self._range_j = self._read_range()
        raw_j = self._read_raw()
        last, self._last = self._last, (t_ns, raw_j)
        if last is not None:
            self._unwrap(raw_j - last[1], (t_ns - last[0]) / 1e9)
        return raw_j + self._wrapped_j

    def _read_raw(self) -> float:
        for _ in range(READ_TRIES):  # a file that is being written anew may be empty for a moment
            if text := self._kernel.read_text(self._zone / "energy_uj"):
                return int(text) / 1e6
        raise SensorError("read-failed", f"{self._zone / 'energy_uj'} is empty")

    def _unwrap(self, delta_j: float, gap_s: float) -> None:
        range_j = self._range_j or 0.0
        most_j = MAX_W * gap_s
        if delta_j < 0:
            if not 0 < delta_j + range_j <= most_j:
                raise SensorError(
                    "counter-reset", f"energy_uj fell by {-delta_j:.3f} J: no wrap of its range"
                )
            self._wrapped_j += range_j
        if gap_s > LONGEST_GAP_S and 0 < range_j <= most_j - delta_j % range_j:
            raise SensorError("wraps-unknown", f"not read for {gap_s:.0f} s: it may have wrapped unseen")

    def _read_range(self) -> float:
        try:
            return int(self._kernel.read_text(self._zone / "max_energy_range_uj")) / 1e6
        except (OSError, ValueError):
            return 0.0  # unknown: then every fall is a reset

    def close(self) -> None:
        """Forget the last value: the next read starts anew."""
        self._last, self._wrapped_j = None, 0.0


def event_places(kernel: Kernel, unit: PowerUnit) -> Iterator[Place]:
    """Package and memory counters of the unit ``power``; may raise OSError or ValueError."""
    for event, channel in DOMAINS.items():
        if event not in unit.listed():
            continue
        type_, config, scale = unit.type(), unit.config(event), unit.scale(event)
        for package, processor in unit.processors():
            counter = EventCounter(kernel, type_, config, processor, scale)
            domain = channel.removeprefix("cpu:")
            yield Place(domain, package, PMU, counter, "by perf_event_open")


def zone_places(kernel: Kernel, sysfs: Path) -> Iterator[Place]:
    """Package and memory zones of powercap, each once, whatever interface lists them."""
    names: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    zones = kernel.zones(sysfs / "class/powercap")
    for zone in sorted(zones, key=lambda zone: ("mmio" in zone.name, _numbers(zone.name))):
        try:
            name = kernel.read_text(zone / "name")
        except OSError:
            continue
        names[zone.name] = name
        parent = names.get(zone.name.rpartition(":")[0], name)
        place = PACKAGE.fullmatch(parent if name == "dram" else name)
        if place and (name, parent) not in seen:  # cores and gpu lie within, psys around the package
            seen.add((name, parent))
            domain = "dram" if name == "dram" else "package"
            yield Place(domain, int(place[1]), POWERCAP, ZoneCounter(kernel, zone), f"by {zone.name}")


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]
