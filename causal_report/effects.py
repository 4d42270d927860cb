"""Total effects of what the design set on energy, duration and performance."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from causal_report import regression
from causal_report.findings import Effect
from causal_report.table import values, vector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from causal_report.regression import Fit, Vector
    from causal_report.table import Column

POOLED = "all models"
LABELS_ONLY = {"design_seed": "a random seed is a label, not a dose"}
EXPLORATORY_N = 20
MISSING = 0.4
LEAST_DF = 4
BLOCK_DF = 8
"""Blocks are adjusted for when at least this many degrees of freedom remain."""


def estimate(
    frame: pd.DataFrame, factors: Sequence[Column], outcomes: Sequence[Column]
) -> tuple[Effect, ...]:
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
    """Effects within one model, or within all of them together.

    A model that does not have a hyperparameter says nothing about it: there it is set to a constant,
    which the model's own level absorbs, and its rows do not count towards the effect's n.
    """
    moving = varying(frame, factors)
    absent = {f.name: frame.groupby("model_id")[f.name].transform("count") == 0 for f in moving}
    gaps = {f.name: float(frame.loc[~absent[f.name], f.name].isna().mean()) for f in moving}
    whole = [f for f in moving if gaps[f.name] <= MISSING]
    scattered = [
        replace(
            _blank(frame, scope, f, outcome),
            reason=f"its value is not known in {gaps[f.name]:.0%} of the runs",
        )
        for f in moving
        if f not in whole
    ]
    if not whole:
        return scattered
    filled = frame.assign(**{f.name: frame[f.name].mask(absent[f.name], 1.0) for f in whole})
    complete = filled.dropna(subset=[f.name for f in whole])
    blank = [_blank(complete[~absent[f.name].loc[complete.index]], scope, f, outcome) for f in whole]
    controls, method = _controls(complete, len(whole))
    df = len(complete) - 1 - len(whole) - len(controls)
    if df < LEAST_DF:
        reason = f"{len(complete)} rows are too few for {len(whole)} factors"
        return [*(replace(effect, method=method, reason=reason) for effect in blank), *scattered]
    fit = regression.ols(
        vector(complete, outcome), {factor.name: vector(complete, factor) for factor in whole}, controls
    )
    return [*(_filled(replace(effect, method=method), fit) for effect in blank), *scattered]


def _controls(frame: pd.DataFrame, factors: int) -> tuple[dict[str, Vector], str]:
    """Model and block indicators, and how the fit is described."""
    controls, words = _indicators(frame, "model_id"), ["OLS"]
    if controls:
        words.append("model")
    blocks = _indicators(frame, "block_id")
    enough = len(frame) - 1 - factors - len(controls) - len(blocks) >= BLOCK_DF
    if blocks and enough and bool((frame["block_id"].value_counts() > 1).all()):
        controls |= blocks
        words.append("block")
    return controls, " + ".join(words)


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
        step=_step(frame, factor),
        method="",
    )


def _filled(effect: Effect, fit: Fit) -> Effect:
    if effect.factor in fit.aliased:
        return replace(effect, reason="it moved only together with other factors, models or blocks")
    found = fit.coefficients[effect.factor]
    if not all(map(math.isfinite, (found.estimate, found.lo, found.hi, found.p))):
        return replace(effect, reason="a single row decides it; no interval can be given")
    plain = sorted(_plain(effect, bound) for bound in (found.lo, found.hi))
    return replace(
        effect,
        df=fit.df,
        r2=fit.r2,
        estimate=found.estimate,
        lo=found.lo,
        hi=found.hi,
        p=found.p,
        top2=found.top2,
        plain=_plain(effect, found.estimate),
        plain_lo=plain[0],
        plain_hi=plain[1],
        exploratory=effect.n < EXPLORATORY_N,
    )


def _step(frame: pd.DataFrame, factor: Column) -> float:
    """The change that plain terms speak of: a doubling, one, or the power of ten that fits the range."""
    if factor.log:
        return 2.0
    span = float(frame[factor.name].max() - frame[factor.name].min()) if len(frame) else 1.0
    return float(10.0 ** math.floor(math.log10(span))) if 0 < span < 1 else 1.0


def _plain(effect: Effect, slope: float) -> float:
    """Per cent for log outcomes, units for plain ones, for the effect's step."""
    doubling = effect.scale in ("elasticity", "per-log")
    change = slope * (math.log(effect.step) if doubling else effect.step)
    return float(np.expm1(min(change, 700.0)) * 100) if effect.scale in ("elasticity", "rate") else change
