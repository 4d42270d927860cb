"""What running together costs in time, by both definitions in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report.concurrency import ratio
from causal_report.concurrency.contrast import as_share

if TYPE_CHECKING:
    from causal_report.concurrency.run import Pairing
    from causal_report.findings.concurrency import PairEstimate


def slowdown(pairing: Pairing, role: str) -> tuple[PairEstimate, list[PairEstimate]]:
    """(time together - time alone) / time alone of one program, over all settings and for each."""
    whole, each = ratio.of_program(pairing, role, lambda run: run.duration_s)
    return as_share(whole), [as_share(found) for found in each]


def makespan(pairing: Pairing) -> tuple[PairEstimate, list[PairEstimate]]:
    """(joint time - sum of times alone) / sum of times alone, over all settings and for each."""
    whole, each = ratio.of_pair(pairing, lambda run: run.joint_s, lambda run: run.duration_s)
    return as_share(whole), [as_share(found) for found in each]
