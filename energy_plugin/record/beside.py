"""Columns of the table that tell what ran beside a measured program: the other of a pair, a background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy_plugin.record.background import BackgroundWork
    from energy_plugin.record.record import Outcome, Record

Row = dict[str, Any]

SHARED = "shared by the pair: see shared_energy_joules"
"""Why a row of a pair has no joules of its own: the meters see both programs, and a sum must not twice."""
STATES = ("_celsius", "_percent", "_memory_peak")
"""Endings of what is a state of the device and no sum: it may stand in both rows of a pair."""
SHARED_COLUMNS = (
    "partner_repository", "partner_model", "start_skew_seconds", "barrier_wait_seconds",
    "shared_energy_joules", "shared_energy_lo_joules", "shared_energy_hi_joules", "shared_energy_status",
    "shared_energy_reason", "shared_cpu_joules", "shared_gpu_joules", "shared_wall_joules",
    "shared_net_joules", "shared_net_uncertainty_joules",
    "shared_estimate_codecarbon_joules", "shared_estimate_codecarbon_status",
    "shared_estimate_calculator_joules", "shared_estimate_calculator_status",
    "shared_duration_seconds", "shared_overlap_seconds",
)  # fmt: skip
BACKGROUND_COLUMNS = (
    "bg_repository", "bg_model", "bg_note", "bg_log_directory", "bg_loop", "bg_runs", "bg_epochs",
    "bg_cpu_seconds", "bg_gpu_percent", "bg_alive_seconds", "bg_worked_seconds", "bg_warmup_seconds",
    "bg_flag",
)  # fmt: skip


def shared(record: Record, outcome: Outcome, whole: Mapping[str, Any]) -> Row:
    """The same in both rows of a pair: what both programs took together, from first start to last end.

    Args:
        record: of any mode; empty columns for all but a pair.
        outcome: the row's program.
        whole: energy columns of the whole attempt.
    """
    if record.case.mode != "pair":
        return dict.fromkeys(SHARED_COLUMNS)
    partner = next(p for p in record.case.measured if p.role != outcome.program.role)
    waited_s = record.provenance.get("barrier", {}).get("waited_s", {})
    return {
        "partner_repository": partner.repository,
        "partner_model": partner.model,
        "start_skew_seconds": record.provenance.get("start_skew_s"),
        "barrier_wait_seconds": waited_s.get(outcome.program.role),
        "shared_energy_joules": whole["total_energy_joules"],
        "shared_energy_lo_joules": whole["total_energy_lo_joules"],
        "shared_energy_hi_joules": whole["total_energy_hi_joules"],
        "shared_energy_status": whole["total_energy_status"],
        "shared_energy_reason": whole["total_energy_reason"],
        "shared_cpu_joules": whole["energy_cpu_total_joules"],
        "shared_gpu_joules": whole["energy_gpu_total_joules"],
        "shared_wall_joules": whole["energy_wall_joules"],
        "shared_net_joules": whole["energy_net_joules"],
        "shared_net_uncertainty_joules": whole["energy_net_uncertainty_joules"],
        **{f"shared_{name}": value for name, value in whole.items() if name.startswith("estimate_")},
        "shared_duration_seconds": record.duration_s,
        "shared_overlap_seconds": _overlap_s(record),
    }


def _overlap_s(record: Record) -> float | None:
    """Seconds in which both processes were there."""
    spans = [window for one in record.outcomes if (window := one.window("process"))]
    if len(spans) < 2:
        return None
    return max(0, min(span.t1_ns for span in spans) - max(span.t0_ns for span in spans)) / 1e9


def own(record: Record, whole: Row) -> Row:
    """Energy columns as a row may hold them: those of the attempt, but in a pair none that adds up."""
    if record.case.mode != "pair":
        return whole
    return {name: value if name.endswith(STATES) else _withheld(name) for name, value in whole.items()}


def _withheld(name: str) -> str | None:
    if name == "total_energy_status" or (name.startswith("estimate_") and name.endswith("_status")):
        return "unavailable"
    if name.endswith("_status"):
        return f"unavailable: {SHARED}"
    return SHARED if name.endswith("_reason") else "" if name.endswith("_source") else None


def background(record: Record) -> Row:
    """What ran as load; empty columns where nothing did."""
    load = next((program for program in record.case.programs if program.role == "load"), None)
    if load is None:
        return {**dict.fromkeys(BACKGROUND_COLUMNS), "bg_repository": "", "bg_model": "", "bg_note": ""}
    work = record.background
    return {
        "bg_repository": load.repository,
        "bg_model": load.model,
        "bg_note": _note(work) if work else "",
        "bg_log_directory": f"{record.experiment_id}/background_logs",
        "bg_loop": load.loop,
        "bg_runs": len(work.runs) if work else None,
        "bg_epochs": work.epochs if work else None,
        "bg_cpu_seconds": work.cpu_s if work else None,
        "bg_gpu_percent": work.gpu_percent if work else None,
        "bg_alive_seconds": work.alive_s if work else None,
        "bg_worked_seconds": work.worked_s if work else None,
        "bg_warmup_seconds": work.warmup_s if work else None,
        "bg_flag": work.flag if work else "",
        **{f"bg_hyperparam_{name}": value for name, value in load.values.items()},
    }


def _note(work: BackgroundWork) -> str:
    """For people: how often it was started, and how its finished runs ended."""
    *finished, _ = work.runs or (None,)
    codes = ", ".join(str(run.code) for run in finished if run)
    ended = f", the finished ones with exit code {codes}" if finished else ""
    return f"{work.loop}: {len(work.runs)} {'run' if len(work.runs) == 1 else 'runs'}{ended}"
