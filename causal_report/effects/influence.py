"""What an effect owes to a single run, and to a single block."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from causal_report.effects import sheet as sheets
from causal_report.effects.setup import setups
from causal_report.effects.total import alike, slope_of
from causal_report.findings.effects import LeaveOneOut
from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.effects.setup import Setup
    from causal_report.findings.effects import Effect, Slope
    from causal_report.regression import Design, Fit
    from causal_report.table import Column

    Vector = NDArray[np.float64]

REFITTED = 3
"""Rows that hold an effect up most and are each left out in a refit."""
MOST_ROWS = 20_000
"""With more, one row cannot decide anything: its change is given, and no refit is made."""
MOST_BLOCKS = 60


def influence(
    frame: pd.DataFrame, factors: Sequence[Column], outcomes: Sequence[Column], found: Sequence[Effect]
) -> tuple[LeaveOneOut, ...]:
    """Leave-one-out of every effect in *found* that is significant after correction.

    Args:
        frame: the rows of :func:`~causal_report.effects.estimate`.
        factors: its factors.
        outcomes: its outcomes.
        found: its effects.
    """
    sheet = sheets.of(frame, factors)
    doses = [factor for factor in factors if factor.name in sheet.doses]
    clear = {(e.outcome, e.scope, e.factor) for e in found if significant(e.q)}
    answers: dict[int, list[LeaveOneOut]] = {at: [] for at in range(len(outcomes))}
    for together in alike(frame, outcomes):
        known = ~np.isnan(next(iter(together.values()))[1])
        for scope, rows in sheet.scopes(known):
            for setup in setups(sheet, scope, rows, doses):
                design = None if setup.reason else setup.design()
                for at, (outcome, y) in together.items():
                    mine = [f for f in setup.factors if (outcome.name, scope, f.name) in clear]
                    if design and mine:
                        answers[at] += _answers(frame, setup, design, outcome, y[setup.rows], mine)
    return tuple(item for each in answers.values() for item in each)


def _answers(
    frame: pd.DataFrame,
    setup: Setup,
    design: Design,
    outcome: Column,
    y: Vector,
    factors: Sequence[Column],
) -> Iterator[LeaveOneOut]:
    fit = design.fit(y)
    blocks, reason = _blocks(frame, setup)
    without = _refits(setup, y, [(name, block) for name, block in blocks.items()])
    for factor in factors:
        change = design.influence(factor.name, fit)
        worst = int(np.argmax(np.abs(change)))
        whole = fit.coefficients[factor.name].estimate
        few = len(y) <= MOST_ROWS
        holding = np.argsort(-change * np.sign(whole), kind="stable")[: REFITTED if few else 0]
        rows = _refits(setup, y, [(str(i), _all_but(len(y), int(i))) for i in holding])
        refits = [s for fitted in rows.values() if (s := slope_of(fitted, factor.name))]
        left = {name: s for name, fitted in without.items() if (s := slope_of(fitted, factor.name))}
        furthest = max(left, key=lambda name: abs(left[name].estimate - whole), default="")
        scaled = _dfbetas(design, fit, factor.name, change)
        row = frame.iloc[int(setup.rows[worst])]
        yield LeaveOneOut(
            outcome=outcome.name,
            outcome_label=outcome.label,
            scope=setup.scope,
            factor=factor.name,
            factor_label=factor.label,
            n=int(setup.present[factor.name].sum()),
            estimate=whole,
            experiment_id=str(row["experiment_id"]),
            timestamp=str(row["timestamp"]),
            without_row=whole - float(change[worst]),
            dfbetas=float(scaled[worst]),
            beyond=int((np.abs(scaled) > 2 / math.sqrt(len(y))).sum()),
            worst_p=max((s.p for s in refits), default=fit.coefficients[factor.name].p),
            block=furthest,
            without_block=left[furthest].estimate if furthest else None,
            block_p=max((s.p for s in left.values()), default=None),
            survives=_survive(whole, [*refits, *left.values()])
            and len(refits) == len(rows)
            and len(left) == len(without),
            reason=reason,
        )


def _survive(whole: float, slopes: Sequence[Slope]) -> bool:
    return all(significant(slope.p) and slope.estimate * whole > 0 for slope in slopes)


def _all_but(n: int, row: int) -> NDArray[np.bool_]:
    return np.asarray(np.arange(n) != row, dtype=np.bool_)


def _refits(setup: Setup, y: Vector, kept: Sequence[tuple[str, NDArray[np.bool_]]]) -> dict[str, Fit]:
    return {name: setup.design(keep).fit(y[keep]) for name, keep in kept}


def _blocks(frame: pd.DataFrame, setup: Setup) -> tuple[dict[str, NDArray[np.bool_]], str]:
    """For each block the rows outside it; a reason where no block can be left out."""
    if len(setup.rows) > MOST_ROWS:
        return {}, f"{len(setup.rows)} runs: a block is a small part of them"
    names = frame["block_id"].iloc[setup.rows]
    distinct = sorted(map(str, names.dropna().unique()))
    if not distinct:
        return {}, "no blocks were recorded"
    if len(distinct) < 3:
        return {}, f"{len(distinct)} blocks are too few to leave one out"
    if len(distinct) > MOST_BLOCKS:
        return {}, f"{len(distinct)} blocks, each a small part of the runs"
    labels = np.asarray(names.astype(str))
    return {name: np.asarray(labels != name, dtype=np.bool_) for name in distinct}, ""


def _dfbetas(design: Design, fit: Fit, name: str, change: Vector) -> Vector:
    """Changes in standard errors, the error variance taken without the row (Belsley and others 1980)."""
    error = fit.left * (1 - design.leverage)
    without = fit.rss - np.nan_to_num(error * fit.left)
    scale = np.sqrt(
        np.maximum(without, 0.0) / max(1, fit.df - 1) * float(design.weights[name] @ design.weights[name])
    )
    return np.divide(change, scale, out=np.zeros(len(change)), where=scale > 0)
