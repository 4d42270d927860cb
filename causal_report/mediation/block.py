"""Rows that several paths share: fitted, resampled and left out one by one, once for all of them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from causal_report.absorption import centred
from causal_report.mediation import moments
from causal_report.mediation.fit import Adjusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from causal_report.mediation.fit import Path, Slope
    from causal_report.mediation.moments import Slopes
    from causal_report.mediation.rows import Group, Rows

    Array = NDArray[np.float64]

MOST_ROWS = 5_000
"""With more rows a product of slopes is as good as normal: Sobel's interval, and no resample is drawn."""
FEW_DRAWS, MANY_DRAWS, MANY_PATHS = 1_000, 10_000, 40
"""With more than 40 paths in one family, p must be able to fall below 0.002: no correction survives it."""


def draws(paths: int) -> int:
    """How many resamples for a family of so many *paths*."""
    return MANY_DRAWS if paths > MANY_PATHS else FEW_DRAWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """A path in every resample and without each row in turn."""

    draws: Slopes
    jackknife: Slopes


@dataclass(slots=True, kw_only=True)
class Block:
    """The same rows of one group; what was computed for one path is kept for the next."""

    group: Group
    rows: Rows
    names: tuple[str, ...]
    seed: int
    draws: int
    _grams: tuple[Array, Array] | None = None
    _adjusted: dict[tuple[str, ...], Adjusted] = field(default_factory=dict)
    _columns: dict[tuple[tuple[str, ...], str], Array] = field(default_factory=dict)
    _swept: dict[tuple[str, ...], tuple[tuple[Array, Rows], tuple[Array, Rows]]] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many rows."""
        return int(self.rows.sum())

    @property
    def large(self) -> bool:
        """Whether normal theory stands in for the bootstrap."""
        return self.n > MOST_ROWS

    def path(self, controls: Sequence[str], names: tuple[str, str, str]) -> tuple[Path, int]:
        """Point estimates of a path, and the degrees of freedom of its last regression."""
        adjusted = self._adjust(tuple(controls))
        x, m, y = (self._column(tuple(controls), name) for name in names)
        return adjusted.path(x, m, y), adjusted.df - 2

    def slope(self, controls: Sequence[str], cause: str, outcome: str) -> Slope | None:
        """Effect of *cause* on another column; None where some row does not know it, or it stands still."""
        values = self.group.values[outcome][self.rows]
        if np.isnan(values).any() or float(np.ptp(values)) == 0.0:
            return None
        key = tuple(controls)
        return self._adjust(key).slope(self._column(key, cause), self._column(key, outcome))

    def resampled(self, controls: Sequence[str], names: tuple[str, str, str]) -> Resampled:
        """The path's slopes in every resample, and leaving out each row in turn."""
        key = tuple(controls)
        grams = self._cross_products()
        if key not in self._swept:
            places = [self.names.index(name) for name in key]
            self._swept = {key: (moments.swept(grams[0], places), moments.swept(grams[1], places))}
        at = (self.names.index(names[0]), self.names.index(names[1]), self.names.index(names[2]))
        found = [
            moments.slopes(gram, left, usable, at)
            for gram, (left, usable) in zip(grams, self._swept[key], strict=True)
        ]
        return Resampled(draws=found[0], jackknife=found[1])

    def _strata(self) -> NDArray[np.intp]:
        return np.unique(self.group.strata[self.rows], return_inverse=True)[1].astype(np.intp)

    def _adjust(self, controls: tuple[str, ...]) -> Adjusted:
        if controls not in self._adjusted:
            columns = [self.group.values[name][self.rows] for name in controls]
            block = np.column_stack(columns) if columns else np.empty((self.n, 0))
            self._adjusted[controls] = Adjusted(block, self._strata())
        return self._adjusted[controls]

    def _column(self, controls: tuple[str, ...], name: str) -> Array:
        if (controls, name) not in self._columns:
            values = self.group.values[name][self.rows]
            self._columns[controls, name] = self._adjust(controls).column(values)
        return self._columns[controls, name]

    def _cross_products(self) -> tuple[Array, Array]:
        """Of all columns of all paths of these rows. The stream is named by the rows, not by their order."""
        if self._grams is None:
            strata = self._strata()
            columns = np.column_stack([self.group.values[name][self.rows] for name in self.names])
            z = centred(columns, strata)
            named = "\n".join([self.group.name, *self.group.keys[self.rows]])
            rng = np.random.default_rng([self.seed, zlib.crc32(named.encode())])
            drawn = moments.resampled(z, strata, self.draws, rng)
            self._grams = drawn, moments.jackknifed(z, strata)
        return self._grams


def blocks(
    group: Group,
    wanted: Iterable[tuple[Rows, tuple[str, ...]]],
    *,
    seed: int,
    draws: int,
) -> dict[bytes, Block]:
    """One block for each set of rows, with all columns that its paths and controls need.

    Args:
        group: whose rows.
        wanted: rows and columns of each path.
        seed: of the resamples.
        draws: how many resamples.
    """
    columns: dict[bytes, set[str]] = {}
    rows: dict[bytes, Rows] = {}
    for mask, names in wanted:
        key = mask.tobytes()
        rows[key] = mask
        columns.setdefault(key, set()).update(names)
    return {
        key: Block(group=group, rows=rows[key], names=tuple(sorted(columns[key])), seed=seed, draws=draws)
        for key in rows
    }
