"""A background training kept running beside a measured one, with the proof that it worked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError
from energy_plugin.record.marks import read_marks
from energy_plugin.run.executors.protocols import Usable, Used

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Program
    from energy_plugin.run.executors.protocols import Executor, Job

FOLDER = "background_logs"
READY_S = 600.0
"""A background that is not ready to train after this never will be."""
POLL_S = 0.05
MAX_FAILURES = 2
"""So many failed runs of a restarted background end it: a third would fail the same way."""
LEAST_ALIVE = 0.95
"""Share of the window a background must have been running; starts of the next run take the rest."""
LEAST_CPU = 0.05
"""Processors' worth of time (or, of a GPU, percent / 100) below which a background idled."""


@dataclass(slots=True)
class _Run:
    """One run of the background program."""

    job: Job
    t0_ns: int
    t1_ns: int | None = None
    code: int | None = None


class Load:
    """Keeps one background program running from :meth:`start` to :meth:`stop`.

    A ``restart`` program is started again at once whenever it completes, the next run being prepared
    while one is going on; an ``endless`` one that ends has died. Each run has its own folder below
    ``background_logs``. It can be sampled like a job: what its runs used adds up.
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
        self._earlier = Used(source="", cpu_s=0.0, memory_bytes=0)
        self._latest = self._earlier

    # --- start and end ------------------------------------------------------------------------

    def start(self) -> None:
        """Prepare and start the first run.

        Raises:
            ExecutorError: it could not be prepared.
        """
        self._next = self._prepare(1)
        self._thread = threading.Thread(target=self._keep, name="energy-load", daemon=True)
        self._thread.start()

    def warm(self, seconds: float) -> None:
        """Wait until the first run has loaded everything, then *seconds* more of work.

        Raises:
            ExecutorError: it ended or died meanwhile, or is not ready after ten minutes.
        """
        deadline_ns = self._clock.now_ns() + int(READY_S * 1e9)
        while not self._is_ready():
            self._refuse_dead()
            if self._clock.now_ns() > deadline_ns:
                raise ExecutorError(f"the background {self.program.path} is not ready after {READY_S:g} s")
            self._clock.sleep(POLL_S)
        end_ns = self._clock.now_ns() + int(seconds * 1e9)
        while (left_ns := end_ns - self._clock.now_ns()) > 0:
            self._clock.sleep(min(0.5, left_ns / 1e9))
            self._refuse_dead()

    def _is_ready(self) -> bool:
        return any(read_marks(run.job.events).ready_ns is not None for run in list(self._runs))

    def _refuse_dead(self) -> None:
        if self.died:
            raise ExecutorError(f"the background {self.program.path} died in its warm-up: {self.died}")

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
        except ExecutorError as error:
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
            run.t1_ns, run.code = exit_.t1_ns, exit_.code
            self._earlier = self._latest
        self._judge(run)

    def _judge(self, run: _Run) -> None:
        if self._ending.is_set():
            return
        failures = sum(one.code != 0 for one in self._runs)
        if self.program.loop == "endless":
            self.died = f"ended with code {run.code} though it was told never to end"
        elif failures >= MAX_FAILURES:
            self.died = f"{failures} of {len(self._runs)} runs failed, the last with code {run.code}"

    def _prepare(self, number: int) -> Job:
        folder = self._folder / f"run_{number}"
        folder.mkdir(parents=True, exist_ok=True)
        return self._executor.prepare(self.program, folder)

    # --- what it does, for the usage sampler ----------------------------------------------------

    def poll(self) -> None:
        """It goes on: never an exit."""

    def used(self) -> Used | None:
        """All its runs so far together."""
        run = next((run for run in reversed(self._runs) if run.t1_ns is None), None)
        now = run.job.used() if run is not None and isinstance(run.job, Usable) else None
        if now is None:
            return self._latest if self._latest.source else None
        self._latest = Used(
            source=now.source,
            cpu_s=(self._earlier.cpu_s or 0.0) + (now.cpu_s or 0.0),
            memory_bytes=now.memory_bytes,
            pids=self._earlier.pids | now.pids,
        )
        return self._latest

    # --- the proof; after stop ------------------------------------------------------------------

    def report(
        self, t0_ns: int, t1_ns: int, cpu_s: float | None, gpu_percent: float | None
    ) -> dict[str, Any]:
        """What it did in the measured window, and ``flag``: empty, or why the run does not count.

        Args:
            t0_ns: CLOCK_MONOTONIC of the window's begin.
            t1_ns: CLOCK_MONOTONIC of the window's end.
            cpu_s: processor seconds its processes took in the window, None where unknown.
            gpu_percent: mean utilisation of its processes in the window, None where unknown.
        """
        seconds = (t1_ns - t0_ns) / 1e9
        alive_s = sum(self._inside(run.t0_ns, run.t1_ns or t1_ns, t0_ns, t1_ns) for run in self._runs)
        marks = [read_marks(run.job.events) for run in self._runs]
        epochs = sum(t0_ns <= epoch.t1_ns <= t1_ns for mark in marks for epoch in mark.epochs)
        facts = {
            "model": self.program.path,
            "loop": self.program.loop,
            "alive_s": alive_s,
            "epochs": epochs,
            "cpu_s": cpu_s,
            "gpu_percent": gpu_percent,
            "runs": [
                {
                    "code": run.code,
                    "t0_ns": run.t0_ns,
                    "t1_ns": run.t1_ns,
                    "epochs": len(mark.epochs),
                    "log": str(run.job.log.relative_to(self._folder.parent)),
                }
                for run, mark in zip(self._runs, marks, strict=True)
            ],
        }
        return {**facts, "flag": self._flag(seconds, alive_s, epochs, cpu_s, gpu_percent)}

    def _inside(self, start_ns: int, end_ns: int, t0_ns: int, t1_ns: int) -> float:
        return max(0, min(end_ns, t1_ns) - max(start_ns, t0_ns)) / 1e9

    def _flag(
        self, seconds: float, alive_s: float, epochs: int, cpu_s: float | None, gpu_percent: float | None
    ) -> str:
        if self.died:
            return f"background-died: {self.died}"
        if alive_s < LEAST_ALIVE * seconds:
            return f"background-died: it ran for {alive_s:.1f} of {seconds:.1f} s"
        busy_cpu = cpu_s is not None and cpu_s >= LEAST_CPU * seconds
        busy_gpu = gpu_percent is not None and gpu_percent >= LEAST_CPU * 100
        if busy_cpu or busy_gpu or (cpu_s is None and gpu_percent is None and epochs):
            return ""
        took = "an unknown time" if cpu_s is None else f"{cpu_s:.2f} s of processor time"
        return f"background-idle: {took} and {epochs} epochs in {seconds:.1f} s"
