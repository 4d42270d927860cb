"""Simulated meters with known truth: builds them in a folder and says what they must show."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LIBRARY = "libnvidia-ml.so.1"


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Watts above idle from ``start_s`` to ``end_s``, for the share ``duty`` of every period."""

    start_s: float
    end_s: float
    power_w: float
    period_s: float = 1.0
    duty: float = 1.0

    def energy_j(self, t_s: float) -> float:
        """Joules above idle up to *t_s*."""
        x = min(max(t_s, self.start_s), self.end_s) - self.start_s
        whole = math.floor(x / self.period_s)
        on_s = self.period_s * self.duty
        return self.power_w * (whole * on_s + min(x - whole * self.period_s, on_s))

    def line(self) -> str:
        """As the simulated library reads it."""
        return f"square {self.start_s} {self.end_s} {self.power_w} {self.period_s} {self.duty}"


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A simulated GPU; ``extra`` are further lines of its file (``fault``, ``freeze``, ``zero`` ...)."""

    folder: Path
    t0_ns: int
    idle_w: float = 60.0
    tick_s: float = 0.1
    gpus: int = 1
    segments: tuple[Segment, ...] = ()
    extra: tuple[str, ...] = ()

    def install(self) -> dict[str, str]:
        """Build the library and write the world; the environment a process needs to see it."""
        build(self.folder)
        world = self.folder / "world.txt"
        head = [f"t0_ns {self.t0_ns}", f"idle_w {self.idle_w}", f"tick_s {self.tick_s}", f"gpus {self.gpus}"]
        world.write_text("\n".join([*head, *(s.line() for s in self.segments), *self.extra]) + "\n")
        # CodeCarbon asks nvidia-smi whether there is a GPU at all.
        smi = self.folder / "nvidia-smi"
        smi.write_text("#!/bin/sh\nexit 0\n")
        smi.chmod(0o755)
        return {
            "LD_LIBRARY_PATH": str(self.folder),
            "SIMULATED_NVML": str(world),
            "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
        }

    def energy_j(self, t0_ns: int, t1_ns: int) -> float:
        """The truth between two moments of CLOCK_MONOTONIC, in closed form."""
        a, b = ((t - self.t0_ns) / 1e9 for t in (t0_ns, t1_ns))
        return self.idle_w * (b - a) + sum(s.energy_j(b) - s.energy_j(a) for s in self.segments)


def build(folder: Path) -> Path:
    """Compile the simulated NVML into *folder*."""
    target = folder / LIBRARY
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{LIBRARY}"]
    subprocess.run([*command, "-o", str(target), str(HERE / "nvml.c"), "-lm"], check=True)
    return target


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
