"""The verdict: findings said in plain words, the most important first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.effects import POOLED
from causal_report.findings import Sentence, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from causal_report.findings import Agreement, Data, Effect, Graph, Provenance, Response
    from causal_report.text import Text

SIGNIFICANT = 0.05
NEGLIGIBLE_PCT = 5.0
"""An interval within this many per cent for a doubling says that an effect, if any, is small."""
CONCENTRATED = 0.5
STAND_IN = ("stand-in", "standin", "synthetic", "random", "fake", "generated")


def conclude(
    text: Text,
    *,
    response: Response,
    data: Data,
    effects: Sequence[Effect],
    graph: Graph,
    agreement: Sequence[Agreement],
    provenance: Provenance,
) -> Verdict:
    """Sentences and warnings in the language of *text*."""

    def say(key: str, **values: object) -> Sentence:
        return Sentence(key=key, text=text(f"verdict.{key}", **values))

    sentences = [_status(say, response, data)]
    if data.used:
        sentences += _main_effects(say, response, effects)
        sentences += _tradeoff(say, effects)
        sentences += _estimators(say, agreement)
    warnings = [*_incomplete(say, provenance), *_rows(say, data, response), *_evidence(say, effects, graph)]
    return Verdict(sentences=tuple(sentences), warnings=tuple(warnings))


class _Say:
    """Only for the type checker: what ``say`` looks like."""

    def __call__(self, key: str, **values: object) -> Sentence:
        raise NotImplementedError


def _status(say: _Say, response: Response, data: Data) -> Sentence:
    """The first sentence: what the joules are."""
    if not data.runs:
        return say("nothing")
    if not data.used:
        return say("none_usable", runs=data.runs)
    values = {"n": response.n, "of": response.of, "reason": response.reason, "meter": response.estimator}
    return say(response.status, **values)


def _main_effects(say: _Say, response: Response, effects: Sequence[Effect]) -> Iterator[Sentence]:
    outcome = response.column or "duration_seconds"
    mine = [e for e in effects if e.outcome == outcome and e.p is not None]
    scopes = {e.scope for e in mine}
    chosen = [e for e in mine if e.scope == POOLED] if POOLED in scopes else mine
    chosen.sort(key=lambda e: -abs(e.plain or 0.0))
    found = [e for e in chosen if e.q is not None and e.q < SIGNIFICANT]
    for effect in found:
        several = len(scopes) > 1
        yield say(_effect_key(effect), **_numbers(effect), where=f" ({effect.scope})" if several else "")
    rest = [e for e in chosen if e not in found]
    small = [e for e in rest if _within(e, NEGLIGIBLE_PCT)]
    if small:
        bound = max(max(abs(e.plain_lo or 0.0), abs(e.plain_hi or 0.0)) for e in small)
        yield say("small", factors=_names(small), outcome=_outcome(small[0]), bound=number.fixed(bound, 1))
    unclear = [e for e in rest if e not in small]
    if unclear:
        yield say("unclear", factors=_names(unclear), outcome=_outcome(unclear[0]))
    if not chosen:
        yield say("no_effects")


def _effect_key(effect: Effect) -> str:
    if effect.scale == "elasticity":
        return "elasticity"
    return "background" if effect.factor == "design_background" else "rate"


def _numbers(effect: Effect) -> dict[str, object]:
    return {
        "factor": effect.factor_label,
        "outcome": _outcome(effect),
        "change": number.percent(effect.plain),
        "lo": number.percent(effect.plain_lo),
        "hi": number.percent(effect.plain_hi),
        "slope": number.fixed(effect.estimate, 2),
        "n": effect.n,
        "q": number.probability(effect.q),
    }


def _outcome(effect: Effect) -> str:
    return effect.outcome_label


def _within(effect: Effect, bound: float) -> bool:
    ends = (effect.plain_lo, effect.plain_hi)
    return all(end is not None and math.isfinite(end) and abs(end) <= bound for end in ends)


def _names(effects: Sequence[Effect]) -> str:
    return ", ".join(dict.fromkeys(effect.factor_label for effect in effects))


def _tradeoff(say: _Say, effects: Sequence[Effect]) -> Iterator[Sentence]:
    """What the factors that matter did to the first metric."""
    metrics = [e for e in effects if e.outcome_part == "performance" and e.p is not None]
    pooled = [e for e in metrics if e.scope == POOLED] or metrics
    for effect in pooled:
        if effect.q is not None and effect.q < SIGNIFICANT:
            key = "metric_doubling" if effect.scale == "per-log" else "metric_step"
            yield say(
                key,
                factor=effect.factor_label,
                metric=effect.outcome_label,
                change=number.signed(effect.plain, 2),
                lo=number.signed(effect.plain_lo, 2),
                hi=number.signed(effect.plain_hi, 2),
                where="" if effect.scope == POOLED or len({e.scope for e in metrics}) == 1 else f" ({effect.scope})",
            )


def _estimators(say: _Say, agreement: Sequence[Agreement]) -> Iterator[Sentence]:
    for item in agreement:
        if item.part == "total" or item.bias_lo_pct is None:
            continue
        yield say(
            "bias",
            estimator=item.estimator,
            part=item.part,
            bias=number.percent(item.bias_pct),
            lo=number.percent(item.bias_lo_pct),
            hi=number.percent(item.bias_hi_pct),
            n=item.n,
        )


def _incomplete(say: _Say, provenance: Provenance) -> Iterator[Sentence]:
    for source in provenance.sources:
        if not source.complete:
            planned = "?" if source.planned is None else source.planned
            yield say("incomplete", name=source.name, done=source.done, planned=planned)


def _rows(say: _Say, data: Data, response: Response) -> Iterator[Sentence]:
    if data.failed:
        yield say("failed", n=data.failed, runs=data.runs)
    if data.flagged:
        kept = any(not flag.excluded for flag in data.flags)
        yield say("flagged_kept" if kept else "flagged", n=data.flagged)
    if response.column and response.n < response.of:
        yield say("some_without", n=response.of - response.n, of=response.of)
    sources = {source for model in data.models for source in model.data_sources}
    stand_in = sorted(s for s in sources if any(word in s.lower() for word in STAND_IN))
    if stand_in:
        yield say("stand_in", sources=", ".join(stand_in))


def _evidence(say: _Say, effects: Sequence[Effect], graph: Graph) -> Iterator[Sentence]:
    used = max((e.n for e in effects), default=0)
    if any(e.exploratory for e in effects):
        yield say("exploratory", n=used)
    thin = [e for e in effects if e.q is not None and e.q < SIGNIFICANT and (e.top2 or 0.0) > CONCENTRATED]
    if thin:
        yield say("two_rows", factors=_names(thin))
    disputed = sum(edge.verdict == "disputed" for edge in graph.edges)
    if disputed:
        yield say("disputed", n=disputed, of=len(graph.edges))
    for run in graph.engines:
        for warning in run.warnings:
            yield say("engine", engine=run.name, warning=warning)
