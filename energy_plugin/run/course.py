"""The course of an attempt: rest, open the meters, start the programs, await them, close the meters."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.errors import BackgroundError, ExecutorError
from energy_plugin.record.marks import read_marks
from energy_plugin.record.trace import Window
from energy_plugin.run.usage import LoadWatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Role
    from energy_plugin.meters.protocols import Meter
    from energy_plugin.run.barrier import Barrier
    from energy_plugin.run.executors.protocols import Job
    from energy_plugin.run.load import Load
    from energy_plugin.run.usage import UsageSampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What runs in one attempt.

    Attributes:
        jobs: the measured programs, prepared and not started.
        barrier: of a pair. ``load``: the background.
        timeout_s: end the programs after this, 0 never.
        warmup_s: let a background train so long before the window. ``ready_s``: to load everything.
    """

    jobs: Mapping[Role, Job]
    barrier: Barrier | None = None
    load: Load | None = None
    timeout_s: float = 0.0
    warmup_s: float = 0.0
    ready_s: float = 0.0


class Watched(NamedTuple):
    """What was seen beside the programs' own exits.

    Attributes:
        before: span with nothing running before the first start; None also where a background ran.
            ``after``: the same after the end.
        span_ns: when the meters were armed, opened and closed; armed 0 when they never were.
        cpu_load: share of the processors that others took before anything of ours ran.
    """

    before: Window | None
    after: Window | None
    span_ns: tuple[int, int, int]
    cpu_load: float | None


def run(parts: Parts, meters: Sequence[Meter], sampler: UsageSampler, clock: Clock) -> Watched:
    """Run the programs under the meters; whatever happens, nothing of them is left running.

    A background is started and warmed up before the meters are armed, and runs on through their tail:
    a counter's last tick in the window must not be mixed with a machine that falls idle.
    """
    try:
        return _run(parts, meters, sampler, clock)
    finally:
        sampler.stop()
        if parts.load is not None:
            parts.load.stop()


def _run(parts: Parts, meters: Sequence[Meter], sampler: UsageSampler, clock: Clock) -> Watched:
    before, share = None, None
    armed_ns = open_ns = 0
    lead_s = max((meter.lead_s for meter in meters), default=0.0)
    try:
        if parts.load is not None:
            _, share = _alone(lead_s, clock)
            _warm_up(parts.load, parts, sampler)
        armed_ns = clock.now_ns()
        for meter in meters:
            meter.start()
        if parts.load is not None:
            clock.sleep(lead_s)
        else:
            before, share = _alone(lead_s, clock)
        for meter in meters:
            meter.edge("open")
        open_ns = clock.now_ns()
        sampler.start()
        _start_and_wait(parts, clock)
    except KeyboardInterrupt:
        kill(parts.jobs, "interrupted")
    except BackgroundError as error:
        kill(parts.jobs, f"background-died: {error}")
    except ExecutorError as error:
        kill(parts.jobs, f"not-started: {error}")
    close_ns = clock.now_ns()
    if not armed_ns:
        return Watched(None, None, (0, 0, close_ns), share)
    for meter in meters:
        meter.edge("close")
    sampler.stop()
    after = _rest(max((meter.tail_s for meter in meters), default=0.0), "idle:after", clock)
    return Watched(before, None if parts.load else after, (armed_ns, open_ns, close_ns), share)


def _alone(seconds: float, clock: Clock) -> tuple[Window | None, float | None]:
    """Let polling meters see the machine at rest, and what others take meanwhile."""
    watch = LoadWatch(clock)
    window = _rest(seconds, "idle:before", clock)
    return window, watch.share() if window else None


def _rest(seconds: float, name: str, clock: Clock) -> Window | None:
    """Wait; None where nobody wants to see it."""
    if not seconds:
        return None
    t0_ns = clock.now_ns()
    clock.sleep(seconds)
    return Window(program=None, name=name, t0_ns=t0_ns, t1_ns=clock.now_ns())


def _warm_up(load: Load, parts: Parts, sampler: UsageSampler) -> None:
    load.start()
    sampler.start()  # all its processes must be known: on a GPU they were there before the window
    load.warm(parts.warmup_s, parts.ready_s)


def _start_and_wait(parts: Parts, clock: Clock) -> None:
    """Start all programs and await their ends; a pair ends together where one of it fails."""
    jobs, ended = parts.jobs, threading.Event()
    if not _start(jobs, ended):
        return
    deadline_ns = clock.now_ns() + round(parts.timeout_s * 1e9) if parts.timeout_s else None
    if parts.barrier is not None and (
        reason := parts.barrier.admit(jobs, ended, _left_s(deadline_ns, clock))
    ):
        kill(jobs, reason)
    failed: set[Role] = set()
    while running := [role for role, job in jobs.items() if job.poll() is None]:
        if new := {role for role in jobs if role not in (*running, *failed) and _has_failed(jobs[role])}:
            failed |= new
            kill(jobs, f"partner: {min(new)} failed")
            continue
        left_s = _left_s(deadline_ns, clock)
        if left_s is not None and left_s <= 0:
            kill(jobs, "timeout")
            return
        ended.wait(left_s)
        ended.clear()


def _start(jobs: Mapping[Role, Job], ended: threading.Event) -> bool:
    """Start all; False where one could not be, and then none runs."""
    for role, job in jobs.items():
        try:
            job.start(ended.set)
        except ExecutorError as error:
            job.kill(f"not-started: {error}")
            kill(jobs, f"partner: {role} could not be started")
            return False
    return True


def _left_s(deadline_ns: int | None, clock: Clock) -> float | None:
    return None if deadline_ns is None else (deadline_ns - clock.now_ns()) / 1e9


def _has_failed(job: Job) -> bool:
    """Of a program that ended; its exit code may not be known yet, but completed training says so."""
    exit_ = job.poll()
    return (exit_ is not None and bool(exit_.code)) or not read_marks(job.events).end


def kill(jobs: Mapping[Role, Job], reason: str) -> None:
    """End those that have not ended; each remembers why."""
    for job in jobs.values():
        if job.poll() is None:
            job.kill(reason)
