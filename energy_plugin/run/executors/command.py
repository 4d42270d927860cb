"""Any command as a job: the user's own terminal, environment and folder, its output copied to a log."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError
from energy_plugin.run.executors import proctree
from energy_plugin.run.executors.body import interpreter
from energy_plugin.run.executors.local import TERM_GRACE_S, LocalJob
from energy_plugin.run.executors.passing import Passing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from energy_plugin.declare.case import Program
    from energy_plugin.run.executors.protocols import Exit

DRAIN_S = 1.0
"""What a command left running can hold its output open; it is waited for no longer than this."""


class CommandJob(LocalJob):
    """One command with our stdin, in our process group: the terminal's keys reach it by themselves.

    Its standard output and error go where ours go, and into the log; where ours is a terminal the
    command sees one too.

    Args:
        facts: for the record.
    """

    def __init__(self, argv: Sequence[str], folder: Path, facts: Mapping[str, Any]) -> None:
        super().__init__(list(argv), os.environ, folder, "training")
        self._env = {**os.environ, "WATTWHY_EVENTS": str(self.events.resolve())}
        self._facts = facts
        self._signals: list[str] = []
        self._passing: Passing | None = None
        # A command need not write events: an empty file says so, a missing one would be a fault.
        self.events.touch()

    def start(self, on_exit: Callable[[], None]) -> None:
        """Spawn it; a thread waits for its end and stamps the time."""
        self._passing = Passing(self.log)
        t0_ns = time.monotonic_ns()
        try:
            self._process = subprocess.Popen(
                self._argv, stdout=self._passing.stdout, stderr=self._passing.stderr, env=self._env
            )
        except OSError as error:
            self._passing.close(0.0)
            raise ExecutorError(f"{self._argv[0]}: {error.strerror}") from error
        spawned_ns = time.monotonic_ns()
        self._passing.begin()
        self._waiter = threading.Thread(
            target=self._wait, args=(self._process, t0_ns, spawned_ns - t0_ns, on_exit), daemon=True
        )
        self._waiter.start()

    @property
    def running(self) -> bool:
        """Started and not known to have ended."""
        return self._process is not None and self._exit is None

    def pass_on(self, number: int, *, ending: bool, delivered: bool) -> None:
        """A signal came to us that is meant for the command.

        Args:
            number: of the signal.
            ending: whether it asks the command to end.
            delivered: the terminal gave it to the command already.
        """
        self._signals.append(signal.Signals(number).name)
        if ending:
            self._reason = self._reason or "interrupted"
        if not delivered:
            self._signal(number)

    def kill(self, reason: str) -> None:
        """SIGTERM to the whole tree, SIGKILL after a grace period."""
        self._reason = self._reason or reason
        tree = self._tree()
        self._signal(signal.SIGTERM)
        if self._waiter:
            self._waiter.join(TERM_GRACE_S)
        for pid in tree:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _tree(self) -> frozenset[int]:
        if self._process is None or self._exit is not None:
            return frozenset()
        tree = proctree.used(self._process.pid)
        return tree.pids if tree else frozenset()

    def _signal(self, number: int) -> None:
        for pid in self._tree():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _mark(self) -> str:
        """None of ours: a mark in our own environment is of a session that runs us."""
        return ""

    def resized(self) -> None:
        """Our terminal has another size now."""
        if self._passing is not None:
            self._passing.resize()

    def close(self) -> Exit:
        """Wait for the end and for the rest of its output; what it left running goes on."""
        exit_ = super().close()
        if self._passing is not None:
            self._passing.close(DRAIN_S)
        # A command that took the signal and ended well has ended well.
        reason = "" if exit_.code == 0 and exit_.reason == "interrupted" else exit_.reason
        signals = {"signals": self._signals} if self._signals else {}
        return replace(exit_, reason=reason, detail={**self._facts, **signals})


class CommandExecutor:
    """Runs one command line.

    Args:
        argv: the command with its arguments.
        facts: for the record.
    """

    name = "command"

    def __init__(self, argv: Sequence[str], facts: Mapping[str, Any]) -> None:
        self._argv = tuple(argv)
        self._facts = facts
        self.job: CommandJob | None = None

    def check(self, repositories: Mapping[str, Any]) -> None:
        """Whether the command is there is looked at before a session is made."""

    def base(self) -> str:
        """The interpreter of this environment; the command may use another."""
        return interpreter()

    def prepare(self, program: Program, folder: Path, *, go: Path | None = None) -> CommandJob:
        """Say what will be run; nothing starts yet."""
        self.job = CommandJob(self._argv, folder, self._facts)
        return self.job

    def clean(self) -> int:
        """What a command leaves behind is the user's."""
        return 0

    def close(self) -> None:
        """Nothing is held."""
