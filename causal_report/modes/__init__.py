"""Alone against with a background load: four steps, four scenarios, advice by mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report.findings.modes import Modes, ModeStructure
from causal_report.findings.sentence import Sentence
from causal_report.modes import (
    advice,
    interaction,
    main,
    paths,
    rows,
    scenario,
    small,
    structure,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from causal_report.findings import Graph, Response
    from causal_report.findings.mediation import ModeDifference
    from causal_report.findings.modes import ModeEffect, ModeInteraction, ModePath, ModeStrategy
    from causal_report.table import Table
    from causal_report.text import Text

__all__ = ["compare"]


def compare(
    table: Table,
    response: Response,
    graphs: Mapping[str, Mapping[str, Graph]],
    differences: Sequence[ModeDifference],
    text: Text,
    *,
    seed: int = 0,
) -> Modes:
    """The whole comparison; ``reason`` where fewer than two modes were run.

    Args:
        table: usable rows.
        response: the energy that is analysed.
        graphs: by repository, then by mode: ``alone`` and ``background`` are compared.
        differences: indirect effects by mode, from the mediation.
        text: words of the page.
        seed: of permutations and resamples; each group draws from a stream of its own.
    """
    frame = rows.single(table)
    missing = [mode for mode in (rows.ALONE, rows.BACKGROUND) if not bool((frame["mode"] == mode).any())]
    if missing:
        key = "modes.only_one" if len(missing) == 1 else "modes.none"
        said = text(key, missing=text(f"modes.{missing[0]}"), n=len(frame))
        return Modes(reason=said, sentences=(Sentence(key=key, text=said),))
    effects = main.effects(table, response)
    moderated = interaction.interactions(table, response)
    groups = sorted(frame["repository"].astype(str).unique())
    open_gates = {g for g in groups if scenario.gate(e for e in effects if e.group == g)}
    structures = tuple(
        structure.compare(table, response, group, graphs.get(group, {}), seed=seed)
        if group in open_gates
        else ModeStructure(group=group, reason=text("modes.gate_closed"))
        for group in groups
    )
    found = paths.paths(differences)
    strategies = small.strategies(table, response, seed=seed)
    costs = [column.name for column in rows.costs(table, response)]
    evidence = [
        _evidence(group, frame, effects, moderated, structures, found, strategies, costs) for group in groups
    ]
    verdicts = tuple(scenario.judge(one, text) for one in evidence)
    changed = {(e.group, i.factor, i.outcome) for e in evidence for i in scenario.changed(e)}
    advised = advice.advise(verdicts, moderated, costs[0], changed)
    return Modes(
        sentences=(
            *words.lead(effects, verdicts, strategies, costs[0], text),
            *advice.sentences(advised, text),
        ),
        verdicts=verdicts,
        effects=effects,
        structures=structures,
        interactions=moderated,
        paths=found,
        drivers=paths.drivers(frame, moderated, found, costs[0]),
        strategies=strategies,
        advice=advised,
    )


def _evidence(
    group: str,
    frame: pd.DataFrame,
    effects: Sequence[ModeEffect],
    moderated: Sequence[ModeInteraction],
    structures: Sequence[ModeStructure],
    found: Sequence[ModePath],
    strategies: Sequence[ModeStrategy],
    costs: Sequence[str],
) -> scenario.Evidence:
    """What the steps found in *group*; steps 2 and 4 where step 1 asks for them."""
    alone, loaded = rows.counts(frame[frame["repository"] == group])
    mine = tuple(e for e in effects if e.group == group)
    asked = scenario.gate(mine)
    return scenario.Evidence(
        group=group,
        n_alone=alone,
        n_background=loaded,
        effects=mine,
        interactions=tuple(i for i in moderated if i.group == group and not i.model),
        structure=next((s for s in structures if s.group == group), None),
        paths=tuple(path for path in found if path.group == group and asked),
        costs=frozenset(costs),
        energy=costs[0],
        strategy=next((s for s in strategies if s.group == group and s.strategy == "bootstrap"), None),
    )
