"""Records without a run: what tests of journals, plans and progress need of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_plugin.record.record import Cooldown, Order, Outcome, Record
from energy_plugin.record.trace import Reading, Window

if TYPE_CHECKING:
    from energy_plugin.declare.case import Case
    from energy_plugin.record.trace import Status


def record_of(
    case: Case,
    number: int = 1,
    *,
    success: bool = True,
    seconds: float = 10.0,
    joules: float | None = None,
    status: Status = "measured",
    attempt: int = 1,
) -> Record:
    """An attempt of *case* that took so long and so much."""
    outcomes = tuple(
        Outcome(
            program=program,
            success=success,
            reason="" if success else "exit-code",
            detail="" if success else "the program ended with exit code 1",
            exit_code=0 if success else 1,
            windows=(Window(program=program.role, name="process", t0_ns=0, t1_ns=round(seconds * 1e9)),),
        )
        for program in case.programs
    )
    whole = "joint" if len(case.programs) > 1 else "process"
    reading = Reading(
        meter="perf",
        channel="cpu:package:0",
        window=Window(program=None, name=whole, t0_ns=0, t1_ns=round(seconds * 1e9)),
        status="unavailable" if joules is None else status,
        reason="no-permission" if joules is None else "",
        joules=joules,
    )
    return Record(
        experiment_id=f"{'+'.join(p.model for p in case.programs)}_{number:03d}",
        session="run_20260101_000000",
        case=case,
        case_key=f"{number:016x}",
        attempt=attempt,
        started_utc="2026-01-01T00:00:00+00:00",
        outcomes=outcomes,
        readings=(reading,),
        order=Order(block=case.replicate, index=number - 1, seed=0),
        cooldown=Cooldown(seconds=0.0, reason="first case"),
    )
