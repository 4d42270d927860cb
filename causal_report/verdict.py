"""The verdict: findings said in plain words, the most important first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.effects import POOLED, apart, widest
from causal_report.findings import Sentence, Verdict
from causal_report.regression import significant
from causal_report.table import OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from causal_report.findings import Data, Effect, Group, Provenance, Response
    from causal_report.findings.metering import Agreement
    from causal_report.text import Text

    Say = Callable[..., Sentence]

NEGLIGIBLE_PCT = 5.0
"""An interval within this many per cent for a doubling says that an effect, if any, is small."""
CONCENTRATED = 0.5
MOST_SAID = 6
"""Effects that the first screen tells one by one, the largest first."""
PARTS = {"cpu": "CPU", "ram": "RAM", "gpu": "GPU", "mains": "whole machine"}
ESTIMATORS = {"direct": "the sum of the direct meters"}
BY_MODE = "modes.answer_"
"""Answers of the comparison of modes: they say what a background load does; once is enough."""
LOAD = "design_background"
STAND_IN = ("stand-in", "standin", "synthetic", "random", "fake", "generated")


def conclude(
    text: Text,
    *,
    response: Response,
    data: Data,
    effects: Sequence[Effect],
    groups: Mapping[str, Group],
    answers: Sequence[Sentence],
    agreement: Sequence[Agreement],
    provenance: Provenance,
) -> Verdict:
    """Sentences and warnings in the language of *text*, from what each part of the analysis found.

    *answers* are the first sentences of the further parts, in the page's order.
    """

    def say(key: str, **values: object) -> Sentence:
        return Sentence(key=key, text=text(f"verdict.{key}", **values))

    sentences = [_status(say, response, data)]
    if data.used or data.pairs:
        several = sum(model.used > 0 for model in data.models) > 1
        by_mode = any(answer.key.startswith(BY_MODE) for answer in answers)
        sentences += _main_effects(say, response, effects, several, by_mode)
        sentences += answers
        sentences += _estimators(say, agreement, response)
    warnings = [
        *_incomplete(say, provenance),
        *_rows(say, data, response, provenance.keep_flagged),
        *_evidence(say, effects, groups),
    ]
    return Verdict(sentences=tuple(sentences), warnings=tuple(warnings))


def _status(say: Say, response: Response, data: Data) -> Sentence:
    """The first sentence: what the joules are."""
    if not data.runs:
        return say("nothing")
    if not data.used and not data.pairs:
        return say("none_usable", runs=data.runs)
    if response.shown in ("simulated", "replayed"):
        return say(response.shown, n=getattr(response, response.shown), of=response.of)
    values = {"n": response.n, "of": response.of, "reason": response.reason, "meter": response.estimator}
    return say(response.status, **values)


def _main_effects(
    say: Say, response: Response, effects: Sequence[Effect], several: bool, by_mode: bool
) -> Iterator[Sentence]:
    outcome = response.column or "duration_seconds"
    mine = [e for e in effects if e.outcome == outcome and e.p is not None]
    chosen = [e for e in widest(mine) if not (by_mode and e.factor == LOAD)]
    chosen.sort(key=lambda e: -abs(e.plain or 0.0))
    found = [e for e in chosen if significant(e.q)]
    for effect in found[:MOST_SAID]:
        yield _said(say, effect, _effect_key(effect), _where(effect, several))
    if len(found) > MOST_SAID:
        yield say("more", n=len(found) - MOST_SAID)
    rest = [e for e in chosen if not significant(e.q)]
    small = [e for e in rest if _within(e, NEGLIGIBLE_PCT)]
    if small:
        bound = max(max(abs(e.plain_lo or 0.0), abs(e.plain_hi or 0.0)) for e in small)
        yield say(
            "small",
            factors=_names(small, several),
            outcome=small[0].outcome_label,
            bound=number.fixed(bound, 1),
            n=min(e.n for e in small),
        )
    unclear = [e for e in rest if e not in small]
    if unclear:
        yield say("unclear", factors=_names(unclear, several), outcome=unclear[0].outcome_label)
    if not chosen and not mine:
        yield say("no_effects")
    elif len({e.scope for e in mine}) > 1:
        yield from _models_apart(
            say, mine, [e for e in widest(mine) if e.scope == POOLED and significant(e.q)]
        )


def _models_apart(say: Say, effects: Sequence[Effect], pooled: Sequence[Effect]) -> Iterator[Sentence]:
    """Where the slope differs between models, by more than the extremes of so many do by chance."""
    for effect in pooled:
        found = apart(e for e in effects if e.factor == effect.factor and not e.scope.endswith(POOLED))
        if found:
            least, most = found
            yield say(
                "apart",
                change=say(
                    f"change_{_kind(effect)}",
                    factor=effect.factor_label,
                    step=number.significant(effect.step, 1),
                ).text,
                outcome=effect.outcome_label,
                least=least.scope,
                most=most.scope,
                low=_size(least, least.plain),
                high=_size(most, most.plain),
                low_interval=_interval(least),
                high_interval=_interval(most),
                n_least=least.n,
                n_most=most.n,
            )


def _size(effect: Effect, value: float | None) -> str:
    per_cent = effect.scale in ("elasticity", "rate")
    return number.percent(value) if per_cent else number.signed(value, 2)


def _interval(effect: Effect) -> str:
    return number.span(effect.plain_lo, effect.plain_hi, lambda value: _size(effect, value))


def _where(effect: Effect, several: bool) -> str:
    """The model in brackets, where several were run and this is about one."""
    return f" ({effect.scope})" if several and effect.scope != POOLED else ""


def _effect_key(effect: Effect) -> str:
    return f"{_kind(effect)}_{'up' if (effect.plain or 0.0) > 0 else 'down'}"


def _kind(effect: Effect) -> str:
    if effect.factor == LOAD:
        return "background"
    if effect.factor.endswith(OFF):
        return "off"
    return "doubling" if effect.scale in ("elasticity", "per-log") else "step"


def _said(say: Say, effect: Effect, key: str, where: str) -> Sentence:
    """An effect in words, its sign in the verb: the size, the interval, how many runs."""
    per_cent = effect.scale in ("elasticity", "rate")
    down = (effect.plain or 0.0) < 0
    ends = [effect.plain_lo or 0.0, effect.plain_hi or 0.0]
    turned = [-ends[1], -ends[0]] if down else ends

    def show(value: float) -> str:
        return number.percent(value, sign=False) if per_cent else number.significant(value, 2)

    return say(
        key,
        factor=effect.factor_label,
        outcome=effect.outcome_label,
        where=where,
        step=number.significant(effect.step, 1),
        change=show(abs(effect.plain or 0.0)),
        lo=show(turned[0]),
        hi=show(turned[1]),
        n=effect.n,
        q=number.probability(effect.q),
    )


def _within(effect: Effect, bound: float) -> bool:
    ends = (effect.plain_lo, effect.plain_hi)
    return all(end is not None and math.isfinite(end) and abs(end) <= bound for end in ends)


def _names(effects: Sequence[Effect], several: bool = False) -> str:
    return ", ".join(dict.fromkeys(effect.factor_label + _where(effect, several) for effect in effects))


def _estimators(say: Say, agreement: Sequence[Agreement], response: Response) -> Iterator[Sentence]:
    for item in agreement:
        if item.part == "total" or item.bias_lo_pct is None:
            continue
        yield say(
            "bias_simulated" if response.simulated else "bias",
            estimator=ESTIMATORS.get(item.estimator, item.estimator),
            part=PARTS.get(item.part, item.part),
            bias=number.percent(item.bias_pct),
            lo=number.percent(item.bias_lo_pct),
            hi=number.percent(item.bias_hi_pct),
            n=item.n,
        )


def _incomplete(say: Say, provenance: Provenance) -> Iterator[Sentence]:
    for source in provenance.sources:
        if not source.complete:
            planned = "?" if source.planned is None else source.planned
            yield say("incomplete", name=source.name, done=source.done, planned=planned)


def _rows(say: Say, data: Data, response: Response, kept: bool) -> Iterator[Sentence]:
    if data.failed:
        yield say("failed", n=data.failed, runs=data.runs)
    if data.flagged:
        yield say("flagged_kept" if kept else "flagged", n=data.flagged, runs=data.runs)
    if response.column and response.n < response.of:
        yield say("some_without", n=response.of - response.n, of=response.of)
    sources = {source for model in data.models for source in model.data_sources}
    stand_in = sorted(s for s in sources if any(word in s.lower() for word in STAND_IN))
    if stand_in:
        key = "stand_in_simulated" if response.simulated else "stand_in"
        yield say(key, sources=", ".join(stand_in))


def _evidence(say: Say, effects: Sequence[Effect], groups: Mapping[str, Group]) -> Iterator[Sentence]:
    used = max((e.n for e in effects), default=0)
    if any(e.exploratory for e in effects):
        yield say("exploratory", n=used)
    thin = [e for e in effects if significant(e.q) and (e.top2 or 0.0) > CONCENTRATED]
    if thin:
        several = len({effect.scope for effect in effects}) > 1
        yield say("two_rows", factors=_names(thin, several))
    for name, group in groups.items():
        for graph in group.graphs.values():
            for run in graph.engines:
                for warning in run.warnings:
                    yield say("engine", engine=f"{run.name} ({name})", warning=warning)
