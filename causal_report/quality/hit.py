"""What a check gives: a row and the evidence against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from causal_report.quality.view import Mask


class Hit(NamedTuple):
    """Position of a row, the check it fails, and the evidence in words."""

    at: int
    check: str
    evidence: str


def hits(check: str, rows: Mask, say: Callable[[int], str]) -> Iterator[Hit]:
    """A hit for each of *rows*; *say* is asked for these alone."""
    for at in np.flatnonzero(rows).tolist():
        yield Hit(at, check, say(at))


def mask(found: list[Hit], n: int, *checks: str) -> Mask:
    """Rows that any of *checks* hit; any check at all where none is named."""
    out = np.zeros(n, bool)
    out[[hit.at for hit in found if not checks or hit.check in checks]] = True
    return out
