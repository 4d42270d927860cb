"""The checks by name: whether they leave a row out, and the numbers they decide by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A named check.

    Attributes:
        excludes: it is evidence that the row is false; else a note, shown and kept.
        limits: names in :data:`causal_report.quality.thresholds.TABLE`.
    """

    name: str
    excludes: bool
    limits: tuple[str, ...] = ()


CHECKS = (
    Check(name="failed", excludes=True),
    Check(name="false-success", excludes=True, limits=("short", "very-short", "z")),
    Check(name="no-metric", excludes=True, limits=("metric-share",)),
    Check(name="impossible-metric", excludes=True),
    Check(
        name="foreign-load",
        excludes=True,
        limits=(
            "cpu-power",
            "memory-power",
            "gpu-power",
            "gpu-use",
            "weak",
            "z",
            "z-weak",
            "beside",
            "beside-h",
        ),
    ),
    Check(
        name="load-missing",
        excludes=True,
        limits=("no-load-cpu", "no-load-gpu", "no-load-use", "no-load-time", "no-load-z", "asleep"),
    ),
    Check(name="load-before", excludes=True, limits=("load-before", "load-usual")),
    Check(name="shared", excludes=True),
    Check(
        name="energy-mismatch", excludes=True, limits=("mismatch", "mismatch-own", "mismatch-z", "least-s")
    ),
    Check(name="energy-parts", excludes=True, limits=("parts",)),
    Check(name="impossible", excludes=True, limits=("silent-s", "watts", "celsius")),
    Check(name="repeated", excludes=True, limits=("pause-s",)),
    Check(name="energy-of-another", excludes=True, limits=("sum-spread",)),
    Check(name="overlap", excludes=True, limits=("overlap-s", "overlap-share")),
    Check(
        name="wrong-default",
        excludes=True,
        limits=("contradiction", "contradiction-metric", "contradiction-t"),
    ),
    Check(name="energy-missing", excludes=False),
    Check(name="power-raised", excludes=False, limits=("raised", "z")),
    Check(name="energy-bias", excludes=False, limits=("mismatch", "least-s")),
    Check(name="id-reused", excludes=False),
    Check(name="leverage", excludes=False, limits=("leverage",)),
    Check(name="hidden-treatment", excludes=False, limits=("contradiction", "contradiction-t")),
)
EXCLUDING = frozenset(check.name for check in CHECKS if check.excludes)
DOUBTFUL = EXCLUDING - {"failed"}
"""A run that says itself that it failed is what it says."""
