"""The rows of the converging-evidence table, under the table's own column names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report.findings.discovery import GroupEdge

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.discovery.evidence import Evidence
    from causal_report.discovery.prepare import Prepared
    from causal_report.discovery.resample import Resampled
    from causal_report.discovery.sides import Aside

    Matrix = NDArray[np.float64]


def edges_of(
    evidence: Evidence,
    prepared: Prepared,
    frame: pd.DataFrame,
    chance: Resampled | None,
    only: Aside | None = None,
) -> list[GroupEdge]:
    """Every allowed edge, not yet judged.

    Args:
        evidence: of the engines on *prepared*.
        prepared: the rows they saw.
        frame: the same rows of the table.
        chance: half-samples and shuffles, where they were drawn.
        only: keep edges from or to its column alone.
    """
    if evidence.exact is None:
        return []
    names = [published(frame, column.name) for column in prepared.columns]
    found = []
    for j, i in np.argwhere(prepared.allowed.T):
        cause, effect = prepared.columns[i], prepared.columns[j]
        if only and only.column.name != (cause.name if only.cause else effect.name):
            continue
        slope = evidence.slopes.get((int(i), int(j)))
        both = bool(prepared.allowed[j, i])
        gate = None if evidence.dibs is None else evidence.dibs.edge_probability
        found.append(
            GroupEdge(
                cause=names[i],
                effect=names[j],
                cause_label=cause.label,
                effect_label=effect.label,
                dibs=_at(gate, i, j),
                exact=float(evidence.exact[i, j]),
                classic=_at(evidence.classic, i, j),
                ols=slope.estimate if slope else None,
                lo=slope.lo if slope else None,
                hi=slope.hi if slope else None,
                p=slope.p if slope and np.isfinite(slope.p) else None,
                ols_q=None,
                r2=evidence.r2.get(int(j)),
                verdict="absent",
                reverse_dibs=_at(gate, j, i) if both else None,
                reverse_exact=_at(evidence.exact, j, i) if both else None,
                stability=_at(chance.stability, i, j) if chance else None,
                null=_at(chance.null, i, j) if chance else None,
                n=len(prepared.x),
                aside=only.why if only else "",
            )
        )
    return found


def _at(matrix: Matrix | None, i: int, j: int) -> float | None:
    value = None if matrix is None else float(matrix[i, j])
    return None if value is None or not np.isfinite(value) else value


def published(frame: pd.DataFrame, name: str) -> str:
    """The name that the table itself gives a design column in these rows.

    A role of the catalogue has the values of one hyperparameter here, whatever that is called.
    """
    role = name.removeprefix("design_")
    if role == name:
        return name
    if role == "background":
        return "is_parallel"
    hyperparameters = [f"hyperparam_{role}", *(str(c) for c in frame if str(c).startswith("hyperparam_"))]
    for candidate in hyperparameters:
        if candidate in frame and _same(frame[candidate], frame[name]):
            return candidate
    return f"hyperparam_{role}"


def _same(one: pd.Series[float], other: pd.Series[float]) -> bool:
    a, b = (np.asarray(v, dtype=float) for v in (one, other))
    return bool(np.isfinite(b).any()) and bool(np.array_equal(a, b, equal_nan=True))
