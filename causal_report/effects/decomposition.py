"""Energy is mean power times time: an effect on its logarithm is the sum of two."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import outcomes, regression
from causal_report.effects import sheet as sheets
from causal_report.effects.setup import setups
from causal_report.effects.total import SCALES, slope_of, step
from causal_report.findings.effects import Decomposition
from causal_report.table import vector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.effects.setup import Setup
    from causal_report.effects.sheet import Sheet
    from causal_report.findings.effects import Slope
    from causal_report.table import Column

    Vector = NDArray[np.float64]

CLEAR = 2.0
"""Standard errors by which the whole must be clear of zero before a share of it is given."""


def decompose(
    frame: pd.DataFrame, factors: Sequence[Column], energies: Sequence[Column]
) -> tuple[Decomposition, ...]:
    """The total effects on each energy, split into mean power and time.

    log E = log P + log t with P = E/t. The three regressions share rows and right-hand side, so the
    two slopes add up to the first exactly. Neither part is a cause that is held constant: both are
    total effects of the factor.

    Args:
        frame: usable rows only.
        factors: design columns.
        energies: columns in joules, analysed as logarithms.
    """
    sheet = sheets.of(frame, factors)
    doses = [factor for factor in factors if factor.name in sheet.doses]
    time = vector(frame, outcomes.DURATION)
    found: list[Decomposition] = []
    for energy in energies:
        joules = vector(frame, energy)
        for scope, rows in sheet.scopes(~np.isnan(joules) & ~np.isnan(time)):
            for setup in setups(sheet, scope, rows, doses):
                found += _split(sheet, setup, energy, joules[setup.rows], time[setup.rows])
    return _corrected(found)


def _split(
    sheet: Sheet, setup: Setup, energy: Column, joules: Vector, time: Vector
) -> Iterator[Decomposition]:
    design = None if setup.reason else setup.design()
    fits = [design.fit(y) for y in (joules, joules - time, time)] if design else []
    for factor in setup.factors:
        doses = sheet.doses[factor.name][setup.rows][setup.present[factor.name]]
        blank = Decomposition(
            outcome=energy.name,
            outcome_label=energy.label,
            scope=setup.scope,
            factor=factor.name,
            factor_label=factor.label,
            scale="elasticity" if SCALES[True, factor.log] == "elasticity" else "rate",
            step=step(doses, log=factor.log),
            n=len(doses),
            method=setup.method,
            reason=setup.reason,
        )
        slopes = [slope for fit in fits if (slope := slope_of(fit, factor.name))]
        if len(slopes) < len(fits) or not fits:
            reason = setup.reason or "it cannot be told from the others, or a single row decides it"
            yield replace(blank, reason=reason)
            continue
        whole, power, took = slopes
        yield replace(blank, energy=whole, power=power, time=took, power_share=_share(whole, power, took))


def _share(whole: Slope, power: Slope, time: Slope) -> float | None:
    clear = abs(whole.estimate) * CLEAR > whole.hi - whole.lo  # half the interval is about two s.e.
    return power.estimate / whole.estimate if clear and power.estimate * time.estimate > 0 else None


def _corrected(found: Sequence[Decomposition]) -> tuple[Decomposition, ...]:
    """Q over all parts of the table."""
    names = ("energy", "power", "time")
    slopes: list[Slope | None] = [getattr(part, name) for part in found for name in names]
    q = iter(regression.benjamini_hochberg([s.p if s else None for s in slopes]))
    done = [replace(s, q=value) if s else None for s, value in zip(slopes, q, strict=True)]
    return tuple(
        replace(part, energy=done[3 * i], power=done[3 * i + 1], time=done[3 * i + 2])
        for i, part in enumerate(found)
    )
