"""The sentences that open the part: the answer, what it holds, what a pooled test hides, the scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report import number
from causal_report.findings.sentence import Sentence
from causal_report.modes import main, rules
from causal_report.modes.scenario import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from causal_report.findings.modes import ModeEffect, ModeStrategy, ModeVerdict
    from causal_report.text import Text


def lead(
    effects: Sequence[ModeEffect],
    verdicts: Sequence[ModeVerdict],
    strategies: Sequence[ModeStrategy],
    energy: str,
    text: Text,
) -> tuple[Sentence, ...]:
    """In the order in which they are read; *energy* is the first outcome."""
    found = [_answer(effects, energy, text)]
    if any(e.metered == "whole machine" for e in effects if e.metric == energy):
        found.append(_say(text, "metered"))
    found += _hidden(effects, energy, text)
    found += _scenarios(verdicts, text)
    found += _strategies(strategies, text)
    return tuple(found)


def widest(effects: Sequence[ModeEffect], metric: str) -> ModeEffect | None:
    """The row of all groups together, or of the only group."""
    mine = [e for e in effects if e.metric == metric and not e.model]
    return next((e for e in mine if e.group == main.EVERYWHERE), mine[0] if mine else None)


def _answer(effects: Sequence[ModeEffect], energy: str, text: Text) -> Sentence:
    whole = widest(effects, energy)
    if whole is None:
        return _say(text, "unanswered", reason="")
    if whole.estimate is None:
        return _say(text, "unanswered", reason=whole.reason)
    values = {
        "outcome": whole.label,
        "share": text("modes.share") if whole.metered == "whole machine" else "",
        "change": number.percent(whole.pct),
        "lo": number.percent(whole.pct_lo),
        "hi": number.percent(whole.pct_hi),
        "n_alone": whole.n_alone,
        "n_background": whole.n_background,
        "models": f"{whole.models} models" if whole.models > 1 else "one model",
        "bound": number.unsigned(main.bound_pct(whole)),
    }
    ends = (whole.pct_lo or 0.0, whole.pct_hi or 0.0)
    least, most = ends if whole.estimate > 0 else (-ends[1], -ends[0])
    values |= {
        "size": number.unsigned(abs(whole.pct or 0.0)),
        "size_lo": number.unsigned(least),
        "size_hi": number.unsigned(most),
    }
    direction = ("up" if whole.estimate > 0 else "down") if whole.verdict == "clear" else whole.verdict
    return _say(text, f"answer_{direction}", **values)


def _hidden(effects: Sequence[ModeEffect], energy: str, text: Text) -> Iterator[Sentence]:
    """The pooled test that saw nothing where the ratio within models is clear: energy first, one example."""
    hidden = [e for e in effects if e.hidden]
    if not hidden:
        return
    best = min(
        hidden, key=lambda e: (e.metric != energy, bool(e.model), e.group != main.EVERYWHERE, e.q or 0)
    )
    yield _say(
        text,
        "hidden",
        outcome=best.label,
        where=best.model or best.group,
        p=number.probability(best.welch_p),
        change=number.percent(best.pct) if best.pct is not None else number.signed(best.estimate),
        q=number.probability(best.q),
        n=len(hidden),
        of=sum(e.estimate is not None for e in effects),
    )


def _scenarios(verdicts: Sequence[ModeVerdict], text: Text) -> Iterator[Sentence]:
    parts = []
    for name in NAMES.values():
        groups = [v.group for v in verdicts if v.name == name]
        if groups:
            parts.append(f"{name}: {', '.join(groups)}")
    if len(verdicts) > 1:
        yield _say(text, "scenarios", parts="; ".join(parts))


def _strategies(strategies: Sequence[ModeStrategy], text: Text) -> Iterator[Sentence]:
    """Which strategy each small group is answered by."""
    used = {s.group: s.strategy for s in strategies if s.used and s.quantity.startswith("level")}
    if used:
        parts = ", ".join(f"{group} ({text(f'modes.strategy_{name}')})" for group, name in used.items())
        yield _say(text, "small", parts=parts, n=rules.SMALL)


def _say(text: Text, key: str, **values: object) -> Sentence:
    return Sentence(key=f"modes.{key}", text=text(f"modes.{key}", **values))
