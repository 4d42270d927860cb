"""Factor by factor: does it move energy, performance, both, or, within margins, neither?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import regression
from causal_report.effects import sheet as sheets
from causal_report.effects.setup import setups
from causal_report.effects.sheet import POOLED
from causal_report.effects.total import SCALES, in_plain, slope_of, step
from causal_report.findings.tradeoff import Exchange, FactorVerdict, MarginTest
from causal_report.regression import significant
from causal_report.table import vector
from causal_report.tradeoff import metric as metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from causal_report.effects.setup import Setup
    from causal_report.effects.sheet import Sheet
    from causal_report.findings.tradeoff import Kind, Metric, State
    from causal_report.regression import Design, Fit
    from causal_report.table import Column, Table

    Vector = NDArray[np.float64]

MORE = math.log(1.1)
"""An exchange is told for ten per cent more energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both regressions of one setup: same rows, same right-hand side."""

    design: Design
    energy: Fit
    performance: Fit
    margin: float


def verdicts(
    table: Table, energy: Column, known: Sequence[tuple[Column, Metric]], *, energy_margin: float
) -> tuple[FactorVerdict, ...]:
    """Every factor against energy and every metric, in each model and repository.

    Models of different repositories do different tasks: their metrics are not pooled. Both slopes
    come from the rows that have both outcomes.

    Args:
        table: usable rows.
        energy: the response, analysed as its logarithm.
        known: metrics with a direction that are no rates.
        energy_margin: share of energy within which a change counts as nothing.
    """
    sheet = sheets.of(table.frame, table.of("design"))
    doses = [factor for factor in table.of("design") if factor.name in sheet.doses]
    single = len(sheet.repositories) == 1
    joules = vector(table.frame, energy)
    found: list[FactorVerdict] = []
    for column, metric in known:
        quality = vector(table.frame, column)
        for scope, rows in sheet.scopes(~np.isnan(joules) & ~np.isnan(quality)):
            if scope == POOLED and not single:
                continue
            for setup in setups(sheet, scope, rows, doses):
                found += _answers(
                    sheet, setup, metric, joules[setup.rows], quality[setup.rows], energy_margin
                )
    return _judged(found, {metric.name: metric.better for _, metric in known})


def _answers(
    sheet: Sheet, setup: Setup, metric: Metric, joules: Vector, quality: Vector, energy_margin: float
) -> Iterator[FactorVerdict]:
    pair = None
    if not setup.reason:
        design = setup.design()
        fits = design.fit(joules), design.fit(quality)
        spread = math.sqrt(fits[1].rss / fits[1].df) if fits[1].df > 0 else 0.0
        pair = Pair(
            design=design, energy=fits[0], performance=fits[1], margin=metrics.margin(quality, spread)
        )
    for factor in setup.factors:
        doses = sheet.doses[factor.name][setup.rows][setup.present[factor.name]]
        blank = FactorVerdict(
            scope=setup.scope,
            factor=factor.name,
            factor_label=factor.label,
            log=factor.log,
            step=step(doses, log=factor.log),
            metric=metric.name,
            metric_label=metric.label,
            n=len(doses),
            method=setup.method,
            verdict="open",
            reason=setup.reason,
        )
        yield _tested(blank, pair, metric, energy_margin) if pair else blank


def _tested(blank: FactorVerdict, pair: Pair, metric: Metric, energy_margin: float) -> FactorVerdict:
    slopes = [slope_of(fit, blank.factor) for fit in (pair.energy, pair.performance)]
    if slopes[0] is None or slopes[1] is None:
        return replace(blank, reason="it cannot be told from the others, or a single row decides it")
    dose = math.log(blank.step) if blank.log else blank.step
    bound = math.log1p(energy_margin)
    energy = _test(pair.energy, blank.factor, dose, bound)
    performance = _test(pair.performance, blank.factor, dose, pair.margin)
    scale = SCALES[True, blank.log]

    def per_cent(value: float) -> float:
        return in_plain(scale, blank.step, value / dose)

    shown = replace(
        energy,
        change=per_cent(energy.change),
        lo=per_cent(energy.lo),
        hi=per_cent(energy.hi),
        lo90=per_cent(energy.lo90),
        hi90=per_cent(energy.hi90),
        margin=100 * energy_margin,
    )
    return replace(
        blank, energy=shown, performance=performance, exchange=_exchange(pair, blank.factor, metric)
    )


def _test(fit: Fit, name: str, dose: float, margin: float) -> MarginTest:
    """Interval of the change for *dose*, and the two one-sided tests against ±*margin*."""
    from scipy.special import stdtr

    found = fit.coefficients[name]
    change, se = dose * found.estimate, dose * found.se
    lo, hi, p = regression.interval(change, se, fit.df)
    lo90, hi90, _ = regression.interval(change, se, fit.df, level=0.9)
    inside = (margin - abs(change)) / se if se > 0 else math.copysign(math.inf, margin - abs(change))
    return MarginTest(
        change=change,
        lo=lo,
        hi=hi,
        lo90=lo90,
        hi90=hi90,
        margin=margin,
        p_zero=p,
        p_bound=float(stdtr(fit.df, -inside)),
    )


def _exchange(pair: Pair, name: str, metric: Metric) -> Exchange:
    """Metric gained for ten per cent more energy along this factor, with Fieller's interval (1954)."""
    from scipy.special import stdtrit

    sign = -1.0 if metric.better == "lower" else 1.0
    top = sign * pair.performance.coefficients[name].estimate
    bottom = pair.energy.coefficients[name].estimate
    one, two = (pair.design.influence(name, fit) for fit in (pair.performance, pair.energy))
    bounds = fieller(
        top,
        bottom,
        float(one @ one),
        float(two @ two),
        sign * float(one @ two),
        float(stdtrit(pair.energy.df, 0.975)),
    )
    ratio = top / bottom if bottom else 0.0
    return Exchange(
        gain=MORE * ratio,
        lo=MORE * bounds[0] if bounds else None,
        hi=MORE * bounds[1] if bounds else None,
    )


def fieller(
    top: float, bottom: float, top_var: float, bottom_var: float, covariance: float, t: float
) -> tuple[float, float] | None:
    """Interval of ``top / bottom``; None where ``bottom`` is not clear of zero and it has no finite ends."""
    a = bottom**2 - t**2 * bottom_var
    if a <= 0:
        return None
    b = top * bottom - t**2 * covariance
    c = top**2 - t**2 * top_var
    root = math.sqrt(max(0.0, b**2 - a * c))
    return (b - root) / a, (b + root) / a


def _judged(found: Sequence[FactorVerdict], better: dict[str, str]) -> tuple[FactorVerdict, ...]:
    """States by q over both columns of the table, and the verdict they make together."""
    tests = [test for item in found for test in (item.energy, item.performance)]
    q = regression.benjamini_hochberg([test.p_zero if test else None for test in tests])
    done = [
        replace(test, q_zero=value, state=_state(test, value)) if test else None
        for test, value in zip(tests, q, strict=True)
    ]
    return tuple(
        replace(
            item,
            energy=done[2 * i],
            performance=done[2 * i + 1],
            verdict=_kind(done[2 * i], done[2 * i + 1], better[item.metric]),
        )
        for i, item in enumerate(found)
    )


def _state(test: MarginTest, q: float | None) -> State:
    """Within the margin first: an effect can be certain and still next to nothing."""
    if significant(test.p_bound):
        return "bounded"
    if significant(q):
        return "up" if test.change > 0 else "down"
    return "open"


def _kind(energy: MarginTest | None, performance: MarginTest | None, better: str) -> Kind:
    if energy is None or performance is None or "open" in (energy.state, performance.state):
        return "open"
    if energy.state == "bounded":
        return "neither" if performance.state == "bounded" else "performance only"
    if performance.state == "bounded":
        return "energy only"
    improves = (performance.state == "up") == (better == "higher")
    return "trade-off" if improves == (energy.state == "up") else "win-win"
