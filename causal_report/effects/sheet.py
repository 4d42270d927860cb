"""The rows of a table as arrays: what a fit asks of them, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.table import Column, filled, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Codes = NDArray[np.intp]
    Mask = NDArray[np.bool_]

POOLED = "all models"
LABELS_ONLY = {"design_seed": "a random seed is a label, not a dose"}


def pooled_over(repository: str) -> str:
    """The scope of all models of one repository."""
    return f"{repository}, {POOLED}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Groups as codes, doses as numbers; all of the same length.

    Attributes:
        model: code of each row's model in ``models``, sorted by name; likewise ``repository``.
        session: code of the session; a stratum is a model in a session.
        block: code of the block, -1 where the row has none.
        doses: the factors as they were set, NaN where unknown.
        logs: the factors as they are analysed.
        filled: where a factor's value was not recorded but taken from a catalogue of defaults.
    """

    model: Codes
    models: tuple[str, ...]
    repository: Codes
    repositories: tuple[str, ...]
    session: Codes
    stratum: Codes
    block: Codes
    doses: Mapping[str, Vector]
    logs: Mapping[str, Vector]
    filled: Mapping[str, Mask]

    def __len__(self) -> int:
        return len(self.model)

    def scopes(self, within: Mask) -> Iterator[tuple[str, Codes]]:
        """Every scope and the positions of its rows: all models, each repository with several, each model."""
        found = np.flatnonzero(within)
        models = _split(found, self.model)
        if len(models) > 1:
            yield POOLED, found
        repositories = _split(found, self.repository)
        for code, rows in repositories.items():
            if len(repositories) > 1 and len(np.unique(self.model[rows])) > 1:
                yield pooled_over(self.repositories[code]), rows
        for code, rows in models.items():
            yield self.models[code], rows

    def moving(self, rows: Codes, factors: Iterable[Column]) -> list[Column]:
        """Factors with at least two levels inside some model among *rows*, on the scale of the analysis."""
        return [f for f in factors if bool(_spread(self.logs[f.name][rows], self.model[rows]).any())]

    def absent(self, rows: Codes, factor: Column) -> Mask:
        """Rows of models in which nobody knows the factor: they do not have it."""
        codes = self.model[rows]
        known = np.bincount(codes, ~np.isnan(self.doses[factor.name][rows]), len(self.models))
        return np.asarray(known[codes] == 0, dtype=np.bool_)

    def dosed(self, rows: Codes, factor: Column) -> Mask:
        """Rows that tell of the factor's slope: known, and not 0 where that is a level of its own."""
        doses = self.doses[factor.name][rows]
        return np.asarray(~np.isnan(doses) & ~((doses == 0.0) & bool(factor.zeros)), dtype=np.bool_)

    def models_with(self, rows: Codes, factor: Column) -> int:
        """In how many models the factor varies, not counting what only differs between sessions."""
        codes = self.stratum[rows]
        varied = _spread(self.logs[factor.name][rows], codes)
        return len(np.unique(self.model[rows][varied[codes]]))


def of(frame: pd.DataFrame, factors: Sequence[Column]) -> Sheet:
    """The sheet of *frame* with *factors*; seeds are labels and stay out."""
    doses = [factor for factor in factors if factor.name not in LABELS_ONLY]
    model, models = _codes(frame["model_id"])
    repository, repositories = _codes(frame["repository"])
    session, sessions = _codes(frame["session"])
    block = pd.factorize(frame["block_id"])[0].astype(np.intp)
    return Sheet(
        model=model,
        models=models,
        repository=repository,
        repositories=repositories,
        session=session,
        stratum=model * max(1, len(sessions)) + session,
        block=block,
        doses={f.name: np.asarray(pd.to_numeric(frame[f.name]), dtype=np.float64) for f in doses},
        logs={f.name: np.asarray(values(frame, f), dtype=np.float64) for f in doses},
        filled={f.name: np.asarray(filled(frame, f), dtype=np.bool_) for f in doses},
    )


def varying(frame: pd.DataFrame, factors: Iterable[Column]) -> list[Column]:
    """Factors with at least two levels inside some model of *frame*."""
    if not len(frame):
        return []
    codes = np.asarray(pd.factorize(frame["model_id"])[0])
    return [f for f in factors if bool(_spread(np.asarray(frame[f.name], dtype=np.float64), codes).any())]


def _codes(column: pd.Series[str]) -> tuple[Codes, tuple[str, ...]]:
    codes, names = pd.factorize(column, sort=True)
    return codes.astype(np.intp), tuple(map(str, names))


def _split(rows: Codes, codes: Codes) -> dict[int, Codes]:
    """Positions by code, in the order of the codes."""
    order = rows[np.argsort(codes[rows], kind="stable")]
    found, starts = np.unique(codes[order], return_index=True)
    return dict(zip(map(int, found), np.split(order, starts[1:]), strict=True)) if len(rows) else {}


def _spread(doses: Vector, codes: Codes) -> Mask:
    """For each code whether the known doses differ."""
    size = int(codes.max()) + 1 if len(codes) else 0
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    known = ~np.isnan(doses)
    np.minimum.at(low, codes[known], doses[known])
    np.maximum.at(high, codes[known], doses[known])
    return np.asarray(high > low, dtype=np.bool_)
