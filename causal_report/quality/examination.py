"""The checks in their order: what is false by itself first, so that it does not set what is usual."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report.quality import background, default, energy, identity, leverage, load, order, outcome, work
from causal_report.quality.comparable import neighbours
from causal_report.quality.hit import Hit, mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from causal_report.quality.view import Mask, View
    from causal_report.sources.source import Source

NOTED = 2000
"""Rows at most that carry one note: beyond that it is said of the table."""


def examine(view: View, sources: Sequence[Source]) -> list[Hit]:
    """Every hit on every row, in row order."""
    found: list[Hit] = list(outcome.failed(view))
    twins = identity.twins(view)
    doubted = np.zeros(view.n, bool)
    doubted[[at for group in twins for at in group]] = True
    clock = order.timeline(view, doubted)
    cpus = {source.name: float(source.facts.get("host", {}).get("cpus") or 0.0) for source in sources}
    found += [*load.before(view, cpus), *load.shared(view)]
    found += [*energy.impossible(view), *energy.parts(view)]
    found += [*identity.repeated(view, clock, twins), *order.overlap(view, clock)]
    found += identity.borrowed(view, ~mask(found, view.n))
    found += energy.mismatch(view, ~mask(found, view.n))
    near = neighbours(view)
    found += load.foreign(view, near, view.success & ~mask(found, view.n, *OTHERS_ENERGY))
    good = _good(view, found)
    mode, alone = work.expected(view, near, view.success, good), work.alone(view, near, view.success, good)
    found += outcome.false_success(view, mode, alone)
    found += outcome.without_metric(view)
    found += outcome.impossible_metric(view)
    good = _good(view, found)
    found += background.missing(view, good, alone)
    good = _good(view, found)
    found += default.wrong_fills(view, good, mode)
    found += _notes(view, found)
    return sorted(found, key=lambda hit: hit.at)


OTHERS_ENERGY = (
    "failed",
    "impossible",
    "energy-parts",
    "repeated",
    "overlap",
    "energy-of-another",
    "energy-mismatch",
)
"""Rows whose power is not their own cannot speak of load."""


def _good(view: View, found: Iterable[Hit]) -> Mask:
    return view.success & ~mask(list(found), view.n)


def _notes(view: View, found: list[Hit]) -> list[Hit]:
    good = _good(view, found)
    notes = [
        energy.absent(view),
        energy.bias(view, good),
        identity.reused(view),
        leverage.leverage(view, good),
        default.treated(view, default.hidden(view, good)),
    ]
    return [hit for note in notes for hit in list(note)[:NOTED]]
