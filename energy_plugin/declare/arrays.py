"""Arrays: which levels of which factors are run together, as numbers without names."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from energy_plugin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIMES = (2, 3, 5, 7, 11, 13)
MAX_ROWS = 100_000


def factorial(counts: Sequence[int]) -> list[tuple[int, ...]]:
    """Every combination of level numbers; *counts* are the levels of each factor.

    Raises:
        UsageError: more than :data:`MAX_ROWS` combinations.
    """
    rows = 1
    for count in counts:
        rows *= count
    if rows > MAX_ROWS:
        raise UsageError(
            f"a factorial of {' x '.join(map(str, counts))} levels has {rows} combinations; "
            "take fewer levels, an orthogonal array or a latin hypercube"
        )
    return list(itertools.product(*map(range, counts)))


def orthogonal(factors: int, levels: int) -> list[tuple[int, ...]]:
    """The smallest Rao-Hamming array of strength 2: every pair of levels of any two factors equally often.

    ``levels ** k`` rows carry up to ``(levels ** k - 1) / (levels - 1)`` factors; the rows are all
    vectors over GF(levels), a column is the scalar product with a vector whose first non-zero entry
    is 1 (Hedayat, Sloane and Stufken 1999, "Orthogonal Arrays", theorem 3.20).

    Raises:
        UsageError: the number of levels is no prime of :data:`PRIMES`, or the array would be too large.
    """
    if levels not in PRIMES:
        listed = ", ".join(map(str, PRIMES))
        raise UsageError(f"levels = {levels}: an orthogonal array needs a prime number of levels: {listed}")
    dimensions = 2
    while (levels**dimensions - 1) // (levels - 1) < factors:
        dimensions += 1
    if levels**dimensions > MAX_ROWS:
        raise UsageError(f"an orthogonal array of {factors} factors at {levels} levels has too many rows")
    vectors = list(itertools.product(range(levels), repeat=dimensions))
    columns = [v for v in vectors if next((x for x in v if x), 0) == 1][:factors]
    return [
        tuple(sum(a * b for a, b in zip(row, column, strict=True)) % levels for column in columns)
        for row in vectors
    ]


def latin_hypercube(n: int, factors: int, seed: int) -> list[tuple[float, ...]]:
    """*n* points in the unit cube, one in each of the *n* slices of every axis (``scipy.stats.qmc``)."""
    from scipy.stats import qmc

    points = qmc.LatinHypercube(d=factors, rng=seed).random(n)
    return [tuple(map(float, point)) for point in points]
