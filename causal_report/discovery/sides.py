"""What cannot stand in the one graph of a group: settings and metrics that most rows do not know.

Neither is imputed. A setting that was not recorded was left at its default, one value that nobody
wrote down: drawing values for it would invent variation. A metric that is missing belongs to
trainings that do not report it. Each is looked at on the rows that know it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causal_report.discovery.prepare import LEAST_N, MISSING, PERFORMANCES
from causal_report.effects import LABELS_ONLY
from causal_report.table import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from causal_report.table import Column

COMPLETE = 0.7
"""A metric that would leave fewer complete rows than this share is looked at on its own."""
KNOWN = 0.9
"""Other settings enter beside one where at least this share of its rows knows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A column looked at on its own rows, beside *columns*; ``cause`` or else an effect."""

    column: Column
    cause: bool
    rows: pd.DataFrame
    columns: tuple[Column, ...]
    why: str


def metrics(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[list[Column], list[Column]]:
    """Performance columns that enter the joint graph, and those that are looked at aside."""
    joint: list[Column] = []
    aside: list[Column] = []
    complete = np.ones(len(frame), dtype=bool)
    for column in columns:
        known = values(frame, column).notna().to_numpy()
        if not known.any():
            continue
        both = complete & known
        if len(joint) < PERFORMANCES and both.mean() >= COMPLETE:
            joint.append(column)
            complete = both
        else:
            aside.append(column)
    return joint, aside


def settings(frame: pd.DataFrame, columns: Sequence[Column]) -> list[Aside]:
    """Design columns that are unknown too often for the joint graph, each on its own rows."""
    found = []
    for column in columns:
        known = values(frame, column).notna()
        if column.name in LABELS_ONLY or 1 - known.mean() <= MISSING or known.sum() < LEAST_N:
            continue
        rows = frame[known]
        beside = [c for c in columns if c is column or values(rows, c).notna().mean() >= KNOWN]
        why = f"recorded in {int(known.sum())} of {len(frame)} rows"
        found.append(Aside(column=column, cause=True, rows=rows, columns=tuple(beside), why=why))
    return found


def results(
    frame: pd.DataFrame, aside: Sequence[Column], design: Sequence[Column], others: Sequence[Column]
) -> list[Aside]:
    """Metrics left out of the joint graph, each on its own rows beside what is known there."""
    found = []
    for column in aside:
        rows = frame[values(frame, column).notna()]
        if len(rows) < LEAST_N:
            continue
        beside = [c for c in design if values(rows, c).notna().mean() >= 1 - MISSING]
        why = f"known in {len(rows)} of {len(frame)} rows"
        found.append(
            Aside(column=column, cause=False, rows=rows, columns=(*beside, *others, column), why=why)
        )
    return found
