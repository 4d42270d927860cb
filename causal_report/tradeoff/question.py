"""Question 2 in one call: verdicts, fronts, convergence, and the answer in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report import number, outcomes, response
from causal_report.effects.question import comparable
from causal_report.effects.sheet import POOLED
from causal_report.findings.sentence import Sentence
from causal_report.findings.tradeoff import Tradeoff
from causal_report.table import OFF
from causal_report.tradeoff.convergence import convergence
from causal_report.tradeoff.factors import verdicts
from causal_report.tradeoff.metric import RELATIVE, SMALL, metrics
from causal_report.tradeoff.pareto import fronts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from causal_report.findings import Response
    from causal_report.findings.tradeoff import Convergence, FactorVerdict, Front, Kind, Metric
    from causal_report.table import Column, Table
    from causal_report.text import Text

    Say = Callable[..., Sentence]

ENERGY_MARGIN = 0.05
"""A change of energy within 5 % counts as nothing: what meters of one machine differ by between days."""
MOST_SAID = 4
LIKELY = 0.5
LOAD = "design_background"
"""Something that is done to a run, not a setting that anybody trades for quality."""


def estimate(
    table: Table,
    chosen: Response,
    text: Text,
    *,
    seed: int = 0,
    energy_margin: float = ENERGY_MARGIN,
) -> Tradeoff:
    """Which factors move energy, performance, both or neither; where the best settings lie.

    Args:
        table: usable rows, runs of pairs left out.
        chosen: the energy that is analysed; duration stands in where no joules exist.
        text: language of the sentences.
        seed: of the draws about the Pareto fronts.
        energy_margin: share of energy within which a change counts as nothing.
    """
    table = comparable(table, chosen)
    energy = response.column(chosen) or outcomes.DURATION
    every = metrics(table)
    known = [(column, metric) for column, metric in every if metric.better and not metric.rate]
    found = verdicts(table, energy, known, energy_margin=energy_margin)
    primary = _primary(table, energy, known)
    best = fronts(table, energy, primary, seed=seed)
    curves = convergence(table, primary)

    def say(key: str, **values: object) -> Sentence:
        return Sentence(key=key, text=text(f"tradeoff.{key}", **values))

    sentences = [
        *_answer(say, found, energy.label, energy_margin),
        *_directions(say, [metric for _, metric in every]),
        *_best(say, best),
        *_curves(say, curves),
    ]
    return Tradeoff(
        sentences=tuple(sentences),
        energy=energy.name,
        energy_label=energy.label,
        energy_margin=energy_margin,
        performance_margin=text("tradeoff.margin", relative=_share(RELATIVE), share=number.level(SMALL)),
        metrics=tuple(metric for _, metric in every),
        verdicts=found,
        fronts=best,
        convergence=curves,
    )


def _primary(
    table: Table, energy: Column, known: Sequence[tuple[Column, Metric]]
) -> list[tuple[str, Column, Metric]]:
    """For each model the metric that most of its rows have; of equals the first."""
    found = []
    usable = table.frame[table.frame[energy.name].notna()]
    for model, rows in usable.groupby("model_id"):
        counts = [int(rows[column.name].notna().sum()) for column, _ in known]
        if counts and max(counts) > 0:
            column, metric = known[counts.index(max(counts))]
            found.append((str(model), column, metric))
    return found


def _answer(say: Say, found: Sequence[FactorVerdict], energy: str, margin: float) -> Iterator[Sentence]:
    tested = [item for item in found if item.energy]
    if not found:
        yield say("none")
        return
    if not tested:
        yield say("untested")
        return
    kinds = {kind: [i for i in tested if i.verdict == kind] for kind in ("trade-off", "win-win")}
    counts = {i.verdict: 0 for i in tested} | {
        kind: sum(i.verdict == kind for i in tested)
        for kind in ("energy only", "performance only", "neither", "open", "trade-off", "win-win")
    }
    yield say(
        "answer",
        n=len(tested),
        energy=energy,
        both=counts["trade-off"],
        win=counts["win-win"],
        energy_only=counts["energy only"],
        performance_only=counts["performance only"],
        neither=counts["neither"],
        open=counts["open"],
        clear=sum(i.verdict == "open" and i.energy.state in ("up", "down") for i in tested if i.energy),
        margin=_share(margin),
    )
    for kind, key in (("trade-off", "trade"), ("win-win", "win")):
        for item in sorted(kinds[kind], key=lambda i: (i.factor == LOAD, POOLED not in i.scope, -i.n))[
            :MOST_SAID
        ]:
            yield _told(say, key, item, energy)
    alike: tuple[tuple[Kind, str], ...] = (("energy only", "energy_only"), ("neither", "neither"))
    for alone, key in alike:
        names = _throughout(found, alone)
        if names:
            more = f" and {len(names) - MOST_SAID} more" if len(names) > MOST_SAID else ""
            yield say(key, names="; ".join(names[:MOST_SAID]) + more, energy=energy, margin=_share(margin))
    if len(tested) < len(found):
        yield say("too_few", n=len(found) - len(tested))


def _throughout(found: Sequence[FactorVerdict], kind: Kind) -> list[str]:
    """Factors with this verdict on every metric of a model: one that is open may be what is lost."""
    together: dict[tuple[str, str], list[FactorVerdict]] = {}
    for item in found:
        together.setdefault((item.scope, item.factor), []).append(item)
    whole = [items for items in together.values() if all(i.verdict == kind for i in items)]
    return [
        f"{_dose(items[0])} in {items[0].scope} ({', '.join(i.metric_label for i in items)})"
        for items in whole
        if items[0].factor != LOAD
    ]


def _dose(item: FactorVerdict) -> str:
    change = _change(item)
    return f"{change[:1].lower()}{change[1:]} {item.factor_label}"


def _share(value: float) -> str:
    return f"{100 * value:g}{number.JOINED}%"


def _told(say: Say, key: str, item: FactorVerdict, energy: str) -> Sentence:
    assert item.energy is not None
    assert item.performance is not None
    return say(
        key,
        change=_change(item),
        factor=item.factor_label,
        scope=item.scope,
        outcome=energy,
        energy=number.percent(item.energy.change),
        energy_bounds=number.span(item.energy.lo, item.energy.hi, number.percent),
        metric=item.metric_label,
        gain=number.signed(item.performance.change, 2),
        gain_bounds=number.span(item.performance.lo, item.performance.hi, lambda v: number.signed(v, 2)),
        n=item.n,
    )


def _change(item: FactorVerdict) -> str:
    if item.log:
        return "Doubling"
    if item.factor == LOAD:
        return "Adding"
    return "Turning" if item.factor.endswith(OFF) else f"{number.significant(item.step, 1)} more of"


def _directions(say: Say, known: Sequence[Metric]) -> Iterator[Sentence]:
    guessed = [f"{m.label} ({m.better})" for m in known if m.guessed and not m.rate]
    if guessed:
        yield say("guessed", names=", ".join(guessed))
    unknown = [m.label for m in known if not m.better and not m.rate]
    if unknown:
        yield say("undirected", names=", ".join(unknown))
    rates = [m.label for m in known if m.rate]
    if rates:
        yield say("rates", names=", ".join(rates))


def _best(say: Say, found: Sequence[Front]) -> Iterator[Sentence]:
    """The front that rests on most runs, in words; the others are in the table."""
    usable = [front for front in found if front.settings]
    if not usable:
        return
    front = max(usable, key=lambda f: f.n)
    sure = [s for s in front.settings if s.front and s.probability > LIKELY]
    yield say(
        "front",
        scope=front.scope,
        mode=front.mode,
        metric=front.metric_label,
        on=sum(s.front for s in front.settings),
        of=front.of,
        sure=len(sure),
        noise=front.noise,
        n=front.n,
    )


def _curves(say: Say, found: Sequence[Convergence]) -> Iterator[Sentence]:
    flat = [c for c in found if c.state == "saturated" and c.saturated_from is not None]
    if flat:
        names = [
            f"{c.factor_label} from {number.level(c.saturated_from or 0.0)} on ({c.scope})" for c in flat
        ]
        yield say("saturated", names=", ".join(names))
    gaining = [f"{c.factor_label} ({c.scope})" for c in found if c.state == "gaining"]
    if gaining:
        yield say("gaining", names=", ".join(gaining))
    after = [c for c in found if c.share_after is not None]
    for item in sorted(after, key=lambda c: -(c.share_after or 0.0))[:1]:
        yield say("after", scope=item.scope, share=f"{item.share_after or 0.0:.0%}", n=item.converged)
