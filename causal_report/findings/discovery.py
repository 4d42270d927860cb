"""What discovery found: the columns, each allowed edge with every engine's answer, and how they ran."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The causal graph over one set of complete rows; ``reason`` where there is none."""

    reason: str
    n: int
    n_effective: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    engines: tuple[EngineRun, ...]
    dropped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
