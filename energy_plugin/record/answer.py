"""The part of a reading that comes from samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from energy_plugin.record.trace import Status, Window

INNER = ("training", "epoch:", "phase:", "idle:", "tail")


class Answer(NamedTuple):
    """Fields of the same names of :class:`~energy_plugin.record.trace.Reading`."""

    status: Status = "unavailable"
    reason: str = ""
    joules: float | None = None
    lo_j: float | None = None
    hi_j: float | None = None
    covered_s: float = 0.0
    method: str = ""
    unc_j: float | None = None
    power_j: float | None = None
    detail: str = ""


def is_outer(window: Window) -> bool:
    """Whether nothing of the programs runs right outside the window (given they run alone)."""
    return not window.name.startswith(INNER)
