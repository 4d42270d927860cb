"""What the flagged rows would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One effect in plain terms (see :class:`~causal_report.findings.Effect`), twice.

    Attributes:
        plain: without the flagged rows, ``plain_lo`` and ``plain_hi`` its 95 % interval; over ``n`` rows.
        kept_plain: with them, ``kept_lo`` and ``kept_hi`` its interval; over ``kept_n`` rows.
        per_cent: in per cent; else in the units of the outcome.
        turned: the answer differs: clear in one and not in the other, or of another sign.
    """

    scope: str
    factor: str
    factor_label: str
    outcome: str
    outcome_label: str
    per_cent: bool
    n: int
    plain: float | None
    plain_lo: float | None
    plain_hi: float | None
    kept_n: int
    kept_plain: float | None
    kept_lo: float | None
    kept_hi: float | None
    turned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """All effects without and with the ``flagged`` rows."""

    flagged: int
    changes: tuple[Change, ...]
    sentences: tuple[Sentence, ...]
