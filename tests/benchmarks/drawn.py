"""Tables drawn like this field's, with a known graph.

Twelve columns: four hyperparameters and the mode were set, three mediators came of them, two
energies and two performances came out; fifteen edges. Parents weigh 0.5 to 1 beside each other, and
each node's R² is drawn from 0.25 to 0.85 on its own: with noise of one size R² would grow along the
graph, which gives the direction away (Reisach et al. 2023). Every column is then standardised: a graph
cannot be read off variances either (Reisach et al. 2021). On one edge the coefficient doubles in the
background mode, which is itself a cause of the same child.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Kind = Literal["linear", "nonlinear", "confounded", "wrong tier", "noise", "equal noise"]

PARTS = (*["design"] * 5, *["mediator"] * 3, *["energy"] * 2, *["performance"] * 2)
MODE = 4
"""The column that holds the mode, 0 or 1."""
MEDIATORS, OUTCOMES = (5, 6, 7), (8, 9, 10, 11)
EDGES = 15
WEIGHT = (0.5, 1.0)
R2 = (0.25, 0.85)
HIDDEN = 0.7
"""What a hidden cause adds to a standardised column."""
KINDS: tuple[Kind, ...] = ("linear", "nonlinear", "confounded", "wrong tier", "noise", "equal noise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A table and its truth.

    Attributes:
        x: standardised, shape (n, 12).
        truth: [parent, child].
        parts: what each column is said to be: one of them wrongly in the kind ``wrong tier``.
    """

    x: Matrix
    truth: Mask
    parts: tuple[str, ...]


def draw(n: int, *, seed: int, kind: Kind = "linear") -> Drawn:
    """A table of *n* rows; *seed* fixes the graph, its coefficients and the rows.

    Args:
        n: rows.
        seed: one integer fixes everything.
        kind: ``nonlinear`` bends every effect, monotonously; ``confounded`` adds a hidden common
            cause of a mediator and an outcome; ``wrong tier`` says of a mediator with children that
            it is an outcome; ``noise`` has no edge at all; ``equal noise`` has noise of one size, so that
            R² grows along the graph.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    truth = np.zeros((len(PARTS), len(PARTS)), dtype=bool) if kind == "noise" else _graph(rng)
    hidden = rng.normal(size=n)
    touched = (int(rng.choice(MEDIATORS)), int(rng.choice(OUTCOMES))) if kind == "confounded" else ()
    moderated = _moderated(truth, rng)
    x = np.empty((n, len(PARTS)))
    # causes first: design, then mediators by how many mediators stand before them, then outcomes
    for child in sorted(range(len(PARTS)), key=lambda j: (j > 4, j > 7, _depth(truth, j))):
        parents = np.flatnonzero(truth[:, child])
        if PARTS[child] == "design":
            x[:, child] = rng.integers(0, 2, n) if child == MODE else rng.uniform(-1, 1, n)
        elif not len(parents):
            x[:, child] = rng.normal(size=n)
        else:
            x[:, child] = _child(x, child, parents, moderated, rng, kind=kind)
        x[:, child] = _standard(x[:, child])
        if child in touched:
            x[:, child] = _standard(x[:, child] + HIDDEN * hidden)
    return Drawn(x=x, truth=truth, parts=_wrong(truth) if kind == "wrong tier" else PARTS)


def _depth(truth: Mask, node: int) -> int:
    """Length of the longest path of mediators that ends in *node*."""
    return max((1 + _depth(truth, j) for j in MEDIATORS if truth[j, node]), default=0)


def _graph(rng: np.random.Generator) -> Mask:
    """Fifteen of the edges the tiers allow, mediators in a random order, every child with a parent."""
    order = [int(j) for j in rng.permutation(MEDIATORS)]
    children = [*order, *OUTCOMES]
    possible = {c: [*range(5), *(order[: order.index(c)] if c in order else order)] for c in children}
    while True:
        truth = np.zeros((len(PARTS), len(PARTS)), dtype=bool)
        for c in children:
            truth[int(rng.choice(possible[c])), c] = True
        spare = [(p, c) for c in children for p in possible[c] if not truth[p, c]]
        for index in rng.permutation(len(spare))[: EDGES - len(children)]:
            truth[spare[index]] = True
        through = truth[np.ix_(MEDIATORS, OUTCOMES)].any()
        if truth.sum(axis=0).max() <= 4 and truth[MODE].any() and through and _moderable(truth):
            return truth


def _moderable(truth: Mask) -> list[tuple[int, int]]:
    """Edges of another column into a child of the mode."""
    return [(int(p), int(c)) for p, c in np.argwhere(truth) if truth[MODE, c] and p != MODE]


def _moderated(truth: Mask, rng: np.random.Generator) -> tuple[int, int]:
    edges = _moderable(truth)
    return edges[int(rng.integers(len(edges)))] if edges else (-1, -1)


def _child(
    x: Matrix,
    child: int,
    parents: NDArray[np.intp],
    moderated: tuple[int, int],
    rng: np.random.Generator,
    *,
    kind: Kind,
) -> Matrix:
    signal = np.zeros(len(x))
    for parent in parents:
        weight = rng.uniform(*WEIGHT) * rng.choice([-1, 1])
        effect = weight * (_bend(x[:, parent], rng) if kind == "nonlinear" else x[:, parent])
        if (parent, child) == moderated:
            effect = effect * (1 + (x[:, MODE] > 0))
        signal += effect
    if kind == "equal noise":
        return signal + rng.normal(size=len(x))
    r2 = rng.uniform(*R2)
    rest: Matrix = rng.normal(size=len(x)) * signal.std() * np.sqrt(1 / r2 - 1)
    return signal + rest


def _standard(v: Matrix) -> Matrix:
    return np.asarray((v - v.mean()) / v.std())


def _bend(v: Matrix, rng: np.random.Generator) -> Matrix:
    """A monotone function of *v*, standardised: saturating, accelerating or steep in the middle."""
    which = int(rng.integers(3))
    bent = np.tanh(1.5 * v) if which == 0 else np.exp(0.7 * v) if which == 1 else np.cbrt(v)
    return _standard(bent)


def _wrong(truth: Mask) -> tuple[str, ...]:
    """The mediator with the most children is said to be an energy: its effects are forbidden."""
    worst = max(MEDIATORS, key=lambda j: int(truth[j].sum()))
    return tuple("energy" if j == worst else part for j, part in enumerate(PARTS))
