"""Step 3: does the mode change what a factor does?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import outcomes, regression
from causal_report.findings.modes import ModeInteraction, ModeSlope
from causal_report.modes import rows, rules
from causal_report.table import strata, values, vector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    import pandas as pd

    from causal_report.findings import Response
    from causal_report.regression import Coefficient, Vector
    from causal_report.table import Column, Table

    Judgement = Literal["clear", "bounded", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderated:
    """Slopes alone and with a load, their difference, and R² without and with it."""

    alone: Coefficient
    background: Coefficient
    difference: Coefficient
    r2_without: float
    r2: float


def interactions(table: Table, response: Response) -> tuple[ModeInteraction, ...]:
    """Every factor on every outcome, in each group and each model of it; BH over the table."""
    frame = rows.single(table)
    doses = rows.factors(table)
    wanted = [*rows.costs(table, response), *outcomes.performance(table)]
    found: list[ModeInteraction] = []
    for group in sorted(frame["repository"].astype(str).unique()):
        mine = frame[frame["repository"] == group]
        models = sorted(mine["model_id"].astype(str).unique())
        scopes = [("", mine), *((m, mine[mine["model_id"] == m]) for m in models if len(models) > 1)]
        for model, part in scopes:
            for outcome in wanted:
                have = rows.known(part, outcome, response)
                for factor in doses:
                    rest = [other for other in doses if other is not factor]
                    found += _one(group, model, have, factor, outcome, rest)
    return _judged(found)


def _one(
    group: str, model: str, frame: pd.DataFrame, factor: Column, outcome: Column, others: Sequence[Column]
) -> list[ModeInteraction]:
    """One question; nothing where the factor never varied, a reason where it cannot be answered."""
    have = frame[values(frame, factor).notna()]
    if have[factor.name].nunique() < 2:
        return []
    have = varying(have, factor)
    blank = _blank(group, model, have, factor, outcome)
    if min(blank.n_alone, blank.n_background) < rules.LEAST:
        few = f"it varied in {blank.n_alone} runs alone and {blank.n_background} with a load"
        return [replace(blank, reason=f"{few}: at least {rules.LEAST} of each")]
    y = vector(have, outcome)
    if float(np.ptp(y)) == 0.0:
        return [replace(blank, reason="the outcome is the same in every run")]
    controls, method = _controls(have, factor, others)
    found = moderate(y, rows.vector_within(values(have, factor), strata(have)), have, controls)
    if found is None:
        return [replace(blank, reason="the slopes of the two modes cannot be told apart")]
    return [_filled(replace(blank, method=method), found)]


def varying(frame: pd.DataFrame, factor: Column) -> pd.DataFrame:
    """Rows of the models (in their sessions) in which the factor varies in both modes."""
    names, codes = rows.coded(strata(frame))
    raw = np.asarray(frame[factor.name], dtype=np.float64)
    mode = rows.is_background(frame)
    moving = [
        i
        for i in range(len(names))
        if all(len(np.unique(raw[(codes == i) & (mode == m)])) > 1 for m in (0, 1))
    ]
    return frame[np.isin(codes, moving)]


def _controls(frame: pd.DataFrame, factor: Column, others: Sequence[Column]) -> tuple[dict[str, Vector], str]:
    """Each model its own level in each mode and its own slope, and the other factors.

    Slopes are coded as deviations that sum to nought over models, so that what is left for the modes
    is the mean over models: a model with a steep slope and many background runs cannot pass for an
    interaction.
    """
    found = rows.indicators(rows.cells(frame), "cell")
    words = ["OLS, own level for each model and mode"]
    groups = strata(frame)
    names = sorted(groups.unique())
    x = rows.vector_within(values(frame, factor), groups)
    first = np.asarray(groups == names[0], dtype=np.float64)
    for name in names[1:]:
        found[f"slope in {name}"] = (np.asarray(groups == name, dtype=np.float64) - first) * x
    if len(names) > 1:
        words.append("own slope for each model")
    more, taken = rows.adjustment(frame, others, len(found) + 2)
    if taken:
        words.append("adjusted for " + ", ".join(taken))
    return found | more, ", ".join([*words, "HC3"])


def moderate(y: Vector, x: Vector, frame: pd.DataFrame, controls: Mapping[str, Vector]) -> Moderated | None:
    """Regress *y* on *x* in each mode; None where that cannot be told apart.

    One model in two codings: slopes by mode, and slope with its change by mode (Aiken and West 1991).

    Args:
        y: shape (n,).
        x: the factor less its mean in the model, shape (n,).
        frame: the rows, for their modes.
        controls: levels and whatever else is adjusted for.
    """
    mode = rows.is_background(frame)
    if len(y) - len(controls) - 3 < rules.LEAST_DF:
        return None
    each = regression.ols(y, {"alone": x * (1 - mode), "background": x * mode}, controls)
    change = regression.ols(y, {"x": x, "change": x * mode}, controls)
    if each.aliased or change.aliased:
        return None
    slopes = (each.coefficients["alone"], each.coefficients["background"], change.coefficients["change"])
    if not all(map(math.isfinite, (v for s in slopes for v in (s.estimate, s.lo, s.hi, s.p)))):
        return None
    return Moderated(
        alone=slopes[0],
        background=slopes[1],
        difference=slopes[2],
        r2_without=_r2(y, [*controls.values(), x]),
        r2=change.r2,
    )


def _r2(y: Vector, columns: Sequence[Vector]) -> float:
    design = np.column_stack([np.ones(len(y)), *columns])
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return 1 - float(rest @ rest) / float(np.sum((y - y.mean()) ** 2))


def _blank(group: str, model: str, frame: pd.DataFrame, factor: Column, outcome: Column) -> ModeInteraction:
    scales: Mapping[tuple[bool, bool], Literal["elasticity", "rate", "per-log", "slope"]] = {
        (True, True): "elasticity",
        (True, False): "rate",
        (False, True): "per-log",
        (False, False): "slope",
    }
    alone, loaded = rows.counts(frame)
    span = float(np.ptp(frame[factor.name])) if len(frame) else 0.0
    step = 2.0 if factor.log else span or 1.0
    change = math.log1p(rules.MARGIN) if outcome.log else rules.MARGIN * _size(frame, outcome)
    return ModeInteraction(
        group=group,
        model=model,
        factor=factor.name,
        factor_label=factor.label,
        outcome=outcome.name,
        outcome_label=outcome.label,
        outcome_part=outcome.part,
        scale=scales[outcome.log, factor.log],
        n_alone=alone,
        n_background=loaded,
        step=step,
        margin=change / (math.log(step) if factor.log else step),
        exploratory=min(alone, loaded) < rules.EXPLORATORY,
    )


def _size(frame: pd.DataFrame, outcome: Column) -> float:
    return float(np.abs(vector(frame, outcome)).mean()) if len(frame) else 0.0


def _filled(blank: ModeInteraction, found: Moderated) -> ModeInteraction:
    slopes = (
        _slope("alone", blank.n_alone, found.alone),
        _slope("background", blank.n_background, found.background),
    )
    return replace(
        blank,
        estimate=found.difference.estimate,
        lo=found.difference.lo,
        hi=found.difference.hi,
        p=found.difference.p,
        r2=found.r2,
        r2_gain=max(0.0, found.r2 - found.r2_without),
        slopes=slopes,
    )


def _slope(mode: Literal["alone", "background"], n: int, found: Coefficient) -> ModeSlope:
    return ModeSlope(mode=mode, n=n, estimate=found.estimate, lo=found.lo, hi=found.hi, p=found.p)


def _judged(found: Sequence[ModeInteraction]) -> tuple[ModeInteraction, ...]:
    """BH over all interactions, and over all slopes."""
    q = regression.benjamini_hochberg([item.p for item in found])
    slopes = iter(regression.benjamini_hochberg([slope.p for item in found for slope in item.slopes]))
    judged = []
    for item, value in zip(found, q, strict=True):
        own = tuple(_slope_judged(slope, next(slopes), item.margin) for slope in item.slopes)
        verdict = _verdict(item, value, item.margin)
        switched = verdict == "clear" and {slope.verdict for slope in own} == {"clear", "bounded"}
        judged.append(replace(item, q=value, verdict=verdict, slopes=own, switched=switched))
    return tuple(judged)


def _slope_judged(slope: ModeSlope, q: float | None, margin: float) -> ModeSlope:
    return replace(slope, q=q, verdict=_verdict(slope, q, margin))


def _verdict(item: ModeInteraction | ModeSlope, q: float | None, margin: float) -> Judgement:
    if item.lo is None or item.hi is None:
        return "open"
    if q is not None and q < rules.ALPHA:
        return "clear"
    return "bounded" if max(abs(item.lo), abs(item.hi)) <= margin else "open"
