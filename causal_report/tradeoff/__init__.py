"""Question 2: what moves energy, what moves performance, and what both; where the best lies."""

from __future__ import annotations

from causal_report.tradeoff.question import estimate

__all__ = ["estimate"]
