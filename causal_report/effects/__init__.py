"""Question 1: what the design set, and how it moved energy, its parts, power and duration."""

from __future__ import annotations

from causal_report.effects.apart import apart
from causal_report.effects.decomposition import decompose
from causal_report.effects.influence import influence
from causal_report.effects.interaction import interactions
from causal_report.effects.question import asked, comparable, question1
from causal_report.effects.raw import raw
from causal_report.effects.sheet import LABELS_ONLY, POOLED, pooled_over, varying
from causal_report.effects.total import estimate, widest

__all__ = [
    "LABELS_ONLY",
    "POOLED",
    "apart",
    "asked",
    "comparable",
    "decompose",
    "estimate",
    "influence",
    "interactions",
    "pooled_over",
    "question1",
    "raw",
    "varying",
    "widest",
]
