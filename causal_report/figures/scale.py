"""Scales: from data to pixels, with round ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps ``low..high`` to ``start..end``; on a logarithmic scale both bounds are above zero."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Position of *value*, rounded to a tenth of a pixel."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = 0.5 if high == low else (at - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)

    def clipped(self, value: float) -> float:
        """Position of *value*, or the end that it lies beyond."""
        return self(min(max(value, self.low), self.high))

    def ticks(self, wanted: int = 6) -> tuple[float, ...]:
        """About *wanted* round values within the bounds."""
        return log_ticks(self.low, self.high, wanted) if self.log else ticks(self.low, self.high, wanted)


def ticks(low: float, high: float, wanted: int = 6) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high]."""
    if not high > low:
        return (low,)
    rough = (high - low) / max(1, wanted - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(m * size for m in (1, 2, 5, 10) if m * size >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(i * step, 12) for i in range(first, last + 1))


def log_ticks(low: float, high: float, wanted: int = 6) -> tuple[float, ...]:
    """1-2-5 values within [low, high], thinned to powers of ten when there are too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1,)):
        found = tuple(round(s * 10.0**p, 12) for p in powers for s in steps if low <= s * 10.0**p <= high)
        if len(found) <= wanted + 1 and len(found) >= 2:
            return found
    return found or (low, high)


def padded(values: Iterable[float], share: float = 0.06, *, log: bool = False) -> tuple[float, float]:
    """Bounds of *values* with some room; a single value gets room of its own size."""
    known = [math.log(v) if log else v for v in values if math.isfinite(v)]
    if not known:
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = min(known), max(known)
    room = (high - low) * share or abs(high) * share or share
    low, high = low - room, high + room
    return (math.exp(low), math.exp(high)) if log else (low, high)
