"""Which rows and which controls a path has: complete for that path, unknown stays unknown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import response as responses
from causal_report.absorption import centred
from causal_report.effects import LABELS_ONLY
from causal_report.mediation import moments
from causal_report.mediation.moments import SINGULAR
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
STILL = 1e-9
"""Variation below this share of a column's size is round-off."""
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
        chosen: samples found so far, by cause and rows; ``crossed``: cross-products, by rows.
    """

    name: str
    keys: NDArray[np.str_]
    strata: Codes
    modes: NDArray[np.str_]
    values: Mapping[str, Vector]
    foreign: Mapping[str, Rows]
    factors: tuple[Column, ...]
    chosen: dict[tuple[str, bytes], Sample] = field(default_factory=dict, compare=False, repr=False)
    crossed: dict[bytes, Cross] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows of a group that a path uses, and what is adjusted for; ``reason`` where it cannot be fitted."""

    rows: Rows
    controls: tuple[Column, ...] = ()
    unknown: tuple[Column, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cross:
    """Cross-products within strata of columns at ``places``; below ``least`` a column stands still."""

    places: Mapping[str, int]
    products: NDArray[np.float64]
    least: Vector

    def still(self, name: str) -> bool:
        """Whether the column is the same throughout within each stratum."""
        at = self.places[name]
        return bool(self.products[at, at] <= self.least[at])

    def left(self, name: str, others: Sequence[str]) -> bool:
        """Whether *others* leave anything of the column."""
        at, taken = self.places[name], [self.places[other] for other in others]
        own = self.products[at, at]
        swept = moments.swept(self.products[None], taken)[0][0, at, at]
        return bool(swept > SINGULAR * own)


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


def sample(group: Group, names: tuple[str, str, str], mode: str = "") -> Sample:
    """The complete rows of a path (cause, mediator, outcome), in one *mode* or in all.

    A factor whose value is unknown in more than 40 % of the rows is left out, not guessed. Where the
    remaining ones leave too few rows together, the least known goes first.
    """
    rows = ~group.foreign.get(names[0], np.zeros(len(group.strata), dtype=bool))
    for name in names:
        rows = rows & ~np.isnan(group.values[name])
    rows = rows & (group.modes == mode) if mode else rows
    key = (names[0], rows.tobytes())
    if key not in group.chosen:
        group.chosen[key] = _adjusted_for(group, names[0], rows)
    found = group.chosen[key]
    if found.reason:
        return found
    return replace(found, reason=_reason(_cross(group, found.rows), found.controls, names))


def _adjusted_for(group: Group, cause: str, rows: Rows) -> Sample:
    """The controls of *cause*, and those of *rows* that know them all."""
    others = [f for f in group.factors if f.name != cause and _varies_or_unknown(group, f, rows)]
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
    controls = _independent(_cross(group, complete), kept)
    return Sample(rows=complete, controls=controls, unknown=unknown)


def _cross(group: Group, rows: Rows) -> Cross:
    """Cross-products of every column that all *rows* know; kept, for the next path asks the same rows."""
    key = rows.tobytes()
    if key not in group.crossed:
        levels = np.unique(group.strata[rows], return_inverse=True)[1].astype(np.intp)
        known = {name: values[rows] for name, values in group.values.items()}
        known = {name: values for name, values in known.items() if not np.isnan(values).any()}
        within = [centred(values[:, None], levels)[:, 0] for values in known.values()]
        group.crossed[key] = Cross(
            places={name: at for at, name in enumerate(known)},
            products=np.array([[a @ b for b in within] for a in within]),
            least=np.array([len(v) * (STILL * float(np.abs(v).max())) ** 2 for v in known.values()]),
        )
    return group.crossed[key]


def _varies_or_unknown(group: Group, factor: Column, rows: Rows) -> bool:
    values = group.values[factor.name]
    known = rows & ~np.isnan(values)
    return bool((rows & ~known).any()) or _varies(values, group.strata, known)


def _varies(values: Vector, levels: Codes, rows: Rows) -> bool:
    """Whether *values* differ within some stratum of *rows*."""
    if not rows.any():
        return False
    within = centred(values[rows][:, None], levels[rows])[:, 0]
    return bool(np.abs(within).max() > STILL * float(np.abs(values[rows]).max()))


def _known(group: Group, factors: Sequence[Column]) -> Rows:
    known = np.ones(len(group.strata), dtype=bool)
    for factor in factors:
        known &= ~np.isnan(group.values[factor.name])
    return known


def _accompanied(group: Group, rows: Rows) -> Rows:
    """Without rows that are alone in their stratum: they have nothing to differ from."""
    sizes = np.bincount(group.strata[rows], minlength=int(group.strata.max()) + 1)
    return np.asarray(rows & (sizes[group.strata] > 1))


def _independent(cross: Cross, factors: Sequence[Column]) -> tuple[Column, ...]:
    """Factors that vary here and are not combinations of those before them."""
    kept: list[Column] = []
    for factor in factors:
        if not cross.still(factor.name) and cross.left(factor.name, [k.name for k in kept]):
            kept.append(factor)
    return tuple(kept)


def _reason(cross: Cross, controls: Sequence[Column], names: tuple[str, str, str]) -> str:
    """Why the path cannot be fitted in these rows; empty where it can."""
    words = dict(zip(names, ("cause", "mediator", "outcome"), strict=True))
    for name in names:
        if cross.still(name):
            return f"the {words[name]} is the same throughout within each model"
    before = [c.name for c in controls]
    for name in names:
        if not cross.left(name, before):
            return f"the {words[name]} moved only together with other columns of the path"
        before.append(name)
    return ""
