"""CPU time and peak memory of a container, from its control group's files on the host."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

N = TypeVar("N", int, float)
ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a control group had used when it was read; None where a file is not there.

    Attributes:
        cpu_s: user and system CPU seconds of everything that ran in it.
        memory_peak_bytes: most memory charged to it, page cache included.
        oom_kills: processes the kernel ended in it for lack of memory.
    """

    cpu_s: float | None = None
    memory_peak_bytes: int | None = None
    oom_kills: int | None = None

    def at_least(self, other: Counters) -> Counters:
        """The larger of each counter: they only grow, so of two readings the larger is the later."""
        return Counters(
            cpu_s=_larger(self.cpu_s, other.cpu_s),
            memory_peak_bytes=_larger(self.memory_peak_bytes, other.memory_peak_bytes),
            oom_kills=_larger(self.oom_kills, other.oom_kills),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlGroup:
    """The folders of one container's control group; the same one on a unified (v2) hierarchy."""

    cpu: Path | None
    memory: Path | None

    def read(self) -> Counters:
        """Read all counters; the folders vanish when the container ends."""
        return Counters(cpu_s=self._cpu_s(), memory_peak_bytes=self._peak(), oom_kills=self._oom_kills())

    def memory_now(self) -> int | None:
        """Bytes charged to it now, page cache included."""
        if self.memory is None:
            return None
        usage = _number(self.memory / "memory.usage_in_bytes")
        return usage if usage is not None else _number(self.memory / "memory.current")

    def pids(self) -> frozenset[int]:
        """The processes in it, by their ids on this host; none where that is not told."""
        folder = self.cpu or self.memory
        if folder is None:
            return frozenset()
        try:
            return frozenset(map(int, (folder / "cgroup.procs").read_text().split()))
        except OSError:
            return frozenset()

    def _cpu_s(self) -> float | None:
        if self.cpu is None:
            return None
        nanoseconds = _number(self.cpu / "cpuacct.usage")
        if nanoseconds is not None:
            return nanoseconds / 1e9
        microseconds = _field(self.cpu / "cpu.stat", "usage_usec")
        return None if microseconds is None else microseconds / 1e6

    def _peak(self) -> int | None:
        if self.memory is None:
            return None
        peak = _number(self.memory / "memory.max_usage_in_bytes")
        return peak if peak is not None else _number(self.memory / "memory.peak")

    def _oom_kills(self) -> int | None:
        if self.memory is None:
            return None
        kills = _field(self.memory / "memory.oom_control", "oom_kill")
        return kills if kills is not None else _field(self.memory / "memory.events", "oom_kill")


def read_usage(file: Path) -> Counters:
    """What the container's own shell read just before its end: nanoseconds and peak bytes."""
    try:
        words = file.read_text().split()
        nanoseconds = int(words[0])
    except (OSError, ValueError, IndexError):
        return Counters()
    peak = int(words[1]) if len(words) > 1 and words[1].isdecimal() else None
    # A lone '000' is what the shell makes of a counter that it could not read.
    return Counters(cpu_s=nanoseconds / 1e9 or None, memory_peak_bytes=peak)


def find(pid: int, container: str, root: Path = ROOT, procfs: Path = Path("/proc")) -> ControlGroup | None:
    """The control group of a container's first process.

    Args:
        pid: of that process on this host.
        container: full id; a group whose path lacks it belongs to another process by now.
        root: where control groups are mounted.
        procfs: of the host.

    Returns:
        None when the process is not visible from here or is not of that container.
    """
    try:
        lines = (procfs / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    paths: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if container in path:
            paths |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    if not paths:
        return None
    unified = paths.get("")
    return ControlGroup(
        cpu=_folder(root, "cpuacct", paths.get("cpuacct"), unified),
        memory=_folder(root, "memory", paths.get("memory"), unified),
    )


def _folder(root: Path, controller: str, path: str | None, unified: str | None) -> Path | None:
    """The controller's own v1 folder, else the unified one: alone on the host or beside v1."""
    candidates = [root / controller / path] if path is not None else []
    if unified is not None:
        candidates += [root / unified, root / "unified" / unified]
    return next((folder for folder in candidates if os.path.isdir(folder)), None)


def _larger(one: N | None, other: N | None) -> N | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _field(file: Path, name: str) -> int | None:
    """The number after *name* in a file of ``name number`` lines."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    pairs = (line.split() for line in lines)
    return next((int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == name), None)
