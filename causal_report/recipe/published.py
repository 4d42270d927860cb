"""The seed study's regression and Sobel numbers by its own recipe, each beside the reasons to doubt it.

The recipe is reproduced, not recommended. It takes every row, flagged ones too, fills what is unknown
with the mean and holds the duration fixed, through which most hyperparameters act.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report import number
from causal_report.findings.recipe import Recipe, RecipeEdge, RecipeLeft, RecipePath
from causal_report.findings.sentence import Sentence
from causal_report.recipe import doubts
from causal_report.sources.source import FILLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from causal_report.findings import Effect
    from causal_report.table import Table
    from causal_report.text import Text

DURATION = "duration_seconds"
MEDIATORS = ("energy_gpu_util_avg_percent", "energy_gpu_util_max_percent", "energy_gpu_temp_max_celsius")
"""What the published paths go through."""
MISSING = 0.4
VALIDATED_P = 0.05
LEAST_N = 6
"""The largest regression has an intercept and three columns: two degrees of freedom at least."""
SINGULAR = 1e-8
KINDS = ("_joules", "_watts", "_celsius", "_percent")
OUTCOMES = ("_joules", "_watts")
"""Paths end in joules and watts; the other energy columns are what they go through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A repository's columns as z-scores, and what became of each."""

    repository: str
    z: pd.DataFrame
    raw: pd.DataFrame
    left: tuple[RecipeLeft, ...]

    def named(self, *prefixes: str) -> list[str]:
        """Columns that begin so, sorted."""
        return sorted(name for name in map(str, self.z) if name.startswith(prefixes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A least-squares fit on z-scores: slope, standard error and p of each column."""

    slope: NDArray[np.float64]
    error: NDArray[np.float64]
    p: NDArray[np.float64]
    r2: float


def reproduce(
    table: Table, text: Text, *, until: str | None = None, effects: Sequence[Effect] = ()
) -> Recipe:
    """Every edge hyperparameter to energy and every path through :data:`MEDIATORS`, by the recipe.

    Args:
        table: all rows that succeeded, flagged ones included, as published.
        text: the page's words.
        until: use rows whose timestamp is before this, such as ``2026-01-05``.
        effects: the sound total effects, to be named beside the same edges.
    """
    frame = table.frame
    if until is not None and len(frame):
        stamps = pd.to_datetime(frame["timestamp"], utc=True, format="ISO8601")
        frame = frame[stamps < pd.Timestamp(until, tz="UTC")]
    edges: list[RecipeEdge] = []
    paths: list[RecipePath] = []
    left: list[RecipeLeft] = []
    for repository in sorted(frame["repository"].astype(str).unique()) if len(frame) else []:
        scored = score(frame[frame["repository"] == repository], repository, text)
        left += scored.left
        edges += _edges(scored, text, left)
        paths += _paths(scored, text)
    edges = doubts.of_many(edges, text)
    edges = [replace(edge, sound=doubts.retold(edge, frame, effects)) for edge in edges]
    return _concluded(edges, paths, left, len(frame), until or "", text)


def score(rows: pd.DataFrame, repository: str, text: Text) -> Scored:
    """The recipe's preparation: drop, fill with means, z-score with ddof 0."""
    names = [DURATION, *sorted(n for n in map(str, rows) if _recorded(n))]
    raw = rows[[name for name in names if name in rows]].apply(pd.to_numeric, errors="coerce").astype(float)
    for name in map(str, raw):
        if f"{FILLED}{name}" in rows:  # the recipe knew no defaults
            raw[name] = raw[name].mask(rows[f"{FILLED}{name}"].astype(bool))
    left: list[RecipeLeft] = []
    kept: dict[str, pd.Series[float]] = {}
    for name in map(str, raw):
        column = raw[name]
        known, share = column.dropna(), float(column.isna().mean())
        if known.empty:
            continue  # this repository does not have it
        if share > MISSING:
            reason = text("recipe.left.missing", share=number.percent(100 * share, 0, sign=False))
            left.append(RecipeLeft(repository=repository, column=name, reason=reason))
        elif float(known.max()) == float(known.min()):
            left.append(RecipeLeft(repository=repository, column=name, reason=text("recipe.left.constant")))
        else:
            filled = column.fillna(known.mean())
            kept[name] = (filled - filled.mean()) / filled.std(ddof=0)
    return Scored(repository=repository, z=pd.DataFrame(kept, index=raw.index), raw=rows, left=tuple(left))


def regress(z: pd.DataFrame, outcome: str, columns: Sequence[str]) -> Line | None:
    """Ordinary least squares with the classical standard errors of the recipe; None if singular."""
    import statsmodels.api as sm

    design = z[list(columns)].to_numpy(dtype=float)
    if np.linalg.svd(design, compute_uv=False)[-1] < SINGULAR * np.sqrt(len(z)):
        return None
    fit = sm.OLS(z[outcome].to_numpy(dtype=float), sm.add_constant(design, has_constant="add")).fit()
    if not fit.ssr > SINGULAR**2 * len(z):
        return None  # an identity, no regression
    return Line(
        slope=np.asarray(fit.params[1:]),
        error=np.asarray(fit.bse[1:]),
        p=np.asarray(fit.pvalues[1:]),
        r2=float(fit.rsquared),
    )


def printed(value: float) -> str:
    """A coefficient with three places as the study prints it: from one with four."""
    return f"{round(value, 4):.3f}"


def _recorded(name: str) -> bool:
    return name.startswith(("hyperparam_", "perf_")) or (name.startswith("energy_") and name.endswith(KINDS))


def _control(scored: Scored) -> list[str]:
    return [DURATION] if DURATION in scored.z else []


def _edges(scored: Scored, text: Text, left: list[RecipeLeft]) -> list[RecipeEdge]:
    causes, n = scored.named("hyperparam_"), len(scored.z)
    if not causes or n < LEAST_N:
        key = "few" if causes else "no_hyperparameter"
        left.append(
            RecipeLeft(repository=scored.repository, column="", reason=text(f"recipe.left.{key}", n=n))
        )
        return []
    found = []
    for cause in causes:
        for effect in scored.named("energy_"):
            with_it = regress(scored.z, effect, [cause, *_control(scored)])
            without = regress(scored.z, effect, [cause])
            if with_it is None or without is None:
                reason = text("recipe.left.singular")
                left.append(
                    RecipeLeft(repository=scored.repository, column=f"{cause} → {effect}", reason=reason)
                )
                continue
            coefficient, p = float(with_it.slope[0]), float(with_it.p[0])
            found.append(
                RecipeEdge(
                    repository=scored.repository,
                    cause=cause,
                    effect=effect,
                    n=n,
                    coefficient=coefficient,
                    printed=printed(coefficient),
                    p=p,
                    r2=with_it.r2,
                    validated=p < VALIDATED_P and coefficient > 0,
                    without_duration=float(without.slope[0]),
                    p_without_duration=float(without.p[0]),
                    r2_without_duration=without.r2,
                    filled=float(scored.raw[cause].isna().mean()),
                    doubts=doubts.of_edge(scored.raw, scored.z, cause, effect, with_it.r2, text),
                )
            )
    return found


def _paths(scored: Scored, text: Text) -> list[RecipePath]:
    if len(scored.z) < LEAST_N:
        return []
    effects = [name for name in scored.named("energy_") if name.endswith(OUTCOMES)]
    return [
        path
        for cause in scored.named("hyperparam_")
        for mediator in MEDIATORS
        if mediator in scored.z
        for effect in effects
        if (path := _path(scored, cause, mediator, effect, text)) is not None
    ]


def _path(scored: Scored, cause: str, mediator: str, effect: str, text: Text) -> RecipePath | None:
    from scipy.special import ndtr

    control = _control(scored)
    first = regress(scored.z, mediator, [cause, *control])
    second = regress(scored.z, effect, [cause, mediator, *control])
    whole = regress(scored.z, effect, [cause, *control])
    if first is None or second is None or whole is None:
        return None
    a, b = float(first.slope[0]), float(second.slope[1])
    error = float(np.hypot(b * first.error[0], a * second.error[1]))  # Sobel 1982, first order
    indirect, direct = a * b, float(second.slope[0])
    return RecipePath(
        repository=scored.repository,
        cause=cause,
        mediator=mediator,
        effect=effect,
        n=len(scored.z),
        a=a,
        a_p=float(first.p[0]),
        b=b,
        b_p=float(second.p[1]),
        indirect=indirect,
        direct=direct,
        total=float(whole.slope[0]),
        p=float(2 * ndtr(-abs(indirect) / error)),
        inconsistent=indirect * direct < 0,
        doubts=doubts.of_edge(scored.raw, scored.z, cause, effect, None, text),
    )


def _concluded(
    edges: Sequence[RecipeEdge],
    paths: Sequence[RecipePath],
    left: Sequence[RecipeLeft],
    n: int,
    until: str,
    text: Text,
) -> Recipe:
    validated = [edge for edge in edges if edge.validated]
    known = [edge.sound for edge in validated if edge.sound is not None and edge.sound.estimate is not None]
    contradicted = sum(sound.contradicts for sound in known)
    words: list[tuple[str, dict[str, object]]] = []
    if not edges:
        reason = left[0].reason if left else text("recipe.left.few", n=n)
        words.append(("none", {"reason": reason}))
    else:
        key = "answer_until" if until else "answer"
        words.append((key, {"validated": len(validated), "edges": len(edges), "n": n, "until": until}))
        gone = sum(not (e.p_without_duration < VALIDATED_P and e.without_duration > 0) for e in validated)
        words.append(("gone", {"gone": gone, "validated": len(validated)}))
        if any(edge.sound is not None for edge in edges):
            counts = {"compared": len(known), "validated": len(validated), "contradicted": contradicted}
            words.append(("compared", dict(counts)))
        if paths:
            clear = [path for path in paths if path.p < VALIDATED_P]
            mixed = sum(path.inconsistent for path in clear)
            words.append(("paths", {"paths": len(paths), "significant": len(clear), "inconsistent": mixed}))
        words.append(("dibs", {}))
    return Recipe(
        sentences=tuple(Sentence(key=key, text=text(f"recipe.{key}", **values)) for key, values in words),
        until=until,
        n=n,
        edges=tuple(edges),
        paths=tuple(paths),
        left=tuple(left),
        validated=len(validated),
        compared=len(known),
        contradicted=contradicted,
    )
