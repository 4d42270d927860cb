"""How long a run should take: robust regression of log duration on what was handed to the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report.quality.comparable import Level, cells, level, spread
from causal_report.quality.thresholds import limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from causal_report.quality.view import Codes, Mask, Vector, View

FLOOR = 0.01
"""Durations of equal work differ by at least a per cent."""
TUKEY = 4.685
"""Biweight constant for 95 % efficiency under normality (Beaton and Tukey 1974)."""
COOLING = (0.3, 0.2, 0.1, 0.05)
"""Spreads the fit begins with, so that a dose is learnt before what does not follow it is left out."""
ROUNDS = 15
RIDGE = 1e-3
"""Keeps what cannot be told apart at zero without moving the rest."""


def columns(view: View, at: NDArray[np.intp], base: NDArray[np.intp]) -> NDArray[np.float64]:
    """Right-hand side over rows *at*: doses of what was handed over, and a step where it was not.

    Doses are centred and scaled as in rows *base*.
    """
    found = [np.ones(len(at))]
    for setting in view.settings:
        passed, known = setting.passed[at], setting.passed[base]
        if not known.any():
            continue
        if not setting.label_only:
            dose = setting.dose[base][known]
            scale = float(dose.std()) or 1.0
            found.append(
                np.where(passed, (np.where(passed, setting.dose[at], 0.0) - dose.mean()) / scale, 0.0)
            )
        if not known.all():
            found.append((~passed).astype(float))
    return np.column_stack(found)


def expected(view: View, near: NDArray[np.intp], rows: Mask, trusted: Mask) -> Level:
    """Duration of *rows* against what their work explains in *trusted* rows of model and mode, as logs.

    The spread of a row is wider where few trusted rows were set like it.
    """
    return _against(view, near, rows, trusted, view.cell)


def alone(view: View, near: NDArray[np.intp], rows: Mask, trusted: Mask) -> Level:
    """The same against their model's trusted runs alone: a load beside it can only make a run slower."""
    return _against(view, near, rows, trusted & view.alone, view.model)


def _against(view: View, near: NDArray[np.intp], rows: Mask, trusted: Mask, group: Codes) -> Level:
    usual, scale = np.full(view.n, np.nan), np.full(view.n, FLOOR)
    like = level(view, near, view.log_s, trusted, FLOOR)
    for at in cells(group, (rows | trusted) & np.isfinite(view.log_s)):
        base = at[np.isfinite(like.usual[at]) & trusted[at]]
        if len(base) < limit("least"):
            continue
        slope, unsure, size = _robust(columns(view, base, base), view.log_s[base], like.off[base])
        x = columns(view, at, base)
        usual[at] = x @ slope
        scale[at] = size * np.sqrt(1 + np.einsum("ij,jk,ik->i", x, unsure, x))
    return Level(usual=usual, off=view.log_s - usual, spread=scale)


def _robust(x: NDArray[np.float64], y: Vector, off: Vector) -> tuple[Vector, NDArray[np.float64], float]:
    """Coefficients, their covariance in units of the spread, and the spread.

    By iterated biweight, begun at the residuals *off*.
    """
    fitted, size = y - off, COOLING[0]
    penalty = RIDGE * np.eye(x.shape[1])
    penalty[0, 0] = 0.0
    slope: Vector = np.zeros(x.shape[1])
    gram = penalty
    for turn in range(len(COOLING) + ROUNDS):
        u = np.clip((y - fitted) / (TUKEY * size), -1, 1)
        weight = (1 - u**2) ** 2
        gram = x.T @ (x * weight[:, None]) + penalty * max(float(weight.sum()), 1.0)
        slope = np.asarray(np.linalg.lstsq(gram, x.T @ (weight * y), rcond=None)[0], dtype=np.float64)
        before, fitted = fitted, x @ slope
        size = spread(y - fitted, FLOOR) if turn + 1 >= len(COOLING) else max(COOLING[turn + 1], FLOOR)
        if turn > len(COOLING) and float(np.abs(fitted - before).max()) < FLOOR / 100:
            break
    return slope, np.asarray(np.linalg.pinv(gram), dtype=np.float64), size
