"""What discovery found: the columns, each allowed edge with every engine's answer, and how they ran."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A column in the causal graph."""

    name: str
    label: str
    part: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One allowed edge and what each engine says of it.

    Attributes:
        dibs: share of DiBS particles with the edge; None where DiBS did not run.
        exact: posterior probability by exact model averaging.
        ols: standardised coefficient on all allowed parents, with HC3 ``p`` and BH ``q``.
        verdict: ``supported`` or ``absent`` where all engines agree, else ``disputed``.
    """

    parent: str
    child: str
    dibs: float | None
    exact: float
    ols: float | None
    p: float | None
    q: float | None
    verdict: Literal["supported", "absent", "disputed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRun:
    """Whether an engine ran, why not, and with what settings and diagnostics."""

    name: str
    ran: bool
    reason: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The causal graph over one set of rows, complete or completed; ``reason`` where there is none."""

    reason: str
    n: int
    n_effective: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    engines: tuple[EngineRun, ...]
    dropped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEdge:
    """One possible edge of a group and the evidence for it, under the table's own column names.

    Attributes:
        dibs: probability by DiBS alone; None where DiBS did not run on these columns.
        exact: posterior probability by exact model averaging.
        classic: 1, 0.5 or 0 by PC or GES where one was asked for.
        ols: standardised coefficient on all allowed causes, ``lo`` and ``hi`` its 95 % HC3 interval.
        ols_q: Benjamini-Hochberg over the edges of the group.
        r2: share of the effect's variation within models that all its allowed causes explain.
        reverse_dibs: the same of the opposite direction; None where the tiers forbid it.
        stability: share of 50 half-samples in which exact averaging gives the edge one half or more.
        null: probability that exact averaging gives the edge in 95 of 100 tables whose tiers were
            shuffled against each other.
        n: rows, complete or completed (the graph's notes say so).
        aside: why the edge was looked at on other rows than the rest, empty where it was not.
    """

    cause: str
    effect: str
    cause_label: str
    effect_label: str
    dibs: float | None
    exact: float
    classic: float | None = None
    ols: float | None
    lo: float | None
    hi: float | None
    p: float | None
    ols_q: float | None
    r2: float | None
    verdict: Literal["validated", "direction not confirmed", "not validated", "absent"]
    reverse_dibs: float | None
    reverse_exact: float | None
    stability: float | None
    null: float | None
    n: int
    aside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """What shuffled tiers give: the share of false edges, and the probability 95 % of tables stay below."""

    tables: int
    rows: int
    false_share: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Edges found on one half of the rows, and those of them that least squares confirms on the other."""

    n_found_on: int
    n_tested_on: int
    found: int
    confirmed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refit:
    """How much of a column its supported causes explain, refitted by least squares."""

    name: str
    label: str
    causes: int
    r2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Discovery within one repository.

    Attributes:
        graphs: by set of rows: ``all``, ``alone``, ``background``; each has its reason where it is none.
        edges: converging evidence on every possible edge, over all rows.
        found: edges with a probability of one half or more by DiBS, by exact averaging where it did not run.
        validated: those of them whose verdict is validated.
    """

    repository: str
    n: int
    models: tuple[str, ...]
    reason: str
    sentences: tuple[Sentence, ...]
    graphs: Mapping[str, Graph]
    edges: tuple[GroupEdge, ...]
    found: int
    validated: int
    chance: Chance | None = None
    split: Split | None = None
    refits: tuple[Refit, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def rate(self) -> float | None:
        """Validated of found."""
        return self.validated / self.found if self.found else None
