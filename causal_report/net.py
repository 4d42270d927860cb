"""Gross and net energy side by side, run by run and for each model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_report.findings.metering import NetModel, NetRun
from causal_report.pairing import REPLAY

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

    from causal_report.pairing import Run

QUARTILES = (0.25, 0.5, 0.75)
MOST_RUNS = 10_000
"""A table of more runs than any session has is told by its first ones."""


def runs(frame: pd.DataFrame, readings: Sequence[Run], simulated: Mapping[str, str]) -> tuple[NetRun, ...]:
    """One line for each usable row that has measured or partial joules.

    Args:
        frame: usable rows.
        readings: the runs' own readings, for the methods behind the joules.
        simulated: session to what stood in for its meters.
    """
    if "total_energy_joules" not in frame:
        return ()
    mine = {(run.session, run.experiment_id): run for run in readings}
    known = frame[frame["total_energy_joules"].notna()].iloc[:MOST_RUNS]
    keys = zip(known["session"].astype(str), known["experiment_id"].astype(str), strict=True)
    rows = zip(keys, known.to_dict("records"), strict=True)
    return tuple(_run(key, row, mine.get(key), simulated.get(key[0], "")) for key, row in rows)


def models(found: Sequence[NetRun]) -> tuple[NetModel, ...]:
    """Medians and quartiles over the runs of each model that have net energy."""
    names = sorted({run.model for run in found})
    made = [_model(name, [r for r in found if r.model == name and r.net_j is not None]) for name in names]
    return tuple(model for model in made if model is not None)


def _methods(run: Run) -> tuple[str, ...]:
    chosen = [r for r in run.direct() if not str(r["channel"]).startswith("mains")]
    return tuple(sorted({f"{r['meter']} {r.get('method') or ''}".strip() for r in chosen}))


def _run(key: tuple[str, str], row: Mapping[Hashable, Any], run: Run | None, simulated: str) -> NetRun:
    def number(*names: str) -> float | None:
        for name in names:
            value = row.get(name)
            if isinstance(value, (int, float)) and np.isfinite(value):
                return float(value)
        return None

    def text(name: str) -> str:
        value = row.get(name)
        return value if isinstance(value, str) else ""

    replayed = run is not None and any(str(r["source"]).startswith(REPLAY) for r in run.direct())
    return NetRun(
        session=key[0],
        experiment_id=key[1],
        model=str(row["model_id"]),
        role=str(row["role"]),
        status=text("total_energy_status"),
        reason=text("total_energy_reason"),
        duration_s=float(row["duration_seconds"]),
        gross_j=number("total_energy_joules"),
        lo_j=number("total_energy_lo_joules"),
        hi_j=number("total_energy_hi_joules"),
        net_j=number("energy_net_joules"),
        net_unc_j=number("energy_net_uncertainty_joules"),
        net_reason=text("energy_net_reason"),
        idle_w=number("idle_power_watts", "idle_watts"),
        idle_unc_w=number("idle_power_uncertainty_watts", "idle_unc_watts"),
        tail_j=number("energy_tail_joules"),
        tail_s=number("tail_seconds"),
        methods=_methods(run) if run else (),
        origin="simulated" if text("simulated") or simulated else "replayed" if replayed else "",
    )


def _model(name: str, found: Sequence[NetRun]) -> NetModel | None:
    if not found:
        return None
    gross, net = (
        np.quantile([r for r in values if r is not None], QUARTILES)
        for values in ([r.gross_j for r in found], [r.net_j for r in found])
    )
    tails = [r for r in found if r.tail_j is not None]
    return NetModel(
        model=name,
        n=len(found),
        statuses=tuple(sorted(Counter(r.shown for r in found).items())),
        gross_j=float(gross[1]),
        gross_lo_j=float(gross[0]),
        gross_hi_j=float(gross[2]),
        net_j=float(net[1]),
        net_lo_j=float(net[0]),
        net_hi_j=float(net[2]),
        net_unc_j=_median([r.net_unc_j for r in found]),
        idle_w=_median([r.idle_w for r in found]),
        idle_unc_w=_median([r.idle_unc_w for r in found]),
        idle_share=float(np.median([1 - (r.net_j or 0.0) / r.gross_j for r in found if r.gross_j])),
        tail_n=len(tails),
        tail_j=_median([r.tail_j for r in tails]),
        tail_s=_median([r.tail_s for r in tails]),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
