"""What advice is given for: one model in one mode, or one pair, with its factors and outcomes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from causal_report import response as energies
from causal_report.table import filled, values
from causal_report.tradeoff import metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal_report.findings import Response
    from causal_report.table import Column, Table

Better = Literal["higher", "lower", "within"]
LABELS_ONLY = {"design_seed", "design_background"}
"""A random seed is no setting to advise; the background is the mode itself."""
MISSING = 0.4
"""A factor that is unknown in more of the runs than this is not used, as in the total effects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A hyperparameter of one program: ``role`` is ``b`` for the second program of a pair."""

    key: str
    role: str
    column: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A performance metric of one program and which way is better."""

    key: str
    role: str
    column: Column
    better: Better
    guessed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Runs that may be compared, one a row, sorted by their key.

    Attributes:
        frame: column ``joules``, one a factor and one a metric by their keys, ``session``, ``base``
            (True where nothing was mutated), and ``default:<key>`` with a value known to be the default.
        facts: of design files: the background's model and loop.
    """

    model: str
    mode: str
    partner: str
    frame: pd.DataFrame
    factors: tuple[Factor, ...]
    metrics: tuple[Metric, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Unique in a report."""
        return f"{self.model}|{self.mode}|{self.partner}"


def units(table: Table, response: Response) -> list[Unit]:
    """Every model in every mode it was run in alone or under load, and every pair."""
    frame = table.frame
    if not len(frame):
        return []
    single = frame[frame["mode"] != "pair"]
    found = []
    for (model, mode), rows in single.groupby(["model_id", "mode"], sort=True):
        known = rows[energies.rows(rows, response)] if response.column else rows.iloc[:0]
        found.append(_single(table, str(model), str(mode), known, response))
    return [*found, *_pairs(table, frame[frame["mode"] == "pair"], response)]


def better(column: Column) -> tuple[Better, bool]:
    """Which way a metric is better, and whether that is a guess from its name."""
    way, guessed = metric.direction(column)
    return (way, guessed) if way else ("within", True)


def _single(table: Table, model: str, mode: str, rows: pd.DataFrame, response: Response) -> Unit:
    ordered = rows.sort_values(["session", "experiment_id", "timestamp"], kind="stable")
    parts = _parts(table, ordered, "")
    frame = parts.frame.assign(joules=_joules(ordered, response.column))
    return Unit(
        model=model,
        mode=mode,
        partner="",
        frame=frame[frame["joules"].notna()].reset_index(drop=True),
        factors=parts.factors,
        metrics=parts.metrics,
        facts=_background(ordered) if mode == "background" else {},
        notes=parts.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    frame: pd.DataFrame
    factors: tuple[Factor, ...]
    metrics: tuple[Metric, ...]
    notes: tuple[str, ...]


def _parts(table: Table, rows: pd.DataFrame, role: str) -> _Parts:
    """Factors and metrics of one program, under keys that say whose they are."""
    prefix = f"{role}:" if role else ""
    columns: dict[str, pd.Series[Any]] = {}
    factors, metrics, notes = [], [], []
    for column in table.of("design"):
        if column.name in LABELS_ONLY or column.off or rows[column.name].nunique() < 2:
            continue
        if rows[column.name].isna().mean() > MISSING:
            notes.append(column.label)
            continue
        key = f"{prefix}{column.name}"
        known = rows[column.name].dropna()
        plain = replace(column, log=column.log and bool((known > 0).all()))
        factors.append(Factor(key=key, role=role, column=plain))
        columns[key] = rows[column.name].astype(float)
        columns[f"default:{key}"] = _defaults(rows, column)
    for column in table.of("performance"):
        known = values(rows, column)
        if known.notna().any() and not metric.is_rate(column):
            key = f"{prefix}{column.name}"
            way, guessed = better(column)
            metrics.append(Metric(key=key, role=role, column=column, better=way, guessed=guessed))
            columns[key] = known
    columns["session"] = rows["session"].astype(str)
    return _Parts(
        frame=pd.DataFrame(columns, index=rows.index),
        factors=tuple(factors),
        metrics=tuple(metrics),
        notes=tuple(notes),
    )


def _defaults(rows: pd.DataFrame, column: Column) -> pd.Series[float]:
    """The factor's value where it is known to be the default: nothing was mutated, or it was filled."""
    known = pd.Series(False, index=rows.index)
    if "num_mutated_params" in rows:
        known |= pd.to_numeric(rows["num_mutated_params"], errors="coerce") == 0
    known |= filled(rows, column)
    return rows[column.name].astype(float).where(known)


def _joules(rows: pd.DataFrame, name: str) -> pd.Series[float]:
    """Joules above zero."""
    if not name or name not in rows:
        return pd.Series(np.nan, index=rows.index, dtype=float)
    joules = pd.to_numeric(rows[name], errors="coerce").astype(float)
    return joules.where(joules > 0)


def _background(rows: pd.DataFrame) -> dict[str, str]:
    """The background's model where all runs had the same."""
    if not {"bg_repository", "bg_model"} <= set(rows):
        return {}
    columns = rows[["bg_repository", "bg_model"]]
    pairs = columns.where(columns.notna(), "").astype(str).drop_duplicates()
    known = [
        (a, b) for a, b in pairs.itertuples(index=False) if a not in ("", "nan") and b not in ("", "nan")
    ]
    if len(pairs) != 1 or not known:
        return {}
    facts = {"model": "/".join(known[0])}
    loops = set(rows["bg_loop"].astype(str)) if "bg_loop" in rows else set()
    if len(loops) == 1 and loops <= {"restart", "endless"}:
        facts["loop"] = loops.pop()
    return facts


def _pairs(table: Table, rows: pd.DataFrame, response: Response) -> list[Unit]:
    """One unit a pair of models; its joules are those of both programs, which no meter divides."""
    key = ["session", "experiment_id", "timestamp"]
    shared = response.column.replace("total_energy_joules", "energy_joules")
    name = f"shared_{shared}" if shared else ""
    first = rows[rows["role"] == "a"].set_index(key).sort_index()
    second = rows[rows["role"] == "b"].set_index(key).sort_index()
    both = first.index.intersection(second.index)
    first, second = first.loc[both], second.loc[both]
    if first.empty:
        return []
    names = first["model_id"].astype(str) + "\n" + second["model_id"].astype(str)
    found = []
    for pair in sorted(names.unique()):
        a, b = (side[names == pair].reset_index() for side in (first, second))
        ours, theirs = _parts(table, a, "a"), _parts(table, b, "b")
        frame = pd.concat([ours.frame, theirs.frame.drop(columns="session")], axis=1)
        frame["joules"] = _joules(a, name)
        model, _, partner = pair.partition("\n")
        found.append(
            Unit(
                model=model,
                mode="pair",
                partner=partner,
                frame=frame[frame["joules"].notna()].reset_index(drop=True),
                factors=(*ours.factors, *theirs.factors),
                metrics=(*ours.metrics, *theirs.metrics),
                notes=(*ours.notes, *theirs.notes),
            )
        )
    return found
