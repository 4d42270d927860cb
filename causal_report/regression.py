"""Least squares with intervals by HC3 or the classical error, and the Benjamini-Hochberg correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_report import absorption

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from causal_report.absorption import Absorption

    Vector = NDArray[np.float64]
    Mask = NDArray[np.bool_]

SIGNIFICANT = 0.05
"""The level that p and q are judged by, the same in every part of the page."""
ALIASED = 1e-9
"""A column whose unexplained share of variation is below this moves only with the others."""
SATURATED = 1e-10
"""A row whose leverage leaves less than this is fitted by itself: its error is not known."""
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One slope: estimate, interval and p, and the share of its leverage that two rows carry."""

    estimate: float
    lo: float
    hi: float
    p: float
    top2: float
    se: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A least-squares fit; ``aliased`` names columns that could not be told from the others.

    Attributes:
        left: residuals over one less leverage, shape (n,): what each row misses by when left out.
        rss: residual sum of squares.
    """

    coefficients: Mapping[str, Coefficient]
    aliased: tuple[str, ...]
    n: int
    df: int
    r2: float
    left: Vector
    rss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The right-hand side of a regression, ready for any number of outcomes over the same rows.

    Attributes:
        basis: orthonormal columns of what the absorbed indicators leave, shape (n, kept).
        weights: each wanted column's row of the pseudo-inverse: the slope is ``weights @ y``.
        inflation: variance inflation of each wanted column by the others (not by the indicators).
        top2: share of the squared weights that the two heaviest rows carry.
        leverage: diagonal of the hat matrix, indicators included.
    """

    basis: Vector
    weights: Mapping[str, Vector]
    inflation: Mapping[str, float]
    top2: Mapping[str, float]
    aliased: tuple[str, ...]
    leverage: Vector
    absorbed: Absorption
    df: int

    def fit(self, y: Vector) -> Fit:
        """Regress *y*, with t quantiles of the larger error: HC3 (MacKinnon and White 1985) or classical.

        HC3 sees that scatter differs between settings. Where few rows carry a slope it reads too low by
        chance, and the smallest p of a table without any effect are then a hundred times too small; there
        the classical error is the larger (Angrist and Pischke 2009, section 8.1).
        """
        inside = self.absorbed.residual(y)
        error = inside - self.basis @ (self.basis.T @ inside)
        known = 1 - self.leverage > SATURATED
        left = np.divide(error, 1 - self.leverage, out=np.full(len(y), np.nan), where=known)
        squares, some = (left**2, None) if bool(known.all()) else (np.where(known, left, 0.0) ** 2, known)
        total = float(np.sum((y - y.mean()) ** 2))
        rss = float(error @ error)
        return Fit(
            coefficients={name: self._coefficient(name, inside, squares, some, rss) for name in self.weights},
            aliased=self.aliased,
            n=len(y),
            df=self.df,
            r2=1 - rss / total if total > 0 else 0.0,
            left=left,
            rss=rss,
        )

    def influence(self, name: str, fit: Fit) -> Vector:
        """Change of the slope of *name* as each row is left out (DFBETA; Belsley, Kuh and Welsch 1980)."""
        weight = self.weights[name]
        changed = np.zeros(len(weight))
        counted = np.abs(weight) > SATURATED * np.abs(weight).max()
        changed[counted] = weight[counted] * fit.left[counted]
        return changed

    def _coefficient(
        self, name: str, inside: Vector, squares: Vector, known: Mask | None, rss: float
    ) -> Coefficient:
        weight = self.weights[name]
        estimate = float(weight @ inside)
        lo = hi = p = se = float("nan")
        alone = known is not None and bool(
            (np.abs(weight[~known]) > np.sqrt(SATURATED) * np.linalg.norm(weight)).any()
        )
        if self.df > 0 and not alone:
            robust = float(np.einsum("i,i,i->", weight, weight, squares))
            se = float(np.sqrt(max(robust, rss / self.df * float(weight @ weight))))
            lo, hi, p = interval(estimate, se, self.df)
        return Coefficient(estimate=estimate, lo=lo, hi=hi, p=p, top2=self.top2[name], se=se)


def interval(estimate: float, se: float, df: float, level: float = LEVEL) -> tuple[float, float, float]:
    """Bounds by Student's t with *df*, and the two-sided p of no effect."""
    from scipy.special import stdtr, stdtrit

    width = float(stdtrit(df, (1 + level) / 2)) * se
    if se == 0.0:
        return estimate, estimate, 0.0 if estimate else 1.0
    return estimate - width, estimate + width, float(2 * stdtr(df, -abs(estimate / se)))


def design(wanted: Mapping[str, Vector], controls: Mapping[str, Vector], absorbed: Absorption) -> Design:
    """Prepare a regression on *wanted* and *controls* with the indicators of *absorbed*.

    Columns are taken in order, controls first; one that adds nothing to those before it is left out
    and named. Gram-Schmidt is done twice, which is enough (Giraud and others 2005).

    Args:
        wanted: columns whose slopes are asked for, each of shape (n,).
        controls: columns that are only adjusted for.
        absorbed: indicators that are only adjusted for; the intercept is among them.
    """
    n = len(absorbed.first)
    basis = np.empty((n, len(controls) + len(wanted)), order="F")
    kept: dict[str, Vector] = {}
    aliased = []
    for name, column in {**controls, **wanted}.items():
        total = float(np.sum((column - column.mean()) ** 2)) if n else 0.0
        inside = absorbed.residual(column)
        before = basis[:, : len(kept)]
        rest = inside - before @ (before.T @ inside)
        rest -= before @ (before.T @ rest)
        size = float(rest @ rest)
        if total == 0.0 or size < ALIASED * total:
            aliased.append(name)
            continue
        basis[:, len(kept)] = rest / np.sqrt(size)
        kept[name] = inside
    basis = basis[:, : len(kept)]
    names = list(kept)
    corner = np.column_stack([basis.T @ column for column in kept.values()]) if kept else np.zeros((0, 0))
    inverse = np.linalg.inv(np.triu(corner))
    asked = [name for name in wanted if name in kept]
    rows = inverse[[names.index(name) for name in asked]] @ basis.T if asked else np.zeros((0, n))
    weights = dict(zip(asked, rows, strict=True))
    return Design(
        basis=basis,
        weights=weights,
        inflation={
            name: float(weights[name] @ weights[name] * (kept[name] @ kept[name])) for name in weights
        },
        top2={name: _top2(weight) for name, weight in weights.items()},
        aliased=tuple(name for name in aliased if name in wanted),
        leverage=absorbed.leverage() + np.einsum("ij,ij->i", basis, basis),
        absorbed=absorbed,
        df=n - absorbed.rank - len(kept),
    )


def _top2(weight: Vector) -> float:
    squares = weight**2
    two = np.partition(squares, -2)[-2:] if len(squares) > 1 else squares
    return float(two.sum() / squares.sum())


def ols(y: Vector, wanted: Mapping[str, Vector], controls: Mapping[str, Vector]) -> Fit:
    """Regress *y* on *wanted* and *controls* with an intercept, as :func:`design` does.

    Args:
        y: shape (n,).
        wanted: columns whose slopes are asked for, each of shape (n,).
        controls: columns that are only adjusted for.
    """
    return design(wanted, controls, absorption.none(len(y))).fit(y)


def significant(value: float | None) -> bool:
    """Whether a p or q is known and below the level; 0 is, where many rows leave too little for a float."""
    return value is not None and value < SIGNIFICANT


def alike(estimates: Sequence[float], errors: Sequence[float], df: Sequence[float]) -> float:
    """The p that several slopes are one, by Welch's test (1951); Cochran's says too often that they are not.

    Errors from few rows are off, and the weights that they give make differences: of four models with
    twenty rows in each of two modes Cochran's Q said so in nine of a hundred tests, Welch's in seven.

    Args:
        estimates: at least two.
        errors: their standard errors, above zero.
        df: the degrees of freedom of each error.
    """
    from scipy.special import fdtrc

    k, weight = len(estimates), 1 / np.square(errors)
    share = weight / weight.sum()
    distance = float(weight @ np.square(estimates - share @ estimates)) / (k - 1)
    unsure = float(np.sum((1 - share) ** 2 / np.asarray(df)))
    statistic = distance / (1 + 2 * (k - 2) / (k**2 - 1) * unsure)
    return float(fdtrc(k - 1, (k**2 - 1) / (3 * unsure), statistic))


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
