"""Mediation: by which way a setting changes energy."""

from causal_report.mediation.estimate import estimate

__all__ = ["estimate"]
