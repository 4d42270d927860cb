"""Rows that are not what they say, with the evidence, and the checks that found them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check that a row fails: its name, and the evidence in words."""

    name: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaggedRow:
    """A row with the checks it fails; ``excluded`` where it enters no answer."""

    experiment_id: str
    timestamp: str
    role: str
    excluded: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A number a check decides by, with its unit and its reason."""

    name: str
    value: float
    unit: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFacts:
    """A check, whether or not any row fails it.

    Attributes:
        title: its name in words.
        looks: what it looks for.
        excludes: it is evidence that a row is false; else a note on a row that is kept.
        rows: how many rows it is on.
    """

    name: str
    title: str
    looks: str
    bounds: tuple[Bound, ...]
    excludes: bool
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """How many rows of one model began or ended on one day, and how many of them are false."""

    model: str
    day: str
    rows: int
    false: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What the checks found.

    Attributes:
        flagged: rows that fail a check which is evidence against them, in row order.
        noted: rows with notes only.
        days: for the figure; a model without a false row has none.
    """

    sentences: tuple[Sentence, ...]
    flagged: tuple[FlaggedRow, ...]
    noted: tuple[FlaggedRow, ...]
    checks: tuple[CheckFacts, ...]
    days: tuple[Day, ...]
    notes: tuple[str, ...]
