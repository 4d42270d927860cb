"""A powercap tree: zones as Linux lists them below ``/sys/class/powercap``, kept current by a process."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.simulated.domains import Domains

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PERIOD_S = 0.005
RANGE_UJ = 262143328850  # of a real server processor: 44 minutes at 100 W
PARTS = {"energy-cores": "core", "energy-gpu": "uncore", "energy-ram": "dram"}


class Zone(NamedTuple):
    """One zone: its folder's name, what it calls itself, and the counter it shows."""

    folder: str
    name: str
    event: str
    socket: int
    die: int


def zones(domains: Domains) -> Iterator[Zone]:
    """Every package or die with its parts, and the platform after them."""
    number = 0
    for socket in range(domains.sockets):
        for die in range(domains.dies):
            name = f"package-{socket}" if domains.dies == 1 else f"package-{socket}-die-{die}"
            yield Zone(f"intel-rapl:{number}", name, "energy-pkg", socket, die)
            parts = [(event, part) for event, part in PARTS.items() if event in domains.power_w]
            for i, (event, part) in enumerate(parts):
                yield Zone(f"intel-rapl:{number}:{i}", part, event, socket, die)
            if domains.world.get("mmio"):
                yield Zone(f"intel-rapl-mmio:{number}", name, "energy-pkg", socket, die)
            number += 1
    if "energy-psys" in domains.power_w:
        yield Zone(f"intel-rapl:{number}", "psys", "energy-psys", 0, 0)


class Tree:
    """The zones of one folder, below its ``sys/class/powercap``."""

    def __init__(self, folder: Path) -> None:
        self._domains = Domains(folder, settle_s=10.0)
        self._root = folder / "sys/class/powercap"
        self._zones = [z for z in zones(self._domains) if z.event in self._domains.power_w]
        self._range_uj = int(self._domains.world.get("range_uj") or RANGE_UJ)
        self._lengths: dict[str, int] = {}
        self._files: dict[str, int] = {}

    def create(self, t_ns: int) -> None:
        """Write every file."""
        for zone in self._zones:
            folder = self._root / zone.folder
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in (
                ("name", zone.name),
                ("enabled", "1"),
                ("max_energy_range_uj", str(self._range_uj)),
                ("energy_uj", "0"),
            ):
                (folder / name).write_text(f"{text}\n")
        self.write(t_ns)

    def write(self, t_ns: int) -> None:
        """Bring every ``energy_uj`` to what it shows at *t_ns*; in place, for readers that keep it open."""
        for zone in self._zones:
            joules = self._domains.counter_j(zone.event, zone.socket, zone.die, t_ns)
            text = f"{int(joules * 1e6) % self._range_uj}\n".encode()
            path = self._root / zone.folder / "energy_uj"
            file = self._files.setdefault(zone.folder, -1)
            if file < 0:
                file = self._files[zone.folder] = os.open(path, os.O_WRONLY)
            os.pwrite(file, text, 0)
            if self._lengths.get(zone.folder) != len(text):
                os.ftruncate(file, len(text))
                self._lengths[zone.folder] = len(text)

    def close(self) -> None:
        """Close its files."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()


def main(folder: Path, arguments: list[str]) -> int:
    """Keep the tree current until the process that began this one is gone; one line when it is."""
    period_s = float(arguments[0]) if arguments else PERIOD_S
    tree, parent = Tree(folder), os.getppid()
    tree.write(time.monotonic_ns())
    sys.stdout.write("current\n")
    sys.stdout.flush()
    while os.getppid() == parent:
        time.sleep(period_s)
        tree.write(time.monotonic_ns())
    return 0
