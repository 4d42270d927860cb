"""Question 1: what the design set, and how it moved energy, its parts, power and duration."""

from __future__ import annotations

from causal_report.effects.sheet import LABELS_ONLY, POOLED, pooled_over, varying
from causal_report.effects.total import estimate, widest

__all__ = ["LABELS_ONLY", "POOLED", "estimate", "pooled_over", "varying", "widest"]
