"""Records as the files people read: table rows, experiment.json, readings.json.

Column and key names are those of the published study where it had one, so that its table and our
sessions go through the same analysis.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from energy_plugin.record.baseline import net, net_of
from energy_plugin.record.beside import BACKGROUND_COLUMNS, SHARED_COLUMNS, background, own, shared
from energy_plugin.record.record import TRUST, direct, pick, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from energy_plugin.record.record import Outcome, Record, Total
    from energy_plugin.record.trace import Reading

Row = dict[str, Any]

COLUMNS = (
    "experiment_id", "timestamp", "role", "session", "repository", "model", "mode", "is_parallel",
    "training_success", "duration_seconds", "training_duration_seconds", "retries", "error_message",
    "total_energy_joules", "total_energy_lo_joules", "total_energy_hi_joules", "total_energy_status",
    "total_energy_reason",
    "energy_cpu_pkg_joules", "energy_cpu_ram_joules", "energy_cpu_total_joules", "energy_cpu_status",
    "energy_cpu_source",
    "energy_gpu_avg_watts", "energy_gpu_max_watts", "energy_gpu_min_watts", "energy_gpu_total_joules",
    "energy_gpu_status", "energy_gpu_source", "energy_gpu_temp_avg_celsius", "energy_gpu_temp_max_celsius",
    "energy_gpu_util_avg_percent", "energy_gpu_util_max_percent",
    "energy_wall_joules", "energy_wall_lo_joules", "energy_wall_hi_joules", "energy_wall_status",
    "energy_wall_source",
    "energy_net_joules", "energy_net_uncertainty_joules", "energy_net_reason",
    "idle_power_watts", "idle_power_uncertainty_watts", "energy_tail_joules", "tail_seconds",
    "window_unc_seconds",
    "estimate_codecarbon_joules", "estimate_codecarbon_status",
    "estimate_calculator_joules", "estimate_calculator_status",
    "energy_per_epoch", "time_per_epoch", "convergence_epoch", "gpu_memory_peak",
    "cpu_time_seconds", "memory_peak_bytes", "cpu_load_before", "foreign_gpu_processes",
    "data_source", "data_digest", "weights", "device", "row_limit", "executor", "exit_code",
    "experiment_source", "num_mutated_params", "mutated_param", "hyperparams_passed",
    "case_id", "case_key", "attempt", "replicate", "block", "order_index", "order_seed",
    "cooldown_seconds", "cooldown_reason", "gpu_power_limit_watts",
    *SHARED_COLUMNS, *BACKGROUND_COLUMNS, "shared_with", "simulated", "schema_version",
)  # fmt: skip
"""Fixed columns of summary.csv; ``hyperparam_*``, ``perf_*`` and the ``estimate_*`` of further estimators
follow as the session has them."""

ESTIMATORS = ("codecarbon", "calculator")
"""Those whose columns are always there."""

CONVERGED_SHARE = 0.99
"""Convergence epoch: the first that has made this share of the whole fall in loss."""


def rows(record: Record) -> list[Row]:
    """One row for each measured program of the attempt."""
    return [_row(record, outcome) for outcome in record.outcomes if outcome.program.role != "load"]


def table(records: Iterable[Record]) -> tuple[list[str], list[Row]]:
    """All rows with the columns in their order."""
    lines = [row for record in records for row in rows(record)]
    extra = {name for line in lines for name in line if name not in COLUMNS}
    dynamic = [*sorted(n for n in extra if n.startswith("hyperparam_"))]
    dynamic += sorted(n for n in extra if n.startswith("perf_"))
    dynamic += sorted(extra - set(dynamic))
    return [*COLUMNS, *dynamic], lines


def _row(record: Record, outcome: Outcome) -> Row:
    program, whole = outcome.program, _energy(record)
    process, training = outcome.window("process"), outcome.window("training")
    return {
        "experiment_id": record.experiment_id,
        "timestamp": record.started_utc,
        "role": program.role,
        "session": record.session,
        "repository": program.repository,
        "model": program.model,
        "mode": record.case.mode,
        "is_parallel": record.case.mode == "background",
        "training_success": outcome.success,
        "duration_seconds": process.duration_s if process else None,
        "training_duration_seconds": training.duration_s if training else None,
        "retries": record.attempt - 1,
        "error_message": "" if outcome.success else f"{outcome.reason}: {outcome.detail}",
        **own(record, whole),
        **_per_epoch(record, outcome),
        "cpu_time_seconds": outcome.cpu_s,
        "memory_peak_bytes": outcome.memory_peak_bytes,
        "cpu_load_before": record.provenance.get("load_1min"),
        "foreign_gpu_processes": _count(record.provenance.get("foreign_gpu_processes")),
        "window_unc_seconds": process.unc_ns / 1e9 if process else None,
        "data_source": outcome.data_source,
        "data_digest": outcome.data_digest,
        "weights": outcome.weights,
        "device": outcome.device,
        "row_limit": program.limit,
        "executor": record.executor,
        "exit_code": outcome.exit_code,
        "experiment_source": record.case.design,
        "num_mutated_params": len(program.varied),
        "mutated_param": "+".join(program.varied),
        "hyperparams_passed": "+".join(sorted(program.passed)),
        "case_id": record.case.id,
        "case_key": record.case_key,
        "attempt": record.attempt,
        "replicate": record.case.replicate,
        "block": record.order.block,
        "order_index": record.order.index,
        "order_seed": record.order.seed,
        "cooldown_seconds": record.cooldown.seconds,
        "cooldown_reason": record.cooldown.reason,
        # Of a run in which it did not hold until the end no limit is claimed.
        "gpu_power_limit_watts": record.case.power_limit_w
        if record.provenance.get("gpu_power_limit_held", True)
        else None,
        **shared(record, outcome, whole),
        **background(record),
        "shared_with": "; ".join(record.provenance.get("shared_with", ())),
        "simulated": record.simulated,
        "schema_version": record.schema_version,
        **{f"hyperparam_{name}": value for name, value in program.values.items()},
        **{f"perf_{name}": value for name, value in outcome.metrics.items()},
    }


def _energy(record: Record) -> Row:
    """Energy columns of the whole attempt: the process window, of a pair the joint one."""
    mine = [r for r in record.readings if r.window.name == record.whole]
    read = pick(direct(mine))
    package = _sum(r for r in read if r.channel.startswith("cpu:package"))
    dram = _sum(r for r in read if r.channel.startswith("cpu:dram"))
    gpu = _sum(r for r in read if r.channel.startswith("gpu:"))
    whole = record.total()
    return {
        "total_energy_joules": whole.joules,
        "total_energy_lo_joules": whole.lo_j,
        "total_energy_hi_joules": whole.hi_j,
        "total_energy_status": whole.status,
        "total_energy_reason": whole.reason,
        "energy_cpu_pkg_joules": package,
        "energy_cpu_ram_joules": dram,
        "energy_cpu_total_joules": _add(package, dram),
        "energy_cpu_status": _status(r for r in read if r.channel.startswith("cpu:")),
        "energy_cpu_source": _source(r for r in read if r.channel.startswith("cpu:")),
        "energy_gpu_total_joules": gpu,
        "energy_gpu_status": _status(r for r in read if r.channel.startswith("gpu")),
        "energy_gpu_source": _source(r for r in read if r.channel.startswith("gpu")),
        **_gauges(record),
        **_wall(record),
        **_above_idle(record),
        **_estimates(record.estimates()),
    }


def _wall(record: Record) -> Row:
    """The whole machine at the wall during the whole attempt; of several meters the best, never a sum."""
    seen = [r for r in record.readings if r.channel.startswith("mains:") and r.window.name == record.whole]
    known = [r for r in seen if r.joules is not None]
    best = min(known, key=lambda r: (TRUST[r.status], (r.hi_j or math.inf) - (r.lo_j or 0.0)), default=None)
    reasons = sorted({f"{r.channel} {r.reason}" for r in seen}) or ["no meter"]
    return {
        "energy_wall_joules": best.joules if best else None,
        "energy_wall_lo_joules": best.lo_j if best else None,
        "energy_wall_hi_joules": best.hi_j if best else None,
        "energy_wall_status": best.status if best else f"unavailable: {'; '.join(reasons)}",
        "energy_wall_source": f"{best.source} ({best.channel})" if best else "",
    }


def _above_idle(record: Record) -> Row:
    """Net of idle and the tail, of the same channels as the total."""
    counted = record.counted(record.whole)
    known = [reading for reading in counted if reading.idle_w is not None]
    complete = bool(known) and len(known) == len(counted)
    tails = [reading for reading in record.counted("tail") if reading.idle_w is not None]
    net, tail = net_of(counted), net_of(tails)
    return {
        "energy_net_joules": net.joules,
        "energy_net_uncertainty_joules": net.unc_j,
        "energy_net_reason": net.reason,
        "idle_power_watts": sum(r.idle_w or 0.0 for r in known) if complete else None,
        "idle_power_uncertainty_watts": math.hypot(*(r.idle_unc_w or 0.0 for r in known))
        if complete
        else None,
        "energy_tail_joules": tail.joules,
        "tail_seconds": max((r.covered_s for r in tails), default=None) if tail.joules is not None else None,
    }


def _count(listed: Any) -> int | None:
    return len(listed) if isinstance(listed, list) else None


def _gauges(record: Record) -> Row:
    gauges: Mapping[str, float] = record.provenance.get("gpu_gauges", {})
    names = {
        "energy_gpu_avg_watts": "power_w_avg",
        "energy_gpu_max_watts": "power_w_max",
        "energy_gpu_min_watts": "power_w_min",
        "energy_gpu_temp_avg_celsius": "temperature_c_avg",
        "energy_gpu_temp_max_celsius": "temperature_c_max",
        "energy_gpu_util_avg_percent": "utilization_percent_avg",
        "energy_gpu_util_max_percent": "utilization_percent_max",
        "gpu_memory_peak": "memory_used_bytes_max",
    }
    return {column: gauges.get(name) for column, name in names.items()}


def _per_epoch(record: Record, outcome: Outcome) -> Row:
    count = len(outcome.epochs)
    training = outcome.window("training")
    energy = record.total().joules if len(record.outcomes) == 1 else None  # of a pair it is both's
    return {
        "energy_per_epoch": energy / count if count and energy is not None else None,
        "time_per_epoch": training.duration_s / count if count and training else None,
        "convergence_epoch": convergence_epoch([epoch.loss for epoch in outcome.epochs]),
    }


def convergence_epoch(losses: list[float | None]) -> int | None:
    """First epoch (from 1) that has made 99 % of the whole fall in loss; None if the loss never fell."""
    known = [loss for loss in losses if loss is not None]
    if len(known) < 2 or len(known) < len(losses) or known[0] <= min(known):
        return None
    target = known[0] - CONVERGED_SHARE * (known[0] - min(known))
    return next(index for index, loss in enumerate(known, start=1) if loss <= target)


def _sum(readings: Iterable[Reading]) -> float | None:
    values = [r.joules for r in readings if r.joules is not None]
    return sum(values) if values else None


def _add(first: float | None, second: float | None) -> float | None:
    return None if first is None else first + (second or 0.0)


def _status(readings: Iterable[Reading]) -> str:
    """Status of the sum of these readings, with the reason where there is none."""
    whole = total(readings)
    return whole.status if whole.joules is not None else f"unavailable: {whole.reason}"


def _source(readings: Iterable[Reading]) -> str:
    """What these joules were read from and by which meter: ``rapl-pmu (perf)``."""
    return "; ".join(total(readings).sources)


def _estimates(by_name: Mapping[str, Total]) -> Row:
    """Joules and status of every estimator that the session had, whether it found any or not."""
    row: Row = {}
    for name in (*ESTIMATORS, *sorted(set(by_name) - set(ESTIMATORS))):
        found = by_name.get(name)
        row[f"estimate_{name}_joules"] = found.joules if found else None
        row[f"estimate_{name}_status"] = found.status if found else "unavailable"
    return row


def experiment(record: Record) -> dict[str, Any]:
    """experiment.json: the published study's keys, then the whole record.

    Energy and duration are of the whole attempt, the rest of the first program.
    """
    row = _energy(record)
    energy = {
        "cpu_energy_pkg_joules": row["energy_cpu_pkg_joules"],
        "cpu_energy_ram_joules": row["energy_cpu_ram_joules"],
        "cpu_energy_total_joules": row["energy_cpu_total_joules"],
        **{
            f"gpu_{new}": row[f"energy_gpu_{old}"]
            for new, old in {
                "power_avg_watts": "avg_watts",
                "power_max_watts": "max_watts",
                "power_min_watts": "min_watts",
                "energy_total_joules": "total_joules",
                "temp_avg_celsius": "temp_avg_celsius",
                "temp_max_celsius": "temp_max_celsius",
                "util_avg_percent": "util_avg_percent",
                "util_max_percent": "util_max_percent",
            }.items()
        },
    }
    first = record.outcomes[0]
    data = record.to_json()
    data.pop("readings")
    return {
        "experiment_id": record.experiment_id,
        "timestamp": record.started_utc,
        "repository": first.program.repository,
        "model": first.program.model,
        "hyperparameters": dict(first.program.values),
        "duration_seconds": record.duration_s,
        "energy_metrics": energy,
        "performance_metrics": dict(first.metrics),
        "training_success": record.success,
        "retries": record.attempt - 1,
        "error_message": record.failure,
        "case_id": record.case.id,
        "mode": record.case.mode,
        **data,
    }


def reading_json(reading: Reading) -> dict[str, Any]:
    """One entry of readings.json: flat, with the window's name, program and times."""
    window, above = reading.window, net(reading)
    return {
        "meter": reading.meter,
        "channel": reading.channel,
        "window": window.name,
        "program": window.program,
        "status": reading.status,
        "reason": reading.reason,
        "joules": reading.joules,
        "lo_j": reading.lo_j,
        "hi_j": reading.hi_j,
        "t0_ns": window.t0_ns,
        "t1_ns": window.t1_ns,
        "unc_ns": window.unc_ns,
        "covered_s": reading.covered_s,
        "source": reading.source,
        "method": reading.method,
        "kind": reading.kind,
        "idle_w": reading.idle_w,
        "idle_unc_w": reading.idle_unc_w,
        "net_j": above.joules,
        "net_unc_j": above.unc_j,
        "unc_j": reading.unc_j,
        "power_j": reading.power_j,
        "detail": reading.detail,
    }
