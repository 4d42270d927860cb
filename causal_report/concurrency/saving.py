"""What running together saves in energy: measured jointly, shared out to nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from causal_report.concurrency import ratio
from causal_report.concurrency.contrast import as_saving

if TYPE_CHECKING:
    from causal_report.concurrency.run import Pairing
    from causal_report.findings.concurrency import PairEstimate

NO_ENERGY = "no comparable joules, together or alone"


def saving(pairing: Pairing) -> tuple[PairEstimate, list[PairEstimate]]:
    """1 - joint energy / sum of energies alone, over all settings and for each."""
    whole, each = ratio.of_pair(pairing, lambda run: run.energy_j, lambda run: run.energy_j)
    if all(run.energy_j is None for run in pairing.runs):
        whole, each = (replace(whole, reason=NO_ENERGY), [replace(e, reason=NO_ENERGY) for e in each])
    return as_saving(whole), [as_saving(found) for found in each]
