"""Which settings of a unit save energy and keep performance, by bounds that hold for all at once."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report.advice import bounds, carbon, settings
from causal_report.findings.advice import AdviceChange, AdviceGroup, AdviceMetric, AdviceSetting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.advice.bounds import Fit, Joint
    from causal_report.advice.carbon import Grid
    from causal_report.advice.settings import Basis, Reference
    from causal_report.advice.unit import Metric, Unit
    from causal_report.text import Text

    Vector = NDArray[np.float64]

LEAST_N, LEAST_DF = 12, 8
"""Below eight degrees of freedom the quantiles of HC3 intervals are not to be trusted (Long and Ervin 2000
find them adequate from n = 25; here the multivariate t widens them for what is fewer)."""
TINY = 1e-12
KNOWN = 0.8
"""A metric that fewer of the runs have is not judged: who lacks it may not be chance."""
MOST = 4
"""So many metrics are judged at most, those known in most runs; each further one widens every bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A unit with every setting looked at, in the order looked at.

    Attributes:
        sd_log_joules: residual standard deviation of log energy.
        sd_metrics: the same of each metric, as a share of its reference.
        p: that the best setting came about by chance; None where there is none.
    """

    group: AdviceGroup
    unit: Unit
    looked: tuple[AdviceSetting, ...] = ()
    sd_log_joules: float = 0.0
    sd_metrics: tuple[float, ...] = ()
    p: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aim:
    """A metric in one direction that counts as better."""

    metric: Metric
    fit: Fit
    sign: int

    @property
    def reference(self) -> float:
        """Size of the metric at the reference, to which the margin is relative."""
        return max(abs(float(self.fit.slopes[0])), TINY)

    def contrast(self, points: Vector, origin: Vector, margin: float) -> Vector:
        """Of the metric's slopes: above nought where a setting loses less than the margin."""
        size = 1.0 if self.fit.slopes[0] > 0 else -1.0
        return self.sign * (points - origin) + margin * size * origin


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    unit: Unit
    start: Reference
    basis: Basis
    tried: list[dict[str, float]]
    energy: Fit
    aims: tuple[_Aim, ...]
    joint: Joint
    margin: float
    grid: Grid
    n: int


def judge(unit: Unit, text: Text, *, margin: float, grid: Grid, seed: int) -> Judged:
    """Look at every setting of *unit*; the group says why where that cannot be."""
    keys = [factor.key for factor in unit.factors]
    frame = unit.frame.dropna(subset=keys) if keys else unit.frame
    usable = [f for f in unit.factors if frame[f.key].nunique() > 1]
    notes = [text("advice.note.unknown", factor=label) for label in unit.notes]
    blank = AdviceGroup(model=unit.model, mode=unit.mode, partner=unit.partner, n=len(frame))

    def refused(key: str, **values: object) -> Judged:
        reason = text(f"advice.reason.{key}", **values)
        return Judged(group=replace(blank, reason=reason, notes=tuple(notes)), unit=unit)

    if not len(unit.frame):
        return refused("no_energy")
    if not usable:
        return refused("unknown" if unit.notes else "no_factor")
    if len(frame) < LEAST_N:
        return refused("few", n=len(frame), least=LEAST_N)
    metrics = _known(unit.metrics, frame)
    left = [m.column.label for m in unit.metrics if m not in metrics]
    if left:
        notes.append(text("advice.note.unjudged", metrics=", ".join(left)))
    if not metrics:
        return refused("no_metric")
    work = _work(replace(unit, factors=tuple(usable)), frame, metrics, margin, grid, seed)
    if work is None:
        return refused("few_df", n=len(frame), factors=len(usable))
    if not work.tried:
        return refused("no_setting")
    return _looked(work, blank, notes, text)


def _known(metrics: Sequence[Metric], frame: pd.DataFrame) -> tuple[Metric, ...]:
    """Metrics that most runs have, those with most runs first."""
    counts = {m.key: int(frame[m.key].notna().sum()) for m in metrics}
    known = [m for m in metrics if counts[m.key] >= max(LEAST_N, KNOWN * len(frame))]
    return tuple(sorted(known, key=lambda m: -counts[m.key])[:MOST])


def _work(
    unit: Unit, frame: pd.DataFrame, metrics: tuple[Metric, ...], margin: float, grid: Grid, seed: int
) -> _Work | None:
    sessions = _sessions(frame)
    start = settings.reference(frame, unit.factors)
    basis = settings.basis(frame, unit.factors, start, sessions.shape[1])
    keys = [factor.key for factor in unit.factors]
    runs = basis.columns({key: frame[key].to_numpy(dtype=float) for key in keys})
    width = runs.shape[1]
    columns = np.hstack([runs, sessions])
    outcomes = [np.log(frame["joules"].to_numpy(dtype=float))]
    outcomes += [frame[m.key].to_numpy(dtype=float) for m in metrics]
    fits = tuple(bounds.fit(columns, outcome) for outcome in outcomes)
    if min(f.df for f in fits) < LEAST_DF:
        return None
    tried = settings.candidates(frame, unit.factors, start)
    origin = np.eye(1, columns.shape[1])
    points = (
        np.pad(
            basis.columns({key: np.array([one[key] for one in tried]) for key in keys}),
            ((0, 0), (0, sessions.shape[1])),
        )
        if tried
        else origin[:0]
    )
    held = np.ones(len(tried), dtype=bool)
    for outcome, fitted in zip(outcomes, fits, strict=True):
        seen = runs[np.isfinite(outcome)]
        both = np.vstack([points, origin])
        fine = settings.inside(seen, both[:, :width]) & ~fitted.decided(both)
        held &= fine[:-1] & fine[-1]
    tried = [setting for setting, keep in zip(tried, held, strict=True) if keep]
    points = points[held]
    aims = tuple(
        _Aim(metric=metric, fit=fitted, sign=sign)
        for metric, fitted in zip(metrics, fits[1:], strict=True)
        for sign in _signs(metric)
    )
    contrasts = [origin - points, *(aim.contrast(points, origin, margin) for aim in aims)]
    rng = np.random.default_rng([seed, zlib.crc32(unit.name.encode())])
    sides = [2, *([1] * len(aims))]
    return _Work(
        unit=unit,
        start=start,
        basis=basis,
        tried=tried,
        energy=fits[0],
        aims=aims,
        joint=bounds.joint([fits[0], *(aim.fit for aim in aims)], contrasts, sides, rng),
        margin=margin,
        grid=grid,
        n=len(frame),
    )


def _sessions(frame: pd.DataFrame) -> Vector:
    """Indicators of sessions but the first, centred: the reference is the sessions' mean."""
    names = sorted(frame["session"].unique())[1:]
    made = [np.asarray(frame["session"] == name, dtype=np.float64) for name in names]
    return np.column_stack([m - m.mean() for m in made]) if made else np.empty((len(frame), 0))


def _signs(metric: Metric) -> tuple[int, ...]:
    """Towards better; both ways where nobody knows which is."""
    return {"higher": (1,), "lower": (-1,), "within": (1, -1)}[metric.better]


def _looked(work: _Work, blank: AdviceGroup, notes: Sequence[str], text: Text) -> Judged:
    looked = tuple(_setting(work, index) for index in range(len(work.tried)))
    joules = float(np.exp(work.energy.slopes[0]))
    curved = sorted(f.column.label for f in work.basis.factors if f.key in work.basis.curved)
    words = text("advice.method", curved=", ".join(curved) or text("advice.nothing"), settings=len(looked))
    guessed = sorted({aim.metric.column.label for aim in work.aims if aim.metric.guessed})
    more = [text("advice.note.guessed", metrics=", ".join(guessed))] if guessed else []
    if work.basis.curved != {f.key for f in work.basis.factors}:
        more.append(text("advice.note.straight"))
    group = replace(
        blank,
        reference=work.start.kind,
        start=_changes(work, work.start.values),
        reference_j=joules,
        reference_kwh=carbon.kwh(joules),
        reference_kg=work.grid.kg(joules),
        settings=len(looked),
        method=words,
        notes=(*notes, *more),
    )
    return Judged(
        group=group,
        unit=work.unit,
        looked=looked,
        sd_log_joules=work.energy.sd,
        sd_metrics=tuple(aim.fit.sd / aim.reference for aim in work.aims),
        p=min(setting.p for setting in looked),
    )


def _setting(work: _Work, index: int) -> AdviceSetting:
    count, critical = len(work.tried), work.joint.critical
    at = [block * count + index for block in range(1 + len(work.aims))]
    estimate, error = work.joint.estimate[at], work.joint.error[at]
    t = [_t(float(value), float(spread)) for value, spread in zip(estimate, error, strict=True)]
    metrics = tuple(
        _metric(aim, float(value), float(spread), work.margin, critical)
        for aim, value, spread in zip(work.aims, estimate[1:], error[1:], strict=True)
    )
    ratio, lo, hi = (
        float(np.exp(np.clip(-estimate[0] + sign * critical * error[0], -700, 700))) for sign in (0, -1, 1)
    )
    joules = float(np.exp(work.energy.slopes[0]))
    return AdviceSetting(
        changes=_changes(work, work.tried[index], only_changed=True),
        ratio=ratio,
        lo=lo,
        hi=hi,
        saved_j=joules * (1 - ratio),
        saved_lo_j=joules * (1 - hi),
        saved_hi_j=joules * (1 - lo),
        saved_kwh=carbon.kwh(joules * (1 - ratio)),
        saved_kg=work.grid.kg(joules * (1 - ratio)),
        metrics=metrics,
        p=work.joint.chance(min(t)),
        safe=hi < 1 and min(t) > critical,
    )


def _t(value: float, spread: float) -> float:
    """A t value; without any spread as sure as can be."""
    if spread == 0:
        return np.inf if value > 0 else -np.inf
    return value / spread


def _metric(aim: _Aim, value: float, spread: float, margin: float, critical: float) -> AdviceMetric:
    change = value / aim.reference - margin
    bound = change - critical * spread / aim.reference
    return AdviceMetric(
        name=aim.metric.column.name,
        label=aim.metric.column.label,
        role=aim.metric.role,
        better=aim.metric.better,
        guessed=aim.metric.guessed,
        reference=float(aim.fit.slopes[0]),
        change=change,
        bound=bound,
        kept=bound > -margin,
    )


def _changes(
    work: _Work, setting: Mapping[str, float], *, only_changed: bool = False
) -> tuple[AdviceChange, ...]:
    return tuple(
        AdviceChange(
            role=factor.role,
            factor=factor.column.name,
            label=factor.column.label,
            reference=work.start.values[factor.key],
            value=setting[factor.key],
        )
        for factor in work.basis.factors
        if not only_changed or setting[factor.key] != work.start.values[factor.key]
    )
