"""Which rows and which controls a path has: complete for that path, unknown stays unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_report import response as responses
from causal_report.effects import LABELS_ONLY
from causal_report.mediation.moments import SINGULAR, centred
from causal_report.table import strata, vector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.findings import Response
    from causal_report.table import Column, Table

    Vector = NDArray[np.float64]
    Codes = NDArray[np.intp]
    Rows = NDArray[np.bool_]

KNOWN = 0.6
"""A factor is adjusted for where at least this share of the path's rows know its value."""
LEAST_N = 20
"""Fewer rows: no number, descriptives only (facts: strata below that have no graph either)."""
EXPLORATORY_N = 40
KEY = ["experiment_id", "timestamp", "role", "session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One repository's rows in the order of their keys, as arrays of shape (n,).

    Attributes:
        keys: what names each row, so that no result depends on their order in the table.
        strata: model (and session) of each row; its level is taken out of everything.
        values: analysed values by column name, NaN where unknown.
        foreign: by factor, rows of models that do not have it: they neither know nor lack it.
        factors: what the design set and varied within some stratum.
    """

    name: str
    keys: NDArray[np.str_]
    strata: Codes
    modes: NDArray[np.str_]
    values: Mapping[str, Vector]
    foreign: Mapping[str, Rows]
    factors: tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows of a group that a path uses, and what is adjusted for; ``reason`` where it cannot be fitted."""

    rows: Rows
    controls: tuple[Column, ...] = ()
    unknown: tuple[Column, ...] = ()
    reason: str = ""


def groups(table: Table, response: Response, columns: Mapping[str, Column]) -> tuple[Group, ...]:
    """The repositories of *table* by name; pairs are left out, their meters hold both programs."""
    frame = table.frame[table.frame["mode"] != "pair"]
    if not len(frame):
        return ()
    frame = frame.sort_values(KEY, kind="stable")
    return tuple(
        _group(str(name), rows, columns, response) for name, rows in frame.groupby("repository", sort=True)
    )


def _group(name: str, frame: pd.DataFrame, columns: Mapping[str, Column], response: Response) -> Group:
    values = {c: vector(frame, column) for c, column in columns.items()}
    if response.column in values:
        right = np.asarray(responses.rows(frame, response), dtype=bool)
        values[response.column] = np.where(right, values[response.column], np.nan)
    levels = np.unique(strata(frame).to_numpy(dtype=str), return_inverse=True)[1].astype(np.intp)
    models = np.unique(frame["model_id"].to_numpy(dtype=str), return_inverse=True)[1]
    design = [c for c in columns.values() if c.part == "design" and c.name not in LABELS_ONLY]
    foreign = {c.name: _foreign(values[c.name], models) for c in design}
    for column in design:
        values[column.name] = np.where(foreign[column.name], 0.0, values[column.name])
    return Group(
        name=name,
        keys=frame[KEY].astype(str).agg("|".join, axis=1).to_numpy(dtype=str)
        if len(frame) < 100_000
        else np.empty(0, dtype=str),
        strata=levels,
        modes=frame["mode"].to_numpy(dtype=str),
        values=values,
        foreign=foreign,
        factors=tuple(c for c in design if _varies(values[c.name], levels, ~np.isnan(values[c.name]))),
    )


def _foreign(values: Vector, models: NDArray[np.intp]) -> Rows:
    known = np.bincount(models, weights=~np.isnan(values))
    return np.asarray(known[models] == 0)


def _varies(values: Vector, levels: Codes, rows: Rows) -> bool:
    """Whether *values* differ within some stratum of *rows*."""
    if not rows.any():
        return False
    kept = values[rows]
    within = centred(kept[:, None], levels[rows])[:, 0]
    scale = float(np.abs(kept).max())
    return bool(np.abs(within).max() > 1e-9 * max(scale, 1e-300))


def sample(group: Group, names: tuple[str, str, str], mode: str = "") -> Sample:
    """The complete rows of a path (cause, mediator, outcome), in one *mode* or in all.

    A factor whose value is unknown in more than 40 % of the rows is left out, not guessed. Where the
    remaining ones leave too few rows together, the least known goes first.
    """
    rows = ~group.foreign.get(names[0], np.zeros(len(group.strata), dtype=bool))
    rows = rows & np.all([~np.isnan(group.values[name]) for name in names], axis=0)
    rows = rows & (group.modes == mode) if mode else rows
    others = [f for f in group.factors if f.name != names[0] and _varies_or_unknown(group, f, rows)]
    share = {f.name: float((~np.isnan(group.values[f.name][rows])).mean()) for f in others}
    kept = [f for f in others if share[f.name] >= KNOWN]
    while True:
        complete = _accompanied(group, rows & _known(group, kept))
        if not kept or complete.sum() >= KNOWN * rows.sum():
            break
        kept.remove(min(kept, key=lambda f: (share[f.name], f.name)))
    unknown = tuple(f for f in others if f not in kept)
    if complete.sum() < LEAST_N:
        reason = f"{int(complete.sum())} rows know all three; at least {LEAST_N} are needed"
        return Sample(rows=complete, unknown=unknown, reason=reason)
    levels = np.unique(group.strata[complete], return_inverse=True)[1].astype(np.intp)
    controls = _independent(group, complete, levels, kept)
    return Sample(
        rows=complete,
        controls=controls,
        unknown=unknown,
        reason=_reason(group, complete, levels, controls, names),
    )


def _varies_or_unknown(group: Group, factor: Column, rows: Rows) -> bool:
    values = group.values[factor.name]
    known = rows & ~np.isnan(values)
    return bool((rows & ~known).any()) or _varies(values, group.strata, known)


def _known(group: Group, factors: Sequence[Column]) -> Rows:
    known = np.ones(len(group.strata), dtype=bool)
    for factor in factors:
        known &= ~np.isnan(group.values[factor.name])
    return known


def _accompanied(group: Group, rows: Rows) -> Rows:
    """Without rows that are alone in their stratum: they have nothing to differ from."""
    sizes = np.bincount(group.strata[rows], minlength=int(group.strata.max()) + 1)
    return np.asarray(rows & (sizes[group.strata] > 1))


def _independent(group: Group, rows: Rows, levels: Codes, factors: Sequence[Column]) -> tuple[Column, ...]:
    """Factors that vary here and are not combinations of those before them."""
    basis = np.empty((int(rows.sum()), 0))
    kept: list[Column] = []
    for factor in factors:
        if not _varies(group.values[factor.name], group.strata, rows):
            continue
        column = centred(group.values[factor.name][rows][:, None], levels)[:, 0]
        rest = column - basis @ (basis.T @ column)
        if rest @ rest > SINGULAR * (column @ column):
            basis = np.column_stack([basis, rest / np.sqrt(rest @ rest)])
            kept.append(factor)
    return tuple(kept)


def _reason(
    group: Group, rows: Rows, levels: Codes, controls: Sequence[Column], names: tuple[str, str, str]
) -> str:
    """Why the path cannot be fitted in these rows; empty where it can."""
    cause, mediator, outcome = names
    still = [n for n in names if not _varies(group.values[n], group.strata, rows)]
    if still:
        what = {cause: "cause", mediator: "mediator", outcome: "outcome"}[still[0]]
        return f"the {what} is the same throughout within each model"
    columns = [group.values[n][rows] for n in (*(c.name for c in controls), cause, mediator, outcome)]
    z = centred(np.column_stack(columns), levels)
    basis = np.linalg.qr(z[:, : len(controls)])[0] if controls else z[:, :0]
    for at, what in ((-3, "cause"), (-2, "mediator"), (-1, "outcome")):
        rest = z[:, at] - basis @ (basis.T @ z[:, at])
        if rest @ rest <= SINGULAR * (z[:, at] @ z[:, at]):
            return f"the {what} moved only together with other columns of the path"
        basis = np.column_stack([basis, rest / np.sqrt(rest @ rest)])
    return ""
