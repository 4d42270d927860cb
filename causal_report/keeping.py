"""How the answers change when the rows that are not what they say are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report import number
from causal_report.effects import widest
from causal_report.findings.keeping import Change, Keeping
from causal_report.findings.sentence import Sentence
from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal_report.findings import Effect
    from causal_report.text import Text


def compare(left_out: Sequence[Effect], kept: Sequence[Effect], flagged: int, text: Text) -> Keeping:
    """Each effect without and with the flagged rows, side by side.

    Args:
        left_out: effects over the rows that no check excludes.
        kept: the same effects over all successful rows.
        flagged: rows that make the difference.
        text: language of the sentence.
    """
    other: Mapping[tuple[str, str, str], Effect] = {(e.scope, e.factor, e.outcome): e for e in kept}
    shown = [e for e in widest(left_out) if e.plain is not None]
    changes = tuple(
        _change(effect, other[effect.scope, effect.factor, effect.outcome])
        for effect in shown
        if flagged and (effect.scope, effect.factor, effect.outcome) in other
    )
    return Keeping(flagged=flagged, changes=changes, sentences=(_sentence(changes, flagged, text),))


def _change(without: Effect, with_them: Effect) -> Change:
    return Change(
        scope=without.scope,
        factor=without.factor,
        factor_label=without.factor_label,
        outcome=without.outcome,
        outcome_label=without.outcome_label,
        per_cent=without.scale in ("elasticity", "rate"),
        n=without.n,
        plain=without.plain,
        plain_lo=without.plain_lo,
        plain_hi=without.plain_hi,
        kept_n=with_them.n,
        kept_plain=with_them.plain,
        kept_lo=with_them.plain_lo,
        kept_hi=with_them.plain_hi,
        turned=_clear(without) != _clear(with_them),
    )


def _clear(effect: Effect) -> int:
    """The sign of an effect that survives the correction, else 0."""
    if not significant(effect.q) or effect.plain is None:
        return 0
    return 1 if effect.plain > 0 else -1


def _sentence(changes: Sequence[Change], flagged: int, text: Text) -> Sentence:
    if not flagged:
        return Sentence(key="nothing", text=text("keeping.nothing"))
    turned = [c for c in changes if c.turned]
    if not turned:
        key, named = "same", ""
    else:
        key = "turned"
        named = "; ".join(_words(c) for c in turned[:3]) + ("; ..." if len(turned) > 3 else "")
    return Sentence(
        key=key,
        text=text(f"keeping.{key}", flagged=flagged, n=len(turned), of=len(changes), named=named),
    )


def _words(change: Change) -> str:
    def show(value: float | None) -> str:
        return number.percent(value) if change.per_cent else number.signed(value, 2)

    what = f"{change.factor_label} on {change.outcome_label} ({change.scope})"
    return f"{what}: {show(change.plain)} without them, {show(change.kept_plain)} with them"
