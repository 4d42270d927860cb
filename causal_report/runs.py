"""What was run: rows by model, factors with their levels, flags and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report import effects, quality
from causal_report.findings import Data, Factor, ModelRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from causal_report.findings import Flag, Response
    from causal_report.sources.source import Source
    from causal_report.table import Column, Table


def describe(
    whole: Table, usable: Table, flags: Sequence[Flag], chosen: Response, sources: Sequence[Source]
) -> Data:
    """What was run, what of it is usable, and by which levels.

    Args:
        whole: every row that was read.
        usable: the rows that enter the analysis, pairs included.
        flags: what the checks say of rows.
        chosen: the energy that is analysed.
        sources: where the rows came from.
    """
    frame = whole.frame
    notes = [note for source in sources for note in source.notes]
    single = usable.frame[usable.frame["mode"] != "pair"]
    pairs = len(usable.frame) - len(single)
    if pairs:
        notes.append(
            f"{pairs} rows come from pairs: the meters hold both programs, so they stay out of the effects"
        )
    flagged = {(f.experiment_id, f.timestamp, f.role) for f in flags if f.code in quality.DOUBTFUL}
    return Data(
        runs=len(frame),
        failed=int((~frame["training_success"]).sum()),
        flagged=len(flagged),
        used=len(single),
        pairs=pairs,
        models=tuple(
            _model(model, rows, single, chosen, sources) for model, rows in frame.groupby("model_id")
        ),
        factors=tuple(_factor(column, usable.frame) for column in whole.of("design")),
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
    """The words that stand in a column; of several tables one may not have it."""
    return tuple(sorted({str(v) for v in rows[column].dropna() if v})) if column in rows else ()


def _factor(column: Column, frame: pd.DataFrame) -> Factor:
    counts = frame[column.name].value_counts().sort_index()
    levels = tuple((float(value), int(n)) for value, n in counts.items())  # type: ignore[arg-type]
    note = effects.LABELS_ONLY.get(column.name, "")
    if not note and not effects.varying(frame, [column]):
        note = "the same throughout: no effect can be estimated"
    return Factor(name=column.name, label=column.label, log=column.log, levels=levels, note=note)
