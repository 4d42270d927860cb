"""The start of a pair: both programs load everything, then both are let go at the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_plugin.record.marks import read_marks

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Role
    from energy_plugin.record.record import Outcome
    from energy_plugin.run.executors.protocols import Job

POLL_S = 0.02
"""How late it may be seen that a program is ready; all are let go at once whatever this is."""


class Barrier:
    """One file, for which the programs wait once each has said that it is ready.

    Args:
        folder: of the attempt; the file gets a folder of its own, which containers can be given.
        ready_s: how long the programs may take to load everything.

    Attributes:
        go: the file.
    """

    def __init__(self, folder: Path, clock: Clock, ready_s: float) -> None:
        self.go = folder.resolve() / "barrier" / "go"
        self.go.parent.mkdir(parents=True, exist_ok=True)
        self.go.parent.chmod(0o755)  # a container's user must see the file, whatever the umask is
        self.go.unlink(missing_ok=True)
        self._clock = clock
        self._ready_s = ready_s
        self._ready_ns: dict[Role, int] = {}
        self._go_ns: int | None = None

    def admit(self, jobs: Mapping[Role, Job], ended: threading.Event, left_s: float | None) -> str:
        """Wait until every program is ready, then let them go.

        Args:
            jobs: the programs, all started.
            ended: set whenever one of them ends.
            left_s: seconds until their timeout, None without one.

        Returns:
            Empty, or the reason with which those still running must be ended.
        """
        began_ns = self._clock.now_ns()
        while waiting := [role for role in jobs if not self._is_ready(role, jobs[role])]:
            if early := [role for role, job in jobs.items() if job.poll() is not None]:
                return f"partner: {early[0]} ended before both were ready"
            spent_s = (self._clock.now_ns() - began_ns) / 1e9
            if left_s is not None and spent_s >= left_s:
                return "timeout"
            if spent_s >= self._ready_s:
                were = "was" if len(waiting) == 1 else "were"
                return f"barrier: {' and '.join(waiting)} {were} not ready after {self._ready_s:g} s"
            ended.wait(POLL_S)
        self.go.touch()
        self._go_ns = self._clock.now_ns()
        return ""

    def _is_ready(self, role: Role, job: Job) -> bool:
        if role not in self._ready_ns:
            ready_ns = read_marks(job.events).ready_ns
            if ready_ns is None:
                return False
            self._ready_ns[role] = ready_ns
        return True

    def facts(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """For the record's provenance: who waited how long, and how far apart the first epochs began."""
        if self._go_ns is None:
            return {"barrier": {"go_ns": None, "ready_ns": dict(self._ready_ns), "waited_s": {}}}
        waited_s = {role: (self._go_ns - t_ns) / 1e9 for role, t_ns in self._ready_ns.items()}
        facts = {"go_ns": self._go_ns, "ready_ns": dict(self._ready_ns), "waited_s": waited_s}
        first_ns = [outcome.epochs[0].t0_ns for outcome in outcomes if outcome.epochs]
        skew_s = (first_ns[1] - first_ns[0]) / 1e9 if len(first_ns) == len(outcomes) == 2 else None
        return {"barrier": facts, "start_skew_s": skew_s}
