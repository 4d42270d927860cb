"""The engines side by side on every edge the tiers allow: DiBS, exact averaging, least squares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import imputation, regression
from causal_report.discovery import classic, exact
from causal_report.errors import EngineError
from causal_report.findings.discovery import Edge, EngineRun, Graph, Node
from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from numpy.typing import NDArray

    from causal_report.discovery.dibs import Particles
    from causal_report.discovery.prepare import Prepared

    Matrix = NDArray[np.float64]
    Pair = tuple[int, int]

PRESENT = 0.5
APART = 0.4
"""Engines that differ by more than this on an edge dispute it."""
DIBS_LEAST_N = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A graph and the numbers behind it, [parent, child]; None where an engine did not run.

    Attributes:
        slopes: of each child on all its allowed parents.
        r2: of that regression within models, by child.
    """

    graph: Graph
    dibs: Particles | None = None
    exact: Matrix | None = None
    classic: Matrix | None = None
    slopes: Mapping[Pair, regression.Coefficient]
    r2: Mapping[int, float]


def look(prepared: Prepared, *, engine: str, seed: int, name: str = "") -> Evidence:
    """Run the engines on *prepared* and put their answers beside each other.

    Args:
        prepared: standardised complete rows.
        engine: ``exact`` always runs; ``dibs``, ``pc`` or ``ges`` runs beside it.
        seed: of DiBS; the others have no randomness.
        name: of the table, for a stream of its own.
    """
    if prepared.reason:
        return _nothing(prepared, prepared.reason, ("dibs", "exact", "ols"))
    try:
        averaged, exact_run = _exact(prepared)
    except EngineError as error:
        return _nothing(prepared, str(error), ("exact",))
    particles, dibs_run = _dibs(prepared, engine, seed, name)
    found, runs = _classic(prepared, engine)
    slopes, r2 = _ols(prepared)
    edges = _edges(prepared, particles, averaged, slopes)
    runs = (
        _collapsed(dibs_run, edges),
        exact_run,
        *runs,
        EngineRun(name="ols", ran=True, settings={"se": "HC3"}),
    )
    return Evidence(
        graph=_graph(prepared, "", edges, runs),
        dibs=particles,
        exact=averaged,
        classic=found,
        slopes=slopes,
        r2=r2,
    )


def dibs_refusal(prepared: Prepared) -> str:
    """Why DiBS must not run on so few rows, empty when it may."""
    parents = int(prepared.allowed.sum(axis=0).max()) if prepared.columns else 0
    needed = max(DIBS_LEAST_N, 3 * (parents + 1))
    if prepared.n_effective < needed:
        return (
            f"{prepared.n_effective} effective rows; {parents} possible parents ask for {needed}: "
            "exact averaging and least squares are exploratory here"
        )
    return ""


def _nothing(prepared: Prepared, reason: str, engines: tuple[str, ...]) -> Evidence:
    runs = tuple(EngineRun(name=name, ran=False, reason=reason) for name in engines)
    return Evidence(graph=_graph(prepared, reason, (), runs), slopes={}, r2={})


def _graph(prepared: Prepared, reason: str, edges: tuple[Edge, ...], runs: tuple[EngineRun, ...]) -> Graph:
    return Graph(
        reason=reason,
        n=len(prepared.x),
        n_effective=prepared.n_effective,
        nodes=tuple(Node(name=c.name, label=c.label, part=c.part) for c in prepared.columns),
        edges=edges,
        engines=runs,
        dropped=prepared.dropped,
        notes=prepared.notes,
    )


def _exact(prepared: Prepared) -> tuple[Matrix, EngineRun]:
    each = [exact.edge_probabilities(x, prepared.allowed, prepared.n_effective) for x in prepared.matrices]
    found = np.asarray(np.mean(each, axis=0))
    settings = {
        "most_parents": exact.MOST_PARENTS,
        "score": "g-prior, g = n",
        "edge_prior": exact.EDGE_PRIOR,
    }
    return found, EngineRun(name="exact", ran=True, settings=settings)


def _dibs(prepared: Prepared, engine: str, seed: int, name: str) -> tuple[Particles | None, EngineRun]:
    asked = "the exact engine alone was asked for" if engine == "exact" else f"{engine} was asked for"
    refusal = asked if engine != "dibs" else dibs_refusal(prepared)
    if refusal:
        return None, EngineRun(name="dibs", ran=False, reason=refusal)
    try:
        found = _sampled(prepared, seed, name)
    except EngineError as error:
        return None, EngineRun(name="dibs", ran=False, reason=str(error))
    return found, EngineRun(name="dibs", ran=True, settings=found.settings, warnings=found.warnings)


def _sampled(prepared: Prepared, seed: int, name: str) -> Particles:
    """DiBS with several seeds; with one for each filling where holes were filled."""
    from causal_report.discovery import dibs

    if not prepared.fillings:
        return dibs.discover(prepared.x, prepared.allowed, seed=seed, name=name)
    return dibs.pooled(
        [
            dibs.discover(x, prepared.allowed, seed=seed, name=f"{name}#{number}", seeds=1)
            for number, x in enumerate(prepared.fillings)
        ]
    )


def _classic(prepared: Prepared, engine: str) -> tuple[Matrix | None, tuple[EngineRun, ...]]:
    """PC or GES where asked for."""
    if engine not in classic.NAMES:
        return None, ()
    try:
        each = [classic.discover(engine, x, prepared.allowed) for x in prepared.matrices]
    except EngineError as error:
        return None, (EngineRun(name=engine, ran=False, reason=str(error)),)
    run = EngineRun(name=engine, ran=True, settings={"library": "causal-learn"})
    return np.asarray(np.mean(each, axis=0)), (run,)


def _ols(prepared: Prepared) -> tuple[dict[Pair, regression.Coefficient], dict[int, float]]:
    """Each child on all its allowed parents, with the models as controls."""
    found: dict[Pair, regression.Coefficient] = {}
    r2: dict[int, float] = {}
    levels = sorted(set(prepared.groups))[1:]
    groups = np.array(prepared.groups)
    controls = {f"model={v}": (groups == v).astype(float) for v in levels}
    for j in range(prepared.x.shape[1]):
        parents = np.flatnonzero(prepared.allowed[:, j])
        if not len(parents):
            continue
        fits = [
            regression.ols(x[:, j], {str(i): x[:, i] for i in parents}, controls) for x in prepared.matrices
        ]
        found |= {(int(i), j): slope for i in parents if (slope := _slope(fits, str(i)))}
        r2[j] = float(np.mean([fit.r2 for fit in fits]))
    return found, r2


def _slope(fits: Sequence[regression.Fit], name: str) -> regression.Coefficient | None:
    """Of one fit, or of all fillings together; None where one of them cannot tell it."""
    slopes = [fit.coefficients[name] for fit in fits if name in fit.coefficients]
    if len(slopes) < len(fits):
        return None
    return slopes[0] if len(fits) == 1 else imputation.pooled(slopes, fits[0].df)


def _edges(
    prepared: Prepared,
    particles: Particles | None,
    averaged: Matrix,
    slopes: Mapping[Pair, regression.Coefficient],
) -> tuple[Edge, ...]:
    pairs = [(int(i), int(j)) for j, i in np.argwhere(prepared.allowed.T)]
    p = {pair: slopes[pair].p for pair in pairs if pair in slopes and np.isfinite(slopes[pair].p)}
    edges = []
    for (i, j), q in zip(pairs, regression.benjamini_hochberg([p.get(v) for v in pairs]), strict=True):
        probability = None if particles is None else float(particles.edge_probability[i, j])
        edges.append(
            Edge(
                parent=prepared.columns[i].name,
                child=prepared.columns[j].name,
                dibs=probability,
                exact=float(averaged[i, j]),
                ols=slopes[i, j].estimate if (i, j) in slopes else None,
                p=p.get((i, j)),
                q=q,
                verdict=_verdict(probability, float(averaged[i, j]), q),
            )
        )
    return tuple(edges)


def _verdict(dibs: float | None, exact: float, q: float | None) -> Literal["supported", "absent", "disputed"]:
    answers = [exact >= PRESENT, significant(q)]
    if dibs is not None:
        answers.append(dibs >= PRESENT)
        if abs(dibs - exact) > APART:
            return "disputed"
    if all(answers):
        return "supported"
    return "disputed" if any(answers) else "absent"


def _collapsed(run: EngineRun, edges: tuple[Edge, ...]) -> EngineRun:
    """Warn of a DiBS run that found nothing where least squares found something."""
    none = all((e.dibs or 0.0) < PRESENT for e in edges)
    some = any(significant(e.q) for e in edges)
    if run.ran and none and some:
        warning = "no edge reached one half although least squares finds some: the run collapsed"
        return replace(run, warnings=(*run.warnings, warning))
    return run
