"""What a design can see: the smallest effect it would find, and the replicates a wanted one needs.

Energies and times vary in proportion, so noise is a standard deviation of logarithms and an effect a
percentage. The comparison judged is the plainest one a design holds: a level against the base, a
two-sided two-sample t-test, by the noncentral t distribution (``statsmodels.stats.power``).
"""

from __future__ import annotations

import csv
import math
import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_plugin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from energy_plugin.declare.case import Case

POWER, ALPHA = 0.8, 0.05
"""Chance to find an effect that is there, and to find one that is not (Cohen 1988's convention)."""
COLUMNS = ("total_energy_joules", "estimate_codecarbon_joules", "duration_seconds")
"""What noise is taken from, the first that a model's replicates have."""
MAX_REPLICATES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Spread of replicates of one model (``repository/model+...`` and mode).

    Attributes:
        sd: standard deviation of the natural logarithm within treatments.
        freedom: degrees of freedom behind it; 0 for a stated figure.
        column: what was measured.
    """

    sd: float
    freedom: int = 0
    column: str = ""

    @property
    def percent(self) -> float:
        """The spread as a percentage."""
        return math.expm1(self.sd) * 100


def stated(percent: float) -> Noise:
    """Noise that the user states: one standard deviation in percent."""
    if not 0 < percent < 1000:
        raise UsageError(f"--energy-noise {percent:g}: must be a percentage above 0")
    return Noise(sd=math.log1p(percent / 100))


def noise_of(sessions: Iterable[Path]) -> dict[str, Noise]:
    """Noise by model and mode from the ``summary.csv`` of past sessions, pooled over treatments.

    Replicates are the same case in the same session; different sessions differ by more than noise.
    """
    values: dict[tuple[str, str], dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for session in sessions:
        for row in _rows(session / "summary.csv"):
            treatment = (str(session), row["case_id"].rpartition("-r")[0])
            for column in COLUMNS:
                if (number := _positive(row.get(column))) is not None:
                    values[_name(row), column][treatment].append(math.log(number))
    found: dict[str, Noise] = {}
    for (name, column), groups in sorted(values.items(), key=lambda item: COLUMNS.index(item[0][1])):
        noise = _pooled(list(groups.values()), column)
        if noise is not None:
            found.setdefault(name, noise)
    return found


def _rows(file: Path) -> Iterator[dict[str, str]]:
    if file.is_file():
        with file.open(newline="", encoding="utf-8") as opened:
            for row in csv.DictReader(opened):
                if row.get("training_success") == "True" and row.get("case_id") and row.get("role") == "a":
                    yield row


def _name(row: dict[str, str]) -> str:
    return f"{row['repository']}/{row['model']} {row['mode']}"


def _positive(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def _pooled(groups: Sequence[Sequence[float]], column: str) -> Noise | None:
    many = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in many)
    if not freedom:
        return None
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in many)
    return Noise(sd=math.sqrt(squares / freedom), freedom=freedom, column=column) if squares > 0 else None


def name_of(case: Case) -> str:
    """The key of :func:`noise_of` for a case."""
    return f"{case.programs[0].path} {case.mode}"


def detectable_percent(noise: Noise, treated: int, base: int) -> float | None:
    """The smallest effect found with :data:`POWER`, in percent; None where no test is possible."""
    if treated < 1 or base < 1 or treated + base < 3:
        return None
    from statsmodels.stats.power import TTestIndPower

    size = TTestIndPower().solve_power(nobs1=treated, ratio=base / treated, alpha=ALPHA, power=POWER)
    return math.expm1(float(size) * noise.sd) * 100


def replicates_for(noise: Noise, percent: float) -> int | None:
    """Replicates of each level and of the base with which an effect of *percent* is found.

    None where even :data:`MAX_REPLICATES` are too few.

    Raises:
        UsageError: the effect is no percentage above 0.
    """
    if not 0 < percent < 1000:
        raise UsageError(f"--energy-effect {percent:g}: must be a percentage above 0")
    from statsmodels.stats.power import TTestIndPower

    size = math.log1p(percent / 100) / noise.sd
    low, high = 2, 2
    test = TTestIndPower()
    while high < MAX_REPLICATES and test.power(size, high, ALPHA) < POWER:
        low, high = high, high * 2
    if high >= MAX_REPLICATES:
        return None
    while low < high:  # the power grows with n: halve the span
        middle = (low + high) // 2
        if test.power(size, middle, ALPHA) < POWER:
            low = middle + 1
        else:
            high = middle
    return high
