"""One program in its container: started, watched from this host, ended, and removed."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError
from energy_plugin.run.executors import cgroup, container, engine
from energy_plugin.run.executors.cgroup import Counters
from energy_plugin.run.executors.protocols import Exit, Used

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from docker.models.containers import Container

    from energy_plugin.run.executors.cgroup import ControlGroup

SAMPLE_S = 0.2
"""How often the control group is read: its files vanish soon after the program's end."""
SIGNALS = range(129, 129 + 64)
"""Exit codes by which an engine reports the death by a signal: 128 + its number."""


class DockerJob:
    """One program in its container, created and not yet started."""

    def __init__(self, made: Container, folder: Path, name: str, facts: Mapping[str, Any]) -> None:
        self.log = folder / f"{name}.log"
        self.events = folder / f"{name}.events.jsonl"
        self._usage = folder / f"{name}{container.USAGE}"
        self._container = made
        self._facts = facts
        self._waiter: threading.Thread | None = None
        self._t0_ns = 0
        self._spawn_ns = 0
        self._end: Exit | None = None
        self._counters = Counters()
        self._group: ControlGroup | None = None
        self._reason = ""
        self._closed: Exit | None = None

    # --- start and end ------------------------------------------------------------------------

    def start(self, on_exit: Callable[[], None]) -> None:
        """Start the container; a thread waits for its end and stamps the time."""
        self._t0_ns = time.monotonic_ns()
        try:
            self._container.start()
            self._spawn_ns = time.monotonic_ns() - self._t0_ns
            self._container.reload()
        except engine.failures() as error:
            raise ExecutorError(f"container not started: {engine.said(error)}") from None
        pid = int(self._container.attrs["State"]["Pid"])
        self._waiter = threading.Thread(target=self._wait, args=(pid, on_exit), daemon=True)
        self._waiter.start()

    def _wait(self, pid: int, on_exit: Callable[[], None]) -> None:
        seen, t1_ns, late_ns = None, 0, 0
        try:
            seen = self._wait_for_process(pid) if pid else None
            t1_ns, late_ns = (seen, 0) if seen else self._wait_for_engine()
        finally:  # whatever happens here, the session must not wait forever
            self._end = Exit(
                code=None,
                t0_ns=self._t0_ns,
                t1_ns=t1_ns or time.monotonic_ns(),
                unc_ns=max(self._spawn_ns, late_ns),
                detail={**self._facts, "end_seen_by": "process" if seen else "engine"},
            )
            on_exit()

    def _wait_for_process(self, pid: int) -> int | None:
        """Watch the container's first process: the engine itself tells of its end much later.

        Returns:
            CLOCK_MONOTONIC of its end; None when it is not visible from here, as from a container.
        """
        try:
            watch = os.pidfd_open(pid)
        except (OSError, AttributeError):
            return None
        try:
            group = self._group = cgroup.find(pid, str(self._container.id))
            if group is None:
                return None
            poll = select.poll()
            poll.register(watch, select.POLLIN)
            while not poll.poll(SAMPLE_S * 1e3):
                self._sample(group)
            t1_ns = time.monotonic_ns()
            self._sample(group)
        finally:
            os.close(watch)
        return t1_ns

    def _sample(self, group: ControlGroup) -> None:
        now = group.read()
        if now.cpu_s is not None:
            self._counters = now

    def _wait_for_engine(self) -> tuple[int, int]:
        """Ask the engine to wait; CLOCK_MONOTONIC when it told, and nanoseconds by which that was late."""
        late_ns = 0
        try:
            self._container.wait(timeout=None)
        except engine.failures():
            return time.monotonic_ns(), late_ns  # close() will find it lost
        t1_ns, now_s = time.monotonic_ns(), time.time()
        with contextlib.suppress(*engine.failures(), KeyError, ValueError):
            self._container.reload()
            finished_s = _epoch_s(self._container.attrs["State"]["FinishedAt"])
            late_ns = max(0, round((now_s - finished_s) * 1e9))
        return t1_ns, late_ns

    def poll(self) -> Exit | None:
        """How it ended, None while it runs; the exit code is known only after :meth:`close`."""
        return self._end

    def used(self) -> Used | None:
        """By its control group; None where that is not visible from here."""
        if self._group is None:
            return None
        cpu_s = self._group.read().cpu_s
        memory_bytes, pids = self._group.memory_now(), self._group.pids()
        return Used(source="cgroup", cpu_s=cpu_s, memory_bytes=memory_bytes, pids=pids)

    def kill(self, reason: str) -> None:
        """SIGTERM to everything in the container, SIGKILL after a grace period."""
        self._reason = self._reason or reason
        if self._t0_ns:
            with contextlib.suppress(*engine.failures()):  # it may have ended by itself
                self._container.stop(timeout=container.KILL_AFTER_S)

    def close(self) -> Exit:
        """Wait for the end, read exit code and flags, remove the container. Safe without start."""
        if self._closed is None:
            try:
                self._closed = self._ended() if self._waiter else self._not_started()
            finally:
                self.discard()
        return self._closed

    def discard(self) -> None:
        """Remove the container whatever its state."""
        # What cannot be removed now keeps its labels, and the next session's sweep finds it.
        with contextlib.suppress(*engine.failures()):
            self._container.remove(force=True, v=True)

    def _not_started(self) -> Exit:
        now = time.monotonic_ns()
        return Exit(code=None, t0_ns=now, t1_ns=now, reason=self._reason or "not-started")

    def _ended(self) -> Exit:
        assert self._waiter is not None
        self._waiter.join()
        end = self._end
        assert end is not None
        self._counters = self._counters.at_least(cgroup.read_usage(self._usage))
        self._usage.unlink(missing_ok=True)
        try:
            code = int(self._container.wait(timeout=engine.TIMEOUT_S)["StatusCode"])
            self._container.reload()
            state = self._container.attrs["State"]
            self._keep_log()
        except engine.failures() as error:
            # The end was seen, how it ended was not: never a success, and no code is made up.
            return _exit(end, code=None, counters=self._counters, reason=f"engine-lost: {engine.said(error)}")
        return _exit(end, code=code, counters=self._counters, reason=self._why(code, state, end))

    def _why(self, code: int, state: Mapping[str, Any], end: Exit) -> str:
        if self._reason:
            return self._reason
        if state.get("OOMKilled") or self._counters.oom_kills:
            gib = self._facts["memory_bytes"] / 2**30
            return f"out-of-memory: a process was ended at the container's limit of {gib:.3g} GiB"
        if code in (124, 137) and (end.t1_ns - end.t0_ns) / 1e9 >= self._facts["deadline_s"]:
            return "timeout"
        return ""

    def _keep_log(self) -> None:
        """What the engine caught is only what failed before the program had its log."""
        caught = self._container.logs(stdout=True, stderr=True)
        if caught:
            with self.log.open("ab") as log:
                log.write(caught)


def _exit(end: Exit, *, code: int | None, counters: Counters, reason: str) -> Exit:
    return replace(
        end,
        code=128 - code if code is not None and code in SIGNALS else code,
        cpu_s=counters.cpu_s,
        memory_peak_bytes=counters.memory_peak_bytes,
        reason=reason,
        detail={**end.detail, "oom_kills": counters.oom_kills},
    )


def _epoch_s(text: str) -> float:
    """Seconds since the epoch of an engine's time stamp, whose nanoseconds Python cannot read."""
    from datetime import datetime

    whole, _, fraction = text.rstrip("Z").partition(".")
    digits = fraction.partition("+")[0]
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{digits or 0}")
