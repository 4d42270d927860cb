"""Discovery in each repository: all rows and each mode, every possible edge with all the evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import outcomes, regression
from causal_report import response as responses
from causal_report.discovery import classic, sides, validation, words
from causal_report.discovery.edges import edges_of
from causal_report.discovery.evidence import APART, PRESENT, Evidence, look
from causal_report.discovery.prepare import LEAST_N, Prepared, prepare
from causal_report.discovery.resample import Resampled, resample
from causal_report.findings.discovery import Group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from causal_report.findings import Response
    from causal_report.findings.discovery import Graph, GroupEdge
    from causal_report.table import Column, Table
    from causal_report.text import Text

ALONE, BACKGROUND = "alone", "background"
KEY = ("experiment_id", "timestamp", "role")
"""Rows are brought into the order of their key, so that theirs in the file does not matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What all looks at one group share."""

    repository: str
    response: Column
    others: tuple[Column, ...]
    engine: str
    seed: int

    def look(self, prepared: Prepared, rows: str, engine: str | None = None) -> Evidence:
        return look(prepared, engine=engine or self.engine, seed=self.seed, name=f"{self.repository}/{rows}")

    def prepare(self, frame: pd.DataFrame, columns: Sequence[Column], rows: str) -> Prepared:
        name = f"{self.repository}/{rows}"
        return prepare(frame, columns, self.response, self.others, seed=self.seed, name=name)


def explore(
    table: Table, response: Response, *, engine: str = "dibs", seed: int = 0, text: Text
) -> Mapping[str, Group]:
    """One group for each repository, whatever else is in the table.

    Args:
        table: usable rows; pairs of two programs stay out.
        response: the energy that is analysed.
        engine: ``exact`` always runs, as do least squares; ``dibs``, ``pc`` or ``ges`` runs beside them.
        seed: of DiBS, half-samples, shuffles and the split; each group and mode has its own stream.
        text: words of the page.

    Raises:
        InputError: PC or GES was asked for and is not installed.
    """
    classic.require(engine)
    frame = table.frame[table.frame["mode"].isin((ALONE, BACKGROUND))]
    if response.column:
        frame = frame[responses.rows(frame, response)]
    frame = frame.sort_values([name for name in KEY if name in frame], kind="stable")
    found = {}
    for repository in sorted(frame["repository"].astype(str).unique()):
        mine = frame[frame["repository"].astype(str) == repository]
        found[repository] = _group(repository, mine, table, response, engine, seed, text)
    if any(run.name == "dibs" and run.ran for g in found.values() for run in g.graphs["all"].engines):
        from causal_report.discovery import dibs

        dibs.forget()
    return found


def _group(
    repository: str,
    frame: pd.DataFrame,
    table: Table,
    response: Response,
    engine: str,
    seed: int,
    text: Text,
) -> Group:
    energy = responses.column(response) or outcomes.DURATION
    every = [*outcomes.energies(table, response), *outcomes.powers(table), outcomes.DURATION]
    others = tuple(c for c in every if c.name != energy.name)
    task = _Task(repository=repository, response=energy, others=others, engine=engine, seed=seed)
    joint, aside = sides.metrics(frame, table.of("performance"))
    columns = [*_recorded(table, frame), *joint]
    prepared = task.prepare(frame, columns, "all")
    whole = task.look(prepared, "all")
    chance = None if whole.graph.reason else resample(prepared, seed=seed, name=f"{repository}/all")
    edges = [*edges_of(whole, prepared, frame, chance), *_asides(task, frame, table, joint, aside)]
    judged = _judged(edges)
    graphs = {"all": whole.graph, **_strata(task, frame, columns)}
    found = [e for e in judged if (e.exact if e.dibs is None else e.dibs) >= PRESENT]
    validated = sum(e.verdict == "validated" for e in found)
    reason = whole.graph.reason if not judged else ""
    halves = None if whole.graph.reason else validation.split(prepared, seed=seed, name=repository)
    models = tuple(sorted(frame["model"].astype(str).unique()))
    return Group(
        repository=repository,
        n=len(frame),
        models=models,
        reason=reason,
        sentences=words.group(
            repository, whole.graph.n, graphs, judged, len(found), validated, halves, reason, text
        ),
        graphs=graphs,
        edges=judged,
        found=len(found),
        validated=validated,
        chance=chance.chance if chance else None,
        split=halves,
        refits=() if whole.exact is None else validation.refits(prepared, whole.exact),
        warnings=(*_warnings(graphs, whole, prepared, chance),),
        notes=(text("discovery.same_rows"), *_unseen(table, frame, aside, text)),
    )


def _recorded(table: Table, frame: pd.DataFrame) -> list[Column]:
    """What was set and what came of it, where any run of the group has it."""
    return [c for c in table.of("design", "mediator") if bool(frame[c.name].notna().any())]


def _strata(task: _Task, frame: pd.DataFrame, columns: Sequence[Column]) -> dict[str, Graph]:
    """A graph for each mode, with its reason where there is none."""
    without = [c for c in columns if c.name != "design_background"]
    return {
        mode: task.look(task.prepare(frame[frame["mode"] == mode], without, mode), mode).graph
        for mode in (ALONE, BACKGROUND)
    }


def _asides(
    task: _Task, frame: pd.DataFrame, table: Table, joint: Sequence[Column], aside: Sequence[Column]
) -> list[GroupEdge]:
    """Edges of settings and metrics that most rows do not know, by exact averaging and least squares."""
    recorded = _recorded(table, frame)
    design = [c for c in recorded if c.part == "design"]
    mediators = [c for c in recorded if c.part == "mediator"]
    found: list[GroupEdge] = []
    looks = [
        *sides.settings(frame, [c for c in design if c.name != "design_background"]),
        *sides.results(frame, aside, design, mediators),
    ]
    modes = [c for c in design if c.name == "design_background"]
    for one in looks:
        rest = [*modes, *mediators, *joint] if one.cause else []
        prepared = task.prepare(one.rows, [*one.columns, *rest], one.column.name)
        evidence = task.look(prepared, one.column.name, "exact")
        if evidence.graph.reason:
            continue
        found += edges_of(evidence, prepared, one.rows, None, only=one)
    return found


def _judged(edges: Sequence[GroupEdge]) -> tuple[GroupEdge, ...]:
    """With q over all edges of the group, and verdicts."""
    q = regression.benjamini_hochberg([e.p for e in edges])
    return tuple(
        replace(
            e,
            ols_q=v,
            verdict=validation.verdict(
                e.dibs,
                e.exact,
                v,
                e.reverse_exact,
                e.classic,
                assumed=validation.assumed(e.cause, e.effect),
            ),
        )
        for e, v in zip(edges, q, strict=True)
    )


def _warnings(
    graphs: Mapping[str, Graph], whole: Evidence, prepared: Prepared, chance: Resampled | None
) -> list[str]:
    found = [
        f"{rows}: {run.name.replace('dibs', 'DiBS')}: {warning}"
        for rows, graph in graphs.items()
        for run in graph.engines
        for warning in run.warnings
    ]
    if whole.dibs is not None and whole.exact is not None:
        apart = np.argwhere(np.abs(whole.dibs.edge_probability - whole.exact) > APART)
        if len(apart):
            labels = [f"{prepared.columns[i].label} → {prepared.columns[j].label}" for i, j in apart]
            found.append(
                f"DiBS and exact averaging differ by more than {APART} on {len(apart)} edges, which are "
                f"unstable: {', '.join(labels[:6])}{' and others' if len(labels) > 6 else ''}"
            )
        if whole.dibs.weight < 3:
            found.append(
                f"weighted by their posterior {whole.dibs.weight:.1f} particles would count; "
                "probabilities are means over all of them"
            )
    if chance and chance.chance.false_share > 0.05:
        found.append(
            f"with shuffled tiers {chance.chance.false_share:.0%} of the edges reach one half by chance"
        )
    if chance and chance.chance.rows < len(prepared.x):
        found.append(f"half-samples and shuffles drew from {chance.chance.rows} rows of {len(prepared.x)}")
    return found


def _unseen(table: Table, frame: pd.DataFrame, aside: Sequence[Column], text: Text) -> list[str]:
    """Which settings too few rows know to say anything of."""
    few = [
        column.label
        for column in table.of("design")
        if 0 < frame[column.name].notna().sum() < LEAST_N and column.name != "design_seed"
    ]
    notes = [text("discovery.not_imputed")]
    if few:
        notes.append(text("discovery.too_few", names=", ".join(few), least=LEAST_N))
    return notes
