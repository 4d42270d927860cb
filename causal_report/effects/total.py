"""Total effects of what the design set on energy, duration and performance."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from causal_report import regression
from causal_report.effects import sheet as sheets
from causal_report.effects.setup import setups
from causal_report.effects.sheet import POOLED
from causal_report.findings.effects import Effect, Slope
from causal_report.table import vector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.effects.setup import Setup
    from causal_report.effects.sheet import Sheet
    from causal_report.regression import Fit
    from causal_report.table import Column

    Vector = NDArray[np.float64]

EXPLORATORY_N = 20
Scale = Literal["elasticity", "rate", "per-log", "slope"]
SCALES: Mapping[tuple[bool, bool], Scale] = {
    (True, True): "elasticity",
    (True, False): "rate",
    (False, True): "per-log",
    (False, False): "slope",
}


def estimate(
    frame: pd.DataFrame, factors: Sequence[Column], outcomes: Sequence[Column]
) -> tuple[Effect, ...]:
    """Effects of every factor on every outcome: in each model, each repository, and over all models.

    Nothing that came after the treatment is ever adjusted for (no duration, power, temperature):
    with randomised order, these slopes are total effects. The adjustment set is the other factors,
    the model, the session and the block.

    Args:
        frame: usable rows only.
        factors: design columns; seeds and constants are left out.
        outcomes: response columns; each uses the rows that have it.
    """
    sheet = sheets.of(frame, factors)
    doses = [factor for factor in factors if factor.name in sheet.doses]
    found: dict[int, list[Effect]] = {at: [] for at in range(len(outcomes))}
    for together in alike(frame, outcomes):
        known = ~np.isnan(next(iter(together.values()))[1])
        for scope, rows in sheet.scopes(known):
            for setup in setups(sheet, scope, rows, doses):
                _answer(found, sheet, setup, together)
    effects = [effect for at in sorted(found) for effect in found[at]]
    q = regression.benjamini_hochberg([effect.p for effect in effects])
    return tuple(replace(effect, q=value) for effect, value in zip(effects, q, strict=True))


def alike(frame: pd.DataFrame, outcomes: Sequence[Column]) -> Iterator[dict[int, tuple[Column, Vector]]]:
    """Outcomes by their place, those known on the same rows together: they share every design."""
    groups: dict[bytes, dict[int, tuple[Column, Vector]]] = {}
    for at, outcome in enumerate(outcomes):
        y = vector(frame, outcome)
        groups.setdefault(np.packbits(np.isnan(y)).tobytes(), {})[at] = (outcome, y)
    yield from groups.values()


def widest(effects: Iterable[Effect]) -> list[Effect]:
    """Pooled effects, and the models' own where a factor has no pooled one on that outcome."""
    known = list(effects)
    pooled = {(e.factor, e.outcome) for e in known if e.scope == POOLED}
    return [e for e in known if e.scope == POOLED or (e.factor, e.outcome) not in pooled]


def _answer(
    found: dict[int, list[Effect]],
    sheet: Sheet,
    setup: Setup,
    together: Mapping[int, tuple[Column, Vector]],
) -> None:
    blanks = [_blank(sheet, setup, factor) for factor in setup.factors]
    design = None if setup.reason else setup.design()
    for at, (outcome, y) in together.items():
        fit = design.fit(y[setup.rows]) if design else None
        for factor, blank in zip(setup.factors, blanks, strict=True):
            effect = replace(
                blank,
                outcome=outcome.name,
                outcome_label=outcome.label,
                outcome_part=outcome.part,
                scale=SCALES[outcome.log, factor.log],
            )
            found[at].append(_filled(effect, fit) if fit else replace(effect, reason=setup.reason))


def _blank(sheet: Sheet, setup: Setup, factor: Column) -> Effect:
    doses = sheet.doses[factor.name][setup.rows][setup.present[factor.name]]
    return Effect(
        outcome="",
        outcome_label="",
        outcome_part="",
        scope=setup.scope,
        factor=factor.name,
        factor_label=factor.label,
        scale="slope",
        n=len(doses),
        levels=len(np.unique(doses)),
        step=step(doses, log=factor.log),
        method=setup.method,
    )


def _filled(effect: Effect, fit: Fit) -> Effect:
    if effect.factor in fit.aliased:
        return replace(effect, reason="it moved only together with other factors, models, sessions or blocks")
    found = fit.coefficients[effect.factor]
    if not all(map(math.isfinite, (found.estimate, found.lo, found.hi, found.p))):
        return replace(effect, reason="a single row decides it; no interval can be given")
    plain = sorted(in_plain(effect.scale, effect.step, bound) for bound in (found.lo, found.hi))
    return replace(
        effect,
        df=fit.df,
        r2=fit.r2,
        estimate=found.estimate,
        lo=found.lo,
        hi=found.hi,
        p=found.p,
        top2=found.top2,
        plain=in_plain(effect.scale, effect.step, found.estimate),
        plain_lo=plain[0],
        plain_hi=plain[1],
        exploratory=effect.n < EXPLORATORY_N,
    )


def slope_of(fit: Fit, name: str) -> Slope | None:
    """The slope of *name* with its interval; None where it cannot be told or has no interval."""
    found = fit.coefficients.get(name)
    if found is None or not all(map(math.isfinite, (found.estimate, found.lo, found.hi, found.p))):
        return None
    return Slope(estimate=found.estimate, lo=found.lo, hi=found.hi, p=found.p)


def step(doses: Vector, *, log: bool) -> float:
    """The change that plain terms speak of: a doubling, one, or the power of ten that fits the range."""
    if log:
        return 2.0
    span = float(doses.max() - doses.min()) if len(doses) else 1.0
    return float(10.0 ** math.floor(math.log10(span))) if 0 < span < 1 else 1.0


def in_plain(scale: Scale, step: float, slope: float) -> float:
    """Per cent for log outcomes, units for plain ones, for a factor's step."""
    doubling = scale in ("elasticity", "per-log")
    change = slope * (math.log(step) if doubling else step)
    return float(np.expm1(min(change, 700.0)) * 100) if scale in ("elasticity", "rate") else change
