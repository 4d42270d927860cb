"""What discovery says of a group in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report import number
from causal_report.findings.sentence import Sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal_report.findings.discovery import Graph, GroupEdge, Split
    from causal_report.text import Text

NAMED = 4
"""So many edges are named in a sentence."""
NOTABLE = 0.1
"""Standardised coefficient from which an edge is named: Cohen's (1988) small correlation."""


def group(
    repository: str,
    n: int,
    graphs: Mapping[str, Graph],
    edges: Sequence[GroupEdge],
    found: int,
    validated: int,
    split: Split | None,
    reason: str,
    text: Text,
) -> tuple[Sentence, ...]:
    """The group's answer first, then what it rests on."""

    def say(key: str, **values: object) -> Sentence:
        name = f"discovery.{key}"
        return Sentence(key=name, text=text(name, **values))

    if reason:
        return (say("none", repository=repository, n=n, reason=reason),)
    dibs = any(e.dibs is not None for e in edges)
    engine = "DiBS" if dibs else text("discovery.exact_name")
    said = [
        say(
            "validated" if dibs else "validated_exact",
            repository=repository,
            n=n,
            found=found,
            validated=validated,
        )
        if found
        else say("no_edge", repository=repository, n=n, engine=engine)
    ]
    strong = (e for e in edges if e.verdict == "validated" and abs(e.ols or 0.0) >= NOTABLE)
    said += [
        say(
            "edge",
            cause=e.cause_label,
            effect=e.effect_label,
            slope=number.signed(e.ols, 2),
            interval=number.span(e.lo, e.hi, lambda v: number.signed(v, 2)),
            n=e.n,
        )
        for e in sorted(strong, key=_rank)[:NAMED]
    ]
    if split:
        said.append(
            say(
                "split",
                found=split.found,
                confirmed=split.confirmed,
                first=split.n_found_on,
                second=split.n_tested_on,
            )
        )
    missing = [(rows, graph.reason) for rows, graph in graphs.items() if graph.reason and rows != "all"]
    said += [say("stratum", rows=text(f"discovery.rows_{rows}"), reason=why) for rows, why in missing]
    return tuple(said)


def _rank(edge: GroupEdge) -> tuple[bool, bool, float]:
    """What was set first, joules before the rest, the strongest first."""
    was_set = edge.cause.startswith("hyperparam_") or edge.cause == "is_parallel"
    return not was_set, not edge.effect.endswith("_joules"), -abs(edge.ols or 0.0)
