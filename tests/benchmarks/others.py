"""Other discovery methods under the same tiers, each as a score of every ordered pair.

Not installed with the package: ``pip install causal-learn lingam`` in an environment of its own
(lingam holds scipy back). Cut-offs were chosen on the tuning seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

NOTEARS_CUT, LINGAM_CUT = 0.15, 0.2
"""Absolute standardised coefficient from which each is said to find an edge."""
SPARSE = 0.05
"""NOTEARS' weight of the coefficients' absolute sum."""


def pc(x: Matrix, allowed: Mask) -> Matrix:
    """PC (Spirtes and Glymour 1991), Fisher's z at 0.05, the tiers as background knowledge."""
    from causal_report.discovery import classic

    return classic.pc(x, allowed)


def ges(x: Matrix, allowed: Mask) -> Matrix:
    """GES (Chickering 2002), BIC, its edges turned as the tiers say."""
    from causal_report.discovery import classic

    return classic.ges(x, allowed)


def lingam(x: Matrix, allowed: Mask) -> Matrix:
    """DirectLiNGAM (Shimizu et al. 2011) with the tiers as prior knowledge of paths."""
    from lingam import DirectLiNGAM

    known = np.where(_reachable(allowed).T, -1, 0)  # [child, parent]: 0 says there is no path
    model = DirectLiNGAM(prior_knowledge=known, apply_prior_knowledge_softly=False)
    model.fit(x)
    return _score(np.abs(model.adjacency_matrix_).T, allowed, LINGAM_CUT)


def notears(x: Matrix, allowed: Mask) -> Matrix:
    """NOTEARS (Zheng et al. 2018), linear, least squares; forbidden coefficients are bounded to zero."""
    from scipy.linalg import expm
    from scipy.optimize import minimize

    n, d = x.shape

    def loss(flat: Matrix, rho: float, alpha: float) -> tuple[float, Matrix]:
        plus, minus = flat.reshape(2, d, d)
        w = plus - minus
        rest = x - x @ w
        power = expm(w * w)
        h = np.trace(power) - d
        value = 0.5 / n * (rest**2).sum() + 0.5 * rho * h * h + alpha * h + SPARSE * flat.sum()
        slope = -x.T @ rest / n + (rho * h + alpha) * power.T * 2 * w
        return value, np.concatenate([(slope + SPARSE).ravel(), (-slope + SPARSE).ravel()])

    bounds = [(0, None if ok else 0) for ok in np.concatenate([allowed.ravel()] * 2)]
    flat, rho, alpha, before = np.zeros(2 * d * d), 1.0, 0.0, np.inf
    for _ in range(30):
        flat = minimize(loss, flat, (rho, alpha), jac=True, method="L-BFGS-B", bounds=bounds).x
        w = np.subtract(*flat.reshape(2, d, d))
        h = float(np.trace(expm(w * w)) - d)
        alpha += rho * h
        if h < 1e-8 or rho > 1e16:
            break
        rho, before = (rho * 10 if h > 0.25 * before else rho), h
    return _score(np.abs(w), allowed, NOTEARS_CUT)


def _score(size: Matrix, allowed: Mask, cut: float) -> Matrix:
    """Absolute coefficients so that the cut-off lies at one half."""
    return np.where(allowed, size / (size + cut), 0.0)


def _reachable(allowed: Mask) -> Mask:
    """Pairs with an allowed path: more than the allowed edges only where mediators lie between."""
    reach = allowed.copy()
    for _ in range(len(allowed)):
        reach |= (reach.astype(int) @ reach.astype(int)) > 0
    return reach


ENGINES: Mapping[str, Callable[[Any, Any], Matrix]] = {
    "PC": pc,
    "GES": ges,
    "DirectLiNGAM": lingam,
    "NOTEARS": notears,
}
