"""Which runs are compared, in what metrics, and what they are adjusted for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import outcomes
from causal_report import response as responses
from causal_report.effects import LABELS_ONLY
from causal_report.modes import rules
from causal_report.table import strata, values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.findings import Response
    from causal_report.regression import Vector
    from causal_report.table import Column, Table

ALONE, BACKGROUND = "alone", "background"
ORDER = ("experiment_id", "timestamp", "role")
"""The key of a row: rows are brought into this order, so that theirs in the file does not matter."""
NAMES = ("repository", "model", "model_id", "session", "mode", "duration_seconds")
MEASURED = ("energy_", "estimate_", "total_energy_")


def single(table: Table) -> pd.DataFrame:
    """Runs alone or with a background load, in the order of their keys; only columns that are asked for."""
    frame = table.frame
    asked = {column.name for column in table.columns} | {*ORDER, *NAMES}
    kept = [n for n in map(str, frame) if n in asked or n.startswith(MEASURED)]
    return frame.loc[frame["mode"].isin((ALONE, BACKGROUND)), kept].sort_values([*ORDER], kind="stable")


def is_background(frame: pd.DataFrame) -> Vector:
    """1 with a load, else 0; shape (n,)."""
    return np.asarray(frame["mode"] == BACKGROUND, dtype=np.float64)


def counts(frame: pd.DataFrame) -> tuple[int, int]:
    """Runs alone, and with a load."""
    loaded = int(is_background(frame).sum())
    return len(frame) - loaded, loaded


def costs(table: Table, response: Response) -> list[Column]:
    """Energy and its parts, duration, powers: what the verdict goes by, what is analysed as energy first."""
    return [*outcomes.energies(table, response), outcomes.DURATION, *outcomes.powers(table)]


def metrics(table: Table, response: Response) -> list[Column]:
    """Costs, metrics of performance, and what else came of a training; none twice.

    Performance enters as a logarithm where it is positive throughout, so that models with metrics of
    different size can be compared.
    """
    found = costs(table, response)
    for column in outcomes.performance(table):
        positive = bool((table.frame[column.name].dropna() > 0).all())
        found.append(replace(column, log=positive))
    names = {column.name for column in found}
    return [*found, *(column for column in table.of("mediator") if column.name not in names)]


def factors(table: Table) -> list[Column]:
    """What was set in a run itself: hyperparameters, without seeds and without the mode."""
    out = {*LABELS_ONLY, "design_background"}
    return [column for column in table.of("design") if column.name not in out]


def known(frame: pd.DataFrame, column: Column, response: Response) -> pd.DataFrame:
    """Rows that have the column, for energy under the status and reason that are analysed."""
    rows = values(frame, column).notna()
    if column.name == response.column:
        rows &= responses.rows(frame, response)
    return frame[rows]


def indicators(labels: pd.Series[str], name: str) -> dict[str, Vector]:
    """One column for each label but the first."""
    names, codes = coded(labels)
    return {f"{name}={v}": (codes == i).astype(np.float64) for i, v in enumerate(names) if i}


def coded(labels: pd.Series[str]) -> tuple[list[str], NDArray[np.intp]]:
    """The labels in their order, and the place of each row's among them."""
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    return [str(name) for name in names], codes


def adjustment(
    frame: pd.DataFrame, others: Sequence[Column], columns: int
) -> tuple[dict[str, Vector], tuple[str, ...]]:
    """Columns that take out the *others* as far as they are known, and the labels of those taken out.

    A value that was not recorded was left at its default: within a model that is one value, whose level
    an indicator takes up (in a table that records everything there is none). A factor is passed over
    when it would leave too few runs a column; so none is adjusted for in the smallest groups.

    Args:
        frame: the rows of a regression.
        others: factors in their order.
        columns: columns that the regression has already.
    """
    found: dict[str, Vector] = {}
    taken = []
    for column in others:
        more = _filled(frame, column)
        size = columns + len(found) + len(more) + 1
        if more and len(frame) - size >= rules.LEAST_DF and len(frame) >= rules.RUNS_A_COLUMN * size:
            found |= more
            taken.append(column.label)
    return found, tuple(taken)


def _filled(frame: pd.DataFrame, column: Column) -> Mapping[str, Vector]:
    raw = np.asarray(values(frame, column), dtype=np.float64)
    names, codes = coded(strata(frame))
    centred = _within(raw, codes, len(names))
    if not len(raw) or float(np.abs(centred).max()) == 0.0:
        return {}
    found = {column.name: centred}
    gaps = np.isnan(raw)
    missing, of = (np.bincount(part, minlength=len(names)) for part in (codes[gaps], codes))
    for i in np.flatnonzero((missing > 0) & (missing < of)):
        found[f"{column.name} unrecorded in {names[i]}"] = (gaps & (codes == i)).astype(np.float64)
    return found


def vector_within(raw: pd.Series[float], groups: pd.Series[str]) -> Vector:
    """Values less their group's mean, nought where unknown."""
    names, codes = coded(groups)
    return _within(np.asarray(raw, dtype=np.float64), codes, len(names))


def _within(raw: Vector, codes: NDArray[np.intp], groups: int) -> Vector:
    known = ~np.isnan(raw)
    sums = np.bincount(codes[known], weights=raw[known], minlength=groups)
    sizes = np.maximum(np.bincount(codes[known], minlength=groups), 1)
    return np.where(known, raw - (sums / sizes)[codes], 0.0)


def cells(frame: pd.DataFrame) -> pd.Series[str]:
    """Stratum and mode of each row."""
    return strata(frame) + " / " + frame["mode"].astype(str)
