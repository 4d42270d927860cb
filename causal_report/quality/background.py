"""Background loads that nobody can see: runs said to have one that are like the model's runs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report.quality.comparable import cells, spread
from causal_report.quality.hit import hits
from causal_report.quality.load import SHOWN
from causal_report.quality.thresholds import limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from causal_report.quality.comparable import Level
    from causal_report.quality.hit import Hit
    from causal_report.quality.view import Mask, Vector, View

EDGE = 0.9
"""Share of a model's runs alone that are taken as its range."""
WIDE = 4.0
"""A signal whose range alone is so many thresholds wide cannot tell that there is no load."""
SPREADS = 1.28
"""Nine in ten runs are below the mean and so many spreads."""
LOUD, CLEARLY = 0.25, 2.0
"""A load is missed only where it shows in a quarter of the model's runs, at twice the threshold."""
FEW = 4
"""Runs beside a load that may all be silent by chance."""
NO_LOAD = {"cpu-power": "no-load-cpu", "gpu-power": "no-load-gpu", "gpu-use": "no-load-use"}


def missing(view: View, rows: Mask, alone: Level) -> Iterator[Hit]:
    """Runs said to have a background load that are like the model's runs alone.

    *alone* is their duration against what the model needs alone for the same work.
    """
    edges = _edges(view, rows & view.alone)
    slower = np.where(rows, alone.off, np.nan)
    asked = rows & view.background
    seen, told = np.zeros(view.n, bool), np.zeros(view.n, int)
    with np.errstate(invalid="ignore"):
        for name, (low, high) in edges.items():
            least = limit(NO_LOAD[name])
            seen |= view.signals[name] > high + least
            told += np.isfinite(view.signals[name]) & (high - low <= WIDE * least)
        asleep = (told > 0) & _asleep(view, edges)
        seen |= (slower > limit("no-load-time")) & (alone.z > limit("no-load-z"))
        told += np.isfinite(slower) & (2 * SPREADS * alone.spread <= WIDE * limit("no-load-time"))
    silent = asked & (told >= 2) & ~seen
    silent &= _heard(view, asked, silent, edges, slower) | asleep
    yield from hits(
        "load-missing", silent, lambda at: _say_missing(view, edges, slower, at, bool(asleep[at]))
    )


def _heard(
    view: View, asked: Mask, silent: Mask, edges: Mapping[str, tuple[Vector, Vector]], slower: Vector
) -> Mask:
    """Rows in which a load is missed: where others of the model beside it show it, and this one surely not.

    A light load leaves some runs within the range alone by chance. To leave these out would choose the runs
    by what came out, and make the load seem heavier than it is. Where every run is silent there is no choice.
    """
    beside = view.model * (int(view.partner.max(initial=0)) + 2) + view.partner + 1
    missed = np.zeros(view.n, bool)
    for at in cells(beside, asked):
        missed[at] = len(at) >= FEW and silent[at].all()
    above = {name: (view.signals[name] - high, limit(NO_LOAD[name])) for name, (_, high) in edges.items()}
    above["duration"] = (slower, limit("no-load-time"))
    for far, least in above.values():
        for at in cells(beside, asked & np.isfinite(far)):
            loud = float(np.quantile(far[at], 1 - LOUD))
            if loud >= CLEARLY * least:
                missed[at] |= far[at] <= loud - limit("z-weak") * spread(far[at], 0.0)
    return missed


def _edges(view: View, rows: Mask) -> dict[str, tuple[Vector, Vector]]:
    """Range of each signal over the model's runs alone, given to every row of the model."""
    found: dict[str, tuple[Vector, Vector]] = {}
    for name in (name for name in NO_LOAD if name in view.signals):
        x = view.signals[name]
        low, high = (
            np.full(view.model.max(initial=0) + 1, np.nan),
            np.full(view.model.max(initial=0) + 1, np.nan),
        )
        for at in cells(view.model, rows & np.isfinite(x)):
            if len(at) >= limit("least"):
                low[view.model[at[0]]], high[view.model[at[0]]] = np.quantile(x[at], [1 - EDGE, EDGE])
        found[name] = (low[view.model], high[view.model])
    return found


def _asleep(view: View, edges: Mapping[str, tuple[Vector, Vector]]) -> Mask:
    if "gpu-power" not in edges or "gpu-use" not in edges:
        return np.zeros(view.n, bool)
    power, use = view.signals["gpu-power"], view.signals["gpu-use"]
    return np.asarray((power < edges["gpu-power"][0] - limit("asleep")) & (use <= edges["gpu-use"][1]))


def _say_missing(
    view: View, edges: Mapping[str, tuple[Vector, Vector]], slower: Vector, at: int, asleep: bool
) -> str:
    parts = []
    for name, (low, high) in edges.items():
        now = view.signals[name][at]
        if not np.isfinite(now) or not np.isfinite(high[at]):
            continue
        turn = (lambda x: x) if name == "gpu-use" else np.exp
        unit = "%" if name == "gpu-use" else "W"
        parts.append(
            f"{SHOWN[name]} {turn(now):.1f} {unit} (alone {turn(low[at]):.1f} to {turn(high[at]):.1f})"
        )
    if np.isfinite(slower[at]):
        parts.append(f"duration {np.expm1(slower[at]):+.0%} against alone")
    return ("the GPU did nothing: " if asleep else "a background load nobody can see: ") + ", ".join(parts)
