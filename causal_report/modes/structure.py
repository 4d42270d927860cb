"""Step 2: are the graphs of the two modes different, beyond what chance labels would give?"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import outcomes, regression
from causal_report.absorption import centred
from causal_report.discovery import exact
from causal_report.discovery.prepare import allowed_edges
from causal_report.errors import EngineError
from causal_report.findings.modes import ModeEdge, ModeStructure
from causal_report.modes import rows, rules
from causal_report.table import strata, values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.findings import Graph, Response
    from causal_report.findings.discovery import Edge
    from causal_report.table import Column, Table

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Complete rows of both modes over the columns that both graphs have.

    Attributes:
        x: shape (n, d), less the mean of their model, session and mode; unit variance over both modes.
        background: shape (n,).
        groups: number of the model in its session of each row, shape (n,).
    """

    columns: tuple[Column, ...]
    x: Matrix
    background: Mask
    groups: NDArray[np.int64]

    @property
    def allowed(self) -> Mask:
        """[parent, child], the same tiers as each graph's."""
        return allowed_edges([column.part for column in self.columns])


def compare(
    table: Table, response: Response, group: str, graphs: Mapping[str, Graph], *, seed: int
) -> ModeStructure:
    """Edges and strengths of one group's graphs, with permuted labels of the mode as the measure of noise.

    The probabilities shown are those of the graphs. For the noise the exact engine runs again on the
    same columns of the runs of both modes, with the labels permuted within each model and session.
    Beforehand each mode's own level is taken out, so that a change of level alone is no difference of
    structure.
    """
    frame = rows.single(table)
    frame = frame[frame["repository"] == group]
    refusal = _refusal(graphs)
    if refusal:
        return ModeStructure(group=group, reason=refusal)
    alone, loaded = graphs[rows.ALONE], graphs[rows.BACKGROUND]
    matched, left_out = match(frame, table, response, alone, loaded)
    n_loaded = int(matched.background.sum())
    found = ModeStructure(
        group=group, n_alone=len(matched.x) - n_loaded, n_background=n_loaded, left_out=left_out
    )
    if min(found.n_alone, found.n_background) < rules.EXPLORATORY:
        few = f"{found.n_alone} complete runs alone and {found.n_background} with a load"
        return replace(found, reason=f"{few}: at least {rules.EXPLORATORY} of each")
    if not matched.allowed.any():
        return replace(found, reason="the two graphs have no possible edge in common")
    rng = np.random.default_rng([seed, zlib.crc32(group.encode())])
    try:
        return _permuted(found, matched, alone, loaded, rng)
    except EngineError as error:
        return replace(found, reason=str(error))


def _refusal(graphs: Mapping[str, Graph]) -> str:
    for mode, word in ((rows.ALONE, "alone"), (rows.BACKGROUND, "with a load")):
        if mode not in graphs:
            return f"there is no graph of the runs {word}"
        if graphs[mode].reason:
            return f"no graph of the runs {word}: {graphs[mode].reason}"
    return ""


def match(
    frame: pd.DataFrame, table: Table, response: Response, alone: Graph, loaded: Graph
) -> tuple[Matched, tuple[str, ...]]:
    """The rows of both graphs in one matrix, and the labels of columns that only one of them has."""
    both = {node.name for node in alone.nodes} & {node.name for node in loaded.nodes}
    left_out = [n.label for n in (*alone.nodes, *loaded.nodes) if n.name not in both]
    known = {c.name: c for c in (*table.columns, *rows.costs(table, response))}
    energies = {column.name for column in outcomes.energies(table, response)}
    columns = [known[node.name] for node in alone.nodes if node.name in both and node.name in known]
    have = frame
    for column in columns:
        part = rows.known(have, column, response) if column.name in energies else have
        have = part[values(part, column).notna()]
    data = {c.name: rows.vector_within(values(have, c), rows.cells(have)) for c in columns}
    moving = [c for c in columns if _moves(data[c.name], have)]
    left_out += [c.label for c in columns if c not in moving]
    codes = {name: i for i, name in enumerate(sorted(strata(have).unique()))}
    return Matched(
        columns=tuple(moving),
        x=np.column_stack([data[c.name] / data[c.name].std() for c in moving])
        if moving
        else np.empty((len(have), 0)),
        background=rows.is_background(have) == 1,
        groups=np.array([codes[name] for name in strata(have)], dtype=np.int64),
    ), tuple(dict.fromkeys(left_out))


def _moves(column: Matrix, frame: pd.DataFrame) -> bool:
    """Whether the column varies in both modes."""
    background = rows.is_background(frame) == 1
    sizes = [
        float(np.abs(part).max()) if len(part) else 0.0 for part in (column[background], column[~background])
    ]
    return min(sizes) > 1e-9


def probabilities(matched: Matched, background: Mask) -> tuple[Matrix, Matrix]:
    """The exact engine on the rows that are labelled alone, and on the others; each [parent, child]."""
    found = []
    for rows_in in (~background, background):
        groups = matched.groups[rows_in]
        x = centred(matched.x[rows_in], groups)
        spread = x.std(axis=0)
        x = x / np.where(spread > 1e-9, spread, 1.0)
        found.append(exact.edge_probabilities(x, matched.allowed, len(x) - len(np.unique(groups)) + 1))
    return found[0], found[1]


def _permuted(
    found: ModeStructure, matched: Matched, alone: Graph, loaded: Graph, rng: np.random.Generator
) -> ModeStructure:
    seen = probabilities(matched, matched.background)
    distances, largest = [], []
    for _ in range(rules.DRAWS):
        drawn = probabilities(matched, _shuffled(matched, rng))
        distances.append(distance(*drawn))
        largest.append(float(np.abs(drawn[1] - drawn[0]).max()))
    names = {column.name: i for i, column in enumerate(matched.columns)}
    change = np.abs(seen[1] - seen[0])
    corrected = {
        (parent, child): _share(largest, float(change[i, j]))
        for parent, i in names.items()
        for child, j in names.items()
        if matched.allowed[i, j]
    }
    observed = distance(*seen)
    return replace(
        found,
        edges=_edges(matched, alone, loaded, corrected),
        distance=observed,
        expected=float(np.mean(distances)),
        p=_share(distances, observed),
        draws=rules.DRAWS,
    )


def distance(one: Matrix, other: Matrix) -> int:
    """Structural Hamming distance: edges that only one of the two graphs has."""
    return int(((one >= rules.PRESENT) != (other >= rules.PRESENT)).sum())


def _share(drawn: Sequence[float], seen: float) -> float:
    """The p of a permutation test: the seen one counts among the draws (Phipson and Smyth 2010)."""
    return (1 + sum(value >= seen - 1e-12 for value in drawn)) / (1 + len(drawn))


def _shuffled(matched: Matched, rng: np.random.Generator) -> Mask:
    labels = matched.background.copy()
    for group in range(int(matched.groups.max()) + 1):
        mine = np.flatnonzero(matched.groups == group)
        labels[mine] = labels[mine][rng.permutation(len(mine))]
    return labels


def _edges(
    matched: Matched, alone: Graph, loaded: Graph, corrected: Mapping[Key, float]
) -> tuple[ModeEdge, ...]:
    """Every edge both graphs allow, the largest differences first."""
    first, second = ({(e.parent, e.child): e for e in graph.edges} for graph in (alone, loaded))
    strengths = _strengths(matched)
    labels = {node.name: node.label for node in (*alone.nodes, *loaded.nodes)}
    keys = [key for key in first if key in second and key in corrected]
    q = regression.benjamini_hochberg([strengths[key].p if key in strengths else None for key in keys])
    edges = [
        _edge(key, labels, first[key], second[key], corrected[key], strengths.get(key), value)
        for key, value in zip(keys, q, strict=True)
    ]
    return tuple(sorted(edges, key=lambda e: (not e.changed, -abs(e.difference), e.parent, e.child)))


def _strengths(matched: Matched) -> dict[Key, regression.Coefficient]:
    """Each child on all its parents, and on their changes with the mode.

    HC3, so that a mode in which everything is noisier is no change of slope.
    """
    found: dict[Key, regression.Coefficient] = {}
    mode = matched.background.astype(np.float64)
    cells = matched.groups * 2 + matched.background
    controls = {f"cell={c}": (cells == c).astype(np.float64) for c in np.unique(cells)[1:]}
    for j, child in enumerate(matched.columns):
        parents = np.flatnonzero(matched.allowed[:, j])
        if not len(parents) or len(mode) - 2 * len(parents) - len(controls) - 1 < rules.LEAST_DF:
            continue
        slopes = {f"slope {i}": matched.x[:, i] for i in parents}
        changes = {str(i): matched.x[:, i] * mode for i in parents}
        fit = regression.ols(matched.x[:, j], changes, {**controls, **slopes})
        for name, coefficient in fit.coefficients.items():
            if np.isfinite(coefficient.p):
                found[matched.columns[int(name)].name, child.name] = coefficient
    return found


def _edge(
    key: Key,
    labels: Mapping[str, str],
    alone: Edge,
    loaded: Edge,
    corrected: float,
    strength: regression.Coefficient | None,
    q: float | None,
) -> ModeEdge:
    difference = loaded.exact - alone.exact
    by_weight = abs(difference) > rules.STRENGTH and corrected < rules.ALPHA
    by_slope = strength is not None and abs(strength.estimate) > rules.STRENGTH
    return ModeEdge(
        parent=key[0],
        parent_label=labels[key[0]],
        child=key[1],
        child_label=labels[key[1]],
        where=_where(alone.exact >= rules.PRESENT, loaded.exact >= rules.PRESENT),
        exact_alone=alone.exact,
        exact_background=loaded.exact,
        difference=difference,
        difference_p=corrected,
        dibs_alone=alone.dibs,
        dibs_background=loaded.dibs,
        ols_alone=alone.ols,
        ols_background=loaded.ols,
        strength=strength.estimate if strength else None,
        strength_p=strength.p if strength else None,
        strength_q=q,
        changed=by_weight or (by_slope and q is not None and q < rules.ALPHA),
    )


def _where(alone: bool, loaded: bool) -> Literal["both", "alone only", "background only", "neither"]:
    if alone and loaded:
        return "both"
    if not alone and not loaded:
        return "neither"
    return "alone only" if alone else "background only"
