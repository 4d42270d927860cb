"""What each program took of the processors and of memory while it ran, and which GPU time was its own."""

from __future__ import annotations

import bisect
import itertools
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.record.trace import Channel, Trace
from energy_plugin.run.executors.protocols import Usable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Program, Role
    from energy_plugin.meters.protocols import GpuProcess
    from energy_plugin.run.executors.protocols import Job, Used
    from energy_plugin.run.load import Load

PERIOD_S = 0.2
MAX_SHARE = 0.005
"""Share of one processor that the sampling may take; it gets rarer beyond."""
STARVED_S = 1.0
"""A longer gap between two samples: this process did not run (stopped, or the machine thrashed)."""
METER = "usage"

Points = tuple[tuple[int, float], ...]
"""``(t_ns, value)`` in their order."""


class Gap(NamedTuple):
    """From one sample to the next one, far too late."""

    t0_ns: int
    t1_ns: int


@dataclass(slots=True)
class _Tape:
    source: str = ""
    cpu_s: list[tuple[int, float]] = field(default_factory=list)
    memory_bytes: list[tuple[int, float]] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)

    def add(self, t_ns: int, used: Used) -> None:
        self.source = used.source
        self.pids |= used.pids
        # A child that ended unseen takes its count along until it is waited for: a sum only grows.
        if used.cpu_s is not None:
            self.cpu_s.append((t_ns, max(used.cpu_s, self.cpu_s[-1][1] if self.cpu_s else 0.0)))
        if used.memory_bytes is not None:
            self.memory_bytes.append((t_ns, float(used.memory_bytes)))


class UsageSampler:
    """Samples the jobs at 5 Hz from :meth:`start` to :meth:`stop`, in a thread.

    A job that cannot say what it uses has an empty trace. The gaps between its own samples tell
    when this process was not running.
    """

    def __init__(self, programs: Sequence[Program], jobs: Sequence[Job | Load], clock: Clock) -> None:
        self._jobs = {program.role: job for program, job in zip(programs, jobs, strict=True)}
        self._tapes = {role: _Tape() for role in self._jobs}
        self._clock = clock
        self._ticks: list[int] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to sample; safe twice."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._sample, name="energy-usage", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; safe without start and twice."""
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _sample(self) -> None:
        while True:
            before_s = time.thread_time()
            self._look()
            took_s = time.thread_time() - before_s
            if self._ended.wait(min(max(PERIOD_S, took_s / MAX_SHARE), 0.8 * STARVED_S)):
                self._look()
                return

    def _look(self) -> None:
        self._tick(self._clock.now_ns())
        for role, job in self._jobs.items():
            if isinstance(job, Usable) and job.poll() is None and (used := job.used()):
                self._tapes[role].add(self._clock.now_ns(), used)

    def _tick(self, t_ns: int) -> None:
        """Remember only the samples around a gap, and the last one."""
        if len(self._ticks) > 1 and t_ns - self._ticks[-2] < STARVED_S * 1e9:
            self._ticks.pop()
        self._ticks.append(t_ns)

    # --- what it saw; after stop ---

    def gaps(self) -> list[Gap]:
        """Every time this process did not run for longer than a second."""
        return [Gap(a, b) for a, b in itertools.pairwise(self._ticks) if b - a > STARVED_S * 1e9]

    def spent(self, role: Role, gpu: Sequence[GpuProcess] = ()) -> Mapping[str, Points]:
        """The gauges of one program's trace, by name."""
        return self._trace(role, self._tapes[role], gpu).gauges

    def pids(self) -> set[int]:
        """Every process of the programs that was seen."""
        return {pid for tape in self._tapes.values() for pid in tape.pids}

    def traces(self, gpu: Sequence[GpuProcess] = ()) -> list[Trace]:
        """One trace a program with the gauges ``cpu_time_s``, ``memory_bytes``, ``gpu_sm_percent``."""
        return [self._trace(role, tape, gpu) for role, tape in self._tapes.items()]

    def _trace(self, role: str, tape: _Tape, gpu: Sequence[GpuProcess]) -> Trace:
        gauges = {
            "cpu_time_s": tuple(tape.cpu_s),
            "memory_bytes": tuple(tape.memory_bytes),
            "gpu_sm_percent": summed([p.sm_percent for p in gpu if p.pid in tape.pids]),
        }
        channel = Channel(id=f"program:{role}", meter=METER, source=tape.source or "none", kind="model")
        known = {name: points for name, points in gauges.items() if points}
        return Trace(meter=METER, channel=channel, form="counter", samples=(), gauges=known)


def summed(series: Sequence[Sequence[tuple[int, float]]]) -> tuple[tuple[int, float], ...]:
    """The sum of several step functions, each holding its value until its next point."""
    times = sorted({t for points in series for t, _ in points})
    total = []
    for t in times:
        before = [bisect.bisect_right(points, t, key=lambda p: p[0]) for points in series]
        total.append((t, sum(p[i - 1][1] for p, i in zip(series, before, strict=True) if i)))
    return tuple(total)


# --- processes of this host ------------------------------------------------------------------------------


def cpu_s_of_host(procfs: Path = Path("/proc")) -> float | None:
    """Seconds that all processors together have worked for anything at all; None where it is not told."""
    try:
        words = (procfs / "stat").read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, _, _, irq, softirq = (int(word) for word in words[:7])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def own_cpu_s() -> float:
    """Seconds of processor time of this process and of the children it has waited for."""
    return sum(os.times()[:4])


class LoadWatch:
    """What others than this process took of the processors since it was made."""

    def __init__(self, clock: Clock, read: Callable[[], float | None] = cpu_s_of_host) -> None:
        self._clock, self._read = clock, read
        self._since = (clock.now_ns(), read(), own_cpu_s())

    def share(self) -> float | None:
        """Share of all processors' time, 0 to 1; None where the host does not tell."""
        t0_ns, before_s, own_before_s = self._since
        now_s = self._read()
        seconds = (self._clock.now_ns() - t0_ns) / 1e9 * (os.cpu_count() or 1)
        if before_s is None or now_s is None or seconds <= 0:
            return None
        return max(0.0, now_s - before_s - (own_cpu_s() - own_before_s)) / seconds


def sees_host_pids(procfs: Path = Path("/proc")) -> bool:
    """Whether process ids here are the host's, as a GPU driver tells them; not so in most containers."""
    try:
        return os.stat(procfs / "self/ns/pid").st_ino == 0xEFFFFFFC
    except OSError:
        return False


def foreign(
    seen: Sequence[GpuProcess],
    own: set[int],
    span_ns: tuple[int, int, int],
    *,
    host_pids: bool,
) -> list[dict[str, object]]:
    """The GPU processes that are none of the programs', as plain data for the record.

    A driver also tells of what ended just before the meters were armed: that is nobody's concern.
    Where process ids are not the host's a program cannot be told by its id: then only what was there
    before the programs started is surely foreign.

    Args:
        seen: by all meters.
        own: process ids of the programs.
        span_ns: when the meters were armed, opened and closed.
        host_pids: whether *own* are the host's ids.
    """
    armed_ns, open_ns, close_ns = span_ns
    found: list[dict[str, object]] = []
    for process in seen:
        before = process.first_ns < open_ns
        mine = process.pid in own if host_pids else not before
        if mine or process.first_ns > close_ns or process.last_ns < armed_ns:
            continue
        found.append(
            {
                "channel": process.channel,
                "pid": process.pid,
                "name": process.name,
                "memory_bytes": process.memory_bytes,
                "when": "before" if before else "during",
                "until_end": process.last_ns >= close_ns,
            }
        )
    return found
