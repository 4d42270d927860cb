"""One execution of a case, from host check to record. No pytest in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import EnergyError
from energy_plugin.record.marks import read_marks
from energy_plugin.record.record import Cooldown, Order, Outcome, Record
from energy_plugin.record.trace import Window
from energy_plugin.record.tracefile import write_traces
from energy_plugin.run.barrier import Barrier
from energy_plugin.run.course import Parts, run
from energy_plugin.run.host import before_run, simulated_by
from energy_plugin.run.load import Load
from energy_plugin.run.outcome import outcome_of, together, under_load
from energy_plugin.run.readings import gauges_of, joint_window, readings_of
from energy_plugin.run.usage import UsageSampler, foreign, sees_host_pids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Case, Role
    from energy_plugin.meters.protocols import GpuProcess, Meter
    from energy_plugin.record.background import BackgroundWork
    from energy_plugin.record.baseline import Baseline
    from energy_plugin.record.trace import Channel
    from energy_plugin.run.course import Watched
    from energy_plugin.run.executors.protocols import Executor, Exit, Job
    from energy_plugin.run.usage import Gap

READY_S = 600.0
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
        ready_s: how long the programs of a pair, or a background, may take to load everything.
        warmup_s: let a background train so long before the measured program starts.
    """

    session: str
    case_key: str
    order: Order
    cooldown: Cooldown
    metrics: Mapping[str, tuple[str, ...]]
    dead: tuple[Channel, ...] = ()
    timeout_s: float = 0.0
    baseline: Baseline | None = None
    ready_s: float = READY_S
    warmup_s: float = 0.0


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
    parts = _prepare(case, executor, folder, clock, setting)
    sampler = _sampler(case, parts, clock)
    watched = run(parts, meters, sampler, clock)
    exits = {role: job.close() for role, job in parts.jobs.items()}
    armed = meters if watched.span_ns[0] else ()
    traces = [trace for meter in armed for trace in meter.stop()]
    seen = [process for meter in armed for process in getattr(meter, "processes", list)()]
    outcomes = together(_outcomes(case, parts, exits, sampler.gaps(), setting))
    work = _work(parts, outcomes, sampler, seen)
    outcomes = under_load(outcomes, work.flag) if work else outcomes
    (folder / "energy").mkdir(exist_ok=True)
    write_traces(folder / "energy" / "trace.csv", [*traces, *sampler.traces(seen)])
    provenance |= _beside(watched, seen if _has_witness(armed) else None, sampler, parts.load)
    provenance |= parts.barrier.facts(outcomes) if parts.barrier else {}
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
            traces,
            outcomes,
            (watched.before, watched.after),
            setting.dead,
            setting.baseline,
            tail=work is None,
        ),
        order=setting.order,
        cooldown=setting.cooldown,
        provenance={
            **provenance,
            **_clock_step((clock.utc() - started).total_seconds() - elapsed_s),
            "gpu_gauges": gauges_of(traces, joint_window(outcomes)),
            "programs": [dict(exit_.detail) for exit_ in exits.values()],
        },
        executor=executor.name,
        idle=setting.baseline,
        background=work,
        simulated=simulated_by(),
    )


def _prepare(case: Case, executor: Executor, folder: Path, clock: Clock, setting: Setting) -> Parts:
    """Create everything; where one cannot be, what was created is released again."""
    pair = case.mode == "pair"
    barrier = Barrier(folder, clock, setting.ready_s) if pair else None
    behind = next((program for program in case.programs if program.role == "load"), None)
    jobs: dict[Role, Job] = {}
    try:
        for program in case.measured:
            go = barrier.go if barrier else None
            jobs[program.role] = executor.prepare(program, folder, go=go)
    except EnergyError:
        for job in jobs.values():
            job.close()
        raise
    return Parts(
        jobs=jobs,
        barrier=barrier,
        load=Load(executor, behind, folder, clock) if behind else None,
        timeout_s=setting.timeout_s,
        warmup_s=setting.warmup_s,
        ready_s=setting.ready_s,
    )


def _sampler(case: Case, parts: Parts, clock: Clock) -> UsageSampler:
    loads = [parts.load] if parts.load else []
    programs = [*case.measured, *(load.program for load in loads)]
    return UsageSampler(programs, [*parts.jobs.values(), *loads], clock)


def _work(
    parts: Parts, outcomes: Sequence[Outcome], sampler: UsageSampler, seen: Sequence[GpuProcess]
) -> BackgroundWork | None:
    """What the background did in the window of the measured program."""
    if parts.load is None:
        return None
    window = joint_window(outcomes) or Window(program=None, name="none", t0_ns=0, t1_ns=0)
    return parts.load.report(window.t0_ns, window.t1_ns, sampler.spent("load", seen))


def _outcomes(
    case: Case, parts: Parts, exits: Mapping[Role, Exit], gaps: Sequence[Gap], setting: Setting
) -> tuple[Outcome, ...]:
    jobs, wanted, timeout_s = parts.jobs, setting.metrics, setting.timeout_s
    return tuple(
        outcome_of(
            p, exits[p.role], read_marks(jobs[p.role].events), jobs[p.role].log, wanted, timeout_s, gaps
        )
        for p in case.measured
    )


def _has_witness(meters: Sequence[Meter]) -> bool:
    return any(getattr(meter, "witness", False) for meter in meters)


def _beside(
    watched: Watched, seen: Sequence[GpuProcess] | None, sampler: UsageSampler, load: Load | None
) -> dict[str, Any]:
    """Who else was there, for the record's provenance; a key is absent where nobody can tell."""
    facts: dict[str, Any] = {}
    if watched.cpu_load is not None:
        facts["cpu_load_before"] = watched.cpu_load
    host_pids = sees_host_pids()
    # Where a program cannot be told by its id, a background that was there before looks like a stranger.
    if seen is not None and (host_pids or load is None):
        facts["foreign_gpu_processes"] = foreign(seen, sampler.pids(), watched.span_ns, host_pids=host_pids)
        facts["host_pids"] = host_pids
    gaps = sampler.gaps()
    if gaps:
        facts["starved_s"] = [(gap.t1_ns - gap.t0_ns) / 1e9 for gap in gaps]
    return facts


def _clock_step(step_s: float) -> dict[str, float]:
    """Windows never see the wall clock; only the labels of this attempt do."""
    return {"clock_step_s": step_s} if abs(step_s) > STEP_S else {}
