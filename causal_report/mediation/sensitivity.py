"""How strong a hidden common cause of mediator and outcome must be to undo a path.

Nothing but the cause was randomised: whatever moves the mediator may move the outcome too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """See :class:`causal_report.findings.mediation.MediationPath` for the three values."""

    rho: float
    robustness: float
    robustness_05: float


def of(rho: float, df: int) -> Sensitivity:
    """Both measures from the partial correlation of mediator and outcome.

    The indirect effect is nought exactly where the errors of the two equations correlate by that
    partial correlation (Imai, Keele and Yamamoto 2010, theorem 4). The robustness value of b
    (Cinelli and Hazlett 2020, section 4.1) is computed from the same number: f = |rho| / sqrt(1 - rho^2).

    Args:
        rho: correlation of mediator and outcome at the same cause and controls.
        df: residual degrees of freedom of the regression of the outcome on both.
    """
    from scipy.special import stdtrit

    strength = abs(rho) / math.sqrt(max(1 - rho**2, 1e-12))
    needed = float(stdtrit(df - 1, 0.975)) / math.sqrt(df - 1) if df > 1 else math.inf
    return Sensitivity(
        rho=rho, robustness=_value(strength), robustness_05=_value(max(strength - needed, 0.0))
    )


def _value(f: float) -> float:
    return 0.5 * (math.sqrt(f**4 + 4 * f**2) - f**2)
