"""What mediation found, in sentences: the answer first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.discovery.validation import assumed
from causal_report.findings.sentence import Sentence
from causal_report.mediation.modes import BACKGROUND
from causal_report.table import OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from causal_report.findings.mediation import MediationPath, ModeDifference
    from causal_report.text import Text

    Say = Callable[..., Sentence]

BOUND_PCT = 5.0
"""As in the verdict: an interval within this many per cent says that an effect, if any, is small."""
MOST_SAID = 3


def sentences(
    text: Text, found: Sequence[MediationPath], apart: Sequence[ModeDifference], *, reason: str
) -> tuple[Sentence, ...]:
    """Sentences in the language of *text*.

    Args:
        text: the words.
        found: all paths.
        apart: differences between modes.
        reason: why there are no paths, if so.
    """

    def say(key: str, **values: object) -> Sentence:
        return Sentence(key=key, text=text(f"mediation.{key}", **values))

    if reason:
        return (say("none", reason=reason),)
    known = [p for p in found if p.indirect is not None]
    if not known:
        return (say("unanswerable", of=len(found), reason=_commonest([p.reason for p in found])),)
    return (*_answer(say, text, known), *_limits(say, known), *_modes(say, apart))


def surest(found: Sequence[MediationPath]) -> list[MediationPath]:
    """Paths with numbers, the smallest q first, the largest effect first among equals."""
    known = [p for p in found if p.indirect is not None]
    return sorted(known, key=lambda p: (not p.clear, p.q or 0.0, -abs(p.sobel_z or 0.0), p.group, p.cause))


def bounded(path: MediationPath) -> bool:
    """Whether the interval of the indirect effect lies within a few per cent."""
    if not path.log_outcome or path.plain_lo is None or path.plain_hi is None:
        return False
    return max(abs(path.plain_lo), abs(path.plain_hi)) <= BOUND_PCT


def change(path: MediationPath, value: float | None) -> str:
    """A plain effect of *path*: per cent, or the outcome's own unit."""
    return number.percent(value) if path.log_outcome else number.signed(value, 2)


def _commonest(reasons: Sequence[str]) -> str:
    counted = Counter(reasons)
    return min(counted, key=lambda reason: (-counted[reason], reason))


def _answer(say: Say, text: Text, known: Sequence[MediationPath]) -> Iterator[Sentence]:
    clear = [p for p in surest(known) if p.clear]
    of_settings = [p for p in known if p.cause != BACKGROUND] or known
    found = any(p.clear for p in of_settings)
    if not found:
        yield _none_clear(say, text, of_settings)
    if not clear:
        return
    for at, path in enumerate(_spread(clear)):
        values = {**_values(text, path), "n": path.n, "kind": _kind(text, path)}
        first = found and at == 0
        yield say("first", of=len(known), clear=len(clear), **values) if first else say("more", **values)
    if any(p.cause == BACKGROUND for p in clear):
        yield say("load_counted")
    heated = sum(_heated(p) for p in clear)
    if heated:
        yield say("heated", n=heated, clear=len(clear))
    suppressed = sum(p.kind == "inconsistent" for p in clear)
    if suppressed:
        yield say("suppressed", n=suppressed, clear=len(clear))
    weakest, strongest = (f(clear, key=lambda p: p.robustness or 0.0) for f in (min, max))
    yield say(
        "weakest",
        robustness=number.unsigned(100 * (weakest.robustness or 0.0)),
        most=number.unsigned(100 * (strongest.robustness or 0.0)),
        group=weakest.group,
        cause=weakest.cause_label,
        mediator=weakest.mediator_label,
        outcome=weakest.outcome_label,
    )


def _none_clear(say: Say, text: Text, known: Sequence[MediationPath]) -> Sentence:
    return say(
        "none_clear",
        of=len(known),
        n=max(p.n for p in known),
        bounded=sum(map(bounded, known)),
        bound=number.significant(BOUND_PCT, 1),
        open=sum(not bounded(p) for p in known),
        **_values(text, surest(known)[0]),
    )


def _heated(path: MediationPath) -> bool:
    """Whether the mediator may as well have come of the outcome."""
    return assumed(path.mediator, path.outcome)


def _spread(clear: Sequence[MediationPath]) -> list[MediationPath]:
    """The surest path of each cause in each group, a few of them; loads and heat come last."""
    best: dict[tuple[str, str], MediationPath] = {}
    for path in sorted(clear, key=_heated):
        best.setdefault((path.group, path.cause), path)
    return sorted(best.values(), key=lambda p: (p.cause == BACKGROUND, _heated(p)))[:MOST_SAID]


def _values(text: Text, path: MediationPath) -> dict[str, str]:
    key = "load" if path.cause == BACKGROUND else "doubling" if path.log_cause else "step"
    key = "off" if path.cause.endswith(OFF) else key
    return {
        "group": path.group,
        "dose": text(f"mediation.{key}", step=number.significant(path.step, 1)),
        "cause": path.cause_label,
        "mediator": path.mediator_label,
        "outcome": path.outcome_label,
        "plain": change(path, path.plain),
        "lo": change(path, path.plain_lo),
        "hi": change(path, path.plain_hi),
        "q": number.probability(path.q),
    }


def _kind(text: Text, path: MediationPath) -> str:
    if path.proportion is not None:
        return text("mediation.kind_share", share=number.percent(100 * path.proportion, 0, sign=False))
    return text(f"mediation.kind_{path.kind.replace('-', '_')}")


def _limits(say: Say, known: Sequence[MediationPath]) -> Iterator[Sentence]:
    of = len(known)
    disagree = sum(bool(p.agreement) for p in known)
    if disagree:
        yield say("disagree", n=disagree, of=of)
    unknown = [p for p in known if p.unknown]
    if unknown:
        factors = sorted({label for p in unknown for label in p.unknown})
        yield say("unknown", n=len(unknown), of=of, factors=", ".join(factors))
    exploratory = sum(p.exploratory for p in known)
    if exploratory:
        yield say("exploratory", n=exploratory)
    counted = Counter(p.instrument for p in known)
    yield say(
        "instruments",
        of=of,
        weak=counted["weak"],
        another=counted["another-way"],
        contradicted=counted["contradicted"],
        unproven=counted["unproven"],
    )


def _modes(say: Say, apart: Sequence[ModeDifference]) -> Iterator[Sentence]:
    known = [d for d in apart if d.difference is not None]
    if apart and not known:
        yield say("modes_few", reason=_commonest([d.reason for d in apart]))
    clear = sorted((d for d in known if d.clear), key=lambda d: (d.q or 0.0, -abs(d.difference or 0.0)))
    if known and not clear:
        yield say("modes_none", of=len(known))
    if not clear:
        return
    most = clear[0]
    yield say(
        "modes_clear",
        n=len(clear),
        of=len(known),
        group=most.group,
        cause=most.cause_label,
        mediator=most.mediator_label,
        outcome=most.outcome_label,
        alone=number.fixed(most.alone.indirect, 3),
        load=number.fixed(most.background.indirect, 3),
        n_alone=most.alone.n,
        n_load=most.background.n,
        difference=number.fixed(most.difference, 3),
        lo=number.fixed(most.lo, 3),
        hi=number.fixed(most.hi, 3),
        q=number.probability(most.q),
    )
