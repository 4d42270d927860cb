"""Point estimates of a path with their errors, from columns that the controls were taken out of.

By the theorem of Frisch, Waugh and Lovell the slope of a column in a regression is that of what the
other columns leave of it; its HC3 error (MacKinnon and White 1985) needs the leverages besides, and as in
:mod:`causal_report.regression` the classical error takes its place where it is the larger. One QR of the
controls thus serves every path of a cause; a test holds the numbers to those of a whole regression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_report.absorption import centred

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Codes = NDArray[np.intp]

ALONE = 1e-8
"""A row whose leverage leaves less than this decides its fitted value alone: no HC3 error exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """A slope with its error and two-sided p by Student's t; None where one row decides it."""

    estimate: float
    se: float | None
    p: float | None
    df: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The four slopes of a path; ``rho`` is the correlation of mediator and outcome at the same cause."""

    a: Slope
    b: Slope
    direct: Slope
    total: Slope
    rho: float
    top2: float

    @property
    def sobel(self) -> tuple[float, float, float] | None:
        """Error, z and p of a times b to first order (Sobel 1982); None where an error is missing."""
        if self.a.se is None or self.b.se is None:
            return None
        error = math.hypot(self.a.estimate * self.b.se, self.b.estimate * self.a.se)
        if error == 0.0:
            return None
        z = self.a.estimate * self.b.estimate / error
        return error, z, math.erfc(abs(z) / math.sqrt(2))


class Adjusted:
    """Rows with their strata and controls taken out; columns are adjusted as they are asked for."""

    def __init__(self, controls: Vector, strata: Codes) -> None:
        """Take out *controls*, shape (n, k), and the level of each of *strata*, shape (n,)."""
        self._strata = strata
        self._basis = np.linalg.qr(centred(controls, strata))[0] if controls.shape[1] else controls
        self.leverage = np.sum(self._basis**2, axis=1) + 1.0 / np.bincount(strata)[strata]
        self.df = len(strata) - int(strata.max()) - 1 - controls.shape[1]

    def column(self, values: Vector) -> Vector:
        """What strata and controls leave of *values*."""
        kept = centred(values[:, None], self._strata)[:, 0]
        return np.asarray(kept - self._basis @ (self._basis.T @ kept))

    def slope(self, x: Vector, y: Vector) -> Slope:
        """Slope of adjusted *y* on adjusted *x*."""
        estimate = float(x @ y / (x @ x))
        return self._slope(x, y - estimate * x, self.leverage + x**2 / (x @ x), estimate, 1)

    def path(self, x: Vector, m: Vector, y: Vector) -> Path:
        """The path through adjusted columns *x* (cause), *m* (mediator), *y* (outcome)."""
        a, total = self.slope(x, m), self.slope(x, y)
        m_left, x_left = m - a.estimate * x, x - (x @ m) / (m @ m) * m
        b = float(m_left @ y / (m_left @ m_left))
        direct = float(x_left @ y / (x_left @ x_left))
        error = y - direct * x - b * m
        leverage = self.leverage + x**2 / (x @ x) + m_left**2 / (m_left @ m_left)
        y_left = y - total.estimate * x
        squares = np.partition(x**2, -2)
        return Path(
            a=a,
            b=self._slope(m_left, error, leverage, b, 2),
            direct=self._slope(x_left, error, leverage, direct, 2),
            total=total,
            rho=float(m_left @ y_left / math.sqrt((m_left @ m_left) * (y_left @ y_left))),
            top2=float(squares[-2:].sum() / squares.sum()),
        )

    def _slope(self, own: Vector, error: Vector, leverage: Vector, estimate: float, used: int) -> Slope:
        from scipy.special import stdtr

        df, left = self.df - used, 1.0 - leverage
        if df < 1 or float(left.min()) < ALONE:
            return Slope(estimate=estimate, se=None, p=None, df=df)
        robust = math.sqrt(float(np.sum((own * error / left) ** 2))) / float(own @ own)
        se = max(robust, math.sqrt(float(error @ error) / df / float(own @ own)))
        p = 2 * float(stdtr(df, -abs(estimate / se))) if se > 0 else None
        return Slope(estimate=estimate, se=se if se > 0 else None, p=p, df=df)
