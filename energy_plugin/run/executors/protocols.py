"""What the plugin asks of a place where programs run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from energy_plugin.declare.case import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a program ended.

    Attributes:
        code: exit code; negative the signal that ended it; None when it never started or only the
            engine that was lost knew.
        t0_ns: CLOCK_MONOTONIC just before the spawn. ``t1_ns``: when it was reaped.
        unc_ns: how far either edge can be off.
        cpu_s: user and system CPU seconds of the program and its waited-for children.
        memory_peak_bytes: largest resident memory; of a container all its memory, page cache included.
        reason: ``timeout``, ``out-of-memory``, ``engine-lost``, ``killed`` where the executor knows;
            else empty.
        detail: what else the executor knows, for the record's provenance.
    """

    code: int | None
    t0_ns: int
    t1_ns: int
    unc_ns: int = 0
    cpu_s: float | None = None
    memory_peak_bytes: int | None = None
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a running program has used so far.

    Attributes:
        source: ``procfs`` (its process tree) or ``cgroup`` (its container).
        cpu_s: user and system seconds since its start.
        memory_bytes: now; of a container page cache included.
        pids: its processes, as this process sees them.
    """

    source: str
    cpu_s: float | None
    memory_bytes: int | None
    pids: frozenset[int] = frozenset()


class Job(Protocol):
    """One prepared program."""

    log: Path
    events: Path

    def start(self, on_exit: Callable[[], None]) -> None:
        """Start it; ``on_exit`` is called from another thread once it has ended."""

    def poll(self) -> Exit | None:
        """How it ended, None while it runs; its exit code may be known only after :meth:`close`."""

    def kill(self, reason: str) -> None:
        """End it with all its descendants, and remember why."""

    def close(self) -> Exit:
        """Wait for the end, release everything, and say how it ended. Safe without start."""


@runtime_checkable
class Usable(Protocol):
    """A job that can say what it has used while it runs."""

    def used(self) -> Used | None:
        """So far, None where that is not to be had; takes well under a millisecond, never raises."""


class Executor(Protocol):
    """A way to run programs."""

    name: str

    def check(self, repositories: Mapping[str, Any]) -> None:
        """Raise :class:`~energy_plugin.errors.UsageError` if these cannot run here, before any run."""

    def base(self) -> str:
        """Identity of what programs run on; part of the case key."""

    def prepare(self, program: Program, folder: Path, *, go: Path | None = None) -> Job:
        """Create, not start. ``folder`` receives log and events; ``go`` is a pair's barrier file."""

    def clean(self) -> int:
        """Remove orphans of earlier sessions; how many."""

    def close(self) -> None:
        """Release what the executor holds."""
