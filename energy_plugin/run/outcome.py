"""How a program went: exit code first, then its events, then its final metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from energy_plugin.record.record import Outcome
from energy_plugin.record.trace import Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from energy_plugin.declare.case import Program
    from energy_plugin.record.marks import Marks
    from energy_plugin.run.executors.protocols import Exit
    from energy_plugin.run.usage import Gap

LOG_TAIL_LINES = 20
WAKING_NS = 500_000_000
"""An end stamped this soon after a gap may have been during the gap."""


def outcome_of(
    program: Program,
    exit_: Exit,
    marks: Marks,
    log: Path,
    wanted: Mapping[str, tuple[str, ...]],
    timeout_s: float,
    gaps: Sequence[Gap] = (),
) -> Outcome:
    """Judge one program.

    Args:
        program: as declared.
        exit_: how it ended.
        marks: its events.
        log: its log; the record names it relative to the session folder.
        wanted: final metrics each model (``repository/model``) must report.
        timeout_s: what it was allowed, for the message.
        gaps: when this process did not run; an end it slept through is stamped late.
    """
    reason, detail = failure_of(program, exit_, marks, wanted, timeout_s)
    process = Window(
        program=program.role,
        name="process",
        t0_ns=exit_.t0_ns,
        t1_ns=exit_.t1_ns,
        unc_ns=max(exit_.unc_ns, _slept_ns(exit_.t1_ns, gaps)),
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
        log=f"{log.parent.name}/{log.name}",
    )


def together(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """A pair counts whole or not at all: beside one that failed, the other did not run as declared."""
    failed = next((one for one in outcomes if not one.success), None)
    if failed is None:
        return outcomes
    why = f"{failed.program.role} failed ({failed.reason}); this training itself completed"
    return tuple(
        replace(one, success=False, reason="partner", detail=why) if one.success else one for one in outcomes
    )


def under_load(outcomes: tuple[Outcome, ...], flag: str) -> tuple[Outcome, ...]:
    """A run whose background died or idled does not count, however well its own training went."""
    reason, _, why = flag.partition(": ")
    if not flag:
        return outcomes
    return tuple(
        replace(one, success=False, reason=reason, detail=why) if one.success else one for one in outcomes
    )


def _slept_ns(t1_ns: int, gaps: Sequence[Gap]) -> int:
    """How much earlier the end may have been than it was seen."""
    return max((t1_ns - gap.t0_ns for gap in gaps if gap.t0_ns < t1_ns <= gap.t1_ns + WAKING_NS), default=0)


def failure_of(
    program: Program, exit_: Exit, marks: Marks, wanted: Mapping[str, tuple[str, ...]], timeout_s: float
) -> tuple[str, str]:
    """Reason code and detail, both empty on success."""
    reason, _, why = exit_.reason.partition(": ")
    if reason == "timeout":
        return reason, f"still running after {timeout_s:g} s (--energy-timeout)"
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
    missing = [
        name
        for name in wanted[f"{program.repository}/{program.model}"]
        if not isinstance(final.get(name), (int, float))
    ]
    if missing:
        return "no-metrics", f"exit code 0, but no final {', '.join(missing)}"
    return "", ""


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log; bytes that are no text are shown as such."""
    try:
        text = path.read_bytes()[-8192:].decode("utf-8", errors="backslashreplace")
    except OSError as error:
        return f"(no log: {error.strerror})"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"
