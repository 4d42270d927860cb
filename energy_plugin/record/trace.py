"""Traces, windows and the one pure function that turns them into readings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy_plugin.declare.case import Role

Status = Literal["measured", "partial", "estimated", "unavailable"]
Kind = Literal["direct", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One quantity one meter can (or cannot) read.

    Attributes:
        id: ``cpu:package:0``, ``cpu:dram:0``, ``gpu:<uuid>``, ``ram``, ``mains:<name>``.
        source: the physical sensor: ``rapl-pmu``, ``nvml-counter``, ``load-model``, ``tdp-table``...
        kind: ``direct`` reads a sensor, ``model`` computes from something else.
        alive: False when the channel cannot be read; then ``reason`` says why.
        reason: stable code: ``no-event``, ``no-permission``, ``dead-counter``, ``implausible``...
        detail: one sentence for people.
        fix: the exact command or option that mends it, empty when nothing can.
        tick_s: time between updates of the counter, 0 when it reads exactly at its edges.
    """

    id: str
    meter: str
    source: str
    kind: Kind = "direct"
    alive: bool = True
    reason: str = ""
    detail: str = ""
    fix: str = ""
    tick_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of CLOCK_MONOTONIC time.

    Attributes:
        program: whose window, None for the joint window of a pair and for idle.
        name: ``process``, ``training``, ``epoch:N``, ``joint``, ``idle:before``, ``idle:after``.
        unc_ns: each edge lies within ± this.
    """

    program: Role | None
    name: str
    t0_ns: int
    t1_ns: int
    unc_ns: int = 0

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (self.t1_ns - self.t0_ns) / 1e9


class Sample(NamedTuple):
    """A cumulative reading: joules counted up to CLOCK_MONOTONIC ``t_ns``."""

    t_ns: int
    joules: float


class Fault(NamedTuple):
    """Something that went wrong while a trace was recorded."""

    t_ns: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Cumulative joules over time from one channel.

    Attributes:
        form: ``counter``: polled readings of a counter that moves in ticks (a value read is stale
            by up to a tick). ``window``: exact at its first and last sample, nothing in between
            (perf enabled and disabled, an estimator's task).
        gauges: other quantities of the channel by name (``power_w``, ``temperature_c``,
            ``utilization_percent``, ``memory_used_bytes``) as ``(t_ns, value)``.
    """

    meter: str
    channel: Channel
    form: Literal["counter", "window"]
    samples: tuple[Sample, ...]
    faults: tuple[Fault, ...] = ()
    gauges: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Power of a channel with nothing running, and its standard uncertainty."""

    power_w: float
    unc_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Joules of one channel in one window. ``joules`` is None when status is ``unavailable``.

    Attributes:
        lo_j: lower bound. ``hi_j``: upper bound (hard bracket of the counter's edges).
        covered_s: seconds of the window the samples really cover.
        method: how joules came from samples: ``resolved-edges``, ``linear-edges``, ``exact-window``,
            ``interpolated``, ``power-integral``.
    """

    meter: str
    channel: str
    window: Window
    status: Status
    reason: str = ""
    joules: float | None = None
    lo_j: float | None = None
    hi_j: float | None = None
    covered_s: float = 0.0
    source: str = ""
    method: str = ""
    kind: Kind = "direct"
    idle_w: float | None = None
    idle_unc_w: float | None = None
