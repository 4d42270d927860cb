"""Which pairs suit: a stated rule, and what it lacks where it cannot be decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from causal_report import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.concurrency import ConcurrentPair, PairEstimate, PairInterference

    Answer = Literal["yes", "no", "open"]
    Verdict = Literal["suits", "does not suit", "open"]

MOST_SLOWDOWN = 1.0
"""A program may take no longer than twice its time: what two equal ones that take turns would need."""
MARGIN = 0.01
"""Relative loss of a metric that counts as none, unless another margin is given."""


def judge(pair: ConcurrentPair, margin: float) -> ConcurrentPair:
    """The pair with the rule's conditions and the verdict.

    It suits if the whole interval of the saving is above 0, those of both slowdowns below
    :data:`MOST_SLOWDOWN`, and those of all metrics within the margin. It does not suit if a whole
    interval is on the wrong side. Everything else is open.
    """
    answers: list[tuple[str, Answer, str]] = [
        ("saves energy", _above(pair.saving, 0.0), _words(pair.saving)),
        (f"slowdown of {_short(pair.a)}", _below(pair.slowdown_a, MOST_SLOWDOWN), _words(pair.slowdown_a)),
        (f"slowdown of {_short(pair.b)}", _below(pair.slowdown_b, MOST_SLOWDOWN), _words(pair.slowdown_b)),
        ("metrics within the margin", _metrics(pair.interference, margin), _worst(pair.interference)),
    ]
    said = [answer for _, answer, _ in answers]
    verdict: Verdict = "does not suit" if "no" in said else "open" if "open" in said else "suits"
    return replace(pair, rule=tuple(answers), verdict=verdict)


def _short(model: str) -> str:
    return model.rpartition("/")[2]


def _above(found: PairEstimate, bound: float) -> Answer:
    if found.lo is None or found.hi is None:
        return "open"
    return "yes" if found.lo > bound else "no" if found.hi <= bound else "open"


def _below(found: PairEstimate, bound: float) -> Answer:
    if found.lo is None or found.hi is None:
        return "open"
    return "yes" if found.hi < bound else "no" if found.lo >= bound else "open"


def _metrics(found: Sequence[PairInterference], margin: float) -> Answer:
    answers = [_metric(one, margin) for one in found]
    if not answers:
        return "open"
    return "no" if "no" in answers else "open" if "open" in answers else "yes"


def _metric(one: PairInterference, margin: float) -> Answer:
    """Only the worse direction counts where it is known, else both."""
    lo, hi = one.signed.lo, one.signed.hi
    if lo is None or hi is None:
        return "open"
    either = (max(lo, -hi, 0.0), max(abs(lo), abs(hi)))
    loss_lo, loss_hi = {"higher": (-hi, -lo), "lower": (lo, hi)}.get(one.better, either)
    return "yes" if loss_hi <= margin else "no" if loss_lo > margin else "open"


def _words(found: PairEstimate) -> str:
    if found.value is None:
        return found.reason
    value = number.percent(100 * found.value)
    if found.lo is None or found.hi is None:
        return f"{value}, {found.reason}"
    return f"{value} ({number.percent(100 * found.lo)} to {number.percent(100 * found.hi)})"


def _worst(found: Sequence[PairInterference]) -> str:
    """The metric that moved most, in words."""
    known = [one for one in found if one.signed.value is not None]
    if not known:
        return "no metric was recorded together and alone"
    most = max(known, key=lambda one: abs(one.signed.value or 0.0))
    return f"{most.metric} of {_short(most.model)} {_words(most.signed)}"
