"""What a background training did while another one was measured: the proof that the load was there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy_plugin.declare.case import Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundRun:
    """One run of the background program.

    Attributes:
        code: exit code; of the last run that of the signal it was stopped by.
        t0_ns: CLOCK_MONOTONIC of its start. ``t1_ns``: of its end.
        epochs: finished in all.
        log: relative to the folder of the attempt.
    """

    code: int | None
    t0_ns: int
    t1_ns: int
    epochs: int
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundWork:
    """All its runs, and what they did within the measured window.

    Attributes:
        loop: ``restart`` or ``endless``.
        warmup_s: seconds it trained before the window opened.
        window_s: length of the measured window.
        alive_s: seconds of it in which the program ran.
        worked_s: seconds of it in which it used a processor or a GPU; None where nobody can see that.
        epochs: that ended within the window.
        cpu_s: processor seconds within the window, None where unknown.
        gpu_percent: mean share of a GPU its processes used, None where unknown.
        flag: empty, or ``background-died: ...`` or ``background-idle: ...``: then the run does not count.
    """

    loop: Loop
    warmup_s: float
    window_s: float
    alive_s: float
    worked_s: float | None
    epochs: int
    cpu_s: float | None
    gpu_percent: float | None
    runs: tuple[BackgroundRun, ...]
    flag: str = ""


def background_from_json(data: Mapping[str, Any]) -> BackgroundWork:
    """The work whose ``asdict`` was journalled."""
    return BackgroundWork(**{**data, "runs": tuple(BackgroundRun(**run) for run in data["runs"])})
