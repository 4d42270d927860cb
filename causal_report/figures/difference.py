"""Estimate against meter, and their difference: one column a part of the machine, one mark a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures.scale import Scale, padded, ticks
from causal_report.figures.scatter import SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal_report.findings.metering import Agreement, Pair

WIDTH, TOP, GAP, LEFT, RIGHT = 720, 24, 58, 62, 10
UPPER, LOWER, BETWEEN, AXIS = 190, 150, 34, 40
MOST_COLUMNS, MOST_PAIRS = 3, 400
WORTH = ("mains", "cpu", "gpu", "total", "ram")
"""Which parts are drawn first where there is no room for all."""
FAR = 4.0
LEAST_RATIO = 1.02
"""The lower axis shows at least this much disagreement either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One run in both plots; ``shared`` has the same sensor on both sides and counts for nothing."""

    x: float
    y: float
    lo: float
    hi: float
    below: float
    series: int
    shape: str
    shared: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Mean and limits of agreement of one estimator, as heights in the lower plot."""

    series: int
    mean: float
    low: float
    high: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The two plots of one part."""

    label: str
    left: float
    right: float
    dots: tuple[Dot, ...]
    limits: tuple[Limit, ...]
    diagonal: tuple[float, float, float, float]
    level: float
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    low_ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Everything the template places."""

    width: int
    height: int
    top: int
    bottom: int
    low_top: int
    low_bottom: int
    columns: tuple[Column, ...]
    series: tuple[tuple[str, str], ...]
    shown: int
    of: int


def differences(
    found: Sequence[Agreement], parts: Mapping[str, str], names: Mapping[str, str]
) -> Differences | None:
    """The parts that say most, :data:`MOST_COLUMNS` of them; None where there are no pairs."""
    drawn = [a for a in found if any(p.estimate_j > 0 for p in a.pairs)]
    order = list(dict.fromkeys(a.part for a in drawn))
    chosen = sorted(order, key=lambda part: WORTH.index(part) if part in WORTH else len(WORTH))
    chosen = chosen[:MOST_COLUMNS]
    chosen = [part for part in order if part in chosen]
    if not chosen:
        return None
    estimators = sorted({a.estimator for a in drawn})
    room = (WIDTH - GAP * (len(chosen) - 1) - LEFT - RIGHT) / len(chosen)
    columns = [
        _column(
            [a for a in drawn if a.part == part],
            estimators,
            parts.get(part, part),
            LEFT + i * (room + GAP),
            room,
        )
        for i, part in enumerate(chosen)
    ]
    kept = [a for a in drawn if a.part in chosen]
    low_top = TOP + UPPER + BETWEEN
    return Differences(
        width=WIDTH,
        height=low_top + LOWER + AXIS,
        top=TOP,
        bottom=TOP + UPPER,
        low_top=low_top,
        low_bottom=low_top + LOWER,
        columns=tuple(columns),
        series=tuple((names.get(e, e), SHAPES[i % len(SHAPES)]) for i, e in enumerate(estimators)),
        shown=sum(len(c.dots) for c in columns),
        of=sum(len(a.pairs) for a in kept),
    )


def _column(
    found: Sequence[Agreement], estimators: Sequence[str], label: str, left: float, room: float
) -> Column:
    pairs = {a.estimator: _thinned(a.pairs) for a in found}
    every = [p for chosen in pairs.values() for p in chosen]
    low, high = padded([v for p in every for v in (p.estimate_j, p.meter_j)], log=True)
    across = Scale(low=low, high=high, start=left, end=left + room, log=True)
    up = Scale(low=low, high=high, start=TOP + UPPER, end=TOP, log=True)
    base = TOP + UPPER + BETWEEN
    limits = [v for a in found for v in (a.loa_lo_pct, a.loa_hi_pct) if v is not None and v > -100]
    ratios = [p.estimate_j / p.meter_j for p in every] + [1 + v / 100 for v in limits]
    bounds = padded([*ratios, LEAST_RATIO, 1 / LEAST_RATIO], log=True)
    level = Scale(low=bounds[0], high=bounds[1], start=base + LOWER, end=base, log=True)
    wanted = max(2, int(room / 70))
    return Column(
        label=label,
        left=left,
        right=left + room,
        dots=tuple(
            _dot(p, estimators.index(name), name, across, up, level) for name in pairs for p in pairs[name]
        ),
        limits=tuple(
            _limit(a, estimators.index(a.estimator), level) for a in found if a.loa_lo_pct is not None
        ),
        diagonal=(across(low), up(low), across(high), up(high)),
        level=level(1.0),
        x_ticks=tuple((across(v), number.energy(v)) for v in across.ticks(wanted)),
        y_ticks=tuple((up(v), number.energy(v)) for v in up.ticks(5)),
        low_ticks=tuple((level(v), f"{v:g}") for v in _ratio_ticks(level)),
    )


def _ratio_ticks(scale: Scale) -> tuple[float, ...]:
    """Powers of ten say nothing where all ratios are close together."""
    return scale.ticks(5) if scale.high / scale.low > FAR else ticks(scale.low, scale.high, 5)


def _thinned(pairs: Sequence[Pair]) -> list[Pair]:
    """At most :data:`MOST_PAIRS`, evenly over the order of runs; an estimate of zero has no logarithm."""
    known = [p for p in pairs if p.estimate_j > 0]
    step = max(1, -(-len(known) // MOST_PAIRS))
    return known[::step]


def _dot(pair: Pair, series: int, name: str, across: Scale, up: Scale, level: Scale) -> Dot:
    lo, hi = (pair.meter_j if bound is None else bound for bound in (pair.lo_j, pair.hi_j))
    kind = ", same sensor" if pair.same_sensor else ""
    return Dot(
        x=across(pair.meter_j),
        y=up(pair.estimate_j),
        lo=across(max(lo, across.low)),
        hi=across(min(hi, across.high)),
        below=level(pair.estimate_j / pair.meter_j),
        series=series % len(SHAPES),
        shape=SHAPES[series % len(SHAPES)],
        shared=pair.same_sensor,
        words=f"{pair.experiment_id}: {name} {number.energy(pair.estimate_j)}, "
        f"meter {number.energy(pair.meter_j)} ({number.percent(100 * pair.error)}{kind})",
    )


def _limit(found: Agreement, series: int, level: Scale) -> Limit:
    low, high = (1 + (v or 0.0) / 100 for v in (found.loa_lo_pct, found.loa_hi_pct))
    return Limit(
        series=series % len(SHAPES),
        mean=level(min(max((low * high) ** 0.5, level.low), level.high)),
        low=level(max(low, level.low)),
        high=level(min(high, level.high)),
        words=f"{found.estimator}: single runs between {number.percent(found.loa_lo_pct)} "
        f"and {number.percent(found.loa_hi_pct)}",
    )
