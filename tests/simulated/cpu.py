"""A simulated ``perf`` and the sysfs it goes with."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """A simulated ``perf`` with the sysfs it would go with."""

    folder: Path
    power_w: dict[str, float]
    mode: str = ""
    sockets: int = 1
    skew: float = 0.0
    dies_after: int = 0
    hypervisor: bool = False
    unit: str = "Joules"

    def install(self) -> dict[str, str | Path]:
        """Write program, sysfs and procfs; the arguments ``program``, ``sysfs`` and ``procfs``."""
        program = self.folder / "perf"
        shutil.copy(HERE / "perf.py", program)
        program.write_text(program.read_text().replace("#!/usr/bin/env python3", f"#!{sys.executable} -S", 1))
        program.chmod(0o755)
        names = ("power_w", "mode", "sockets", "skew", "dies_after")
        (self.folder / "perf.json").write_text(json.dumps({name: getattr(self, name) for name in names}))
        self._list_events()
        return {"program": str(program), "sysfs": self.folder / "sys", "procfs": self.folder / "proc"}

    def _list_events(self) -> None:
        events = self.folder / "sys/bus/event_source/devices/power/events"
        events.mkdir(parents=True, exist_ok=True)
        for name in self.power_w:
            (events / name).write_text("event=0x02\n")
            (events / f"{name}.unit").write_text(f"{self.unit}\n")
            (events / f"{name}.scale").write_text("2.3283064365386962890625e-10\n")
        kernel = self.folder / "proc/sys/kernel"
        kernel.mkdir(parents=True, exist_ok=True)
        (kernel / "perf_event_paranoid").write_text("2\n")
        flags = "fpu hypervisor" if self.hypervisor else "fpu"
        (self.folder / "proc/cpuinfo").write_text(f"model name\t: Simulated CPU\nflags\t: {flags}\n")
