"""PC and GES by causal-learn, under the tiers; only with the extra ``more``."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_report.errors import EngineError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

ALPHA = 0.05
"""Level of PC's tests of independence."""
NAMES = ("pc", "ges")


def require(name: str) -> None:
    """Refuse an engine that is not installed before anything runs.

    Raises:
        InputError: causal-learn is missing.
    """
    if name in NAMES and importlib.util.find_spec("causallearn") is None:
        raise InputError(f"--engine {name} needs causal-learn; install it with: pip install 'wattwhy[more]'")


def discover(name: str, x: Matrix, allowed: Mask) -> Matrix:
    """1 for a directed edge, 0.5 both ways where the direction stays open; shape (d, d), [parent, child].

    Args:
        name: ``pc`` or ``ges``.
        x: standardised complete data, shape (n, d).
        allowed: [parent, child].

    Raises:
        EngineError: the engine refuses the data.
    """
    run = {"pc": pc, "ges": ges}[name]
    try:
        return run(x, allowed)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise EngineError(f"{name} refused the data: {error}") from error


def pc(x: Matrix, allowed: Mask) -> Matrix:
    """PC (Spirtes and Glymour 1991) with Fisher's z; the tiers are its background knowledge."""
    from causallearn.search.ConstraintBased.PC import pc as search
    from causallearn.utils.PCUtils.BackgroundKnowledge import BackgroundKnowledge

    knowledge = BackgroundKnowledge()
    for parent, child in np.argwhere(~allowed):
        if parent != child:
            knowledge.add_forbidden_by_pattern(rf"^X{parent + 1}$", rf"^X{child + 1}$")
    found = search(x, ALPHA, "fisherz", background_knowledge=knowledge, show_progress=False)
    return _read(found.G.graph, allowed)


def ges(x: Matrix, allowed: Mask) -> Matrix:
    """GES (Chickering 2002) with BIC; its edges are turned as the tiers say, or left out."""
    from causallearn.search.ScoreBased.GES import ges as search

    return _read(search(x, "local_score_BIC")["G"].graph, allowed)


def _read(ends: NDArray[Any], allowed: Mask) -> Matrix:
    """Scores from causal-learn's end marks: ends[j, i] = 1 and ends[i, j] = -1 is i → j."""
    joined = (ends != 0) & (ends.T != 0)
    directed = joined & (ends == -1) & (ends.T == 1)
    score = np.where(directed, 1.0, np.where(joined & ~directed.T, 0.5, 0.0))
    only = allowed & ~allowed.T & joined  # the tiers know the direction
    score[only] = 1.0
    return np.where(allowed, score, 0.0)
