"""What became of the edges: verdicts from all the evidence, refits, and a test on rows not used to find."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from causal_report import regression
from causal_report.discovery import exact
from causal_report.discovery.evidence import PRESENT
from causal_report.findings.discovery import Refit, Split
from causal_report.regression import significant

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import NDArray

    from causal_report.discovery.prepare import Prepared

    Matrix = NDArray[np.float64]
    Verdict = Literal["validated", "direction not confirmed", "not validated", "absent"]

DIRECTED = 0.8
"""A direction is confirmed when it has four fifths of the probability of both."""
SPLIT_N = 200
"""Rows from which half are spared to test what the other half found."""


def assumed(cause: str, effect: str) -> bool:
    """Whether the tiers give a direction that physics gives the other way round.

    Power heats: a temperature that moves with a power or an energy may as well have come of it.
    """
    return "_temp_" in cause and effect.endswith(("_watts", "_joules"))


def verdict(
    dibs: float | None,
    averaged: float,
    q: float | None,
    reverse: float | None,
    classic: float | None = None,
    *,
    assumed: bool = False,
) -> Verdict:
    """One word for the converging evidence on an edge.

    Args:
        dibs: its probability by DiBS, None where it did not run.
        averaged: its probability by exact averaging.
        q: of its coefficient.
        reverse: exact probability of the opposite direction, None where the tiers forbid it.
        classic: by PC or GES, None where none was asked for.
        assumed: the tiers gave the direction, and it may be the other.
    """
    answers = [value >= PRESENT for value in (dibs, averaged, classic) if value is not None]
    clear = significant(q)
    both = averaged + (reverse or 0.0)
    open_direction = max(averaged, reverse or 0.0) < DIRECTED * both
    if reverse is not None and clear and both >= PRESENT and open_direction:
        return "direction not confirmed"
    if all(answers) and clear:
        return "direction not confirmed" if assumed else "validated"
    return "not validated" if any(answers) else "absent"


def refits(prepared: Prepared, averaged: Matrix) -> tuple[Refit, ...]:
    """R² of each column on the causes that exact averaging gives one half or more."""
    found = []
    for j, column in enumerate(prepared.columns):
        causes = np.flatnonzero((averaged[:, j] >= PRESENT) & prepared.allowed[:, j])
        if not prepared.allowed[:, j].any():
            continue
        r2 = float(np.mean([_explained(x[:, j], x[:, causes]) for x in prepared.matrices]))
        found.append(Refit(name=column.name, label=column.label, causes=len(causes), r2=r2))
    return tuple(found)


def _explained(y: Matrix, x: Matrix) -> float:
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0] if x.shape[1] else y
    return 1.0 - float(rest @ rest) / float(y @ y)


def split(prepared: Prepared, *, seed: int, name: str) -> Split | None:
    """Find with exact averaging on one half of each model's rows, test by least squares on the other.

    None under 200 effective rows, where half would be too few for either, and where holes were filled:
    a filling drawn from all rows tells the one half of the other.
    """
    if prepared.n_effective < SPLIT_N or prepared.fillings:
        return None
    rng = np.random.default_rng([seed, zlib.crc32(f"{name}/split".encode())])
    first = np.zeros(len(prepared.x), dtype=bool)
    groups = np.array(prepared.groups)
    for group in sorted(set(prepared.groups)):
        mine = np.flatnonzero(groups == group)
        first[rng.permutation(mine)[: len(mine) // 2]] = True
    one, two = _scaled(prepared.x[first]), _scaled(prepared.x[~first])
    averaged = exact.edge_probabilities(one, prepared.allowed)
    pairs = [(int(i), int(j)) for i, j in np.argwhere(averaged >= PRESENT)]
    p: list[float | None] = []
    same = []
    for i, j in pairs:
        parents = [int(v) for v in np.flatnonzero(prepared.allowed[:, j])]
        fit = regression.ols(two[:, j], {str(v): two[:, v] for v in parents}, {})
        slope = fit.coefficients.get(str(i))
        p.append(slope.p if slope and np.isfinite(slope.p) else None)
        before = np.linalg.lstsq(one[:, parents], one[:, j], rcond=None)[0][parents.index(i)]
        same.append(slope is not None and bool(np.sign(slope.estimate) == np.sign(before)))
    q = regression.benjamini_hochberg(p)
    confirmed = sum(ok and significant(v) for ok, v in zip(same, q, strict=True))
    return Split(
        n_found_on=int(first.sum()), n_tested_on=int((~first).sum()), found=len(pairs), confirmed=confirmed
    )


def _scaled(x: Matrix) -> Matrix:
    centred = x - x.mean(axis=0)
    size = centred.std(axis=0)
    return np.asarray(centred / np.where(size > 0, size, 1.0))
