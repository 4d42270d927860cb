"""Whether one factor's effect depends on another, where both were varied at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from causal_report import absorption, regression
from causal_report.effects import sheet as sheets
from causal_report.effects.setup import LEAST_DF, setups
from causal_report.effects.total import alike, slope_of
from causal_report.findings.effects import FactorInteraction
from causal_report.table import OFF

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.effects.setup import Setup
    from causal_report.regression import Design
    from causal_report.table import Column

    Vector = NDArray[np.float64]

ROWS_EACH = 10
"""Products enter one regression together when it has so many rows for each of its columns."""
APART = "they were never varied together"


def interactions(
    frame: pd.DataFrame, factors: Sequence[Column], outcomes: Sequence[Column]
) -> tuple[FactorInteraction, ...]:
    """Products of pairs of factors, centred within model and session, added to the total effects.

    Centred, so that the slopes of the factors keep their meaning at the average run (Aiken and West
    1991). In a design that varies one factor at a time every product is a sum of the factors
    themselves: it is found to be so and said.

    Args:
        frame: usable rows only.
        factors: design columns.
        outcomes: each uses the rows that have it.
    """
    sheet = sheets.of(frame, factors)
    doses = [factor for factor in factors if factor.name in sheet.doses]
    found: dict[int, list[FactorInteraction]] = {at: [] for at in range(len(outcomes))}
    for together in alike(frame, outcomes):
        known = ~np.isnan(next(iter(together.values()))[1])
        for scope, rows in sheet.scopes(known):
            for setup in setups(sheet, scope, rows, doses):
                for names, design in _designs(setup):
                    for at, (outcome, y) in together.items():
                        found[at] += _answers(setup, outcome, names, design, y[setup.rows])
    every = [item for each in found.values() for item in each]
    q = regression.benjamini_hochberg([item.slope.p if item.slope else None for item in every])
    return tuple(
        replace(item, slope=replace(item.slope, q=value)) if item.slope else item
        for item, value in zip(every, q, strict=True)
    )


def _designs(setup: Setup) -> Iterator[tuple[Mapping[str, tuple[Column, Column]], Design | None]]:
    """The pairs of a setup with their design: all in one where the rows suffice, else one by one."""
    pairs = {
        f"{a.name} × {b.name}": (a, b)
        for a, b in combinations(setup.factors, 2)
        if b.name != f"{a.name}{OFF}"  # what is off has no dose
    }
    if not pairs:
        return
    products = {name: _product(setup, a, b) for name, (a, b) in pairs.items()}
    levels = len(np.unique(setup.stratum))
    used = levels + len(setup.columns) + len(setup.controls)
    if len(setup.rows) >= ROWS_EACH * (used + len(pairs)):
        yield pairs, setup.design(extra=products)
        return
    enough = len(setup.rows) - used - 1 >= LEAST_DF and not setup.reason
    for name, pair in pairs.items():
        yield {name: pair}, setup.design(extra={name: products[name]}) if enough else None


def _product(setup: Setup, first: Column, second: Column) -> Vector:
    both = setup.present[first.name] & setup.present[second.name]
    level = absorption.absorb(setup.stratum)
    one, two = (level.residual(setup.columns[column.name]) for column in (first, second))
    return np.asarray(np.where(both, one * two, 0.0), dtype=np.float64)


def _answers(
    setup: Setup,
    outcome: Column,
    pairs: Mapping[str, tuple[Column, Column]],
    design: Design | None,
    y: Vector,
) -> Iterator[FactorInteraction]:
    fit = design.fit(y) if design else None
    for name, (first, second) in pairs.items():
        slope = slope_of(fit, name) if fit else None
        reason = "" if slope else "a single row decides it; no interval can be given"
        if fit is None:
            reason = f"{len(setup.rows)} rows are too few"
        elif name in fit.aliased:
            reason = APART
        both = setup.present[first.name] & setup.present[second.name]
        yield FactorInteraction(
            outcome=outcome.name,
            outcome_label=outcome.label,
            scope=setup.scope,
            first=first.name,
            first_label=first.label,
            second=second.name,
            second_label=second.label,
            n=int(both.sum()),
            method=f"{setup.method} + {'all products' if len(pairs) > 1 else 'this product'}",
            slope=slope,
            top2=fit.coefficients[name].top2 if fit and slope else None,
            reason=reason,
        )
