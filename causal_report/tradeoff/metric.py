"""Performance metrics: which way is better, and how much is next to nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from causal_report import outcomes
from causal_report.findings.tradeoff import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from causal_report.table import Column, Table

    Vector = NDArray[np.float64]

LOWER = re.compile(r"loss|error|perplexity|\bppl\b|\bmae\b|\bmse\b|\brmse\b|\bwer\b|\bcer\b|\bfid\b|distance")
HIGHER = re.compile(
    r"acc|precision|recall|\bf1\b|\bauc\b|\bmap\b|\bmrr\b|\bndcg\b|\bbleu\b|\brouge|rank ?\d|top ?\d|"
    r"\bdice\b|\biou\b|score"
)
RATE = re.compile(r"per second|per sec\b|throughput|\bfps\b|\bruntime\b|latency|\bseconds\b")
RELATIVE = 0.01
"""A metric's change within this share of its mean counts as nothing..."""
SMALL = 0.2
"""...or within this share of the spread of like runs, if that is more: a small effect (Cohen 1988)."""


def metrics(table: Table) -> list[tuple[Column, Metric]]:
    """The metrics that some row has, with their direction: the catalogue's, else by their name."""
    found = []
    for column in outcomes.performance(table):
        better, guessed = direction(column)
        metric = Metric(
            name=column.name, label=column.label, better=better, guessed=guessed, rate=is_rate(column)
        )
        found.append((column, metric))
    return found


def direction(column: Column) -> tuple[Literal["higher", "lower", ""], bool]:
    """Which way is better, empty where nobody says, and whether that is a guess from the name."""
    if column.better == "higher":
        return "higher", False
    if column.better == "lower":
        return "lower", False
    words = _words(column)
    if LOWER.search(words):
        return "lower", True
    return ("higher", True) if HIGHER.search(words) else ("", False)


def is_rate(column: Column) -> bool:
    """Whether the metric says how fast it went, not how well the model does."""
    return bool(RATE.search(_words(column)))


def _words(column: Column) -> str:
    return column.name.removeprefix("perf_").lower().replace("_", " ")


def margin(values: Vector, spread: float) -> float:
    """The change of a metric that counts as nothing, in its units.

    Args:
        values: the metric over the rows at hand.
        spread: standard deviation of like runs: what is left after everything that was set.
    """
    return max(RELATIVE * abs(float(values.mean())), SMALL * spread)
