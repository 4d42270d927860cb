"""Least squares with HC3 intervals, and the Benjamini-Hochberg correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

ALIASED = 1e-9
"""A column whose unexplained share of variation is below this moves only with the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One slope: estimate, HC3 interval and p, and the share of its leverage that two rows carry."""

    estimate: float
    lo: float
    hi: float
    p: float
    top2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A least-squares fit; ``aliased`` names columns that could not be told from the others."""

    coefficients: Mapping[str, Coefficient]
    aliased: tuple[str, ...]
    n: int
    df: int
    r2: float


def ols(y: Vector, wanted: Mapping[str, Vector], controls: Mapping[str, Vector]) -> Fit:
    """Regress *y* on *wanted* and *controls* with an intercept.

    HC3 covariance with t quantiles (MacKinnon and White 1985; Long and Ervin 2000). Columns are
    taken in order, controls first; one that adds nothing to those before it is left out and named.

    Args:
        y: shape (n,).
        wanted: columns whose slopes are asked for, each of shape (n,).
        controls: columns that are only adjusted for.
    """
    import statsmodels.api as sm

    kept, aliased = _independent({**controls, **wanted}, len(y))
    design = np.column_stack([np.ones(len(y)), *kept.values()])
    fit = sm.OLS(y, design).fit(cov_type="HC3", use_t=True)
    interval = fit.conf_int()
    names = list(kept)
    found = {}
    for name in wanted:
        if name in kept:
            at = names.index(name) + 1
            found[name] = Coefficient(
                estimate=float(fit.params[at]),
                lo=float(interval[at][0]),
                hi=float(interval[at][1]),
                p=float(fit.pvalues[at]),
                top2=_top2(design, at),
            )
    return Fit(
        coefficients=found,
        aliased=tuple(name for name in aliased if name in wanted),
        n=len(y),
        df=int(fit.df_resid),
        r2=float(fit.rsquared),
    )


def _independent(columns: Mapping[str, Vector], n: int) -> tuple[dict[str, Vector], list[str]]:
    basis = np.ones((n, 1)) / np.sqrt(n)
    kept: dict[str, Vector] = {}
    aliased = []
    for name, column in columns.items():
        total = float(np.sum((column - column.mean()) ** 2))
        rest = column - basis @ (basis.T @ column)
        left = float(rest @ rest)
        if total == 0.0 or left < ALIASED * total:
            aliased.append(name)
            continue
        kept[name] = column
        basis = np.column_stack([basis, rest / np.sqrt(left)])
    return kept, aliased


def _top2(design: Vector, at: int) -> float:
    """Largest two shares of the column's variation that the other columns do not explain."""
    others = np.delete(design, at, axis=1)
    rest = design[:, at] - others @ np.linalg.lstsq(others, design[:, at], rcond=None)[0]
    squares = np.sort(rest**2)[::-1]
    return float(squares[:2].sum() / squares.sum())


def benjamini_hochberg(p: Sequence[float | None]) -> list[float | None]:
    """q-values over the family of all p that are not None (Benjamini and Hochberg 1995)."""
    known = [index for index, value in enumerate(p) if value is not None]
    order = sorted(known, key=lambda index: -float(p[index] or 0.0))
    q: list[float | None] = [None] * len(p)
    least = 1.0
    for rank, index in zip(range(len(order), 0, -1), order, strict=True):
        least = min(least, float(p[index] or 0.0) * len(order) / rank)
        q[index] = least
    return q
