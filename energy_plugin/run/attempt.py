"""One execution of a case, from host check to record. No pytest in here."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError
from energy_plugin.record.marks import Marks, read_marks
from energy_plugin.record.record import Cooldown, Order, Outcome, Record
from energy_plugin.record.trace import Idle, Reading, Trace, Window, idle_of, integrate
from energy_plugin.record.tracefile import write_traces
from energy_plugin.run.host import before_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Case, Program
    from energy_plugin.meters.protocols import Meter
    from energy_plugin.record.trace import Channel
    from energy_plugin.run.executors.protocols import Executor, Exit, Job

LOG_TAIL_LINES = 20
ADDITIVE_GAUGES = {"power_w", "memory_used_bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an attempt needs to know beside the case itself.

    Attributes:
        metrics: final metrics each model (``repository/model``) must report.
        dead: channels that cannot be read here; each becomes an ``unavailable`` reading.
        timeout_s: end the programs after this, 0 never.
    """

    session: str
    case_key: str
    order: Order
    cooldown: Cooldown
    metrics: Mapping[str, tuple[str, ...]]
    dead: tuple[Channel, ...] = ()
    timeout_s: float = 0.0


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
    started = clock.utc().isoformat()
    provenance = before_run()
    jobs = [executor.prepare(program, folder) for program in case.programs]
    for meter in meters:
        meter.start()
    idle_window = _run(jobs, meters, clock, setting.timeout_s)
    exits = [job.close() for job in jobs]
    traces = [trace for meter in meters for trace in meter.stop()]
    marks = [read_marks(job.events) for job in jobs]
    outcomes = tuple(
        _outcome(program, job, exit_, mark, setting, folder)
        for program, job, exit_, mark in zip(case.programs, jobs, exits, marks, strict=True)
    )
    (folder / "energy").mkdir(exist_ok=True)
    write_traces(folder / "energy" / "trace.csv", traces)
    return Record(
        experiment_id=folder.name,
        session=setting.session,
        case=case,
        case_key=setting.case_key,
        attempt=number,
        started_utc=started,
        outcomes=outcomes,
        readings=_readings(traces, outcomes, idle_window, setting.dead),
        order=setting.order,
        cooldown=setting.cooldown,
        provenance={
            **provenance,
            "gpu_gauges": gauges_of(traces, _joint(outcomes)),
            "programs": [dict(exit_.detail) for exit_ in exits],
        },
        executor=executor.name,
    )


def _idle_before(meters: Sequence[Meter], clock: Clock) -> Window | None:
    """Let polling meters see the machine at rest; None where no meter can."""
    lead_s = max((meter.lead_s for meter in meters), default=0.0)
    if not lead_s:
        return None
    t0_ns = clock.now_ns()
    clock.sleep(lead_s)
    return Window(program=None, name="idle:before", t0_ns=t0_ns, t1_ns=clock.now_ns())


def _run(jobs: Sequence[Job], meters: Sequence[Meter], clock: Clock, timeout_s: float) -> Window | None:
    """Idle, open the meters, start and await the programs, close the meters; the idle window."""
    idle_window = None
    try:
        idle_window = _idle_before(meters, clock)
        for meter in meters:
            meter.edge("open")
        _start_and_wait(jobs, clock, timeout_s)
    except KeyboardInterrupt:
        _kill(jobs, "interrupted")
    except ExecutorError as error:
        _kill(jobs, f"not-started: {error}")
    for meter in meters:
        meter.edge("close")
    tail_s = max((meter.tail_s for meter in meters), default=0.0)
    if tail_s:
        clock.sleep(tail_s)
    return idle_window


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


def _outcome(
    program: Program, job: Job, exit_: Exit, marks: Marks, setting: Setting, folder: Path
) -> Outcome:
    """Judge one program: exit code first, then its events, then its final metrics."""
    reason, detail = _failure(program, exit_, marks, setting)
    process = Window(
        program=program.role, name="process", t0_ns=exit_.t0_ns, t1_ns=exit_.t1_ns, unc_ns=exit_.unc_ns
    )
    metrics = {
        name: float(value) for name, value in marks.end.get("metrics", {}).items() if value is not None
    }
    return Outcome(
        program=program,
        success=not reason,
        reason=reason,
        detail=detail,
        exit_code=exit_.code,
        windows=(process, *marks.windows(program.role)) if exit_.code is not None else (),
        epochs=marks.epochs,
        metrics=metrics,
        data_source=str(marks.end.get("data_source", "")),
        data_digest=str(marks.end.get("data_digest", "")),
        weights=str(marks.end.get("weights", "")),
        device=str(marks.begin.get("device", "")),
        cpu_s=exit_.cpu_s,
        memory_peak_bytes=exit_.memory_peak_bytes,
        log=f"{folder.name}/{job.log.name}",
    )


def _failure(program: Program, exit_: Exit, marks: Marks, setting: Setting) -> tuple[str, str]:
    """Reason code and detail, both empty on success."""
    reason, _, why = exit_.reason.partition(": ")
    if reason == "timeout":
        return reason, f"still running after {setting.timeout_s:g} s (--energy-timeout)"
    if reason == "interrupted":
        return reason, "the session was interrupted"
    if exit_.code is None:
        return reason or "not-started", why or "the program could not be started"
    if exit_.code < 0:
        return reason or "signal", why or f"the program was ended by signal {-exit_.code}"
    if exit_.code > 0:
        return reason or "exit-code", why or f"the program ended with exit code {exit_.code}"
    if reason:  # such as out-of-memory of a child whose parent went on
        return reason, why or f"the executor says {reason}"
    if exit_.detail.get("gpus") and marks.begin.get("device") == "cpu":
        return "no-gpu", f"asked for GPU {', '.join(exit_.detail['gpus'])}, but the program ran on the CPU"
    if marks.fault:
        return "events", marks.fault
    final = marks.end.get("metrics", {})
    wanted = setting.metrics[f"{program.repository}/{program.model}"]
    missing = [name for name in wanted if not isinstance(final.get(name), (int, float))]
    if missing:
        return "no-metrics", f"exit code 0, but no final {', '.join(missing)}"
    return "", ""


def _joint(outcomes: Sequence[Outcome]) -> Window | None:
    spans = [window for outcome in outcomes for window in outcome.windows if window.name == "process"]
    if not spans:
        return None
    return Window(
        program=None,
        name="joint",
        t0_ns=min(span.t0_ns for span in spans),
        t1_ns=max(span.t1_ns for span in spans),
        unc_ns=max(span.unc_ns for span in spans),
    )


def _readings(
    traces: Sequence[Trace],
    outcomes: Sequence[Outcome],
    idle_window: Window | None,
    dead: Sequence[Channel],
) -> tuple[Reading, ...]:
    """Every window asked of every trace, and one unavailable reading for each dead channel."""
    windows = [window for outcome in outcomes for window in outcome.windows]
    if len(outcomes) > 1 and (joint := _joint(outcomes)):
        windows.append(joint)
    found: list[Reading] = []
    alone = len(outcomes) == 1
    for trace in traces:
        idle: Idle | None = idle_of(trace, idle_window) if idle_window else None
        # Where another program runs on at a window's edge, idle power says nothing about that edge.
        found += [integrate(trace, w, idle if alone or w.name == "joint" else None) for w in windows]
    for channel in dead:
        found += [
            Reading(
                meter=channel.meter,
                channel=channel.id,
                window=window,
                status="unavailable",
                reason=channel.reason,
                source=channel.source,
                kind=channel.kind,
            )
            for window in windows
            if window.name in ("process", "joint")
        ]
    return tuple(found)


def gauges_of(traces: Sequence[Trace], window: Window | None) -> dict[str, float]:
    """Average, least and greatest of each GPU gauge over the programs' time.

    Over several GPUs power and memory add up (of least and greatest that is a bound, since they need
    not coincide); of temperature and utilisation the mean, least and greatest are taken.
    """
    per_gpu: dict[str, list[list[float]]] = {}
    for trace in traces:
        if window is None or not trace.channel.id.startswith("gpu:"):
            continue
        for name, points in trace.gauges.items():
            inside = [value for t_ns, value in points if window.t0_ns <= t_ns <= window.t1_ns]
            if inside:
                per_gpu.setdefault(name, []).append(inside)
    summary: dict[str, float] = {}
    for name, gpus in per_gpu.items():
        means = [sum(values) / len(values) for values in gpus]
        adds = name in ADDITIVE_GAUGES
        summary |= {
            f"{name}_avg": sum(means) if adds else sum(means) / len(means),
            f"{name}_min": (sum if adds else min)(min(values) for values in gpus),
            f"{name}_max": (sum if adds else max)(max(values) for values in gpus),
        }
    return summary


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log; bytes that are no text are shown as such."""
    try:
        text = path.read_bytes()[-8192:].decode("utf-8", errors="backslashreplace")
    except OSError as error:
        return f"(no log: {error.strerror})"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def as_facts(channels: Sequence[Channel]) -> list[dict[str, Any]]:
    """Channels as plain data for session.json."""
    from dataclasses import asdict

    return [asdict(channel) for channel in channels]
