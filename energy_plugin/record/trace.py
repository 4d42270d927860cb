"""Traces, windows and the one pure function that turns them into readings."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from energy_plugin.record import display, power, resolved, staircase
from energy_plugin.record.answer import Answer, is_outer
from energy_plugin.record.counter import counter_of, sane
from energy_plugin.record.exact import exact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy_plugin.declare.case import Role
    from energy_plugin.record.counter import Counter
    from energy_plugin.record.staircase import Flight

Status = Literal["measured", "partial", "estimated", "unavailable"]
Kind = Literal["direct", "model"]
Form = Literal["counter", "window", "power"]
SCOPE = "scope "
"""Begins the part of a channel's detail that says of what else its joules are: each reading repeats it."""


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
        tick_s: time between updates of the counter, 0 when it reads exactly at its edges. What a
            counter of this tick shows may be up to one tick old when it appears.
        range_j: joules after which the counter begins again at 0 (powercap), 0 when it never does.
        average_s: seconds over which the power sensor under a summed power takes its mean; 0 when
            unknown or when it does not.
        limit_w: the most the device can draw, 0 when unknown.
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
    range_j: float = 0.0
    average_s: float = 0.0
    limit_w: float = 0.0


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
            (perf enabled and disabled, an estimator's task). ``power``: no counter at all, readings of
            power summed by us (gauge ``power_w``).
        gauges: other quantities of the channel by name (``power_w``, ``temperature_c``,
            ``utilization_percent``, ``memory_used_bytes``) as ``(t_ns, value)``.
    """

    meter: str
    channel: Channel
    form: Form
    samples: tuple[Sample, ...]
    faults: tuple[Fault, ...] = ()
    gauges: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Power of a channel with nothing running, and its standard uncertainty.

    Attributes:
        power_w: before the window.
        after_w: after it, once the device has settled; None where it is not known.
    """

    power_w: float
    unc_w: float
    after_w: float | None = None
    after_unc_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Joules of one channel in one window. ``joules`` is None when status is ``unavailable``.

    Attributes:
        lo_j: lower bound. ``hi_j``: upper bound (hard bracket of the counter's edges).
        covered_s: seconds of the window the samples really cover.
        method: how joules came from samples: ``resolved-edges``, ``linear-edges``, ``exact-window``,
            ``interpolated``, ``power-integral``.
        unc_j: standard uncertainty of ``joules`` from edges, idle power and interpolation; without
            the sensor's own gain error, which no software can see. None where nothing bounds it.
        power_j: joules by the channel's power gauge over the same window: the cross-check.
        detail: one sentence for people, empty when there is nothing to say.
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
    unc_j: float | None = None
    power_j: float | None = None
    detail: str = ""


def integrate(trace: Trace, window: Window, idle: Idle | None) -> Reading:
    """Joules of *trace* in *window*, with hard bounds and an honest status. Pure; never raises.

    Args:
        trace: cumulative joules of one channel.
        window: the span asked for; its ``unc_ns`` widens the bounds.
        idle: power of the channel with nothing running. Give it only where nothing runs right before
            and right after the window; inner windows (``training``, ``epoch:N``) and idle windows
            ignore it for their edges. None means linear interpolation between the counter's edges.

    Returns:
        A reading whose ``joules`` is None exactly when its status is ``unavailable``. Of a
        ``partial`` reading joules and bounds are those of the ``covered_s`` seconds, never scaled up.
    """
    answer = Answer()
    if not trace.channel.alive:
        answer = Answer(reason=trace.channel.reason or "dead")
    elif window.t1_ns <= window.t0_ns:
        answer = Answer(reason="empty-window")
    elif not trace.samples and trace.form != "power":
        answer = Answer(reason=trace.faults[0].code if trace.faults else "no-samples")
    elif display.is_display(trace):
        answer = display.answer(sane(trace), window)
    elif trace.form == "window":
        answer = exact(trace, counter_of(trace), window)
    elif trace.channel.kind == "model":
        answer = power.summed(trace, counter_of(trace), window, idle)
    else:
        answer = _from_counter(trace, counter_of(trace), window, idle)
    scopes = [part for part in trace.channel.detail.split("; ") if part.startswith(SCOPE)]
    answer = answer._replace(detail="; ".join(filter(None, (answer.detail, *scopes))))
    return Reading(
        meter=trace.meter,
        channel=trace.channel.id,
        window=window,
        source=trace.channel.source,
        kind=trace.channel.kind,
        idle_w=idle.power_w if idle else None,
        idle_unc_w=idle.unc_w if idle else None,
        **answer._asdict(),
    )


def idle_of(trace: Trace, window: Window) -> Idle | None:
    """Mean power of a counter with nothing running, and its standard uncertainty.

    Needs four edges, that is three whole ticks, inside *window*; None where there are fewer or
    where the trace is no counter. Of a display it is the mean of its power readings.
    """
    if not trace.channel.alive:
        return None
    if display.is_display(trace) or trace.form == "power":
        level = display.idle_power(sane(trace), window)
        return Idle(power_w=level[0], unc_w=level[1]) if level else None
    if trace.form != "counter":
        return None
    seen = []
    for flight in counter_of(trace).flights:
        first = flight.after(window.t0_ns)
        last = flight.before(window.t1_ns)
        if last >= first:
            seen.append((flight, first, last))
    if len(seen) != 1 or seen[0][2] - seen[0][1] < 3:
        return None
    power_w, unc_w = staircase.mean_power(*seen[0])
    return Idle(power_w=power_w, unc_w=unc_w)


class _Piece(NamedTuple):
    """What one unbroken rise of the counter says about its part of a window."""

    t0_ns: int
    t1_ns: int
    joules: float
    lo_j: float
    hi_j: float
    unc_j: float
    method: str
    blind_ns: int


def _from_counter(trace: Trace, counter: Counter, window: Window, idle: Idle | None) -> Answer:
    t0, t1 = window.t0_ns, window.t1_ns
    stalled_ns = counter.stalled_ns(t0, t1)
    if stalled_ns and not any(_moved(flight, window) for flight in counter.flights):
        return Answer(reason="frozen-counter", power_j=power.gauged(trace, window))
    pieces = [piece for flight in counter.flights if (piece := _piece(counter, flight, window, idle))]
    missing_ns = t1 - t0 - sum(p.t1_ns - p.t0_ns for p in pieces)
    reason = ""
    if missing_ns > 0:
        reason = _why_uncovered(counter, window) or ("frozen-counter" if stalled_ns else "not-covered")
    if not pieces:
        return Answer(reason=reason)
    if stalled_ns:
        reason = reason or "frozen-counter"
    joules, power_j = sum(p.joules for p in pieces), power.gauged(trace, window)
    reason = reason or counter.fault(window, inside=True)
    if not reason and power.contradicts(power_j, joules, window):
        reason = "power-mismatch"
    return Answer(
        status="partial" if reason else "measured",
        reason=reason,
        joules=joules,
        lo_j=sum(p.lo_j for p in pieces),
        hi_j=sum(p.hi_j for p in pieces),
        covered_s=max(0.0, t1 - t0 - max(missing_ns, stalled_ns)) / 1e9,
        method=pieces[0].method if len(pieces) == 1 else "linear-edges",
        unc_j=math.hypot(*(p.unc_j for p in pieces)),
        power_j=power_j,
        detail=_detail(reason, joules, power_j, max(p.blind_ns for p in pieces)),
    )


def _detail(reason: str, joules: float, power_j: float | None, blind_ns: int) -> str:
    if reason == "power-mismatch":
        return f"the counter says {joules:.6g} J, the power readings say {power_j:.6g} J"
    if power_j == 0 < joules:
        return "the power readings say 0 W all the time: nothing checks the counter"
    if blind_ns:
        return f"not read for {blind_ns / 1e9:.1f} s, in which the counter ran on"
    return ""


def _moved(flight: Flight, window: Window) -> bool:
    """Whether an edge surely came within the window."""
    i = flight.after(window.t0_ns)
    return i < len(flight.edges) and flight.edges[i].hi_ns <= window.t1_ns


def _piece(counter: Counter, flight: Flight, window: Window, idle: Idle | None) -> _Piece | None:
    """The part of *window* between the first and the last edge of one flight, or None."""
    edges = flight.edges
    if len(edges) < 2:
        return None
    t0, t1 = max(edges[0].hi_ns, window.t0_ns), min(edges[-1].lo_ns, window.t1_ns)
    if t1 <= t0:
        return None
    if idle is not None and is_outer(window) and t0 == window.t0_ns and t1 == window.t1_ns:
        level, lo_j, hi_j = resolved.whole(flight, window, idle)
        joules, unc_j, method = level.joules, level.unc_j, "resolved-edges"
    else:
        joules, method = flight.linear(t1) - flight.linear(t0), "linear-edges"
        lo_j, hi_j = flight.bracket(t0, t1, window.unc_ns)
        unc_j = (hi_j - lo_j) / math.sqrt(12)
    hi_j = max(lo_j, hi_j)
    blind_ns = counter.blind_ns(flight, t0, t1)
    return _Piece(t0, t1, min(max(joules, lo_j), hi_j), lo_j, hi_j, unc_j, method, blind_ns)


def _why_uncovered(counter: Counter, window: Window) -> str:
    """The reset nearest the window, or the first fault up to its end."""
    near_ns = max((b - a for a, b in counter.stalls), default=0) + int(1e9)
    for old, new in itertools.pairwise(counter.flights):
        if old.samples[-1].t_ns <= window.t1_ns + near_ns and new.samples[0].t_ns >= window.t0_ns - near_ns:
            return counter.fault(window, inside=True) or "counter-reset"
    # What kept the edge after the window's end from being seen came after it.
    return counter.fault(window) or counter.fault(replace(window, t1_ns=window.t1_ns + near_ns))
