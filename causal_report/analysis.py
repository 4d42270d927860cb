"""The steps of the analysis in their order, from sources to frozen findings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from causal_report import (
    advice,
    agreement,
    concurrency,
    dose,
    effects,
    heterogeneity,
    idle,
    keeping,
    mediation,
    modes,
    net,
    outcomes,
    pairing,
    power,
    provenance,
    quality,
    recipe,
    response,
    runs,
    simulated,
    statuses,
    table,
    tradeoff,
    verdict,
)
from causal_report.discovery import groups
from causal_report.findings import SCHEMA_VERSION, Findings
from causal_report.findings.metering import Metering
from causal_report.options import Options
from causal_report.until import before

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from causal_report.findings import Effect, Flag, Response
    from causal_report.findings.keeping import Keeping
    from causal_report.findings.recipe import Recipe
    from causal_report.sources.source import Source
    from causal_report.table import Table
    from causal_report.text import Text

MOST_ROWS = 10_000
"""Paths, graphs, modes, learners and advice rest on so many rows of a larger table: they refit thousands of
times, and their intervals are narrow enough. Checks, effects and trade-off take every row."""


def analyse(sources: Sequence[Source], text: Text, options: Options | None = None) -> Findings:
    """Everything the page says, from files already read.

    Args:
        sources: sessions and published tables, analysed together.
        text: language of the sentences.
        options: choices; the sound ones by default.
    """
    options = options or Options()
    sources = before(sources, options.until)
    whole = table.build(sources)
    flags = quality.check(whole, sources, keep_flagged=options.keep_flagged)
    usable = whole.where(quality.usable(whole, flags))
    sessions, ids = (usable.frame[name].astype(str) for name in ("session", "experiment_id"))
    keys = set(zip(sessions, ids, strict=True))
    single = _alone(usable)
    counted = single.frame if len(single.frame) else usable.frame
    chosen = replace(
        response.choose(counted),
        replayed=agreement.replayed(sources, keys),
        simulated=simulated.runs(sources, counted),
    )
    single = effects.comparable(single, chosen)
    found = effects.estimate(single.frame, single.of("design"), effects.asked(single, chosen))
    energy = response.column(chosen) or outcomes.DURATION
    some = table.sample(single, MOST_ROWS, options.seed)
    discovered = groups.explore(some, chosen, engine=options.engine, seed=options.seed, text=text)
    graphs = {name: group.graphs for name, group in discovered.items()}
    pooled = {name: each["all"] for name, each in graphs.items() if "all" in each}
    paths = mediation.estimate(some, chosen, pooled, text, declared=options.paths, seed=options.seed)
    traded = tradeoff.estimate(single, chosen, text, seed=options.seed)
    by_mode = modes.compare(some, chosen, graphs, paths.differences, text, seed=options.seed)
    beside = concurrency.analyse(usable, chosen, sources, text, seed=options.seed, margin=options.margin)
    learned = heterogeneity.estimate(some, chosen, text, seed=options.seed)
    advised = advice.give(
        table.sample(usable, MOST_ROWS, options.seed),
        chosen,
        text,
        margin=options.margin,
        grid_g_per_kwh=options.grid_g_per_kwh,
        country=options.country,
        seed=options.seed,
    )
    answers = [traded, paths, *(part for part in (by_mode, beside) if not part.reason), advised]
    data = runs.describe(whole, usable, flags, chosen, sources)
    if len(some.frame) < len(single.frame):
        note = text("data.sampled", n=len(some.frame), of=len(single.frame))
        data = replace(data, notes=(*data.notes, note))
    compared = agreement.compare(sources, keys, options.seed)
    made = provenance.trace(sources, options)
    return Findings(
        schema_version=SCHEMA_VERSION,
        title=", ".join(source.name for source in sources),
        language=text.language,
        simulated=simulated.label(sources),
        verdict=verdict.conclude(
            text,
            response=chosen,
            data=data,
            effects=found,
            groups=discovered,
            answers=[part.sentences[0] for part in answers if part.sentences],
            agreement=compared,
            provenance=made,
        ),
        response=chosen,
        data=data,
        quality=quality.findings(flags, whole, text, sources),
        keeping=_keeping(whole, flags, chosen, text),
        effects=found,
        dose=dose.choose(single, energy, found),
        question1=effects.question1(single, chosen, text, found=found),
        tradeoff=traded,
        mediation=paths,
        groups=discovered,
        modes=by_mode,
        concurrency=beside,
        heterogeneity=learned,
        advice=advised,
        recipe=_recipe(whole, found, text, options),
        agreement=compared,
        metering=_metering(sources, usable, keys),
        provenance=made,
    )


def _alone(usable: Table) -> Table:
    """Runs of pairs left out: their meters hold both programs."""
    return usable.where(usable.frame["mode"] != "pair")


def _keeping(whole: Table, flags: Sequence[Flag], chosen: Response, text: Text) -> Keeping:
    """The effects on energy and duration with and without the rows that are not what they say."""
    doubtful = {(f.experiment_id, f.timestamp, f.role) for f in flags if f.code in quality.DOUBTFUL}
    if not doubtful:
        return keeping.compare((), (), 0, text)

    def found(codes: Collection[str]) -> tuple[Effect, ...]:
        excluding = [replace(f, excluded=f.code in codes) for f in flags]
        rows = effects.comparable(_alone(whole.where(quality.usable(whole, excluding))), chosen)
        asked = [*outcomes.energies(rows, chosen)[:1], outcomes.DURATION]
        return effects.estimate(rows.frame, rows.of("design"), asked)

    return keeping.compare(found(quality.EXCLUDING), found({"failed"}), len(doubtful), text)


def _recipe(whole: Table, found: Sequence[Effect], text: Text, options: Options) -> Recipe | None:
    """The published study's own numbers, where asked for: over every successful row, as it did."""
    if options.recipe != "seed":
        return None
    return recipe.reproduce(whole.where(whole.frame["training_success"]), text, effects=found)


def _metering(sources: Sequence[Source], usable: Table, keys: set[tuple[str, str]]) -> Metering:
    played = {source.name: simulated.of(source) for source in sources}
    measured = net.runs(usable.frame, pairing.runs(sources, keys), played)
    return Metering(
        runs=measured,
        models=net.models(measured),
        idle=idle.channels(sources),
        channels=statuses.count(sources),
        traces=power.traces(sources, measured),
    )
