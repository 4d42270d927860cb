"""Runs whose outcome is not what they say: failed, crashed yet called a success, impossible metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.quality.comparable import cells
from causal_report.quality.hit import hits
from causal_report.quality.thresholds import limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from causal_report.quality.comparable import Level
    from causal_report.quality.hit import Hit
    from causal_report.quality.view import Vector, View

AROUND = 5
"""Runs of the model before, and as many after, that are asked for a metric."""
SHARES, PERCENTS = 1.0, 100.0
"""Metrics that most runs of a model have within these cannot be far above them."""
BEYOND = 1.5


def failed(view: View) -> Iterator[Hit]:
    """Runs that say themselves that they failed."""
    why = view.frame.get("error_message")

    def say(at: int) -> str:
        text = why.iloc[at] if why is not None else ""
        return text if isinstance(text, str) and text else "the training did not succeed"

    yield from hits("failed", ~view.success, say)


def false_success(view: View, mode: Level, alone: Level) -> Iterator[Hit]:
    """Runs far too short for their work; without a metric sooner than with one."""
    off = np.where(np.isfinite(alone.off), np.fmax(mode.off, alone.off), mode.off)
    with np.errstate(invalid="ignore"):
        far = np.fmin(mode.z, alone.z) <= -limit("z")
        short = far & ((off <= -limit("very-short")) | ((off <= -limit("short")) & ~view.metric))

    def say(at: int) -> str:
        want = float(np.exp(view.log_s[at] - off[at]))
        lack = "" if view.metric[at] else ", and it has no metric"
        return f"{view.seconds[at]:,.0f} s, but the same work takes about {want:,.0f} s{lack}"

    yield from hits("false-success", view.success & short, say)


def without_metric(view: View) -> Iterator[Hit]:
    """Successes without a metric among runs of the model that have one."""
    rows = np.zeros(view.n, bool)
    for at in cells(view.model, view.success):
        order = at[np.argsort(view.when[at], kind="stable")]
        has = pd.Series(view.metric[order].astype(float))
        window = has.rolling(2 * AROUND + 1, center=True, min_periods=1)
        others = window.count() - 1
        share = (window.sum() - has) / others.where(others > 0, 1.0)
        rows[order] = np.asarray((has == 0) & (others > 1) & (share >= limit("metric-share")))
    yield from hits(
        "no-metric",
        rows,
        lambda at: "called a success, but it has none of the metrics its model reports around it",
    )


def impossible_metric(view: View) -> Iterator[Hit]:
    """Metrics outside the scale that the other runs of the model use."""
    for name in view.metrics:
        values = view.column(name)
        for at in cells(view.model, np.isfinite(values)):
            if len(at) < limit("least"):
                continue
            middle = np.quantile(values[at], [0.1, 0.75])
            top = SHARES if middle[1] <= SHARES else PERCENTS
            if middle[0] < 0 or middle[1] > top or not _rated(name):
                continue
            rows = np.zeros(view.n, bool)
            rows[at] = (values[at] > BEYOND * top) | (values[at] < 0)
            if not rows.any():
                continue
            yield from hits("impossible-metric", rows, _said(name, values, float(np.median(values[at]))))


RATES = ("accuracy", "map", "rank", "precision", "recall", "f1", "auc")
"""Parts of the names of metrics that are shares or per cents."""


def _rated(name: str) -> bool:
    return any(part in name for part in RATES)


def _said(name: str, values: Vector, usual: float) -> Callable[[int], str]:
    bare = name.removeprefix("perf_").replace("_", " ")
    return lambda at: f"{bare} is {values[at]:g}, elsewhere about {usual:g}"
