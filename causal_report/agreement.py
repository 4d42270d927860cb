"""Estimators against direct meters, run by run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_report import bootstrap, pairing
from causal_report.findings import ChannelFacts
from causal_report.findings.metering import Agreement, Pair
from causal_report.pairing import DIRECT, REPLAY, Sides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from causal_report.pairing import Run
    from causal_report.sources.source import Source

    Array = NDArray[np.float64]

PARTS = ("cpu", "ram", "gpu", "total", "mains")


def compare(sources: Sequence[Source], usable: set[tuple[str, str]], seed: int) -> tuple[Agreement, ...]:
    """Every estimator against the meters, for each part of the machine, for the total and the mains.

    Args:
        sources: sessions with readings; a published table has none.
        usable: (session, experiment_id) of the runs that count.
        seed: of the bootstrap.
    """
    runs = pairing.runs(sources, usable)
    estimators = sorted({str(r["meter"]) for run in runs for r in run.readings if r["kind"] == "model"})
    found = [_one(runs, name, part, seed) for name in estimators for part in PARTS]
    found.append(_one(runs, DIRECT, "mains", seed))
    return tuple(item for item in found if item is not None)


def replayed(sources: Sequence[Source], usable: set[tuple[str, str]]) -> int:
    """How many usable runs have direct readings that were played from a recording."""
    found = {
        (source.name, str(reading["experiment_id"]))
        for source in sources
        for reading in source.readings
        if reading["kind"] == "direct"
        and reading["joules"] is not None
        and str(reading["source"]).startswith(REPLAY)
    }
    return len(found & usable)


def channels(sources: Sequence[Source]) -> tuple[ChannelFacts, ...]:
    """Every channel the sessions knew of, alive or not."""
    return tuple(
        ChannelFacts(
            session=source.name,
            meter=str(channel["meter"]),
            channel=str(channel["id"]),
            source=str(channel["source"]),
            kind=str(channel["kind"]),
            alive=bool(channel["alive"]),
            reason=str(channel.get("reason", "")),
            detail=str(channel.get("detail", "")),
            fix=str(channel.get("fix", "")),
        )
        for source in sources
        for channel in source.facts.get("channels", ())
    )


def _one(runs: Sequence[Run], estimator: str, part: str, seed: int) -> Agreement | None:
    every = [pairing.sides(run, estimator, part) for run in runs]
    mine = _union(pairing.covered(run.of(estimator)) for run in runs)
    theirs = _union(pairing.covered(side.meters) for side in every)
    blank = Agreement(
        estimator=estimator,
        part=part,
        estimator_covers=tuple(sorted(mine)),
        meter_covers=tuple(sorted(theirs)) if part in ("total", "mains") else (part,),
        n=0,
    )
    if part == "total" and not mine:
        return replace(blank, reason="the estimator gave no joules")
    if part == "total" and theirs and mine == theirs and len(theirs) == 1:
        return None  # says the same as its only part
    whole, short = _whole(every)
    known = [(side, pair) for side in whole if (pair := side.pair()) is not None]
    if not known:
        return replace(blank, reason="no direct meter measured these runs") if part == "total" else None
    found = _judged(replace(blank, **_origins([side for side, _ in known])), [p for _, p in known], seed)
    notes = [f"left out: {short} runs in which a part was not covered"] if short else []
    return replace(found, reason="; ".join(filter(None, (*notes, found.reason))))


def _union(sets: Iterable[set[str]]) -> set[str]:
    return set().union(*sets)


def _whole(every: Sequence[Sides]) -> tuple[list[Sides], int]:
    """Runs in which both sides cover all they cover anywhere; how many with both sides do not.

    A total without its GPU set against one with it would pass for an error of the estimator.
    """
    both = [side for side in every if side.estimates and side.meters]
    fullest = [_union(set(side.covers[i]) for side in both) for i in (0, 1)]
    whole = [side for side in both if list(map(set, side.covers)) == fullest]
    return whole, len(both) - len(whole)


def _origins(known: Sequence[Sides]) -> dict[str, Any]:
    def names(readings: Iterable[Any], key: str) -> tuple[str, ...]:
        return tuple(sorted({str(r.get(key) or "") for r in readings} - {""}))

    return {
        "estimator_sources": names((r for s in known for r in s.estimates), "source"),
        "meter_sources": names((r for s in known for r in s.meters), "source"),
        "meter_methods": names((r for s in known for r in s.meters), "method"),
    }


def _judged(blank: Agreement, pairs: Sequence[Pair], seed: int) -> Agreement:
    """Statistics over the pairs with a sensor of their own; the others show window edges only."""
    own = [pair for pair in pairs if not pair.same_sensor]
    shared = [pair.error for pair in pairs if pair.same_sensor]
    # Of a total only one part may be shared: its error is then not that of the edges.
    edges = shared and blank.part not in ("total", "mains")
    blank = replace(
        blank,
        pairs=tuple(pairs),
        left_out=len(shared),
        edges_pct=100 * sum(shared) / len(shared) if edges else None,
    )
    if not own:
        return replace(blank, n=len(pairs), same_sensor=True, reason="it reads the same sensor as the meter")
    found = _statistics(replace(blank, n=len(own)), own, seed)
    if not shared:
        return found
    left_out = f"left out: {len(shared)} runs where it reads the meter's own sensor"
    return replace(found, reason="; ".join(filter(None, (left_out, found.reason))))


def _statistics(blank: Agreement, pairs: Sequence[Pair], seed: int) -> Agreement:
    values = np.array([(p.estimate_j, p.meter_j) for p in pairs])
    ratios = values[:, 0] / values[:, 1]
    found = replace(
        blank,
        ratios=tuple(map(float, ratios)),
        ratio=float(ratios.mean()),
        method=bootstrap.describe(len(pairs)) if len(pairs) >= bootstrap.LEAST else "",
        **_interval("bias", values, _bias, seed),
        **_interval("sums", values, _sums, seed),
        **_interval("mape", values, _mape, seed),
        **_bounded(pairs),
    )
    if len(pairs) < bootstrap.LEAST:
        return replace(found, reason="fewer than three runs: no interval")
    found = replace(found, **_differences(values))
    if ratios.min() <= 0:
        return replace(found, reason="an estimate is zero or below: no limits of agreement")
    logs = np.log(ratios)
    half = 1.96 * logs.std(ddof=1)
    return replace(
        found,
        loa_lo_pct=float(np.expm1(logs.mean() - half) * 100),
        loa_hi_pct=float(np.expm1(logs.mean() + half) * 100),
    )


def _bias(values: Array) -> Array:
    return np.asarray((values[..., 0] / values[..., 1] - 1).mean(axis=-1))


def _mape(values: Array) -> Array:
    return np.asarray(np.abs(values[..., 0] / values[..., 1] - 1).mean(axis=-1))


def _sums(values: Array) -> Array:
    return np.asarray(values[..., 0].sum(axis=-1) / values[..., 1].sum(axis=-1) - 1)


def _interval(name: str, values: Array, statistic: Callable[[Array], Array], seed: int) -> dict[str, Any]:
    bounds = bootstrap.interval(values, statistic, seed=seed)
    found: dict[str, Any] = {f"{name}_pct": 100 * float(statistic(values[None])[0])}
    if bounds is not None:
        found |= {f"{name}_lo_pct": 100 * bounds[0], f"{name}_hi_pct": 100 * bounds[1]}
    return found


def _differences(values: Array) -> dict[str, Any]:
    """Mean difference in joules and where 95 % of single differences are expected."""
    difference = values[:, 0] - values[:, 1]
    mean, half = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    return {"diff_j": mean, "diff_lo_j": mean - half, "diff_hi_j": mean + half}


def _bounded(pairs: Sequence[Pair]) -> dict[str, Any]:
    """What the meters' own bounds leave open: of the bias, of the absolute error, of each sign."""
    ends = [errors for pair in pairs if (errors := pair.errors) is not None]
    if not ends:
        return {}
    least = [0.0 if lo <= 0 <= hi else min(abs(lo), abs(hi)) for lo, hi in ends]
    return {
        "bounded": len(ends),
        "sure": sum(not lo <= 0 <= hi for lo, hi in ends),
        "bounds_lo_pct": 100 * sum(lo for lo, _ in ends) / len(ends),
        "bounds_hi_pct": 100 * sum(hi for _, hi in ends) / len(ends),
        "mape_least_pct": 100 * sum(least) / len(ends),
        "mape_most_pct": 100 * sum(max(abs(lo), abs(hi)) for lo, hi in ends) / len(ends),
    }
