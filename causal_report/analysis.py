"""The steps of the analysis in their order, from sources to frozen findings."""

from __future__ import annotations

import platform
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from causal_report import (
    agreement,
    effects,
    idle,
    net,
    pairing,
    power,
    quality,
    response,
    simulated,
    statuses,
    table,
    verdict,
)
from causal_report.discovery import evidence
from causal_report.discovery.prepare import prepare
from causal_report.findings import (
    SCHEMA_VERSION,
    Data,
    Dose,
    Factor,
    Findings,
    ModelRows,
    Point,
    Provenance,
    SourceFacts,
)
from causal_report.findings.metering import Metering
from causal_report.table import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from causal_report.findings import Effect, Flag, Response
    from causal_report.sources.source import Source
    from causal_report.table import Table
    from causal_report.text import Text

DURATION = Column(name="duration_seconds", label="duration", part="energy", unit="s", log=True)
NAMED = ("wattwhy", "numpy", "pandas", "scipy", "statsmodels", "jax", "dibs-lib")


def analyse(
    sources: Sequence[Source],
    text: Text,
    *,
    engine: str = "dibs",
    keep_flagged: bool = False,
    seed: int = 0,
    command: str = "",
) -> Findings:
    """Everything the page says, from files already read.

    Args:
        sources: sessions and published tables, analysed together.
        text: language of the verdict.
        engine: ``dibs`` or ``exact``.
        keep_flagged: let flagged rows into the effects; failed ones never enter.
        seed: of DiBS and of the bootstrap.
        command: how to get this page again.
    """
    whole = table.build(sources)
    flags = quality.check(whole, sources, keep_flagged=keep_flagged)
    usable = whole.where(quality.usable(whole, flags))
    sessions, runs = (usable.frame[name].astype(str) for name in ("session", "experiment_id"))
    keys = set(zip(sessions, runs, strict=True))
    single = usable.where(usable.frame["mode"] != "pair")
    counted = single.frame if len(single.frame) else usable.frame
    chosen = replace(
        response.choose(counted),
        replayed=agreement.replayed(sources, keys),
        simulated=simulated.runs(sources, counted),
    )
    found = effects.estimate(single.frame, single.of("design"), _outcomes(single, chosen))
    energy = response.column(chosen) or DURATION
    rows = single.frame[response.rows(single.frame, chosen)] if chosen.column else single.frame
    prepared = prepare(rows, single.of("design", "mediator", "performance"), energy)
    graph = evidence.graph(prepared, engine=engine, seed=seed)
    compared = agreement.compare(sources, keys, seed)
    data = _data(whole, usable, flags, chosen, sources)
    provenance = Provenance(
        command=command,
        seed=seed,
        versions=_versions(),
        keep_flagged=keep_flagged,
        sources=tuple(_source(source) for source in sources),
        channels=agreement.channels(sources),
    )
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
            graph=graph,
            agreement=compared,
            provenance=provenance,
        ),
        response=chosen,
        data=data,
        effects=found,
        dose=_dose(single, rows, energy, found),
        graph=graph,
        agreement=compared,
        metering=_metering(sources, usable, keys),
        provenance=provenance,
    )


def _metering(sources: Sequence[Source], usable: Table, keys: set[tuple[str, str]]) -> Metering:
    played = {source.name: simulated.of(source) for source in sources}
    runs = net.runs(usable.frame, pairing.runs(sources, keys), played)
    return Metering(
        runs=runs,
        models=net.models(runs),
        idle=idle.channels(sources),
        channels=statuses.count(sources),
        traces=power.traces(sources, runs),
    )


def _dose(single: Table, rows: pd.DataFrame, energy: Column, found: Sequence[Effect]) -> Dose | None:
    """The factor with the smallest q on the response, and its runs."""
    tested = [e for e in found if e.outcome == energy.name and e.q is not None]
    if not tested:
        return None
    best = min(tested, key=lambda e: (e.q or 0.0, -abs(e.plain or 0.0)))
    factor = next(column for column in single.of("design") if column.name == best.factor)
    known = rows.dropna(subset=[factor.name, energy.name])
    known = known[known[energy.name] > 0]
    columns = (known[name] for name in ("experiment_id", "model_id", factor.name, energy.name))
    return Dose(
        factor=factor.name,
        factor_label=factor.label,
        outcome=energy.name,
        outcome_label=energy.label,
        unit=energy.unit,
        log_x=factor.log,
        points=tuple(
            Point(experiment_id=str(run), model=str(model), x=float(x), y=float(y))
            for run, model, x, y in zip(*columns, strict=True)
        ),
    )


def _outcomes(usable: Table, chosen: Response) -> list[Column]:
    """Energy where it exists, duration, and the first performance metric that has values."""
    energy = response.column(chosen)
    metrics = usable.of("performance")
    best = max(metrics, key=lambda m: int(usable.frame[m.name].notna().sum()), default=None)
    return [*([energy] if energy else []), DURATION, *([best] if best else [])]


def _data(
    whole: Table, usable: Table, flags: Sequence[Flag], chosen: Response, sources: Sequence[Source]
) -> Data:
    frame = whole.frame
    notes = [note for source in sources for note in source.notes]
    single = usable.frame[usable.frame["mode"] != "pair"]
    pairs = len(usable.frame) - len(single)
    if pairs:
        notes.append(
            f"{pairs} rows come from pairs: the meters hold both programs, so they stay out of the effects"
        )
    flagged = {(f.experiment_id, f.timestamp, f.role) for f in flags if f.code != "failed"}
    return Data(
        runs=len(frame),
        failed=int((~frame["training_success"]).sum()),
        flagged=len(flagged),
        used=len(usable.frame) - pairs,
        models=tuple(
            _model(model, rows, single, chosen, sources) for model, rows in frame.groupby("model_id")
        ),
        factors=tuple(_factor(column, usable.frame) for column in whole.of("design")),
        flags=tuple(flags),
        notes=tuple(notes),
    )


def _model(
    model: object, rows: pd.DataFrame, usable: pd.DataFrame, chosen: Response, sources: Sequence[Source]
) -> ModelRows:
    name = str(model)
    mine = usable[usable["model_id"] == name]
    energy = mine[chosen.column].dropna() if chosen.column else mine["duration_seconds"].iloc[:0]
    repository, _, short = name.partition("/")
    titles = [
        str(s.facts["catalogue"][repository]["models"][short].get("title", ""))
        for s in sources
        if short in s.facts.get("catalogue", {}).get(repository, {}).get("models", {})
    ]
    return ModelRows(
        model=name,
        title=titles[0] if titles else "",
        runs=len(rows),
        failed=int((~rows["training_success"]).sum()),
        used=len(mine),
        duration_s=float(mine["duration_seconds"].median()) if len(mine) else None,
        energy_j=float(energy.median()) if len(energy) else None,
        data_sources=_distinct(rows, "data_source"),
        devices=_distinct(rows, "device"),
    )


def _distinct(rows: pd.DataFrame, column: str) -> tuple[str, ...]:
    return tuple(sorted({str(v) for v in rows[column] if v})) if column in rows else ()


def _factor(column: Column, frame: pd.DataFrame) -> Factor:
    counts = frame[column.name].value_counts().sort_index()
    levels = tuple((float(value), int(n)) for value, n in counts.items())  # type: ignore[arg-type]
    note = effects.LABELS_ONLY.get(column.name, "")
    if not note and not effects.varying(frame, [column]):
        note = "the same throughout: no effect can be estimated"
    return Factor(name=column.name, label=column.label, log=column.log, levels=levels, note=note)


def _source(source: Source) -> SourceFacts:
    facts = source.facts
    return SourceFacts(
        kind=source.kind,
        name=source.name,
        rows=len(source.frame),
        complete=source.complete,
        done=source.done,
        planned=source.planned,
        sha256=source.sha256,
        started_utc=str(facts.get("started_utc", "")),
        host=facts.get("host", {}),
        versions=facts.get("versions", {}),
        command=" ".join(map(str, facts.get("argv", ()))),
        order_seed=facts.get("order", {}).get("seed"),
        executor=str(facts.get("executor", "")),
        simulated=simulated.of(source),
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
