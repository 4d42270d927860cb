"""What the analysis of pairs says in words; the first sentence is its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report import number
from causal_report.findings.sentence import Sentence
from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.concurrency import Concurrency, ConcurrentPair, PairEstimate
    from causal_report.text import Text

COSTS = {"duration", "energy"}


def conclude(found: Concurrency, text: Text) -> tuple[Sentence, ...]:
    """The answer, then what it rests on, then each further question of the section."""
    say = _Say(text)
    if found.reason:
        say("none", reason=found.reason)
        return tuple(say.sentences)
    _energy(found, say)
    _time(found, say)
    _suitable(found, say)
    _interfering(found, say)
    _sensitive(found, say)
    _moved(found, say)
    if not any(pair.replicated for pair in found.pairs):
        say("one_run", n=len(found.pairs), pairs=_pairs(len(found.pairs)))
    for reason, count in found.left_out:
        say("left_out", n=count, reason=reason)
    for note in found.notes:
        say("note", note=note)
    return tuple(say.sentences)


class _Say:
    def __init__(self, text: Text) -> None:
        self._text = text
        self.sentences: list[Sentence] = []

    def __call__(self, key: str, **values: object) -> None:
        full = f"concurrency.{key}"
        self.sentences.append(Sentence(key=full, text=self._text(full, **values)))


def _energy(found: Concurrency, say: _Say) -> None:
    known = [pair for pair in found.pairs if pair.saving.value is not None]
    if not known:
        say(
            "no_energy",
            n=len(found.pairs),
            pairs=_pairs(len(found.pairs)),
            reason=found.pairs[0].saving.reason,
        )
        return
    best = max(known, key=lambda pair: pair.saving.value or 0.0)
    saves = [pair for pair in known if pair.saving.lo is not None and pair.saving.lo > 0]
    costs = [pair for pair in known if pair.saving.hi is not None and pair.saving.hi < 0]
    say(
        "answer" if any(pair.saving.lo is not None for pair in known) else "answer_plain",
        n=len(known),
        pairs=_pairs(len(known)),
        saves=len(saves),
        costs=len(costs),
        energy=found.energy_label,
        best=best.name,
        change=_change(best.saving),
    )
    if found.energy == "estimated":
        say("estimated", energy=found.energy_label)


def _time(found: Concurrency, say: _Say) -> None:
    known = [pair for pair in found.pairs if pair.makespan.value is not None]
    if not known:
        return
    earlier = [pair for pair in known if (pair.makespan.value or 0.0) < 0]
    clear = [pair for pair in known if pair.makespan.hi is not None and pair.makespan.hi < 0]
    worst = max(known, key=_slowest)
    say(
        "time",
        n=len(known),
        pairs=_pairs(len(known)),
        earlier=len(earlier),
        clear=len(clear),
        worst=worst.name,
        slowdown=number.percent(100 * _slowest(worst)),
    )


def _slowest(pair: ConcurrentPair) -> float:
    return max(pair.slowdown_a.value or 0.0, pair.slowdown_b.value or 0.0)


def _suitable(found: Concurrency, say: _Say) -> None:
    by_verdict = {
        verdict: [pair.name for pair in found.pairs if pair.verdict == verdict]
        for verdict in ("suits", "does not suit", "open")
    }
    say(
        "suitable",
        suits=_named(by_verdict["suits"]),
        unsuited=_named(by_verdict["does not suit"]),
        open=_named(by_verdict["open"]),
        slowdown=number.percent(100 * found.most_slowdown, 0, sign=False),
        margin=number.percent(100 * found.margin, 0, sign=False),
    )


def _sensitive(found: Concurrency, say: _Say) -> None:
    """Of performance, as sensitivity is defined; of time and energy the table tells."""
    tested = [one for one in found.sensitivities if one.change.p is not None and one.outcome not in COSTS]
    if not tested:
        return
    changed = [one for one in tested if significant(one.change.q)]
    widest = max(max(abs(one.change.lo or 0.0), abs(one.change.hi or 0.0)) for one in tested)
    if not changed:
        say("sensitivity_none", n=len(tested), bound=number.significant(widest, 2))
        return
    most = min(changed, key=lambda one: one.change.q or 0.0)
    say(
        "sensitivity",
        n=len(tested),
        changed=len(changed),
        outcome=most.outcome,
        model=most.model.rpartition("/")[2],
        pair=most.pair,
        factor=most.factor.replace("_", " "),
        alone=number.fixed(most.alone.value),
        together=number.fixed(most.together.value),
        change=number.signed(most.change.value, 2),
        lo=number.signed(most.change.lo, 2),
        hi=number.signed(most.change.hi, 2),
    )


def _interfering(found: Concurrency, say: _Say) -> None:
    """Whether metrics move, and by how much they could at most."""
    known = [one for pair in found.pairs for one in pair.interference if one.signed.lo is not None]
    if not known:
        return
    moved = [one for one in known if significant(one.signed.q)]
    widest = max(max(abs(one.signed.lo or 0.0), abs(one.signed.hi or 0.0)) for one in known)
    if not moved:
        say("interference_none", n=len(known), bound=number.percent(100 * widest, 2, sign=False))
        return
    most = max(moved, key=lambda one: abs(one.signed.value or 0.0))
    model = most.model.rpartition("/")[2]
    say(
        "interference_some",
        n=len(known),
        moved=len(moved),
        metric=f"{most.metric} of {model}",
        change=_change(most.signed),
    )


def _moved(found: Concurrency, say: _Say) -> None:
    if not found.optima:
        return
    moved = [one for one in found.optima if one.verdict == "moves"]
    same = sum(one.verdict == "same" for one in found.optima)
    say(
        "optimum",
        n=len(found.optima),
        same=same,
        open=len(found.optima) - same - len(moved),
        moves=len(moved),
        named=": " + _named([f"{one.outcome} of {one.pair}" for one in moved]) if moved else "",
    )


def _change(found: PairEstimate) -> str:
    value = number.percent(100 * (found.value or 0.0), sign=True)
    if found.lo is None or found.hi is None:
        return f"{value} (no interval: {found.reason})"
    lo, hi = number.percent(100 * found.lo), number.percent(100 * found.hi)
    return f"{value} (95 % interval {lo} to {hi}; {found.n} runs together, {found.n_alone} alone)"


def _pairs(n: int) -> str:
    return "pair" if n == 1 else "pairs"


def _named(names: Sequence[str], most: int = 6) -> str:
    if not names:
        return "none"
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
