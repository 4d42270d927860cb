"""Turns the table into the matrix every engine sees, and writes down each decision on the way."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_report import imputation
from causal_report.absorption import centred
from causal_report.effects import LABELS_ONLY
from causal_report.table import strata, values, vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.table import Column

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

MISSING = 0.4
EXACT = 1e-6
TWIN = 0.995
LEAST_N = 20
PERFORMANCES = 2
COMPONENTS = ("energy_gpu_avg_watts", "duration_seconds")
"""Energy is power times time: the three never enter one graph together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Standardised complete rows.

    Attributes:
        columns: what is left, design first, then mediators, then outcomes.
        x: shape (n, d), mean 0 and variance 1, differences between models and sessions taken out.
        groups: model of each row, and its session where there are several, shape (n,).
        n_effective: rows less one for each group beyond the first.
        dropped: (column label, reason), in order.
        notes: decisions on rows and scales.
        fillings: the same with the holes of mediators filled, several times; ``x`` is the first of them.
            Empty where the rows are complete as they are.
    """

    columns: tuple[Column, ...]
    x: Matrix
    groups: tuple[str, ...]
    n_effective: int
    dropped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    fillings: tuple[Matrix, ...] = ()

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """What every engine sees, each in turn; the answer is the mean."""
        return self.fillings or (self.x,)

    @property
    def allowed(self) -> Mask:
        """[parent, child]: nothing causes a design column, an outcome causes nothing."""
        return allowed_edges([column.part for column in self.columns])

    @property
    def reason(self) -> str:
        """Why there can be no graph, empty when there can."""
        parts = {column.part for column in self.columns}
        if "design" not in parts:
            return "nothing that was set varies"
        if not parts - {"design"}:
            return "nothing that came out varies"
        if self.n_effective < LEAST_N:
            return f"{self.n_effective} effective rows; fewer than {LEAST_N} are only described"
        return ""


def allowed_edges(parts: Sequence[str]) -> Mask:
    """[parent, child] under the tiers design → mediator → outcome; mediators may cause each other."""
    tiers = np.array([{"design": 0, "mediator": 1}.get(part, 2) for part in parts])
    parent, child = tiers[:, None], tiers[None, :]
    allowed: Mask = (child > 0) & (parent < 2) & (parent <= child)
    np.fill_diagonal(allowed, False)
    return allowed


def prepare(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    response: Column,
    others: Sequence[Column] = (),
    *,
    seed: int = 0,
    name: str = "",
) -> Prepared:
    """Select, complete, centre and standardise.

    Args:
        frame: usable rows.
        columns: design, mediators and performance of the table.
        response: energy as it is analysed, or duration where no joules exist.
        others: further outcomes; parts of the energy, power and duration may be outcomes beside each
            other, since no outcome is a cause here.
        seed: of the draws where holes are filled.
        name: of the table, for a stream of its own.
    """
    dropped: list[tuple[str, str]] = []
    chosen = _present(frame, _candidates(columns, [response, *others], dropped), dropped)
    chosen = _first_metrics(chosen, dropped)
    complete = frame.dropna(subset=[c.name for c in chosen])
    notes = [f"{len(complete)} of {len(frame)} usable rows are complete in these columns"]
    data = {column.name: _centred(complete, column) for column in chosen}
    chosen = _moving(chosen, complete, data, dropped)
    chosen = _unrelated(chosen, complete, data, dropped)
    notes += [*_taken_out(complete), *_identities(chosen, complete)]
    logged = [c.label for c in chosen if c.log]
    if logged:
        notes.append("on a log scale: " + ", ".join(logged))
    ordered = sorted(chosen, key=lambda c: {"design": 0, "mediator": 1}.get(c.part, 2))
    scaled = [data[c.name] / data[c.name].std() for c in ordered]
    x = np.column_stack(scaled) if scaled else np.empty((len(complete), 0))
    rows = _with_holes(frame, ordered)
    fillings = () if rows is None else _filled(rows, ordered, [seed, zlib.crc32(name.encode())])
    if rows is not None:
        complete, x = rows, fillings[0]
        notes.append(_holes(rows, ordered))
    groups = tuple(strata(complete))
    return Prepared(
        columns=tuple(ordered),
        x=x,
        groups=groups,
        n_effective=max(0, len(complete) - max(0, len(set(groups)) - 1)),
        dropped=tuple(dropped),
        notes=tuple(notes),
        fillings=fillings,
    )


def _with_holes(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame | None:
    """Rows that know all but some states of the hardware, where leaving them out would cost too much."""
    mediators = [c.name for c in columns if c.part == "mediator"]
    rows = frame.dropna(subset=[c.name for c in columns if c.part != "mediator"])
    if not mediators or not len(rows):
        return None
    cells = np.unique(strata(rows) + "/" + rows["mode"].astype(str), return_inverse=True)[1]
    rows = rows[imputation.fillable(rows[mediators].isna().to_numpy(), cells)]
    return rows if imputation.wanted(rows[mediators].isna().to_numpy(), LEAST_N) else None


def _filled(rows: pd.DataFrame, columns: Sequence[Column], seed: Sequence[int]) -> tuple[Matrix, ...]:
    """Standardised matrices without holes."""
    groups = np.unique(strata(rows), return_inverse=True)[1]
    raw = np.column_stack([vector(rows, c) for c in columns])
    within = (centred(full, groups) for full in imputation.fill(raw, groups, seed))
    return tuple(np.asarray(x / x.std(axis=0)) for x in within)


def _holes(rows: pd.DataFrame, columns: Sequence[Column]) -> str:
    shares = {c.label: float(rows[c.name].isna().mean()) for c in columns if c.part == "mediator"}
    named = ", ".join(f"{label} ({share:.0%})" for label, share in shares.items() if share)
    return (
        f"{len(rows)} rows know all but some of {named}: these holes are filled {imputation.TIMES} times by "
        "draws from what the other columns predict, and the answers are means over the fillings"
    )


def _taken_out(frame: pd.DataFrame) -> list[str]:
    models, sessions = (int(frame[name].nunique()) for name in ("model_id", "session"))
    if sessions > 1:
        return [
            f"differences between the {models} models and {sessions} sessions are taken out: "
            "only changes of a model within a session count"
        ]
    if models > 1:
        return [f"differences between the {models} models are taken out: only changes within a model count"]
    return []


def _candidates(
    columns: Sequence[Column], outcomes: Sequence[Column], dropped: list[tuple[str, str]]
) -> list[Column]:
    """Columns in the order in which they are kept when two say the same."""
    performances = [c for c in columns if c.part == "performance"]
    names = {c.name for c in outcomes}
    mediators = []
    for column in columns:
        if column.part == "mediator" and column.name not in names:
            if column.name in COMPONENTS:
                why = "energy is power × time; with both in the graph every other edge to energy vanishes"
                dropped.append((column.label, why))
            else:
                mediators.append(column)
    design = [c for c in columns if c.part == "design"]
    dropped += [(c.label, LABELS_ONLY[c.name]) for c in design if c.name in LABELS_ONLY]
    design = [c for c in design if c.name not in LABELS_ONLY]
    return [*design, *outcomes, *performances, *mediators]


def _first_metrics(columns: Sequence[Column], dropped: list[tuple[str, str]]) -> list[Column]:
    """Only the first metrics that have values: they say much the same, and each costs power."""
    late = [c for c in columns if c.part == "performance"][PERFORMANCES:]
    dropped += [(c.label, f"only the first {PERFORMANCES} metrics that have values enter") for c in late]
    return [c for c in columns if c not in late]


def _present(frame: pd.DataFrame, columns: Sequence[Column], dropped: list[tuple[str, str]]) -> list[Column]:
    kept = []
    for column in columns:
        share = float(values(frame, column).isna().mean()) if len(frame) else 1.0
        if share > MISSING:
            dropped.append((column.label, f"missing in {share:.0%} of the rows"))
        else:
            kept.append(column)
    return kept


def _centred(frame: pd.DataFrame, column: Column) -> Matrix:
    """Values less the mean of their model in their session."""
    raw = values(frame, column)
    return np.asarray(raw - raw.groupby(strata(frame)).transform("mean"), dtype=float)


def _moving(
    columns: Sequence[Column], frame: pd.DataFrame, data: dict[str, Matrix], dropped: list[tuple[str, str]]
) -> list[Column]:
    kept = []
    for column in columns:
        size = float(values(frame, column).abs().mean()) if len(frame) else 0.0
        if len(frame) and data[column.name].std() > EXACT * max(size, 1e-12):
            kept.append(column)
        else:
            dropped.append((column.label, "the same in every row of a model in a session"))
    return kept


def _unrelated(
    columns: Sequence[Column], frame: pd.DataFrame, data: dict[str, Matrix], dropped: list[tuple[str, str]]
) -> list[Column]:
    """Leave out columns that earlier ones of their side (set, or came of it) determine.

    Energies, powers and duration stay beside each other: as outcomes they explain nothing, so their
    identities do no harm there.
    """
    kept: list[Column] = []
    for column in columns:
        side = [c for c in kept if (c.part == "design") == (column.part == "design")]
        relation = "" if column.part == "energy" else _relation(column, side, frame, data)
        if relation:
            dropped.append((column.label, relation))
        else:
            kept.append(column)
    return kept


def _relation(column: Column, side: Sequence[Column], frame: pd.DataFrame, data: dict[str, Matrix]) -> str:
    y = data[column.name]
    for other in side:
        r = float(np.corrcoef(y, data[other.name])[0, 1])
        if abs(r) > TWIN:
            return f"says the same as {other.label} (r = {r:.4f})"
    return _combination(column, side, data) or _identity(column, side, frame)


def _combination(column: Column, side: Sequence[Column], data: dict[str, Matrix]) -> str:
    y = data[column.name]
    if not side or len(side) >= len(y) - 1:
        return ""
    x = np.column_stack([data[c.name] for c in side])
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    if float(rest @ rest) < EXACT * float(y @ y):
        return "an exact combination of " + ", ".join(c.label for c in side)
    return ""


def _identity(column: Column, side: Sequence[Column], frame: pd.DataFrame) -> str:
    """An exact sum or product of other columns, in the columns' own units; empty when there is none."""
    if not side or len(frame) < 2 * len(side) + 2:
        return ""
    raw = frame[[column.name, *(c.name for c in side)]].astype(float).to_numpy()
    found = _solved(raw[:, 0], raw[:, 1:])
    if found is not None:
        terms = [_term(c.label, v) for c, v in zip(side, found, strict=True) if v]
        return f"an exact sum: {' + '.join(terms)}" if terms else ""
    if bool((raw > 0).all()):
        found = _solved(np.log(raw[:, 0]), np.log(raw[:, 1:]))
        if found is not None:
            terms = [c.label if v == 1 else f"{c.label}^{v:g}" for c, v in zip(side, found, strict=True) if v]
            return f"an exact product: {' × '.join(terms)}" if terms else ""
    return ""


def _term(label: str, weight: float) -> str:
    return label if weight == 1 else f"{weight:g} {label}"


def _solved(y: Matrix, x: Matrix) -> Matrix | None:
    """Weights of *x* that give *y* up to a constant, those that matter alone; None where none do."""
    y, x = y - y.mean(), x - x.mean(axis=0)
    size = x.std(axis=0)
    if float(y @ y) == 0 or bool((size == 0).any()):
        return None
    weights = np.linalg.lstsq(x / size, y, rcond=None)[0]
    rest = y - x / size @ weights
    if float(rest @ rest) > EXACT * float(y @ y):
        return None
    weights[np.abs(weights) < 1e-3 * y.std()] = 0.0
    return np.asarray(np.round(weights / size, 3))


def _identities(columns: Sequence[Column], frame: pd.DataFrame) -> list[str]:
    """The exact relations between energies, powers and duration, named; none of them is dropped."""
    energies = [c for c in columns if c.part == "energy"]
    found = []
    for column in energies:
        rest = [c for c in energies if c is not column]
        relation = _identity(column, rest, frame)
        if relation:
            found.append(f"{column.label} is {relation}; no outcome explains another")
            break  # one relation seen from one side
    return found
