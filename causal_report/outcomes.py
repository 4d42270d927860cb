"""The columns that can be asked about: energy and its parts, power, duration, performance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report import response
from causal_report.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal_report.findings import Response
    from causal_report.table import Table

PARTS: Mapping[str, str] = {
    "energy_gpu_total_joules": "GPU energy",
    "energy_cpu_total_joules": "CPU energy",
}
POWERS: Mapping[str, str] = {
    "energy_gpu_avg_watts": "GPU power, mean",
    "energy_gpu_max_watts": "GPU power, highest",
    "energy_gpu_min_watts": "GPU power, lowest",
}
DURATION = Column(name="duration_seconds", label="duration", part="energy", unit="s", log=True)


def energies(table: Table, chosen: Response) -> list[Column]:
    """The energy that is analysed and the parts of it that some row has; empty where no joules exist."""
    whole = response.column(chosen)
    parts = [
        Column(name=name, label=label, part="energy", unit="J", log=True)
        for name, label in PARTS.items()
        if _known(table, name)
    ]
    return [*([whole] if whole else []), *(parts if whole else [])]


def powers(table: Table) -> list[Column]:
    """Mean, highest and lowest power of the GPU, where recorded."""
    return [
        Column(name=name, label=label, part="energy", unit="W", log=True)
        for name, label in POWERS.items()
        if _known(table, name)
    ]


def performance(table: Table) -> list[Column]:
    """The metrics that some row has, the catalogue's order first."""
    return [column for column in table.of("performance") if _known(table, column.name)]


def _known(table: Table, name: str) -> bool:
    return name in table.frame and bool(table.frame[name].notna().any())
