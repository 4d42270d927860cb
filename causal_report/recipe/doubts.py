"""Why a number of the published recipe is not to be believed, and what a total effect says instead."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import number, regression
from causal_report.effects.sheet import pooled_over
from causal_report.findings.recipe import RecipeSound

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from causal_report.findings import Effect
    from causal_report.findings.recipe import RecipeEdge
    from causal_report.text import Text

DURATION = "duration_seconds"
IDENTITY_R2 = 0.9
"""Duration alone explaining this share of joules is arithmetic: joules are watts times seconds."""
TWO_ROWS = 0.5
"""Two rows that carry half of a hyperparameter's variation decide its slope."""
FEW = 30
FAMILY_Q = 0.05


def of_edge(
    rows: pd.DataFrame, z: pd.DataFrame, cause: str, effect: str, r2: float | None, text: Text
) -> tuple[str, ...]:
    """Doubts that the repository's own rows give about one edge, the gravest first."""
    factor = cause.removeprefix("hyperparam_").replace("_", " ")
    found: list[str] = []

    def add(key: str, **values: object) -> None:
        found.append(text(f"recipe.doubt.{key}", **values))

    if DURATION in z:
        add("duration")
        share = float(np.corrcoef(z[DURATION], z[effect])[0, 1]) ** 2
        if effect.endswith("_joules") and r2 is not None and share > IDENTITY_R2:
            add("identity", share=number.fixed(share, 3))
    gone = float(rows[cause].isna().mean())
    if gone:
        add("filled", share=_percent(gone), factor=factor)
    if rows["model"].nunique() > 1:
        add("models", models=rows["model"].nunique())
    if rows["mode"].nunique() > 1:
        add("modes")
    heavy = _two_rows(z, cause)
    if heavy > TWO_ROWS:
        add("leverage", share=_percent(heavy), factor=factor)
    known = int(rows[cause].notna().sum())
    if known < FEW:
        add("few", known=known, factor=factor)
    return tuple(found)


def of_many(edges: Sequence[RecipeEdge], text: Text) -> list[RecipeEdge]:
    """The doubt that comes of testing many edges at once: those that do not survive correction."""
    q = regression.benjamini_hochberg([edge.p for edge in edges])
    words = [
        text("recipe.doubt.many", tests=len(edges), q=number.probability(value))
        if value is not None and edge.p < FAMILY_Q <= value
        else ""
        for edge, value in zip(edges, q, strict=True)
    ]
    return [
        replace(edge, doubts=(*edge.doubts, more)) if more else edge
        for edge, more in zip(edges, words, strict=True)
    ]


def retold(edge: RecipeEdge, frame: pd.DataFrame, effects: Sequence[Effect]) -> RecipeSound | None:
    """The sound total effect of the same hyperparameter on the same column; None if there is none.

    The widest scope inside the repository is taken: all its models together before a single one.
    """
    rows = frame[frame["repository"] == edge.repository]
    factor = _factor(rows, edge.cause)
    models = set(rows["model_id"].astype(str))
    same = [e for e in effects if e.factor == factor and e.outcome == edge.effect]
    own = [e for e in same if _inside(e, edge.repository, models)]
    if not own:
        return None
    best = max(own, key=lambda e: (e.estimate is not None, e.n))
    low = best.lo if best.lo is not None else -np.inf
    return RecipeSound(
        scope=best.scope,
        scale=best.scale,
        n=best.n,
        step=best.step,
        estimate=best.estimate,
        lo=best.lo,
        hi=best.hi,
        plain=best.plain,
        plain_lo=best.plain_lo,
        plain_hi=best.plain_hi,
        contradicts=edge.validated and best.estimate is not None and low <= 0,
        reason=best.reason,
    )


def _inside(effect: Effect, repository: str, models: set[str]) -> bool:
    return effect.scope == pooled_over(repository) or effect.scope in models


def _factor(rows: pd.DataFrame, cause: str) -> str:
    """The design column that holds the hyperparameter: its own name, else the role of the same values."""
    own = cause.replace("hyperparam_", "design_", 1)
    designs = [own, *sorted(n for n in map(str, rows) if n.startswith("design_") and n != own)]
    for name in designs:
        if name in rows and rows[name].notna().any() and rows[name].equals(rows[cause].rename(name)):
            return name
    return own


def _two_rows(z: pd.DataFrame, cause: str) -> float:
    """Share of the hyperparameter's variation beside duration that two rows carry."""
    x = z[cause].to_numpy(dtype=float)
    if DURATION in z:
        t = z[DURATION].to_numpy(dtype=float)
        x = x - t * (t @ x) / (t @ t)
    squares = np.sort(x**2)
    total = float(squares.sum())
    return float(squares[-2:].sum()) / total if total > 0 else 1.0


def _percent(share: float) -> str:
    return number.percent(100 * share, 0, sign=False)
