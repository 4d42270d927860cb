"""Step 1: does the mode itself move energy, power, duration, performance, utilisation, temperature?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import regression
from causal_report.findings.modes import ModeEffect
from causal_report.modes import rows, rules
from causal_report.table import strata, vector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    import pandas as pd

    from causal_report.findings import Response
    from causal_report.regression import Vector
    from causal_report.table import Column, Table

    Answer = tuple["Ratio | None", str]
    """A ratio and its method in words, or None and why there is none."""

EVERYWHERE = "all groups"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The change of one model from alone to background, with standard error and degrees of freedom."""

    estimate: float
    se: float
    df: float

    @property
    def interval(self) -> tuple[float, float, float]:
        """Bounds of the 95 % interval, and p."""
        from scipy import stats

        half = float(stats.t.ppf(1 - rules.ALPHA / 2, self.df)) * self.se
        p = 2 * float(stats.t.sf(abs(self.estimate) / self.se, self.df)) if self.se > 0 else float("nan")
        return self.estimate - half, self.estimate + half, p


def effects(table: Table, response: Response) -> tuple[ModeEffect, ...]:
    """Every metric in every scope: each model, each group, all groups; BH over the table."""
    frame = rows.single(table)
    others = rows.factors(table)
    found: list[ModeEffect] = []
    groups = sorted(frame["repository"].astype(str).unique())
    models = sorted(frame["model_id"].astype(str).unique())
    for column in rows.metrics(table, response):
        have = rows.known(frame, column, response)
        if not len(have):
            continue
        parts = {model: have[have["model_id"] == model] for model in models}
        ratios = {model: ratio(part, column, others) for model, part in parts.items() if len(part)}
        if len(groups) > 1:
            found += _scope(EVERYWHERE, have, column, ratios)[:1]
        for group in groups:
            mine = have[have["repository"] == group]
            if len(mine):
                found += _scope(group, mine, column, ratios)
    q = regression.benjamini_hochberg([effect.p for effect in found])
    return tuple(_judged(effect, value) for effect, value in zip(found, q, strict=True))


def _scope(group: str, frame: pd.DataFrame, column: Column, ratios: Mapping[str, Answer]) -> list[ModeEffect]:
    """The scope's own row, then its models' where there are several."""
    models = sorted(frame["model_id"].astype(str).unique())
    whole = _row(group, "", frame, column)
    if len(models) == 1:
        return [_answered(whole, ratios[models[0]])]
    known = [found for found, _ in (ratios[model] for model in models) if found is not None]
    combined = combine(known)
    words = "mean of the models' own, each counted once" if combined else ratios[models[0]][1]
    whole = replace(_answered(whole, (combined, words)), models=len(known), apart_p=apart(known))
    parts = {model: frame[frame["model_id"] == model] for model in models}
    return [whole, *(_answered(_row(group, m, part, column), ratios[m]) for m, part in parts.items())]


def ratio(frame: pd.DataFrame, column: Column, others: Sequence[Column]) -> Answer:
    """Background against alone within one model, and the method in words; or None, and why.

    OLS of the (log) metric on the mode, the session, and the other factors as far as known; HC3.
    Nothing that came after the mode is adjusted for.
    """
    alone, loaded = rows.counts(frame)
    if min(alone, loaded) < rules.LEAST:
        return None, f"{alone} runs alone and {loaded} with a load: at least {rules.LEAST} of each"
    y = vector(frame, column)
    if float(np.ptp(y)) == 0.0:
        return None, "the same in every run"
    mode = rows.is_background(frame)
    groups = strata(frame)
    mixed = frame.groupby(groups)["mode"].transform("nunique") > 1
    controls = rows.indicators(groups, "stratum") if bool(mixed.any()) else {}
    words = ["OLS"] if mixed.any() else ["OLS; each mode in sessions of its own, which are not told apart"]
    more, taken = rows.adjustment(frame, others, 1 + len(controls))
    fit = regression.ols(y, {"mode": mode}, {**controls, **more})
    if "mode" not in fit.coefficients:
        return None, "the mode moved only together with other factors or sessions"
    found = fit.coefficients["mode"]
    if not all(map(math.isfinite, (found.estimate, found.lo, found.hi))):
        return None, "a single run decides it; no interval can be given"
    from scipy import stats

    se = (found.hi - found.estimate) / float(stats.t.ppf(1 - rules.ALPHA / 2, fit.df))
    if se <= 0:
        return None, "no spread between runs; no interval can be given"
    words += ["adjusted for " + ", ".join(taken)] if taken else []
    return Ratio(estimate=found.estimate, se=se, df=float(fit.df)), ", ".join([*words, "HC3"])


def combine(found: Sequence[Ratio]) -> Ratio | None:
    """Plain mean over models: these models are the question, none is a draw from many.

    Degrees of freedom by Welch and Satterthwaite (Satterthwaite 1946).
    """
    if not found:
        return None
    k = len(found)
    variances = [r.se**2 / k**2 for r in found]
    df = sum(variances) ** 2 / sum(v**2 / r.df for v, r in zip(variances, found, strict=True))
    return Ratio(
        estimate=sum(r.estimate for r in found) / k,
        se=math.sqrt(sum(variances)),
        df=df,
    )


def apart(found: Sequence[Ratio]) -> float | None:
    """Welch's test that all models have one change; None for a single model."""
    if len(found) < 2:
        return None
    return regression.alike([r.estimate for r in found], [r.se for r in found], [r.df for r in found])


def _row(group: str, model: str, frame: pd.DataFrame, column: Column) -> ModeEffect:
    raw = np.asarray(frame[column.name], dtype=np.float64)
    mode = rows.is_background(frame)
    alone, loaded = raw[mode == 0], raw[mode == 1]
    blank = ModeEffect(
        group=group,
        model=model,
        metric=column.name,
        label=column.label,
        unit=column.unit,
        part=column.part,
        metered=metered(column),
        n_alone=len(alone),
        n_background=len(loaded),
        mean_alone=float(alone.mean()) if len(alone) else None,
        mean_background=float(loaded.mean()) if len(loaded) else None,
        scale="log-ratio" if column.log else "difference",
        exploratory=min(len(alone), len(loaded)) < rules.EXPLORATORY,
    )
    return _raw(blank, alone, loaded)


def metered(column: Column) -> Literal["program", "whole machine"]:
    """What a background run's value holds: meters and gauges of a device see the load as well."""
    device = column.name.startswith(("energy_", "total_energy_", "estimate_"))
    return "whole machine" if device else "program"


def _raw(effect: ModeEffect, alone: Vector, loaded: Vector) -> ModeEffect:
    """Student's and Welch's t, Cohen's d (1988) and Hedges' g (1981), on means of runs as recorded."""
    if min(len(alone), len(loaded)) < 2:
        return effect
    a, b = float(alone.var(ddof=1)), float(loaded.var(ddof=1))
    df = len(alone) + len(loaded) - 2
    spread = math.sqrt(((len(alone) - 1) * a + (len(loaded) - 1) * b) / df)
    if min(a, b) <= 0 or spread <= 1e-12 * max(abs(float(alone.mean())), abs(float(loaded.mean()))):
        return effect
    from scipy import stats

    student = stats.ttest_ind(loaded, alone)
    welch = stats.ttest_ind(loaded, alone, equal_var=False)
    d = (float(loaded.mean()) - float(alone.mean())) / spread
    return replace(
        effect,
        t=float(student.statistic),
        t_p=float(student.pvalue),
        welch_t=float(welch.statistic),
        welch_p=float(welch.pvalue),
        cohen_d=d,
        hedges_g=d * (1 - 3 / (4 * df - 1)),
    )


def _answered(effect: ModeEffect, answer: Answer) -> ModeEffect:
    found, words = answer
    if found is None:
        return replace(effect, reason=words)
    lo, hi, p = found.interval
    filled = replace(effect, estimate=found.estimate, lo=lo, hi=hi, p=p, method=words)
    if effect.scale == "difference":
        return filled
    pct, pct_lo, pct_hi = (100 * math.expm1(min(v, 700.0)) for v in (found.estimate, lo, hi))
    return replace(filled, pct=pct, pct_lo=pct_lo, pct_hi=pct_hi)


def bound_pct(effect: ModeEffect) -> float | None:
    """The change, up or down, that the interval leaves possible, in per cent of alone."""
    if effect.lo is None or effect.hi is None:
        return None
    if effect.pct_lo is not None and effect.pct_hi is not None:
        return max(abs(effect.pct_lo), abs(effect.pct_hi))
    size = abs(effect.mean_alone or 0.0)
    return 100 * max(abs(effect.lo), abs(effect.hi)) / size if size else None


def _judged(effect: ModeEffect, q: float | None) -> ModeEffect:
    if effect.estimate is None:
        return effect
    bound = bound_pct(effect)
    verdict: Literal["clear", "bounded", "open"] = "open"
    if q is not None and q < rules.ALPHA:
        verdict = "clear"
    elif bound is not None and bound <= 100 * rules.MARGIN:
        verdict = "bounded"
    hidden = verdict == "clear" and effect.welch_p is not None and effect.welch_p >= rules.ALPHA
    return replace(effect, q=q, verdict=verdict, hidden=hidden)
