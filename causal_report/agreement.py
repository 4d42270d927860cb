"""Estimators against direct meters, run by run."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_report.findings import Agreement, ChannelFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from causal_report.sources.source import Source

    Readings = Sequence[Mapping[str, Any]]

RESAMPLES = 2000
REPLAY = "replay:"
"""Prefix of the source of a reading that was not taken but played back."""
USED = ("measured",)
"""Only whole measurements are a yardstick; a partial sum would make any estimator look high."""


def compare(sources: Sequence[Source], usable: set[tuple[str, str]], seed: int) -> tuple[Agreement, ...]:
    """Every estimator against the meters, for each part of the machine and for the total.

    Args:
        sources: sessions with readings; a published table has none.
        usable: (session, experiment_id) of the runs that count.
        seed: of the bootstrap.
    """
    runs: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for source in sources:
        for reading in source.readings:
            key = (source.name, str(reading["experiment_id"]))
            if key in usable and reading["window"] == "process":
                runs[key].append(reading)
    estimators = sorted({str(r["meter"]) for run in runs.values() for r in run if r["kind"] == "model"})
    parts = ("cpu", "ram", "gpu", "mains", "total")
    found = [_one(list(runs.values()), name, part, seed) for name in estimators for part in parts]
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


def part_of(channel: str) -> str:
    """The part of the machine a channel belongs to: ``cpu``, ``ram``, ``gpu``, ``mains`` or its name."""
    if channel.startswith("cpu:dram"):
        return "ram"
    return channel.split(":")[0]


def _one(runs: Sequence[Readings], estimator: str, part: str, seed: int) -> Agreement | None:
    pairs = [(_pair(run, estimator, part), _same_sensor(run, estimator, part)) for run in runs]
    covers = sorted({p for run in runs for p in _covered(_of(run, estimator))})
    metered = sorted({p for run in runs for p in _covered(_direct(run)) if p != "mains"})
    known = [(ratio, same) for ratio, same in pairs if ratio is not None]
    if part != "total" and (part not in covers or not known):
        return None
    blank = Agreement(
        estimator=estimator,
        part=part,
        estimator_covers=tuple(covers),
        meter_covers=tuple(metered),
        n=len(known),
    )
    if not covers:
        return _with(blank, reason="the estimator gave no joules")
    if not known:
        return _with(blank, reason="no direct meter measured these runs") if part == "total" else None
    if part == "total" and len(metered) == 1 and metered == covers:
        return None  # says the same as its only part
    independent = [ratio for ratio, same in known if not same]
    if not independent:
        return _with(blank, same_sensor=True, reason="it reads the same sensor as the meter")
    found = _statistics(blank, np.array(independent), seed)
    if len(independent) == len(known):
        return found
    left_out = f"left out: {len(known) - len(independent)} runs where it reads the meter's own sensor"
    return _with(found, reason="; ".join(filter(None, (left_out, found.reason))))


def _with(blank: Agreement, *, reason: str, same_sensor: bool = False) -> Agreement:
    from dataclasses import replace

    return replace(blank, reason=reason, same_sensor=same_sensor)


def _pair(run: Readings, estimator: str, part: str) -> float | None:
    """Estimate over meter for one run, None where either is missing or not whole."""
    estimates, meters = _sides(run, estimator, part)
    if any(r["status"] == "partial" for r in meters):
        return None
    top = sum(r["joules"] for r in estimates)
    bottom = sum(r["joules"] for r in meters if r["status"] in USED)
    return top / bottom if estimates and bottom > 0 else None


def _sides(run: Readings, estimator: str, part: str) -> tuple[Readings, Readings]:
    """Readings of the estimator and of the meters that are compared; mains holds the parts already."""
    estimates, meters = _of(run, estimator), _direct(run)
    if part == "total":
        return estimates, [r for r in meters if part_of(r["channel"]) != "mains"]
    mine, theirs = ([r for r in side if part_of(r["channel"]) == part] for side in (estimates, meters))
    return mine, theirs


def _same_sensor(run: Readings, estimator: str, part: str) -> bool:
    """Whether any channel of the one side reads a sensor of the other: agreement is then no evidence."""
    mine, theirs = (
        {str(r["source"]).removeprefix(REPLAY).split("-")[0] for r in side}
        for side in _sides(run, estimator, part)
    )
    return bool(mine & theirs)


def _of(run: Readings, estimator: str) -> list[Mapping[str, Any]]:
    return [r for r in run if r["meter"] == estimator and r["kind"] == "model" and r["joules"] is not None]


def _direct(run: Readings) -> list[Mapping[str, Any]]:
    return [r for r in run if r["kind"] == "direct" and r["joules"] is not None]


def _covered(readings: Iterable[Mapping[str, Any]]) -> set[str]:
    return {part_of(str(r["channel"])) for r in readings}


def _statistics(blank: Agreement, ratios: np.ndarray[Any, np.dtype[np.float64]], seed: int) -> Agreement:
    from dataclasses import replace

    blank = replace(blank, n=len(ratios), ratios=tuple(float(r) for r in ratios), ratio=float(ratios.mean()))
    bias = float(ratios.mean() - 1) * 100
    if len(ratios) < 3:
        return replace(blank, bias_pct=bias, reason="fewer than three runs: no interval")
    rng = np.random.default_rng(seed)
    means = ratios[rng.integers(0, len(ratios), (RESAMPLES, len(ratios)))].mean(axis=1)
    lo, hi = (np.quantile(means, (0.025, 0.975)) - 1) * 100
    blank = replace(blank, bias_pct=bias, bias_lo_pct=float(lo), bias_hi_pct=float(hi))
    if ratios.min() <= 0:
        return replace(blank, reason="an estimate is zero or below: no limits of agreement")
    logs = np.log(ratios)
    half = 1.96 * logs.std(ddof=1)
    return replace(
        blank,
        loa_lo_pct=float(np.expm1(logs.mean() - half) * 100),
        loa_hi_pct=float(np.expm1(logs.mean() + half) * 100),
    )
