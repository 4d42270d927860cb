"""Means over the pairs of one class."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Literal

from causal_report.concurrency import contrast
from causal_report.findings.concurrency import PairClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.concurrency import ConcurrentPair

    Kind = Literal["memory", "load"]

KINDS: tuple[Kind, ...] = ("memory", "load")


def summarise(pairs: Sequence[ConcurrentPair]) -> tuple[PairClass, ...]:
    """Every class that some pair is in; a pair counts as one, however often it was run."""
    found = []
    for kind in KINDS:
        names = sorted({_class(pair, kind) for pair in pairs})
        found += [_one(kind, name, [pair for pair in pairs if _class(pair, kind) == name]) for name in names]
    return tuple(found)


def _class(pair: ConcurrentPair, kind: Kind) -> str:
    return pair.traits.memory_class if kind == "memory" else pair.traits.load_class


def _one(kind: Kind, name: str, pairs: Sequence[ConcurrentPair]) -> PairClass:
    return PairClass(
        kind=kind,
        name=name,
        pairs=tuple(pair.name for pair in pairs),
        slowdown=contrast.over([_mean([pair.slowdown_a.value, pair.slowdown_b.value]) for pair in pairs]),
        makespan=contrast.over([pair.makespan.value for pair in pairs]),
        saving=contrast.over([pair.saving.value for pair in pairs]),
        interference=contrast.over([_mean([one.size for one in pair.interference]) for pair in pairs]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
