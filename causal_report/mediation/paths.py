"""Which paths are asked about: declared by the user or by the parts of columns, found in the graph."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from causal_report import outcomes
from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from causal_report.findings import Edge, Graph, Response
    from causal_report.mediation.rows import Group
    from causal_report.table import Column, Table

    Names = tuple[str, str, str]

PARTS_OF_ENERGY = ("duration_seconds", "energy_gpu_avg_watts")
"""Energy is their product: as mediators they explain everything and say nothing."""
PRESENT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A path to be estimated in a group; ``reason`` where it must not be."""

    cause: Column
    mediator: Column
    outcome: Column
    origin: Literal["declared", "discovered", "both"]
    reason: str = ""

    @property
    def names(self) -> Names:
        """The three columns."""
        return self.cause.name, self.mediator.name, self.outcome.name


def columns(table: Table, response: Response) -> dict[str, Column]:
    """Every column that may be part of a path; as outcomes, power and duration are read on log scales."""
    asked = [*outcomes.energies(table, response), *outcomes.powers(table), *outcomes.performance(table)]
    known = {c.name: c for c in (*table.columns, *asked)}
    return known | {outcomes.DURATION.name: outcomes.DURATION}


def asked(table: Table, response: Response) -> list[Column]:
    """Outcomes of the default paths: the response (else duration), GPU energy and mean GPU power."""
    energy = [c for c in outcomes.energies(table, response) if "cpu" not in c.name]
    power = [c for c in outcomes.powers(table) if c.name == "energy_gpu_avg_watts"]
    found = {c.name: c for c in [*(energy or [outcomes.DURATION]), *power]}
    return list(found.values())


def wanted(
    group: Group,
    table: Table,
    response: Response,
    graph: Graph | None,
    declared: Sequence[Names],
) -> tuple[Wanted, ...]:
    """The paths of *group* in a fixed order, each once."""
    known = columns(table, response)
    mediators = [c for c in table.of("mediator") if c.name not in PARTS_OF_ENERGY]
    sound = [names for names in declared if not _strange(names, known, response)]
    given = [names for names in (_resolved(d, known, response) for d in sound) if names]
    varied = {f.name for f in group.factors}
    by_part = [
        (cause.name, mediator.name, outcome.name)
        for cause in group.factors
        for mediator in mediators
        for outcome in asked(table, response)
    ]
    mine = dict.fromkeys([*(names for names in given if names[0] in varied), *by_part])
    seen = dict.fromkeys(_discovered(graph, known)) if graph else {}
    found = []
    for names in dict.fromkeys([*mine, *seen]):
        origin: Literal["declared", "discovered", "both"] = (
            "both" if names in mine and names in seen else "declared" if names in mine else "discovered"
        )
        cause, mediator, outcome = (known[name] for name in names)
        reason = identity(mediator.name, outcome.name)
        found.append(Wanted(cause=cause, mediator=mediator, outcome=outcome, origin=origin, reason=reason))
    return tuple(found)


def refused(
    declared: Sequence[Names], table: Table, response: Response, taken: Collection[Names]
) -> list[tuple[Names, str]]:
    """Declared paths that no group has *taken*, with the reason."""
    known = columns(table, response)
    found = []
    for names in declared:
        reason = _strange(names, known, response)
        if not reason and _resolved(names, known, response) not in taken:
            reason = f"{names[0]} does not vary within any model"
        if reason:
            found.append((names, reason))
    return found


def _strange(names: Names, known: Mapping[str, Column], response: Response) -> str:
    roles = [name.removeprefix("design_") for name in known]
    for name, place in zip(names, ("cause", "mediator", "outcome"), strict=True):
        column = _column(name, known, response)
        if column is None:
            hits = get_close_matches(name, roles, n=1, cutoff=0.4)
            return f"no column answers to {name}{f'; is it {hits[0]}?' if hits else ''}"
        was_set = known[column].part == "design"
        if was_set != (place == "cause"):
            said = "was set" if was_set else "came of what was set"
            return f"{name} cannot be the {place}: it {said}"
    return ""


def identity(mediator: str, outcome: str) -> str:
    """Why *mediator* must not be one for *outcome*; empty where it may.

    Joules are watts times seconds. With one of them held fixed, what is left of the effect on joules
    is arithmetic.
    """
    made = (mediator in PARTS_OF_ENERGY or mediator.endswith("_joules")) and outcome.endswith("_joules")
    if mediator == outcome:
        return "a column cannot mediate its own effect"
    if made or (mediator.endswith("_joules") and outcome in PARTS_OF_ENERGY):
        return "energy is power times duration: a path through one of them is an identity, not a finding"
    return ""


def _resolved(names: Names, known: Mapping[str, Column], response: Response) -> Names | None:
    found = [_column(name, known, response) for name in names]
    return None if None in found else (str(found[0]), str(found[1]), str(found[2]))


def _column(name: str, known: Mapping[str, Column], response: Response) -> str | None:
    """A column by its name, its role, its name without prefix, or ``energy`` for the response."""
    if name == "energy" and response.column:
        return response.column
    tried = (name, *(f"{prefix}{name}" for prefix in ("design_", "energy_", "perf_")))
    return next((n for n in tried if n in known), None)


def _discovered(graph: Graph, known: Mapping[str, Column]) -> Iterator[Names]:
    """Two edges in a row, from what was set through what came of it to an outcome."""
    edges = [e for e in graph.edges if supported(e) and {e.parent, e.child} <= known.keys()]
    for first in edges:
        if known[first.parent].part != "design" or known[first.child].name in PARTS_OF_ENERGY:
            continue
        for second in edges:
            if second.parent == first.child and known[second.child].part in ("energy", "performance"):
                yield first.parent, first.child, second.child


def supported(edge: Edge) -> bool:
    """An engine gives the edge at least one half, and least squares finds it after correction."""
    seen = max(edge.exact, edge.dibs or 0.0) >= PRESENT
    return seen and significant(edge.q)
