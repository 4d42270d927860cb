"""What a design can see: the smallest effect it would find, and the replicates a wanted one needs.

Energies and times vary in proportion, so noise is a standard deviation of logarithms and an effect a
percentage. The comparison judged is the plainest one a design holds: a level against the base, a
two-sided two-sample t-test, by the noncentral t distribution (``statsmodels.stats.power``).
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_plugin.errors import UsageError
from energy_plugin.run.past import ENERGIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from energy_plugin.run.past import PastRun

POWER, ALPHA = 0.8, 0.05
"""Chance to find an effect that is there, and to find one that is not (Cohen 1988's convention)."""
MAX_REPLICATES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Spread of replicates of runs of one kind (models and mode).

    Attributes:
        sd: standard deviation of the natural logarithm within treatments.
        freedom: degrees of freedom behind it; 0 for a stated figure.
        column: what was measured: the first of :data:`~energy_plugin.run.past.ENERGIES` that replicates have.
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


def noise_of(runs: Iterable[PastRun]) -> dict[str, Noise]:
    """Noise by models and mode (:func:`~energy_plugin.run.past.name_of`), pooled over treatments.

    Replicates are runs of one treatment in one session; different sessions differ by more than noise.
    """
    values: dict[str, dict[str, dict[tuple[str, ...], list[float]]]] = {}
    for run in runs:
        for column, number in run.numbers.items():
            by_column = values.setdefault(run.name, {}).setdefault(column, defaultdict(list))
            by_column[run.treatment].append(math.log(number))
    found = {name: _first(columns) for name, columns in values.items()}
    return {name: noise for name, noise in found.items() if noise is not None}


def _first(columns: Mapping[str, Mapping[tuple[str, ...], Sequence[float]]]) -> Noise | None:
    """From the first column that has replicates."""
    for column in ENERGIES:
        noise = _pooled(list(columns.get(column, {}).values()), column)
        if noise is not None:
            return noise
    return None


def _pooled(groups: Sequence[Sequence[float]], column: str) -> Noise | None:
    many = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in many)
    if not freedom:
        return None
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in many)
    return Noise(sd=math.sqrt(squares / freedom), freedom=freedom, column=column) if squares > 0 else None


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
