"""Effects in the units people pay in: joules for one more epoch, in one model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import regression
from causal_report.effects import sheet as sheets
from causal_report.effects.setup import setups
from causal_report.effects.total import alike, slope_of, step
from causal_report.findings.effects import RawEffect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.effects.setup import Setup
    from causal_report.effects.sheet import Sheet
    from causal_report.table import Column

    Vector = NDArray[np.float64]


def raw(frame: pd.DataFrame, factors: Sequence[Column], outcomes: Sequence[Column]) -> tuple[RawEffect, ...]:
    """Slopes on plain scales with intervals, on the rows of one model at a time.

    A straight line through plain units: what one more of the factor costs on average over the range
    that was run. The elasticities beside it say how that scales.

    Args:
        frame: usable rows only.
        factors: design columns, taken as they were set.
        outcomes: energies and duration, taken in their unit.
    """
    plain = [replace(factor, log=False) for factor in factors]
    sheet = sheets.of(frame, plain)
    doses = [factor for factor in plain if factor.name in sheet.doses]
    found: dict[int, list[RawEffect]] = {at: [] for at in range(len(outcomes))}
    for together in alike(frame, [replace(outcome, log=False) for outcome in outcomes]):
        known = ~np.isnan(next(iter(together.values()))[1])
        for scope, rows in sheet.scopes(known):
            if scope not in sheet.models:
                continue
            for setup in setups(sheet, scope, rows, doses):
                for at, (outcome, y) in together.items():
                    found[at] += _answers(sheet, setup, outcome, y[setup.rows])
    effects = [effect for each in found.values() for effect in each]
    q = regression.benjamini_hochberg([e.slope.p if e.slope else None for e in effects])
    return tuple(
        replace(e, slope=replace(e.slope, q=value)) if e.slope else e
        for e, value in zip(effects, q, strict=True)
    )


def _answers(sheet: Sheet, setup: Setup, outcome: Column, y: Vector) -> Iterator[RawEffect]:
    fit = None if setup.reason else setup.design().fit(y)
    for factor in setup.factors:
        doses = sheet.doses[factor.name][setup.rows]
        per = step(doses, log=False)
        slope = slope_of(fit, factor.name) if fit else None
        scaled = slope and replace(slope, estimate=per * slope.estimate, lo=per * slope.lo, hi=per * slope.hi)
        reason = "" if slope else "it cannot be told from the others, or a single row decides it"
        yield RawEffect(
            outcome=outcome.name,
            outcome_label=outcome.label,
            unit=outcome.unit,
            scope=setup.scope,
            factor=factor.name,
            factor_label=factor.label,
            per=per,
            n=len(y),
            method=setup.method,
            mean=float(y.mean()) if len(y) else 0.0,
            slope=scaled,
            reason=setup.reason or reason,
        )
