"""Simulated processors: a ``perf``, a powercap tree and the sysfs and procfs they go with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulated.domains import Domains
from tests.simulated.gpu import LABEL
from tests.simulated.powercap import PERIOD_S, Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.simulated.power import Term

HERE = Path(__file__).parent
PARTS = ("power", "activity", "domains", "perf", "perf_form", "perf_options", "powercap")
CONFIG = {"energy-cores": 1, "energy-pkg": 2, "energy-ram": 3, "energy-gpu": 4, "energy-psys": 5}
PROGRAM = """#!{python} -SE
import sys
sys.path[:0] = [{library!r}]
from pathlib import Path
from tests.simulated.{module} import main
sys.exit(main(Path({folder!r}), sys.argv[1:]))
"""


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """Simulated processors; perf.py and domains.py say what each field does.

    ``power_w`` are watts of one package by event name (``energy-pkg``, ``energy-ram``, ``energy-psys`` ...),
    ``segments`` terms above them, ``shares`` how much of live work's watts each event sees.
    """

    folder: Path
    power_w: dict[str, float]
    mode: str = ""
    modes: Mapping[str, str] = field(default_factory=dict)
    sockets: int = 1
    dies: int = 1
    skew: float = 0.0
    mirrored: bool = False
    mirrored_dies: bool = False
    dies_after: int = 0
    delay_s: float = 0.0
    ack_s: float = 0.0
    hypervisor: bool = False
    unit: str = "Joules"
    t0_ns: int = 0
    segments: Mapping[str, Sequence[Term]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=lambda: {"energy-pkg": 1.0, "energy-psys": 1.0})
    tick_s: float = 0.001
    base_j: float = 0.0
    range_uj: int = 0
    freeze_s: float | None = None
    mmio: bool = False
    locale: str = "C"
    count_key: str = "aggregate-number"
    version: str = "6.1.0"

    @property
    def activity(self) -> Path:
        """The file of live work."""
        return self.folder / "cpu-activity.log"

    def install(self) -> dict[str, str | Path]:
        """Write programs, sysfs and procfs; the arguments ``program``, ``sysfs`` and ``procfs``."""
        self.activity.touch()
        (self.folder / "perf.json").write_text(json.dumps(self._world()))
        library = self.folder / "lib/tests/simulated"
        library.mkdir(parents=True, exist_ok=True)
        for name in PARTS:
            shutil.copy(HERE / f"{name}.py", library)
        for name, module in (("perf", "perf"), ("powercap-writer", "powercap")):
            self._write_program(name, module)
        self._list_events()
        self._list_processors()
        tree = Tree(self.folder)
        tree.create(time.monotonic_ns())
        tree.close()
        return {
            "program": str(self.folder / "perf"),
            "sysfs": self.folder / "sys",
            "procfs": self.folder / "proc",
        }

    def environment(self) -> dict[str, str]:
        """For a process that is to find this ``perf`` by its name; :meth:`install` comes first."""
        return {"PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}", "WATTWHY_SIMULATED": LABEL}

    def _write_program(self, name: str, module: str) -> None:
        program = self.folder / name
        text = PROGRAM.format(
            python=sys.executable, library=str(self.folder / "lib"), module=module, folder=str(self.folder)
        )
        program.write_text(text)
        program.chmod(0o755)

    def _world(self) -> dict[str, object]:
        left_out = ("folder", "segments", "hypervisor", "unit", "modes", "shares")
        told = {n: getattr(self, n) for n in self.__dataclass_fields__ if n not in left_out}
        terms = {event: [term.line() for term in terms] for event, terms in self.segments.items()}
        maps = {"modes": dict(self.modes), "shares": dict(self.shares), "terms": terms}
        return {**told, **maps, "activity": str(self.activity)}

    def _list_events(self) -> None:
        unit = self.folder / "sys/bus/event_source/devices/power"
        events = unit / "events"
        events.mkdir(parents=True, exist_ok=True)
        (unit / "type").write_text("23\n")
        numbers = range(self.sockets * self.dies)
        (unit / "cpumask").write_text(",".join(str(number) for number in numbers) + "\n")
        for name in self.power_w:
            (events / name).write_text(f"event=0x{CONFIG.get(name, 9):02x}\n")
            (events / f"{name}.unit").write_text(f"{self.unit}\n")
            (events / f"{name}.scale").write_text("2.3283064365386962890625e-10\n")

    def _list_processors(self) -> None:
        for number in range(self.sockets * self.dies):
            topology = self.folder / f"sys/devices/system/cpu/cpu{number}/topology"
            topology.mkdir(parents=True, exist_ok=True)
            (topology / "physical_package_id").write_text(f"{number // self.dies}\n")
            (topology / "die_id").write_text(f"{number % self.dies}\n")
        kernel = self.folder / "proc/sys/kernel"
        kernel.mkdir(parents=True, exist_ok=True)
        (kernel / "perf_event_paranoid").write_text("2\n")
        flags = "fpu hypervisor" if self.hypervisor else "fpu"
        (self.folder / "proc/cpuinfo").write_text(f"model name\t: Simulated CPU\nflags\t: {flags}\n")

    @contextmanager
    def live(self, period_s: float = PERIOD_S) -> Iterator[None]:
        """While inside, a process brings the powercap tree up to date every *period_s* (5 ms)."""
        command = [str(self.folder / "powercap-writer"), str(period_s)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "current\n"
            try:
                yield
            finally:
                writer.terminate()

    def energy_j(self, event: str, t0_ns: int, t1_ns: int, socket: int = 0) -> float:
        """The truth of one package between two moments, in closed form, live work included."""
        domains = Domains(self.folder)
        return domains.truth_j(event, socket, t1_ns) - domains.truth_j(event, socket, t0_ns)
