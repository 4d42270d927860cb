"""Settings that may be advised: values that were run, inside the ellipsoid of the runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.advice.unit import Factor

    Vector = NDArray[np.float64]

Kind = Literal["default", "most common", "median"]
MOST_LEVELS = 7
"""Of a factor with more values than this, so many at even ranks are tried, both ends among them."""
MOST_JOINT = 24
"""So many of the settings that were run and differ from the reference in several factors are tried."""
COMMON = 0.2
"""A value is called the most common setting when at least this share of the runs has it."""
CURVED_LEVELS, CURVED_DF = 3, 15
"""A factor with three levels may bend (a parabola through three levels is exact), where that leaves
fifteen degrees of freedom: decided by the design alone, so that no look at outcomes precedes the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The setting that others are compared with, by factor key."""

    kind: Kind
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """How settings become regression columns: distance from the reference, and its square if curved."""

    factors: tuple[Factor, ...]
    reference: Mapping[str, float]
    scales: Mapping[str, float]
    curved: frozenset[str]

    def columns(self, settings: Mapping[str, Vector]) -> Vector:
        """Shape (settings, columns): an intercept, then each factor. The reference is (1, 0, 0, ...)."""
        made = []
        for factor in self.factors:
            key = factor.key
            start = self._place(factor, np.array([self.reference[key]]))
            at = (self._place(factor, settings[key]) - start) / self.scales[key]
            made.append(at)
            if key in self.curved:
                made.append(at**2)
        return np.column_stack([np.ones(len(made[0])), *made])

    @staticmethod
    def _place(factor: Factor, raw: Vector) -> Vector:
        return np.log(raw) if factor.column.log else raw


def reference(frame: pd.DataFrame, factors: Sequence[Factor]) -> Reference:
    """The recorded default, else each factor's most common value, else the value nearest its median."""
    defaults = {f.key: frame[f"default:{f.key}"].dropna() for f in factors}
    if all(len(known) for known in defaults.values()):
        return Reference(kind="default", values={key: _mode(known) for key, known in defaults.items()})
    commons = {f.key: _common(frame[f.key]) for f in factors}
    if all(value is not None for value in commons.values()):
        values = {key: value for key, value in commons.items() if value is not None}
        return Reference(kind="most common", values=values)
    return Reference(kind="median", values={f.key: _nearest(frame[f.key]) for f in factors})


def basis(frame: pd.DataFrame, factors: Sequence[Factor], start: Reference, controls: int) -> Basis:
    """Columns for *frame*: curved where levels and rows allow it."""
    levels = {f.key: frame[f.key].nunique() for f in factors}
    curved = frozenset(key for key, count in levels.items() if count >= CURVED_LEVELS)
    if len(frame) - 1 - controls - len(factors) - len(curved) < CURVED_DF:
        curved = frozenset()
    placed = {f.key: Basis._place(f, frame[f.key].to_numpy(dtype=float)) for f in factors}
    scales = {key: float(np.ptp(values)) for key, values in placed.items()}
    return Basis(factors=tuple(factors), reference=start.values, scales=scales, curved=curved)


def candidates(frame: pd.DataFrame, factors: Sequence[Factor], start: Reference) -> list[dict[str, float]]:
    """Settings with one factor changed, then settings that were run with several changed.

    Which are tried follows from what was run alone, never from what came out.
    """
    base = dict(start.values)
    found = [
        {**base, factor.key: value}
        for factor in factors
        for value in _levels(frame[factor.key])
        if value != base[factor.key]
    ]
    keys = [factor.key for factor in factors]
    run = sorted(frame[keys].drop_duplicates().itertuples(index=False, name=None))
    roles = {factor.key: factor.role for factor in factors}
    several = []
    for values in run:
        setting = dict(zip(keys, values, strict=True))
        changed = [key for key in keys if setting[key] != base[key]]
        if len(changed) > 1 and len({roles[key] for key in changed}) == 1:
            several.append(setting)
    at: list[int] = (
        np.unique(np.linspace(0, len(several) - 1, MOST_JOINT).round().astype(int)).tolist()
        if several
        else []
    )
    return [*found, *(several[index] for index in at)]


def inside(columns: Vector, tried: Vector) -> NDArray[np.bool_]:
    """Which of *tried* lie in the space the runs span and no further out than the outermost run.

    A point whose leverage exceeds the largest among the runs lies outside their ellipsoid: predicting
    there is extrapolation (Montgomery, Peck and Vining 2012, section 3.8).
    """
    _, values, axes = np.linalg.svd(columns, full_matrices=False)
    kept = values > values[0] * 1e-9
    axes, values = axes[kept], values[kept]

    def leverage(points: Vector) -> Vector:
        return np.asarray((((points @ axes.T) / values) ** 2).sum(axis=1))

    rest = tried - (tried @ axes.T) @ axes
    spanned = np.abs(rest).max(axis=1) < 1e-7
    return np.asarray(spanned & (leverage(tried) <= leverage(columns).max() * (1 + 1e-9)))


def _mode(known: pd.Series[float]) -> float:
    """The commonest value, the smallest of several."""
    return float(known.mode().iloc[0])


def _common(column: pd.Series[float]) -> float | None:
    counts = column.value_counts()
    return _mode(column) if counts.iloc[0] >= max(2, COMMON * len(column)) else None


def _nearest(column: pd.Series[float]) -> float:
    ordered = np.sort(column.to_numpy(dtype=float))
    return float(ordered[(len(ordered) - 1) // 2])


def _levels(column: pd.Series[float]) -> list[float]:
    levels = np.unique(column.to_numpy(dtype=float))
    if len(levels) <= MOST_LEVELS:
        return [float(v) for v in levels]
    ranked = np.sort(column.to_numpy(dtype=float))
    at = np.linspace(0, len(ranked) - 1, MOST_LEVELS).round().astype(int)
    return [float(v) for v in np.unique(ranked[at])]
