"""Advice: settings predicted to save energy with performance no worse than a stated margin."""

from causal_report.advice.give import give

__all__ = ["give"]
