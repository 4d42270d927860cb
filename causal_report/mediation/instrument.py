"""Whether the randomised cause may serve as an instrument for its mediator, and why mostly not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from causal_report.regression import significant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal_report.mediation.fit import Path, Slope

STRONG_F = 10.0
"""Below it an instrument is called weak (Staiger and Stock 1997)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The answer: ``weak``, ``another-way``, ``contradicted`` or ``unproven``; ``ways`` are labels."""

    answer: Literal["weak", "another-way", "contradicted", "unproven"]
    f: float | None
    ways: tuple[str, ...] = ()


def judge(path: Path, others: Mapping[str, Slope]) -> Instrument:
    """Say whether total / a identifies the slope of mediator on outcome.

    A randomised cause is an instrument if it moves the mediator (relevance) and moves the outcome
    through the mediator alone (exclusion; Angrist, Imbens and Rubin 1996). Relevance is tested.
    Exclusion can be contradicted - the cause also moves something else that the outcome is made of, or a
    direct effect is left - but one cause and one mediator can never prove it.

    Args:
        path: the fitted path.
        others: by label, the cause's effect on other columns that come before the outcome.
    """
    f = (path.a.estimate / path.a.se) ** 2 if path.a.se else None
    if f is None or f < STRONG_F:
        return Instrument(answer="weak", f=f)
    ways = tuple(label for label, slope in others.items() if significant(slope.p))
    if ways:
        return Instrument(answer="another-way", f=f, ways=ways)
    if significant(path.direct.p):
        return Instrument(answer="contradicted", f=f)
    return Instrument(answer="unproven", f=f)
