"""Three engines side by side on every edge the tiers allow: DiBS, exact averaging, least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report import regression
from causal_report.discovery import exact
from causal_report.errors import EngineError
from causal_report.findings import Edge, EngineRun, Graph, Node

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import NDArray

    from causal_report.discovery.prepare import Prepared

    Matrix = NDArray[np.float64]

PRESENT = 0.5
SIGNIFICANT = 0.05
APART = 0.4
"""Engines that differ by more than this on an edge dispute it."""
DIBS_LEAST_N = 40


def graph(prepared: Prepared, *, engine: str, seed: int) -> Graph:
    """Run the engines on *prepared* and put their answers beside each other.

    Args:
        prepared: standardised complete rows.
        engine: ``dibs`` runs all three, ``exact`` leaves DiBS out.
        seed: of DiBS; the others have no randomness.
    """
    nodes = tuple(Node(name=c.name, label=c.label, part=c.part) for c in prepared.columns)
    if prepared.reason:
        runs = tuple(
            EngineRun(name=name, ran=False, reason=prepared.reason) for name in ("dibs", "exact", "ols")
        )
        return _graph(prepared, prepared.reason, nodes, (), runs)
    try:
        averaged, exact_run = _exact(prepared)
    except EngineError as error:
        runs = (EngineRun(name="exact", ran=False, reason=str(error)),)
        return _graph(prepared, str(error), nodes, (), runs)
    particles, dibs_run = _dibs(prepared, engine, seed)
    table = _ols(prepared)
    edges = tuple(
        _edge(prepared, i, j, particles, averaged, table.get((i, j)))
        for j in range(len(nodes))
        for i in range(len(nodes))
        if prepared.allowed[i, j]
    )
    q = regression.benjamini_hochberg([e.p for e in edges])
    edges = tuple(_judged(edge, value) for edge, value in zip(edges, q, strict=True))
    runs = (_collapsed(dibs_run, edges), exact_run, EngineRun(name="ols", ran=True, settings={"se": "HC3"}))
    return _graph(prepared, "", nodes, edges, runs)


def dibs_refusal(prepared: Prepared) -> str:
    """Why DiBS must not run on so few rows, empty when it may."""
    parents = int(prepared.allowed.sum(axis=0).max()) if prepared.columns else 0
    needed = max(DIBS_LEAST_N, 3 * (parents + 1))
    if prepared.n_effective < needed:
        return f"{prepared.n_effective} effective rows; {parents} possible parents ask for {needed}"
    return ""


def _graph(
    prepared: Prepared,
    reason: str,
    nodes: tuple[Node, ...],
    edges: tuple[Edge, ...],
    runs: tuple[EngineRun, ...],
) -> Graph:
    return Graph(
        reason=reason,
        n=len(prepared.x),
        n_effective=prepared.n_effective,
        nodes=nodes,
        edges=edges,
        engines=runs,
        dropped=prepared.dropped,
        notes=prepared.notes,
    )


def _exact(prepared: Prepared) -> tuple[Matrix, EngineRun]:
    found = exact.edge_probabilities(prepared.x, prepared.allowed, prepared.n_effective)
    settings = {"most_parents": exact.MOST_PARENTS, "score": "BIC", "prior": "uniform in number of parents"}
    return found, EngineRun(name="exact", ran=True, settings=settings)  # milliseconds: no time to tell


def _dibs(prepared: Prepared, engine: str, seed: int) -> tuple[Matrix | None, EngineRun]:
    refusal = "the exact engine alone was asked for" if engine != "dibs" else dibs_refusal(prepared)
    if refusal:
        return None, EngineRun(name="dibs", ran=False, reason=refusal)
    from causal_report.discovery import dibs

    try:
        found = dibs.discover(prepared.x, prepared.allowed, seed=seed)
    except EngineError as error:
        return None, EngineRun(name="dibs", ran=False, reason=str(error))
    run = EngineRun(name="dibs", ran=True, settings=found.settings, warnings=found.warnings)
    return found.edge_probability, run


def _ols(prepared: Prepared) -> dict[tuple[int, int], regression.Coefficient]:
    """Each child on all its allowed parents, with the models as controls."""
    found: dict[tuple[int, int], regression.Coefficient] = {}
    levels = sorted(set(prepared.groups))[1:]
    controls = {f"model={v}": np.array([float(g == v) for g in prepared.groups]) for v in levels}
    for j in range(prepared.x.shape[1]):
        parents = np.flatnonzero(prepared.allowed[:, j])
        if not len(parents):
            continue
        wanted = {str(i): prepared.x[:, i] for i in parents}
        fit = regression.ols(prepared.x[:, j], wanted, controls)
        found |= {(int(name), j): coefficient for name, coefficient in fit.coefficients.items()}
    return found


def _edge(
    prepared: Prepared,
    i: int,
    j: int,
    particles: Matrix | None,
    averaged: Matrix,
    slope: regression.Coefficient | None,
) -> Edge:
    return Edge(
        parent=prepared.columns[i].name,
        child=prepared.columns[j].name,
        dibs=None if particles is None else float(particles[i, j]),
        exact=float(averaged[i, j]),
        ols=slope.estimate if slope else None,
        p=slope.p if slope and np.isfinite(slope.p) else None,
        q=None,
        verdict="disputed",
    )


def _judged(edge: Edge, q: float | None) -> Edge:
    from dataclasses import replace

    return replace(edge, q=q, verdict=_verdict(edge.dibs, edge.exact, q))


def _verdict(dibs: float | None, exact: float, q: float | None) -> Literal["supported", "absent", "disputed"]:
    answers = [exact >= PRESENT, q is not None and q < SIGNIFICANT]
    if dibs is not None:
        answers.append(dibs >= PRESENT)
        if abs(dibs - exact) > APART:
            return "disputed"
    if all(answers):
        return "supported"
    return "disputed" if any(answers) else "absent"


def _collapsed(run: EngineRun, edges: tuple[Edge, ...]) -> EngineRun:
    """Warn of a DiBS run that found nothing where least squares found something."""
    from dataclasses import replace

    none = all((e.dibs or 0.0) < PRESENT for e in edges)
    some = any(e.q is not None and e.q < SIGNIFICANT for e in edges)
    if run.ran and none and some:
        warning = "no edge reached one half although least squares finds some: the run collapsed"
        return replace(run, warnings=(*run.warnings, warning))
    return run
