"""What more epochs still bring, and from where on they bring next to nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from causal_report import regression
from causal_report.effects import sheet as sheets
from causal_report.effects.setup import setups
from causal_report.findings.tradeoff import Convergence
from causal_report.table import vector
from causal_report.tradeoff import metric as metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from causal_report.effects.setup import Setup
    from causal_report.effects.sheet import Sheet
    from causal_report.findings.tradeoff import Metric
    from causal_report.table import Column, Table

    Vector = NDArray[np.float64]

EPOCHS = ("design_epochs", "design_max_iter")
LEAST_LEVELS = 4
LEAST_DF = 8
GRID = 41


def convergence(table: Table, chosen: Sequence[tuple[str, Column, Metric]]) -> tuple[Convergence, ...]:
    """Each model's metric against its epochs: a parabola in their logarithm, beside the other factors.

    The gain of a doubling at some number of epochs is the slope there times ln 2. A parabola is the
    least curve that can flatten; over a range of a few doublings it is enough, and beyond the range
    nothing is said.

    Args:
        table: usable rows.
        chosen: for each model its metric.
    """
    factors = table.of("design")
    sheet = sheets.of(table.frame, factors)
    doses = [f for f in factors if f.name in sheet.doses]
    found = []
    for model, column, metric in chosen:
        quality = vector(table.frame, column) * (-1.0 if metric.better == "lower" else 1.0)
        mine = sheet.model == sheet.models.index(model)
        rows = np.flatnonzero(mine & ~np.isnan(quality))
        for epochs in (f for f in doses if f.name in EPOCHS and f.log):
            if epochs not in sheet.moving(rows, [epochs]):
                continue
            for setup in setups(sheet, model, rows, doses):
                if epochs in setup.factors:
                    item = _curve(sheet, setup, epochs, metric, quality[setup.rows])
                    found.append(_stopped(table.frame.iloc[np.flatnonzero(mine)], epochs, item))
    return tuple(found)


def _curve(sheet: Sheet, setup: Setup, epochs: Column, metric: Metric, quality: Vector) -> Convergence:
    every = sheet.doses[epochs.name][setup.rows]
    doses = every[every > 0]
    blank = Convergence(
        scope=setup.scope,
        factor=epochs.name,
        factor_label=epochs.label,
        metric=metric.name,
        metric_label=metric.label,
        n=len(doses),
        least=float(doses.min()) if len(doses) else 0.0,
        most=float(doses.max()) if len(doses) else 0.0,
        state="open",
        margin=metrics.margin(quality, 0.0) if len(doses) else 0.0,
        reason=setup.reason,
    )
    levels = len(np.unique(doses))
    if not setup.reason and levels < LEAST_LEVELS:
        return replace(blank, reason=f"{levels} levels of {epochs.label} do not show a curve")
    if setup.reason:
        return blank
    x = setup.columns[epochs.name]
    others = {name: column for name, column in setup.columns.items() if name != epochs.name}
    centre = float(x.mean())
    curved = replace(setup, columns=others)
    design = curved.design(extra={"slope": x - centre, "bend": (x - centre) ** 2})
    if design.df < LEAST_DF or design.aliased:
        return replace(blank, reason=f"{len(doses)} rows are too few for a curve")
    fit = design.fit(quality)
    one, two = (fit.coefficients[name].estimate for name in ("slope", "bend"))
    moved = [design.influence(name, fit) for name in ("slope", "bend")]
    if not bool(np.isfinite(np.stack(moved)).all()):
        return replace(blank, reason="a single row decides the curve")
    margin = metrics.margin(quality, math.sqrt(fit.rss / fit.df))
    grid = np.linspace(math.log(blank.least), math.log(blank.most), GRID)
    gains = []
    for at in grid - centre:
        change = math.log(2) * (one + 2 * two * at)
        error = math.log(2) * float(np.linalg.norm(moved[0] + 2 * at * moved[1]))
        lo, hi, _ = regression.interval(change, error, fit.df)
        upper = regression.interval(change, error, fit.df, level=0.9)[1]
        gains.append((float(change), float(lo), float(hi), float(upper)))
    below = np.array([gain[3] < margin for gain in gains])
    still = int(np.argmin(below[::-1])) if not bool(below.all()) else GRID
    saturated = _whole(float(np.exp(grid[GRID - still]))) if still else None
    gaining = gains[-1][1] > 0 and gains[-1][0] > margin
    state: Literal["saturated", "gaining", "open"] = (
        "saturated" if still else "gaining" if gaining else "open"
    )
    return replace(
        blank,
        margin=margin,
        state=state,
        gain_least=gains[0][:3],
        gain_most=gains[-1][:3],
        saturated_from=saturated,
    )


def _whole(epochs: float) -> float:
    """Up to the next whole epoch; the ends of the grid come out of a logarithm, a hair off."""
    return float(math.ceil(epochs * (1 - 1e-9)))


def _stopped(frame: pd.DataFrame, epochs: Column, item: Convergence) -> Convergence:
    """How much of the training came after the epoch at which the record says it had converged."""
    if "convergence_epoch" not in frame:
        return item
    reached = pd.to_numeric(frame["convergence_epoch"], errors="coerce") / frame[epochs.name]
    share = (1 - reached[(reached > 0) & (reached <= 1)]).dropna()
    if not len(share):
        return item
    return replace(item, share_after=float(share.median()), converged=len(share))
