"""Numbers as people read them: units, digits that mean something, p-values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MINUS = "\u2212"
"""The typographic minus: same width as a digit in tabular numerals."""
JOINED = "\u00a0"
"""The space before a unit, where no line may break."""


def significant(value: float | None, digits: int = 3) -> str:
    """*value* with so many significant digits, thousands separated; a dash for None."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    places = max(0, digits - 1 - size)
    rounded = round(value, digits - 1 - size)
    text = f"{rounded:,.{places}f}" if size > -5 else f"{rounded:.{digits - 1}e}"
    return text.replace("-", MINUS)


def energy(joules: float | None) -> str:
    """Joules with the prefix that leaves one to three digits before the point."""
    return _prefixed(joules, "J", ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m")))


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{significant(seconds / size)}{JOINED}{unit}"
    return f"{significant(seconds)}{JOINED}s"


def power(watts: float | None) -> str:
    """Watts with the prefix that leaves one to three digits before the point."""
    return _prefixed(watts, "W", ((1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m")))


def span(low: float | None, high: float | None, show: Callable[[float | None], str]) -> str:
    """An interval in words; a dash where there is none."""
    return "–" if low is None or high is None else f"{show(low)} to {show(high)}"


def channel(name: str) -> str:
    """A channel's id with a GPU's UUID cut to its two ends."""
    head, _, uuid = name.partition("GPU-")
    return name if len(uuid) < 16 else f"{head}GPU-{uuid[:4]}…{uuid[-4:]}"


def percent(value: float | None, digits: int = 1, *, sign: bool = True) -> str:
    """Per cent with an explicit sign; whole numbers from a hundred up."""
    if value is None or not math.isfinite(value):
        return "–"
    places = 0 if abs(value) >= 100 else digits
    text = f"{value:{'+' if sign else ''},.{places}f}".replace("-", MINUS)
    return f"{text}{JOINED}%"


def unsigned(value: float | None) -> str:
    """Per cent of something that has no sign."""
    return percent(value, sign=False)


def signed(value: float | None, digits: int = 3) -> str:
    """Significant digits with an explicit sign."""
    text = significant(value, digits)
    return text if value is None or value <= 0 or not math.isfinite(value) else f"+{text}"


def fixed(value: float | None, places: int = 2) -> str:
    """So many places after the point."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", MINUS)


def tick(value: float) -> str:
    """A value on an axis."""
    return f"{value:g}".replace("-", MINUS)


def probability(value: float | None) -> str:
    """A p or q value: never rounded to zero."""
    if value is None or not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def level(value: float) -> str:
    """A hyperparameter's value, short and exact enough to recognise."""
    return f"{value:.4g}".replace("e-0", "e-").replace("-", MINUS) if abs(value) < 1e4 else f"{value:,.0f}"


def key(value: float | None) -> str:
    """What a column is sorted by: more digits than are shown, none where there is no number."""
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _prefixed(value: float | None, unit: str, prefixes: tuple[tuple[float, str], ...]) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    for size, prefix in prefixes:
        if abs(value) >= size:
            return f"{significant(value / size)}{JOINED}{prefix}{unit}"
    return f"{significant(value)}{JOINED}{unit}"
