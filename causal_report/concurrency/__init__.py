"""Two trainings at once against each alone: time, energy, performance, and whose the joules are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from causal_report.concurrency import (
    anova,
    attribution,
    classes,
    interference,
    optimum,
    overhead,
    pairs,
    saving,
    sensitivity,
    suitability,
    traits,
    words,
)
from causal_report.concurrency.contrast import adjusted
from causal_report.findings.concurrency import Concurrency, ConcurrentPair, PairCell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.concurrency.run import Pairing
    from causal_report.findings import Response
    from causal_report.findings.concurrency import PairEstimate
    from causal_report.sources.source import Source
    from causal_report.table import Column, Table
    from causal_report.text import Text

NO_PAIRS = "no two programs were run at once as a pair"
NO_USABLE = "no run of a pair is usable on both sides"


def analyse(
    table: Table,
    response: Response,
    sources: Sequence[Source],
    text: Text,
    *,
    seed: int = 0,
    margin: float = suitability.MARGIN,
) -> Concurrency:
    """Everything about pairs that these rows can tell.

    Args:
        table: usable rows of all modes, those of pairs among them.
        response: the energy that is analysed.
        sources: for facts of the machine, the catalogue, windows of programs, and failed pairs.
        text: language of the sentences.
        seed: of the simulated repetitions behind the support of an optimum.
        margin: relative loss of a metric that still counts as none.
    """
    found = pairs.find(table, response, sources)
    empty = Concurrency(
        energy=response.shown, energy_label=response.label, margin=margin, left_out=found.left_out,
        most_slowdown=suitability.MOST_SLOWDOWN, notes=found.notes,
    )  # fmt: skip
    if not found.pairs:
        empty = replace(empty, reason=NO_USABLE if found.left_out else NO_PAIRS)
        return replace(empty, sentences=words.conclude(empty, text))
    metrics = [column for column in table.of("performance") if column.name in table.frame]
    described = _corrected([_pair(pairing, metrics, sources) for pairing in found.pairs])
    judged = tuple(suitability.judge(pair, margin) for pair in described)
    slopes = [one for pairing in found.pairs for one in sensitivity.sensitivities(pairing, metrics)]
    changes = adjusted([one.change for one in slopes])
    crossed = [one for pairing in found.pairs for one in sensitivity.crossings(pairing, metrics)]
    crossing = adjusted([one.slope for one in crossed])
    result = replace(
        empty,
        pairs=judged,
        classes=classes.summarise(judged),
        sensitivities=tuple(replace(one, change=q) for one, q in zip(slopes, changes, strict=True)),
        crossings=tuple(replace(one, slope=q) for one, q in zip(crossed, crossing, strict=True)),
        optima=tuple(one for pairing in found.pairs for one in optimum.optima(pairing, metrics, seed)),
        anova=anova.analyse(found.pairs, judged),
    )
    return replace(result, sentences=words.conclude(result, text))


def _pair(pairing: Pairing, metrics: Sequence[Column], sources: Sequence[Source]) -> ConcurrentPair:
    slow_a, slow_b = (overhead.slowdown(pairing, role) for role in ("a", "b"))
    made, saved = overhead.makespan(pairing), saving.saving(pairing)
    shares = attribution.attribute(pairing)
    return ConcurrentPair(
        a=pairing.a,
        b=pairing.b,
        sessions=tuple(sorted({run.a.session for run in pairing.runs})),
        runs=len(pairing.runs),
        replicated=pairing.replicated,
        traits=traits.traits(pairing, sources),
        slowdown_a=slow_a[0],
        slowdown_b=slow_b[0],
        makespan=made[0],
        saving=saved[0],
        cells=_cells(pairing, slow_a[1], slow_b[1], made[1], saved[1]),
        interference=tuple(interference.interference(pairing, metrics)),
        attribution=shares,
        spread=attribution.spread(shares),
    )


def _cells(
    pairing: Pairing,
    slow_a: Sequence[PairEstimate],
    slow_b: Sequence[PairEstimate],
    made: Sequence[PairEstimate],
    saved: Sequence[PairEstimate],
) -> tuple[PairCell, ...]:
    found = []
    for index, cell in enumerate(pairing.cells):
        alone = (cell.alone_a, cell.alone_b)
        times = [_mean([run.duration_s for run in runs]) for runs in alone]
        joules = [_mean([run.energy_j for run in runs]) for runs in alone]
        found.append(
            PairCell(
                setting_a=cell.a.label,
                setting_b=cell.b.label,
                n=len(cell.together),
                n_alone_a=len(cell.alone_a),
                n_alone_b=len(cell.alone_b),
                joint_s=sum(run.joint_s for run in cell.together) / len(cell.together),
                alone_s=_sum(times),
                joint_j=_mean([run.energy_j for run in cell.together]),
                alone_j=_sum(joules),
                slowdown_a=slow_a[index],
                slowdown_b=slow_b[index],
                makespan=made[index],
                saving=saved[index],
            )
        )
    return tuple(found)


def _corrected(found: Sequence[ConcurrentPair]) -> list[ConcurrentPair]:
    """q-values: one family for each question, over all pairs."""
    columns = {name: adjusted([getattr(p, name) for p in found]) for name in ("makespan", "saving")}
    slow = adjusted([one for pair in found for one in (pair.slowdown_a, pair.slowdown_b)])
    signed = iter(adjusted([one.signed for pair in found for one in pair.interference]))
    return [
        replace(
            pair,
            makespan=columns["makespan"][index],
            saving=columns["saving"][index],
            slowdown_a=slow[2 * index],
            slowdown_b=slow[2 * index + 1],
            interference=tuple(replace(one, signed=next(signed)) for one in pair.interference),
        )
        for index, pair in enumerate(found)
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
