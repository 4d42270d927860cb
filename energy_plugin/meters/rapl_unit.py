"""The kernel's list of power counters: the performance monitoring unit ``power`` in sysfs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_plugin.meters.liveness import Verdict, is_virtual

if TYPE_CHECKING:
    from pathlib import Path

# Event -> channel. Package and memory do not overlap; cores and gpu lie within the package.
DOMAINS = {"energy-pkg": "cpu:package", "energy-ram": "cpu:dram"}
PSYS = "energy-psys"  # contains the package: probed for the doctor, never read
TICK_S = 0.001  # the hardware's own update
PERMIT = "sysctl kernel.perf_event_paranoid=0"
MODULE = "modprobe rapl"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerUnit:
    """What sysfs says of the unit.

    Attributes:
        sysfs: where the kernel's ``/sys`` is mounted.
        procfs: where its ``/proc`` is mounted.
    """

    sysfs: Path
    procfs: Path

    @property
    def folder(self) -> Path:
        """Of the unit's own files."""
        return self.sysfs / "bus/event_source/devices/power"

    def listed(self) -> list[str]:
        """Events among package, memory and psys that the kernel lists."""
        return [event for event in (*DOMAINS, PSYS) if (self.folder / "events" / event).is_file()]

    def type(self) -> int:
        """Number of the unit for ``perf_event_open``; may raise OSError or ValueError."""
        return int((self.folder / "type").read_text())

    def config(self, event: str) -> int:
        """Number of *event* within the unit, of ``event=0x02``; may raise OSError or ValueError."""
        name, _, number = (self.folder / "events" / event).read_text().strip().partition("=")
        if name != "event":
            raise ValueError(f"{event} is described by {name!r}")
        return int(number, 0)

    def scale(self, event: str) -> float:
        """Joules of one count; may raise OSError or ValueError."""
        unit = (self.folder / "events" / f"{event}.unit").read_text().strip()
        scale = float((self.folder / "events" / f"{event}.scale").read_text())
        if unit != "Joules" or not 0 < scale <= 1:
            raise ValueError(f"the kernel counts it in {scale} {unit}")
        return scale

    def bad_unit(self, event: str) -> Verdict:
        """Empty where unit and scale of *event* are joules and believable."""
        try:
            self.scale(event)
        except OSError as error:
            return Verdict("bad-unit", f"the kernel tells no unit or scale: {error}")
        except ValueError as error:
            return Verdict("bad-unit", str(error))
        return Verdict()

    def processors(self) -> list[tuple[int, int]]:
        """Package and processor for each processor that reads for its package or die.

        A package with several of them is counted once a die.
        """
        try:
            numbers = _numbers((self.folder / "cpumask").read_text())
        except (OSError, ValueError):
            numbers = [0]
        return [(self._package(number, index), number) for index, number in enumerate(numbers)]

    def by_die(self) -> bool:
        """Whether the kernel counts once a die, not once a package."""
        found = self.processors()
        return len({package for package, _ in found}) < len(found)

    def _package(self, number: int, otherwise: int) -> int:
        file = self.sysfs / f"devices/system/cpu/cpu{number}/topology/physical_package_id"
        try:
            return int(file.read_text())
        except (OSError, ValueError):
            return otherwise

    def missing(self) -> Verdict:
        """Why an event is not listed."""
        if self.folder.is_dir():
            return Verdict("no-event", "this processor has no such counter")
        if is_virtual(self.procfs):
            told = f"the kernel of this virtual machine lists no power counters in {self.folder}"
            return Verdict("no-event", told, "measure on the machine that hosts this one")
        return Verdict("no-event", f"the kernel lists no power counters in {self.folder}", MODULE)


def _numbers(text: str) -> list[int]:
    """Processors of a list such as ``0,18`` or ``0-1``."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
