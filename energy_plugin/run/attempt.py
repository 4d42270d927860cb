"""One execution of a case, from host check to record. No pytest in here."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from energy_plugin.errors import ExecutorError
from energy_plugin.record.marks import read_marks
from energy_plugin.record.record import Cooldown, Order, Outcome, Record
from energy_plugin.record.trace import Window
from energy_plugin.record.tracefile import write_traces
from energy_plugin.run.host import before_run, simulated_by
from energy_plugin.run.outcome import outcome_of
from energy_plugin.run.readings import gauges_of, joint_window, readings_of
from energy_plugin.run.usage import LoadWatch, UsageSampler, foreign, sees_host_pids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Case
    from energy_plugin.meters.protocols import GpuProcess, Meter
    from energy_plugin.record.baseline import Baseline
    from energy_plugin.record.trace import Channel
    from energy_plugin.run.executors.protocols import Executor, Exit, Job

STEP_S = 1.0
"""The wall clock was set when it moved by this much more or less than CLOCK_MONOTONIC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an attempt needs to know beside the case itself.

    Attributes:
        metrics: final metrics each model (``repository/model``) must report.
        dead: channels that cannot be read here; each becomes an ``unavailable`` reading.
        timeout_s: end the programs after this, 0 never.
        baseline: idle power of the channels; None leaves each reading that of its own edges.
    """

    session: str
    case_key: str
    order: Order
    cooldown: Cooldown
    metrics: Mapping[str, tuple[str, ...]]
    dead: tuple[Channel, ...] = ()
    timeout_s: float = 0.0
    baseline: Baseline | None = None


class _Watched(NamedTuple):
    """What was seen beside the programs' own exits.

    Attributes:
        before: span with nothing running before the first start. ``after``: the same after the end.
        span_ns: when the meters were armed, opened and closed.
        cpu_load: share of the processors others took in ``before``.
    """

    before: Window | None
    after: Window | None
    span_ns: tuple[int, int, int]
    cpu_load: float | None


def attempt(
    case: Case,
    number: int,
    executor: Executor,
    meters: Sequence[Meter],
    clock: Clock,
    folder: Path,
    setting: Setting,
) -> Record:
    """Run the case once and measure it; whatever happens leaves a record.

    On Ctrl-C the programs are ended and their outcomes say ``interrupted``: the caller journals the
    record and then stops.

    Raises:
        ExecutorError: the programs could not be prepared; nothing was measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started, began_ns = clock.utc(), clock.now_ns()
    provenance = before_run()
    jobs = [executor.prepare(program, folder) for program in case.programs]
    sampler = UsageSampler(case.programs, jobs, clock)
    watched = _run(jobs, meters, sampler, clock, setting.timeout_s)
    exits = [job.close() for job in jobs]
    traces = [trace for meter in meters for trace in meter.stop()]
    seen = [process for meter in meters for process in getattr(meter, "processes", list)()]
    outcomes = _outcomes(case, jobs, exits, sampler, setting)
    (folder / "energy").mkdir(exist_ok=True)
    write_traces(folder / "energy" / "trace.csv", [*traces, *sampler.traces(seen)])
    provenance |= _beside(watched, seen if _has_witness(meters) else None, sampler)
    elapsed_s = (clock.now_ns() - began_ns) / 1e9
    return Record(
        experiment_id=folder.name,
        session=setting.session,
        case=case,
        case_key=setting.case_key,
        attempt=number,
        started_utc=started.isoformat(),
        outcomes=outcomes,
        readings=readings_of(
            traces, outcomes, (watched.before, watched.after), setting.dead, setting.baseline
        ),
        order=setting.order,
        cooldown=setting.cooldown,
        provenance={
            **provenance,
            **_clock_step((clock.utc() - started).total_seconds() - elapsed_s),
            "gpu_gauges": gauges_of(traces, joint_window(outcomes)),
            "programs": [dict(exit_.detail) for exit_ in exits],
        },
        executor=executor.name,
        idle=setting.baseline,
        simulated=simulated_by(),
    )


def _run(
    jobs: Sequence[Job], meters: Sequence[Meter], sampler: UsageSampler, clock: Clock, timeout_s: float
) -> _Watched:
    """Arm the meters, idle, open them, start and await the programs, close the meters."""
    before, load = None, None
    armed_ns = open_ns = clock.now_ns()
    try:
        for meter in meters:
            meter.start()
        before, load = _idle_before(meters, clock)
        for meter in meters:
            meter.edge("open")
        open_ns = clock.now_ns()
        sampler.start()
        _start_and_wait(jobs, clock, timeout_s)
    except KeyboardInterrupt:
        _kill(jobs, "interrupted")
    except ExecutorError as error:
        _kill(jobs, f"not-started: {error}")
    close_ns = clock.now_ns()
    for meter in meters:
        meter.edge("close")
    sampler.stop()
    after = _rest(max((meter.tail_s for meter in meters), default=0.0), "idle:after", clock)
    return _Watched(before, after, (armed_ns, open_ns, close_ns), load)


def _idle_before(meters: Sequence[Meter], clock: Clock) -> tuple[Window | None, float | None]:
    """Let polling meters see the machine at rest, and what others take meanwhile."""
    watch = LoadWatch(clock)
    window = _rest(max((meter.lead_s for meter in meters), default=0.0), "idle:before", clock)
    return window, watch.share() if window else None


def _rest(seconds: float, name: str, clock: Clock) -> Window | None:
    """Wait; None where nobody wants to see it."""
    if not seconds:
        return None
    t0_ns = clock.now_ns()
    clock.sleep(seconds)
    return Window(program=None, name=name, t0_ns=t0_ns, t1_ns=clock.now_ns())


def _start_and_wait(jobs: Sequence[Job], clock: Clock, timeout_s: float) -> None:
    ended = threading.Event()
    allowed_ns = round(timeout_s * 1e9)
    for job in jobs:
        job.start(ended.set)
    deadline_ns = clock.now_ns() + allowed_ns if allowed_ns else None
    while any(job.poll() is None for job in jobs):
        left_s = (deadline_ns - clock.now_ns()) / 1e9 if deadline_ns else None
        if left_s is not None and left_s <= 0:
            _kill(jobs, "timeout")
            return
        ended.wait(left_s)
        ended.clear()


def _kill(jobs: Sequence[Job], reason: str) -> None:
    for job in jobs:
        if job.poll() is None:
            job.kill(reason)


def _outcomes(
    case: Case, jobs: Sequence[Job], exits: Sequence[Exit], sampler: UsageSampler, setting: Setting
) -> tuple[Outcome, ...]:
    gaps = sampler.gaps()
    return tuple(
        outcome_of(program, exit_, read_marks(job.events), job.log, setting.metrics, setting.timeout_s, gaps)
        for program, job, exit_ in zip(case.programs, jobs, exits, strict=True)
    )


def _has_witness(meters: Sequence[Meter]) -> bool:
    return any(getattr(meter, "witness", False) for meter in meters)


def _beside(watched: _Watched, seen: Sequence[GpuProcess] | None, sampler: UsageSampler) -> dict[str, Any]:
    """Who else was there, for the record's provenance; a key is absent where nobody can tell."""
    facts: dict[str, Any] = {}
    if watched.cpu_load is not None:
        facts["cpu_load_before"] = watched.cpu_load
    if seen is not None:
        host_pids = sees_host_pids()
        facts["foreign_gpu_processes"] = foreign(seen, sampler.pids(), watched.span_ns, host_pids=host_pids)
        facts["host_pids"] = host_pids
    gaps = sampler.gaps()
    if gaps:
        facts["starved_s"] = [(gap.t1_ns - gap.t0_ns) / 1e9 for gap in gaps]
    return facts


def _clock_step(step_s: float) -> dict[str, float]:
    """Windows never see the wall clock; only the labels of this attempt do."""
    return {"clock_step_s": step_s} if abs(step_s) > STEP_S else {}
