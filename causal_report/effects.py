"""Total effects of what the design set on energy, duration and performance."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from causal_report import regression
from causal_report.findings import Effect
from causal_report.table import values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from causal_report.regression import Fit, Vector
    from causal_report.table import Column

POOLED = "all models"
LABELS_ONLY = {"design_seed": "a random seed is a label, not a dose"}
EXPLORATORY_N = 20
LEAST_DF = 4
BLOCK_DF = 8
"""Blocks are adjusted for when at least this many degrees of freedom remain."""


def estimate(frame: pd.DataFrame, factors: Sequence[Column], outcomes: Sequence[Column]) -> tuple[Effect, ...]:
    """Effects of every factor on every outcome, within each model and pooled over models.

    Nothing that came after the treatment is ever adjusted for (no duration, power, temperature):
    with randomised order, these slopes are total effects. The adjustment set is the other factors,
    the model and the block.

    Args:
        frame: usable rows only.
        factors: design columns; seeds and constants are left out.
        outcomes: response columns; each uses the rows that have it.
    """
    found: list[Effect] = []
    doses = [factor for factor in factors if factor.name not in LABELS_ONLY]
    models = sorted(frame["model_id"].unique()) if len(frame) else []
    for outcome in outcomes:
        known = frame[values(frame, outcome).notna()]
        if len(models) > 1:
            found += _scope(known, POOLED, doses, outcome)
        for model in models:
            found += _scope(known[known["model_id"] == model], model, doses, outcome)
    q = regression.benjamini_hochberg([effect.p for effect in found])
    return tuple(replace(effect, q=value) for effect, value in zip(found, q, strict=True))


def varying(frame: pd.DataFrame, factors: Iterable[Column]) -> list[Column]:
    """Factors with at least two levels inside some model of *frame*."""
    groups = frame.groupby("model_id")
    return [f for f in factors if len(frame) and bool((groups[f.name].nunique() > 1).any())]


def _scope(frame: pd.DataFrame, scope: str, factors: Sequence[Column], outcome: Column) -> list[Effect]:
    moving = varying(frame, factors)
    if not moving:
        return []
    # a hyperparameter some models do not have is a question for those models alone
    whole = [f for f in moving if scope != POOLED or frame.groupby("model_id")[f.name].count().all()]
    complete = frame.dropna(subset=[f.name for f in whole])
    blank = [_blank(complete, scope, factor, outcome) for factor in whole]
    controls, method = _controls(complete, len(whole))
    df = len(complete) - 1 - len(whole) - len(controls)
    if df < LEAST_DF:
        reason = f"{len(complete)} rows are too few for {len(whole)} factors"
        return [replace(effect, method=method, reason=reason) for effect in blank]
    fit = regression.ols(
        values(complete, outcome).to_numpy(),
        {factor.name: values(complete, factor).to_numpy() for factor in whole},
        controls,
    )
    return [_filled(replace(effect, method=method), fit) for effect in blank]


def _controls(frame: pd.DataFrame, factors: int) -> tuple[dict[str, Vector], str]:
    """Model and block indicators, and how the fit is described."""
    controls, words = _indicators(frame, "model_id"), ["least squares", "HC3"]
    if controls:
        words.append("model effects")
    blocks = _indicators(frame, "block_id")
    enough = len(frame) - 1 - factors - len(controls) - len(blocks) >= BLOCK_DF
    if blocks and enough and bool((frame["block_id"].value_counts() > 1).all()):
        controls |= blocks
        words.append("block effects")
    return controls, ", ".join(words)


def _indicators(frame: pd.DataFrame, column: str) -> dict[str, Vector]:
    if bool(frame[column].isna().any()):
        return {}
    levels = sorted(frame[column].unique())
    return {f"{column}={level}": (frame[column] == level).to_numpy(dtype=float) for level in levels[1:]}


def _blank(frame: pd.DataFrame, scope: str, factor: Column, outcome: Column) -> Effect:
    scales: Mapping[tuple[bool, bool], Literal["elasticity", "rate", "per-log", "slope"]] = {
        (True, True): "elasticity",
        (True, False): "rate",
        (False, True): "per-log",
        (False, False): "slope",
    }
    return Effect(
        outcome=outcome.name,
        outcome_label=outcome.label,
        outcome_part=outcome.part,
        scope=scope,
        factor=factor.name,
        factor_label=factor.label,
        scale=scales[outcome.log, factor.log],
        n=len(frame),
        levels=int(frame[factor.name].nunique()),
        method="",
    )


def _filled(effect: Effect, fit: Fit) -> Effect:
    if effect.factor in fit.aliased:
        return replace(effect, reason="it moved only together with other factors, models or blocks")
    found = fit.coefficients[effect.factor]
    if not all(map(math.isfinite, (found.estimate, found.lo, found.hi, found.p))):
        return replace(effect, reason="a single row decides it; no interval can be given")
    plain = sorted(_plain(effect.scale, bound) for bound in (found.lo, found.hi))
    return replace(
        effect,
        df=fit.df,
        r2=fit.r2,
        estimate=found.estimate,
        lo=found.lo,
        hi=found.hi,
        p=found.p,
        top2=found.top2,
        plain=_plain(effect.scale, found.estimate),
        plain_lo=plain[0],
        plain_hi=plain[1],
        exploratory=fit.n < EXPLORATORY_N,
    )


def _plain(scale: str, slope: float) -> float:
    """Per cent for log outcomes, units for plain ones; for a doubling or for a step of one."""
    step = slope * math.log(2) if scale in ("elasticity", "per-log") else slope
    return float(np.expm1(min(step, 700.0)) * 100) if scale in ("elasticity", "rate") else step
