"""The order of runs on one machine: pauses between them, overlaps, drift over a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_report.quality.comparable import cells
from causal_report.quality.hit import hits
from causal_report.quality.thresholds import limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from causal_report.quality.comparable import Level
    from causal_report.quality.hit import Hit
    from causal_report.quality.view import Mask, Vector, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Pause before each run, NaN where the timestamps do not tell."""

    pause: Vector


def timeline(view: View, doubted: Mask) -> Timeline:
    """Pauses, taking timestamps as ends or as beginnings of runs, whichever leaves fewer overlaps.

    Where neither leaves few among the rows that are not *doubted*, the timestamps say nothing of either.
    """
    nothing = Timeline(pause=np.full(view.n, np.nan))
    best, fewest = nothing, limit("overlap-share")
    for ends in (True, False):
        pause = np.full(view.n, np.nan)
        for at in cells(view.session, np.isfinite(view.when) & np.isfinite(view.seconds)):
            order = at[np.lexsort((view.seconds[at], view.when[at]))]
            gap = np.diff(view.when[order])
            here = order[1:]
            pause[here] = gap - (view.seconds[here] if ends else view.seconds[order[:-1]])
            pause[here[gap == 0]] = np.nan
        known = np.isfinite(pause) & ~doubted
        share = float((pause[known] < -limit("overlap-s")).mean()) if known.any() else 1.0
        if share < fewest:
            best, fewest = Timeline(pause=pause), share
    return best


def overlap(view: View, found: Timeline) -> Iterator[Hit]:
    """Runs that would have begun before the one before them ended."""
    with np.errstate(invalid="ignore"):
        rows = found.pause < -limit("overlap-s")
    twice = view.frame.duplicated(["experiment_id", "timestamp"], keep=False).to_numpy()

    def say(at: int) -> str:
        had = view.seconds[at] + found.pause[at]
        return f"lasted {view.seconds[at]:,.0f} s, but the run before it ended {had:,.0f} s earlier"

    yield from hits("overlap", rows & ~twice, say)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Change of duration over the runs of one model in one session, work taken out."""

    model: str
    session: str
    n: int
    change: float
    p: float


def drift(view: View, rows: Mask, work: Level) -> tuple[Drift, ...]:
    """Sessions over which the same work took longer and longer, or shorter."""
    from scipy.stats import spearmanr, theilslopes

    found = []
    joint = view.cell * (int(view.session.max(initial=0)) + 1) + view.session
    for at in cells(joint, rows & np.isfinite(work.off) & np.isfinite(view.when)):
        if len(at) < 2 * limit("least"):
            continue
        order = at[np.argsort(view.when[at], kind="stable")]
        if len(order) > MOST:
            order = order[np.linspace(0, len(order) - 1, MOST).astype(np.intp)]
        y = work.off[order]
        if not np.ptp(y) > 0:
            continue
        p = float(spearmanr(np.arange(len(y)), y).pvalue)
        change = float(theilslopes(y, np.arange(len(y)))[0]) * (len(y) - 1)
        if p < limit("drift-p") and abs(change) >= limit("drift"):
            row = view.frame.iloc[order[0]]
            found.append(
                Drift(
                    model=str(row["model_id"]),
                    session=str(row["session"]),
                    n=len(at),
                    change=float(np.expm1(change)),
                    p=p,
                )
            )
    return tuple(found)


MOST = 1000
"""Runs of a long session that are enough to see a trend."""
