"""How far each metric of each program moves because the other runs beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from causal_report.concurrency import ratio
from causal_report.concurrency.contrast import as_share
from causal_report.findings.concurrency import PairInterference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.concurrency.run import Pairing
    from causal_report.table import Column


def interference(pairing: Pairing, metrics: Sequence[Column]) -> list[PairInterference]:
    """(together - alone) / alone of every metric of either program, signed and by size."""
    return [
        _one(pairing, role, metric)
        for role in ratio.ROLES
        for metric in metrics
        if any(run.side(role).metric(metric.name) is not None for run in pairing.runs)
    ]


def _one(pairing: Pairing, role: str, metric: Column) -> PairInterference:
    signed, each = ratio.of_program(pairing, role, lambda run: run.metric(metric.name))
    signed, cells = as_share(signed), [as_share(found) for found in each]
    sizes = [abs(found.value) for found in cells if found.value is not None]
    if not sizes:
        signed = replace(signed, reason="not recorded alone, or not above zero: no relative change exists")
    worse = None
    if metric.better and signed.value is not None:
        worse = signed.value < 0 if metric.better == "higher" else signed.value > 0
    return PairInterference(
        role=role,
        model=pairing.model(role),
        metric=metric.label,
        better=metric.better,
        signed=signed,
        size=sum(sizes) / len(sizes) if sizes else None,
        worse=worse,
    )
