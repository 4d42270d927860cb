"""Code of this very process as a job: an attempt measures it like any program, in another thread."""

from __future__ import annotations

import json
import os
import resource
import threading
import time
from typing import TYPE_CHECKING, Any

from energy_plugin.run.executors import proctree
from energy_plugin.run.executors.protocols import Exit, Used

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from energy_plugin.declare.case import Program


class BodyJob:
    """What runs between :meth:`enter` and :meth:`leave`, which its own thread calls.

    ``start`` comes from the thread of the attempt, once the meters are open; it only opens the door.

    Args:
        opened: set when the body may begin, and when it never will.
        facts: where the code is, for the record.
    """

    def __init__(self, folder: Path, opened: threading.Event, facts: Mapping[str, Any]) -> None:
        self.log = folder / "training.log"
        self.events = folder / "training.events.jsonl"
        self._opened = opened
        self._facts = facts
        self._file = os.open(self.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._left = threading.Event()
        self._on_exit: Callable[[], None] = _nothing
        self._exit: Exit | None = None
        self._reason = ""
        self._door_ns = self._t0_ns = self._unc_ns = 0
        self._cpu_s = self._tree_s = 0.0
        self._peak = 0

    # --- the attempt's side ---

    def start(self, on_exit: Callable[[], None]) -> None:
        """Let the body begin."""
        self._on_exit = on_exit
        tree = proctree.used(os.getpid())
        self._tree_s = tree.cpu_s or 0.0 if tree else 0.0
        self._door_ns = time.monotonic_ns()
        self._opened.set()
        if self._exit is not None:
            on_exit()

    def poll(self) -> Exit | None:
        """How it ended, None while it runs."""
        return self._exit

    def used(self) -> Used | None:
        """By this process and its children, since the start."""
        tree = proctree.used(os.getpid())
        if tree is None or tree.cpu_s is None:
            return tree
        since_s = max(0.0, tree.cpu_s - self._tree_s)
        return Used(source="procfs", cpu_s=since_s, memory_bytes=tree.memory_bytes, pids=tree.pids)

    def kill(self, reason: str) -> None:
        """Nobody can end a part of a process; the reason is kept."""
        self._reason = self._reason or reason

    def close(self) -> Exit:
        """Wait until the body was left; safe without start."""
        now = time.monotonic_ns()
        if not self._door_ns:
            self._exit = Exit(code=None, t0_ns=now, t1_ns=now, reason=self._reason or "not-started")
        else:
            self._left.wait()
        os.close(self._file)
        assert self._exit is not None
        return self._exit

    # --- the body's side ---

    def enter(self) -> None:
        """The body begins now; between the door and this lies the uncertainty of its start."""
        self._cpu_s, self._peak = _cpu_s(), _peak_bytes()
        self._t0_ns = time.monotonic_ns()
        self._unc_ns = self._t0_ns - self._door_ns

    def mark(self, event: str, **fields: Any) -> None:
        """Write one event line, as programs do."""
        os.write(self._file, json.dumps({"event": event, **fields}, separators=(",", ":")).encode() + b"\n")

    def leave(self, t1_ns: int, code: int, reason: str = "") -> None:
        """The body ended at *t1_ns*; *reason* is ``code: detail`` where it did not go well."""
        peak = _peak_bytes()
        self._finish(
            Exit(
                code=code,
                t0_ns=self._t0_ns,
                t1_ns=t1_ns,
                unc_ns=self._unc_ns,
                cpu_s=max(0.0, _cpu_s() - self._cpu_s),
                # The kernel keeps the peak of the whole process: it is the body's if the body raised it.
                memory_peak_bytes=peak if peak > self._peak else None,
                reason=reason or self._reason,
                detail=self._facts,
            )
        )

    def abandon(self, reason: str) -> None:
        """The body will never begin."""
        now = time.monotonic_ns()
        self._finish(Exit(code=None, t0_ns=now, t1_ns=now, reason=reason, detail=self._facts))

    def _finish(self, exit_: Exit) -> None:
        self._exit = exit_
        self._left.set()
        self._on_exit()


class BodyExecutor:
    """Makes the one job that a section of code is; nothing is run for it."""

    name = "in-process"

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.opened = threading.Event()
        self.job: BodyJob | None = None
        self._facts = facts

    def check(self, repositories: Mapping[str, Any]) -> None:
        """The code is here already."""

    def base(self) -> str:
        """The running interpreter."""
        return interpreter()

    def prepare(self, program: Program, folder: Path, *, go: Path | None = None) -> BodyJob:
        """Open its events file."""
        self.job = BodyJob(folder, self.opened, self._facts)
        return self.job

    def clean(self) -> int:
        """Nothing outlives its own process."""
        return 0

    def close(self) -> None:
        """Nothing is held."""


def interpreter() -> str:
    """Identity of what Python code runs on here."""
    import platform

    return f"{platform.python_implementation().lower()}{platform.python_version()}"


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _nothing() -> None:
    """Before the start there is nobody to tell."""
