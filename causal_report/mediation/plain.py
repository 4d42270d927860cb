"""An effect in plain terms: per cent for a doubling or a step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from causal_report.findings.mediation import MediationPath


def step(values: NDArray[np.float64], log: bool) -> float:
    """A doubling on a log scale, else one or the power of ten that fits the range."""
    if log:
        return 2.0
    span = float(np.ptp(values)) if len(values) else 1.0
    return float(10.0 ** math.floor(math.log10(span))) if 0 < span < 1 else 1.0


def change(path: MediationPath, slope: float | None) -> float | None:
    """What *slope* means for the path's step; None for None."""
    if slope is None:
        return None
    moved = slope * (math.log(path.step) if path.log_cause else path.step)
    return float(np.expm1(min(moved, 700.0)) * 100) if path.log_outcome else moved
