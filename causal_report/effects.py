"""Total effects of what the design set on energy, duration and performance."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from causal_report import regression
from causal_report.findings import Effect
from causal_report.table import strata, values, vector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from causal_report.regression import Fit, Vector
    from causal_report.table import Column

POOLED = "all models"
_COLUMN = {"model": "model_id", "session": "session"}
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
    the model, the session and the block.

    A factor that varies in one model only has no pooled effect: its model's own fit has the degrees
    of freedom that really stand behind it.

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


def widest(effects: Iterable[Effect]) -> list[Effect]:
    """Pooled effects, and the models' own where a factor has no pooled one on that outcome."""
    known = list(effects)
    pooled = {(e.factor, e.outcome) for e in known if e.scope == POOLED}
    return [e for e in known if e.scope == POOLED or (e.factor, e.outcome) not in pooled]


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
    complete = _accompanied(filled.dropna(subset=[f.name for f in whole]))
    blank = [
        _blank(complete[~absent[f.name].loc[complete.index]], scope, f, outcome)
        for f in whole
        if scope != POOLED or _models_with(complete, f) != 1
    ]
    controls, method = _controls(complete, len(whole))
    df = len(complete) - 1 - len(whole) - len(controls)
    if df < LEAST_DF:
        reason = f"{len(complete)} rows are too few for {len(whole)} factors"
        return [*(replace(effect, method=method, reason=reason) for effect in blank), *scattered]
    fit = regression.ols(
        vector(complete, outcome), {factor.name: vector(complete, factor) for factor in whole}, controls
    )
    return [*(_filled(replace(effect, method=method), fit) for effect in blank), *scattered]


def _accompanied(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that are not their model's only one in their session: alone, a row has nothing to differ from."""
    groups = strata(frame)
    return frame[groups.groupby(groups).transform("size") > 1]


def _models_with(frame: pd.DataFrame, factor: Column) -> int:
    """In how many models *factor* varies, not counting what only differs between sessions."""
    levels = frame.groupby(["model_id", "session"])[factor.name].nunique()
    return int((levels > 1).groupby(level="model_id").any().sum())


def _controls(frame: pd.DataFrame, factors: int) -> tuple[dict[str, Vector], str]:
    """Model, session and block indicators, and how the fit is described.

    Sessions differ in machine, meters and day, and each model may feel that differently: the level is
    that of the model in the session, always. Blocks are adjusted for where the rows suffice.
    """
    controls, words = _indicators(strata(frame), "stratum"), ["OLS"]
    sets = [word for word in ("model", "session") if frame[_COLUMN[word]].nunique() > 1]
    if sets:
        words.append(" × ".join(sets))
    blocks: dict[str, Vector] = {}
    for _, rows in frame.groupby("session"):
        if bool(rows["block_id"].notna().all()):
            blocks |= _indicators(frame["block_id"], "block", sorted(rows["block_id"].unique()))
    enough = len(frame) - 1 - factors - len(controls) - len(blocks) >= BLOCK_DF
    if blocks and enough and bool((frame["block_id"].value_counts() > 1).all()):
        controls |= blocks
        words.append("block")
    return controls, " + ".join(words)


def _indicators(column: pd.Series[str], name: str, levels: Sequence[str] | None = None) -> dict[str, Vector]:
    """One column for each of *levels* but the first; all there are by default."""
    chosen = sorted(column.unique()) if levels is None else levels
    return {f"{name}={level}": np.asarray(column == level, dtype=np.float64) for level in chosen[1:]}


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
        return replace(effect, reason="it moved only together with other factors, models, sessions or blocks")
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
