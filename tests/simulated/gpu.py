"""A simulated GPU: a library, an nvidia-smi and a world file, and the joules it must show."""

from __future__ import annotations

import atexit
import ctypes
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulated.power import works

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.simulated.power import Term

HERE = Path(__file__).parent
LIBRARY = "libnvidia-ml.so.1"
SOURCES = ("world.c", "power.c", "counter.c", "nvml.c", "nvml_power.c", "nvml_work.c")
LABEL = "simulated hardware (tests/simulated)"
GCC = ("gcc", "-O1", "-Wall", "-Wextra", "-Werror")


def build(folder: Path) -> Path:
    """Put the simulated NVML and its nvidia-smi into *folder*; compiled once a process."""
    for name in (LIBRARY, "nvidia-smi"):
        shutil.copy(_compiled() / name, folder)
    return folder / LIBRARY


@cache
def _compiled() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="simulated-nvml-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = folder / LIBRARY
    sources = [str(HERE / name) for name in SOURCES]
    library = [*GCC, "-shared", "-fPIC", f"-Wl,-soname,{LIBRARY}", "-o", str(target), *sources]
    subprocess.run([*library, "-lm", "-lpthread"], check=True)
    program = [*GCC, "-o", str(folder / "nvidia-smi"), str(HERE / "nvidia_smi.c"), str(target)]
    subprocess.run([*program, "-Wl,-rpath,$ORIGIN"], check=True)
    return folder


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """How the power sensor sees: every ``period_s`` the mean of the last ``window_s`` (0, 0: exactly).

    ``usage`` says what nvmlDeviceGetPowerUsage tells: the ``instant`` value or the ``average`` of
    ``average_s``, new every ``average_period_s``, of the power itself or ``of`` the sensor's samples.
    """

    period_s: float = 0.0
    window_s: float = 0.0
    average_s: float = 1.0
    average_period_s: float = 0.0
    of: str = "true"
    usage: str = "instant"
    gain: float = 1.0
    offset_w: float = 0.0
    noise_w: float = 0.0
    step_w: float = 0.0
    seed: int = 1

    def lines(self) -> list[str]:
        """As the simulated library reads it."""
        return [
            f"sensor {self.period_s} {self.window_s}",
            f"average {self.average_period_s} {self.average_s} {self.of}",
            f"usage {self.usage}",
            f"gain {self.gain}",
            f"offset {self.offset_w}",
            f"noise {self.noise_w} {self.seed}",
            f"step {self.step_w}",
        ]


@dataclass(frozen=True, kw_only=True)
class Counter:
    """How the energy counter counts; its tick is the GPU's ``tick_s``.

    Value k is taken at ``phase_s`` + k ticks, up to ``jitter_s`` later, and shown ``lag_s`` (and up to
    ``lag_jitter_s``) after that. ``of`` is ``true`` (integrates) or ``samples``: sums samples of
    ``window_s``, each taken for the whole of its ``period_s``.
    """

    phase_s: float = 0.0
    jitter_s: float = 0.0
    lag_s: float = 0.0
    lag_jitter_s: float = 0.0
    seed: int = 1
    of: str = "true"
    window_s: float = 0.025
    period_s: float = 0.1
    gain: float = 1.0
    base_j: float = 1e6
    wrap_j: float = 0.0

    def lines(self) -> list[str]:
        """As the simulated library reads it."""
        return [
            f"phase_s {self.phase_s}",
            f"jitter_s {self.jitter_s} {self.seed}",
            f"lag_s {self.lag_s}",
            f"lag_jitter_s {self.lag_jitter_s}",
            f"counter {self.of} {self.window_s} {self.period_s}",
            f"counter_gain {self.gain}",
            f"base_j {self.base_j}",
            f"wrap_j {self.wrap_j}",
        ]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Functions whose name ends in ``name`` (``*``: all of a device) return ``code`` for a while."""

    name: str
    code: int
    start_s: float = float("-inf")
    end_s: float = float("inf")
    gpu: int | None = None

    def line(self) -> str:
        """As the simulated library reads it."""
        where = "" if self.gpu is None else f"@{self.gpu} "
        return f"{where}fault {self.name} {self.start_s} {self.end_s} {self.code}"


def without_counter(code: int = 3, start_s: float = float("-inf")) -> tuple[Fault, ...]:
    """No energy by either way that NVML has (3: not supported)."""
    return tuple(
        Fault(name=name, code=code, start_s=start_s) for name in ("TotalEnergyConsumption", "FieldValue83")
    )


def lost(start_s: float, gpu: int | None = None) -> Fault:
    """The GPU falls off the bus."""
    return Fault(name="*", code=15, start_s=start_s, gpu=gpu)


H100 = Sensor(period_s=0.1, window_s=0.025, average_period_s=0.1, usage="average")
"""25 ms of every 100 ms, PowerUsage a mean of 1 s."""
V100 = Sensor(period_s=0.02, window_s=0.01, usage="instant")
GEFORCE = Sensor(period_s=0.1, window_s=0.1, average_period_s=0.1, usage="average")
PESSIMISTIC = Counter(of="samples")
"""A counter that sums its own 25 ms samples of each 100 ms."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """Simulated GPUs, all alike but for their UUID and what ``each`` says of them.

    ``segments`` are terms of the power trace on every GPU, ``each`` those of one GPU by index; ``extra``
    are further lines of the world's file (world.c lists them: ``freeze``, ``zero``, ``call_s`` ...).
    """

    folder: Path
    t0_ns: int
    idle_w: float = 60.0
    tick_s: float = 0.1
    name: str = "Simulated GPU"
    arch: int = 9
    gpus: int = 1
    segments: Sequence[Term] = ()
    each: Mapping[int, Sequence[Term]] = field(default_factory=dict)
    sensor: Sensor = field(default_factory=Sensor)
    counter: Counter = field(default_factory=Counter)
    faults: Sequence[Fault] = ()
    call_s: float = 0.0
    call_jitter_s: float = 0.0
    smi_s: float = 0.0
    extra: tuple[str, ...] = ()
    virtual: bool = False

    @property
    def world(self) -> Path:
        """The file the library reads."""
        return self.folder / "world.txt"

    @property
    def activity(self) -> Path:
        """The file of live work."""
        return self.folder / "activity.log"

    def lines(self) -> list[str]:
        """The world's file, line by line."""
        return [
            f"t0_ns {self.t0_ns}",
            f"idle_w {self.idle_w}",
            f"tick_s {self.tick_s}",
            f"name {self.name}",
            f"arch {self.arch}",
            f"gpus {self.gpus}",
            f"call_s {self.call_s} {self.call_jitter_s}",
            f"smi_s {self.smi_s}",
            f"activity {self.activity}",
            *self.sensor.lines(),
            *self.counter.lines(),
            *(term.line() for term in self.segments),
            *(f"@{gpu} {term.line()}" for gpu, terms in self.each.items() for term in terms),
            *(fault.line() for fault in self.faults),
            *self.extra,
        ]

    def install(self) -> dict[str, str]:
        """Build everything and write the world; the environment a process needs to see it."""
        if not (self.folder / LIBRARY).exists():
            build(self.folder)
        self.world.write_text("\n".join(self.lines()) + "\n")
        self.activity.touch()
        environment = {
            "LD_LIBRARY_PATH": str(self.folder),
            "SIMULATED_NVML": str(self.world),
            "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
            "WATTWHY_SIMULATED": LABEL,
        }
        if self.virtual:
            VirtualClock(self.folder / "clock").set(self.t0_ns)
            environment["SIMULATED_CLOCK"] = str(self.folder / "clock")
        return environment

    def add(self, *lines: str) -> None:
        """Append lines to the world in use: a fault, say, of an experiment that already runs."""
        with self.world.open("a") as file:
            file.write("\n".join(lines) + "\n")

    def second(self, t_ns: int) -> float:
        """A moment of CLOCK_MONOTONIC in the trace's own time."""
        return (t_ns - self.t0_ns) / 1e9

    def energy_j(self, t0_ns: int, t1_ns: int, gpu: int = 0) -> float:
        """The truth between two moments of CLOCK_MONOTONIC, in closed form, live work included."""
        terms = [*self.segments, *self.each.get(gpu, ())]
        live = [work for work in works(self.activity) if work.device == gpu]
        a, b = self.second(t0_ns), self.second(t1_ns)
        traced = sum(term.energy_j(b) - term.energy_j(a) for term in terms)
        worked = sum(work.energy_j(t1_ns) - work.energy_j(t0_ns) for work in live)
        return self.idle_w * (b - a) + traced + worked


def load_here(environment: Mapping[str, str]) -> None:
    """Make this very process find the simulated library, whatever was set when it began."""
    os.environ.update(environment)
    ctypes.CDLL(str(Path(environment["LD_LIBRARY_PATH"]) / LIBRARY), mode=ctypes.RTLD_GLOBAL)


class VirtualClock:
    """Nanoseconds in a file, shared with the library: time passes only when someone waits."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 8)

    def now_ns(self) -> int:
        """The virtual CLOCK_MONOTONIC."""
        return int(struct.unpack("<q", self._page[:8])[0])

    def set(self, t_ns: int) -> None:
        """Set it."""
        self._page[:8] = struct.pack("<q", t_ns)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.set(self.now_ns() + round(seconds * 1e9))
