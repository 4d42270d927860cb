"""Labels beside the lines of a plot: how much room they need, and how short a name may be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CHARACTER = 7.6
"""Pixels of a character at 13 px: the widest of the usual system fonts, DejaVu Sans, needs 7.1 to 7.5."""
MARGIN = 20


def room(labels: Iterable[str], least: int, most: int) -> int:
    """Pixels left of the plot that the longest label needs, within bounds."""
    return min(max(round(CHARACTER * max(map(len, labels))) + MARGIN, least), most)


def fitted(label: str, pixels: float) -> str:
    """The label as it is where it fits, else its end, which tells models apart."""
    most = int(pixels / CHARACTER)
    return label if len(label) <= most else "…" + label[len(label) - most + 1 :]


def named(scopes: Iterable[str]) -> dict[str, str]:
    """Models without their repository, unless two have the same name or it is ``default``."""
    short = {scope: scope.rpartition("/")[2] for scope in scopes}
    counts = Counter(short.values())
    return {
        scope: name if counts[name] == 1 and name != "default" else scope for scope, name in short.items()
    }
