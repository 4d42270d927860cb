"""Pareto fronts: the settings that nothing else beats in energy and performance at once."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import number
from causal_report.effects import sheet as sheets
from causal_report.effects.setup import setups
from causal_report.findings.tradeoff import Front, Setting
from causal_report.table import vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from causal_report.effects.sheet import Sheet
    from causal_report.findings.tradeoff import Metric
    from causal_report.table import Column, Table

    Vector = NDArray[np.float64]
    Codes = NDArray[np.intp]
    Mask = NDArray[np.bool_]

DRAWS = 2000
LEAST_SETTINGS = 3
LEAST_DF = 4
"""Degrees of freedom between equal runs from which their spread is believed."""
MOST = 300
"""Settings that enter the draws and the page: those closest to the front."""
MODES = ("alone", "background")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Settings as numbers: log energy and the metric turned so that more is better."""

    energy: Vector
    quality: Vector
    n: Vector
    group: Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Covariance of log energy and metric between equal runs, its degrees of freedom and origin."""

    covariance: Vector
    df: int
    words: str


def fronts(
    table: Table, energy: Column, chosen: Sequence[tuple[str, Column, Metric]], *, seed: int
) -> tuple[Front, ...]:
    """The front of each model in each mode, on that model's metric.

    Args:
        table: usable rows.
        energy: the response.
        chosen: for each model its metric.
        seed: of the draws; each front has its own stream.
    """
    frame, factors = table.frame, table.of("design")
    sheet = sheets.of(frame, factors)
    doses = [f for f in factors if f.name in sheet.doses]
    joules = vector(frame, energy)
    modes = np.asarray(frame["mode"].astype(str))
    found = []
    for model, column, metric in chosen:
        quality = vector(frame, column) * (-1.0 if metric.better == "lower" else 1.0)
        known = ~np.isnan(joules) & ~np.isnan(quality) & (sheet.model == sheet.models.index(model))
        for mode in MODES:
            rows = np.flatnonzero(known & (modes == mode))
            if len(rows):
                found.append(_front(table, sheet, doses, model, mode, metric, rows, joules, quality, seed))
    return tuple(found)


def _front(
    table: Table,
    sheet: Sheet,
    factors: Sequence[Column],
    model: str,
    mode: str,
    metric: Metric,
    rows: Codes,
    joules: Vector,
    quality: Vector,
    seed: int,
) -> Front:
    moving = sheet.moving(rows, factors)
    cloud = _cloud(sheet, moving, rows, joules, quality)
    noise = _noise(sheet, model, rows, factors, cloud, joules, quality)
    reason = ""
    if len(cloud.n) < LEAST_SETTINGS:
        reason = f"{len(cloud.n)} distinct settings are too few for a front"
    elif noise is None:
        reason = "no two runs are equal and too few rows remain to tell noise from settings"
    blank = Front(
        scope=model,
        mode=mode,
        metric=metric.name,
        metric_label=metric.label,
        better=metric.better,
        n=len(rows),
        noise=noise.words if noise else "",
        settings=(),
        of=len(cloud.n),
        reason=reason,
    )
    if reason or noise is None:
        return blank
    rng = np.random.default_rng([seed, zlib.crc32(f"{model} {mode} {metric.name}".encode())])
    order = _nearest(cloud)[:MOST]
    shares = probability(cloud.energy[order], cloud.quality[order], cloud.n[order], noise, rng)
    best = undominated(cloud.energy[order][None], cloud.quality[order][None])[0]
    settings = [
        _setting(table, sheet, moving, rows[cloud.group == at], cloud, at, noise, metric, bool(on), float(p))
        for at, on, p in zip(order, best, shares, strict=True)
    ]
    settings.sort(key=lambda s: (not s.front, s.energy_j, s.words))
    return replace(blank, settings=tuple(settings))


def _cloud(sheet: Sheet, moving: Sequence[Column], rows: Codes, joules: Vector, quality: Vector) -> Cloud:
    """Rows with equal values, unknown ones equal to unknown ones, are one setting; seeds do not count."""
    values = np.column_stack([np.zeros(len(rows)), *(sheet.doses[f.name][rows] for f in moving)])
    _, group, n = np.unique(
        np.nan_to_num(values, nan=-math.pi), axis=0, return_inverse=True, return_counts=True
    )
    group = group.reshape(-1)
    return Cloud(
        energy=np.bincount(group, joules[rows]) / n,
        quality=np.bincount(group, quality[rows]) / n,
        n=n.astype(np.float64),
        group=group,
    )


def _noise(
    sheet: Sheet,
    model: str,
    rows: Codes,
    factors: Sequence[Column],
    cloud: Cloud,
    joules: Vector,
    quality: Vector,
) -> Noise | None:
    """From equal runs where there are enough, else what the total effects leave unexplained."""
    df = len(rows) - len(cloud.n)
    if df >= LEAST_DF:
        left = np.stack(
            [joules[rows] - cloud.energy[cloud.group], quality[rows] - cloud.quality[cloud.group]]
        )
        return Noise(covariance=left @ left.T / df, df=df, words=f"the spread of equal runs ({df} d.f.)")
    for setup in setups(sheet, model, rows, factors):
        if setup.reason:
            continue
        design = setup.design()
        fits = [design.fit(y[setup.rows]) for y in (joules, quality)]
        errors = np.stack([fit.left * (1 - design.leverage) for fit in fits])
        if design.df >= LEAST_DF and bool(np.isfinite(errors).all()):
            words = f"what the factors leave unexplained ({design.df} d.f.), for want of equal runs"
            return Noise(covariance=errors @ errors.T / design.df, df=design.df, words=words)
    return None


def undominated(energy: Vector, quality: Vector) -> Mask:
    """For each row of draws which settings nothing beats: no other costs less or as much and is better.

    Args:
        energy: shape (draws, settings).
        quality: likewise; more is better.
    """
    order = np.lexsort((-quality, energy), axis=1)
    sorted_quality = np.take_along_axis(quality, order, axis=1)
    before = np.maximum.accumulate(sorted_quality, axis=1)
    first = np.full((len(energy), 1), -np.inf)
    on = sorted_quality > np.concatenate([first, before[:, :-1]], axis=1)
    found = np.zeros_like(on)
    np.put_along_axis(found, order, on, axis=1)
    return np.asarray(found, dtype=np.bool_)


def probability(energy: Vector, quality: Vector, n: Vector, noise: Noise, rng: np.random.Generator) -> Vector:
    """Share of draws about the observed means in which each setting is not dominated.

    The means of n equal runs scatter with the covariance of single runs over n, Student's t with its
    degrees of freedom. A setting seen once is drawn with the whole of it, so a lucky run does not
    pass for a good setting.
    """
    values, vectors = np.linalg.eigh(noise.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    tails = np.sqrt(noise.df / rng.chisquare(noise.df, DRAWS))[:, None, None]
    shift = tails * rng.standard_normal((DRAWS, len(n), 2)) @ root.T / np.sqrt(n)[:, None]
    return np.asarray(
        undominated(energy + shift[..., 0], quality + shift[..., 1]).mean(axis=0), dtype=np.float64
    )


def _nearest(cloud: Cloud) -> Codes:
    """Settings by how far the best at no more energy is ahead of them."""
    order = np.lexsort((-cloud.quality, cloud.energy))
    ahead = np.maximum.accumulate(cloud.quality[order]) - cloud.quality[order]
    return np.asarray(order[np.argsort(ahead, kind="stable")], dtype=np.intp)


def _setting(
    table: Table,
    sheet: Sheet,
    moving: Sequence[Column],
    rows: Codes,
    cloud: Cloud,
    at: int,
    noise: Noise,
    metric: Metric,
    front: bool,
    share: float,
) -> Setting:
    from scipy.special import stdtrit

    half = float(stdtrit(noise.df, 0.975)) * np.sqrt(np.diag(noise.covariance) / cloud.n[at])
    energy, sign = float(cloud.energy[at]), -1.0 if metric.better == "lower" else 1.0
    value = sign * float(cloud.quality[at])
    words = [
        f"{f.label} {number.level(float(dose))}"
        for f in moving
        if not math.isnan(dose := sheet.doses[f.name][rows[0]])
    ]
    per = math.exp(energy) / value if metric.better == "higher" and value > 0 else None
    return Setting(
        words=", ".join(words) or "nothing recorded as changed",
        n=int(cloud.n[at]),
        experiment_id=str(table.frame["experiment_id"].iloc[rows[0]]),
        energy_j=math.exp(energy),
        energy_lo=math.exp(energy - half[0]),
        energy_hi=math.exp(energy + half[0]),
        metric=value,
        metric_lo=value - float(half[1]),
        metric_hi=value + float(half[1]),
        front=front,
        probability=share,
        energy_per_metric=per,
    )
