"""A background training kept running beside a measured one, with the proof that it worked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from energy_plugin.errors import BackgroundError, EnergyError
from energy_plugin.record.background import BackgroundRun, BackgroundWork
from energy_plugin.record.marks import read_marks
from energy_plugin.run.executors.protocols import Usable, Used
from energy_plugin.run.working import grown, mean_of, worked_s

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Program
    from energy_plugin.run.executors.protocols import Executor, Exit, Job
    from energy_plugin.run.usage import Points

FOLDER = "background_logs"
POLL_S = 0.05
MAX_FAILURES = 2
"""So many failed runs of a restarted background end it: a third would fail the same way."""
LEAST_SHARE = 0.9
"""Of the window, in which a background must have been running, and working: its restarts take the rest."""


@dataclass(slots=True)
class _Run:
    """One run of the background program."""

    job: Job
    t0_ns: int
    t1_ns: int | None = None
    code: int | None = None
    cpu_s: float | None = None


class Load:
    """Keeps one background program running from :meth:`start` to :meth:`stop`.

    A ``restart`` program is started again at once whenever it completes, the next run being prepared
    while one is going on; an ``endless`` one that ends has died. Each run has its own folder below
    ``background_logs``. It can be sampled like a job: what its runs used adds up.

    Attributes:
        died: why it runs no more though nobody stopped it; empty while it does.
    """

    def __init__(self, executor: Executor, program: Program, folder: Path, clock: Clock) -> None:
        self.program = program
        self.died = ""
        self._executor = executor
        self._folder = folder / FOLDER
        self._clock = clock
        self._runs: list[_Run] = []
        self._next: Job | None = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._ready_ns: int | None = None
        self._source = ""

    # --- start and end ------------------------------------------------------------------------

    def start(self) -> None:
        """Prepare and start the first run.

        Raises:
            ExecutorError: it could not be prepared.
        """
        self._next = self._prepare(1)
        self._thread = threading.Thread(target=self._keep, name="energy-load", daemon=True)
        self._thread.start()

    def warm(self, seconds: float, ready_s: float) -> None:
        """Wait until it has loaded everything, *ready_s* at most, then for *seconds* more of work.

        Raises:
            BackgroundError: it died meanwhile, or was not ready in time.
        """
        deadline_ns = self._clock.now_ns() + int(ready_s * 1e9)
        while self._ready_ns is None:
            self._refuse_dead()
            if self._clock.now_ns() > deadline_ns:
                raise BackgroundError(f"{self.program.path} was not ready after {ready_s:g} s")
            self._clock.sleep(POLL_S)
            marks = [read_marks(run.job.events).ready_ns for run in list(self._runs)]
            self._ready_ns = next((t_ns for t_ns in marks if t_ns is not None), None)
        end_ns = self._clock.now_ns() + int(seconds * 1e9)
        while (left_ns := end_ns - self._clock.now_ns()) > 0:
            self._clock.sleep(min(POLL_S, left_ns / 1e9))
            self._refuse_dead()

    def _refuse_dead(self) -> None:
        if self.died:
            raise BackgroundError(f"{self.program.path} in its warm-up: {self.died}")

    def stop(self) -> None:
        """End it with its whole process tree; safe without start and twice."""
        self._ending.set()
        for run in list(self._runs):
            if run.t1_ns is None:
                run.job.kill("stopped")
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        if self._next is not None:
            self._next.close()
            self._next = None

    # --- the thread ---------------------------------------------------------------------------

    def _keep(self) -> None:
        try:
            while not self._ending.is_set() and not self.died:
                self._run_once()
        except (EnergyError, OSError) as error:
            self.died = self.died or str(error)

    def _run_once(self) -> None:
        job, self._next = self._next, None
        if job is None:
            job = self._prepare(len(self._runs) + 1)
        ended = threading.Event()
        run = _Run(job=job, t0_ns=self._clock.now_ns())
        self._runs.append(run)
        try:
            job.start(ended.set)
            if self._ending.is_set():  # stop() may have looked before this run was there
                job.kill("stopped")
            if self.program.loop == "restart":
                self._next = self._prepare(len(self._runs) + 1)
            ended.wait()
        finally:
            exit_ = job.close()
            run.cpu_s = _more(run.cpu_s, exit_.cpu_s)
            run.t1_ns, run.code = exit_.t1_ns, exit_.code
        self._judge(run)

    def _judge(self, run: _Run) -> None:
        if self._ending.is_set():
            return
        failures = sum(one.code != 0 for one in self._runs)
        if self.program.loop == "endless":
            self.died = f"it ended with code {run.code} though it was told never to end"
        elif failures >= MAX_FAILURES:
            self.died = f"{failures} of {len(self._runs)} runs failed, the last with code {run.code}"

    def _prepare(self, number: int) -> Job:
        folder = self._folder / f"run_{number}"
        folder.mkdir(parents=True, exist_ok=True)
        return self._executor.prepare(self.program, folder)

    # --- what it does, for the usage sampler ----------------------------------------------------

    def poll(self) -> Exit | None:
        """It goes on until it is stopped: never an exit."""
        return None

    def used(self) -> Used | None:
        """All its runs so far together; None where that is not to be had."""
        run = self._runs[-1] if self._runs else None
        now = run.job.used() if run and run.t1_ns is None and isinstance(run.job, Usable) else None
        if run is not None and now is not None:
            self._source = now.source
            run.cpu_s = _more(run.cpu_s, now.cpu_s)
        if not self._source:
            return None
        known = [one.cpu_s for one in list(self._runs) if one.cpu_s is not None]
        return Used(
            source=self._source,
            cpu_s=sum(known) if known else None,
            memory_bytes=now.memory_bytes if now else None,
            pids=now.pids if now else frozenset(),
        )

    # --- the proof; after stop ------------------------------------------------------------------

    def report(self, t0_ns: int, t1_ns: int, spent: Mapping[str, Points]) -> BackgroundWork:
        """What it did in the measured window.

        Args:
            t0_ns: CLOCK_MONOTONIC of the window's begin.
            t1_ns: of its end.
            spent: its gauges ``cpu_time_s`` and ``gpu_sm_percent``, as far as they were seen.
        """
        cpu, gpu = spent.get("cpu_time_s", ()), spent.get("gpu_sm_percent", ())
        marks = [read_marks(run.job.events) for run in self._runs]
        work = BackgroundWork(
            loop=self.program.loop,
            warmup_s=max(0, t0_ns - self._ready_ns) / 1e9 if self._ready_ns is not None else 0.0,
            window_s=(t1_ns - t0_ns) / 1e9,
            alive_s=sum(_common_s(run, t0_ns, t1_ns) for run in self._runs),
            worked_s=worked_s(cpu, gpu, t0_ns, t1_ns),
            epochs=sum(t0_ns <= epoch.t1_ns <= t1_ns for mark in marks for epoch in mark.epochs),
            cpu_s=grown(cpu, t0_ns, t1_ns),
            gpu_percent=mean_of(gpu, t0_ns, t1_ns),
            runs=tuple(
                BackgroundRun(
                    code=run.code,
                    t0_ns=run.t0_ns,
                    t1_ns=run.t1_ns or run.t0_ns,
                    epochs=len(mark.epochs),
                    log=str(run.job.log.relative_to(run.job.log.parents[2])),
                )
                for run, mark in zip(self._runs, marks, strict=True)
            ),
        )
        return replace(work, flag=self._flag(work, t1_ns))

    def _flag(self, work: BackgroundWork, t1_ns: int) -> str:
        ended_ns = self._runs[-1].t1_ns if self._runs else None
        if self.died and (ended_ns is None or ended_ns < t1_ns):
            return f"background-died: {self.died}"
        if work.alive_s < LEAST_SHARE * work.window_s:
            return f"background-died: it ran for {work.alive_s:.1f} of {work.window_s:.1f} s"
        if work.worked_s is None:
            return "" if work.epochs else "background-idle: nothing shows that it worked"
        if work.worked_s < LEAST_SHARE * work.window_s:
            return f"background-idle: it worked for {work.worked_s:.1f} of {work.window_s:.1f} s"
        return ""


def _more(before: float | None, now: float | None) -> float | None:
    """The later of two readings of a count that only grows."""
    return before if now is None else now if before is None else max(before, now)


def _common_s(run: _Run, t0_ns: int, t1_ns: int) -> float:
    """Seconds of the window in which this run was going on."""
    end_ns = t1_ns if run.t1_ns is None else run.t1_ns
    return max(0, min(end_ns, t1_ns) - max(run.t0_ns, t0_ns)) / 1e9
