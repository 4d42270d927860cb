"""Traces, windows and the one pure function that turns them into readings."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from energy_plugin.record import display, staircase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.declare.case import Role

Status = Literal["measured", "partial", "estimated", "unavailable"]
Kind = Literal["direct", "model"]
Form = Literal["counter", "window", "power"]


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


SLACK_S = 0.1  # an exact window may be this much (or SLACK_SHARE of it) longer than the window asked for
SLACK_SHARE = 0.02
MARGIN_S = 2.0  # samples this far outside a window still help to resolve its edges
SUSPECT_AFTER_S = 5.0  # a counter is held against its own power gauge from this length on


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
    answer = _Answer()
    if not trace.channel.alive:
        answer = _Answer(reason=trace.channel.reason or "dead")
    elif window.t1_ns <= window.t0_ns:
        answer = _Answer(reason="empty-window")
    elif not trace.samples:
        answer = _Answer(reason=trace.faults[0].code if trace.faults else "no-samples")
    elif display.is_display(trace):
        answer = _Answer(**display.answer(trace, window)._asdict())
    elif trace.form == "window":
        answer = _from_window(trace, window)
    else:
        answer = _from_counter(trace, window, idle)
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
    where the trace is no counter.
    """
    if trace.form != "counter" or not trace.channel.alive:
        return None
    inside = [s for s in trace.samples if window.t0_ns <= s.t_ns <= window.t1_ns]
    runs = staircase.runs_of(inside)
    edges = staircase.edges_of(runs[0]) if len(runs) == 1 else []
    if len(edges) < 4:
        return None
    power_w, unc_w = staircase.mean_power(edges)
    return Idle(power_w=power_w, unc_w=unc_w)


class _Answer(NamedTuple):
    """The part of a reading that comes from samples."""

    status: Status = "unavailable"
    reason: str = ""
    joules: float | None = None
    lo_j: float | None = None
    hi_j: float | None = None
    covered_s: float = 0.0
    method: str = ""


class _Piece(NamedTuple):
    """What one unbroken run of the counter says about its part of a window."""

    duration_ns: int
    joules: float
    lo_j: float
    hi_j: float
    method: str


def _from_counter(trace: Trace, window: Window, idle: Idle | None) -> _Answer:
    stall_ns = int(max(1.0, 5 * trace.channel.tick_s) * 1e9)
    near = _near(trace, window, max(int(MARGIN_S * 1e9), 2 * stall_ns) + window.unc_ns)
    if _frozen(near, window, stall_ns):
        return _Answer(reason="frozen-counter")
    runs = staircase.runs_of(near)
    stalled_ns = sum(staircase.stalled_ns(run, window.t0_ns, window.t1_ns, stall_ns) for run in runs)
    pieces = [piece for run in runs if (piece := _piece(run, window, idle))]
    missing_ns = window.t1_ns - window.t0_ns - sum(p.duration_ns for p in pieces)
    reason = ""
    if missing_ns > 0:
        reason = _why_uncovered(trace, window, runs, stall_ns) or (
            "frozen-counter" if stalled_ns else "not-covered"
        )
    if not pieces:
        return _Answer(reason=reason)
    if stalled_ns:
        reason = reason or "frozen-counter"
    joules = sum(p.joules for p in pieces)
    reason = reason or _fault_code(trace, window, inside=True) or _suspect(trace, window, joules)
    answer = _Answer(
        status="partial" if reason else "measured",
        reason=reason,
        joules=joules,
        lo_j=sum(p.lo_j for p in pieces),
        hi_j=sum(p.hi_j for p in pieces),
        covered_s=max(0.0, window.t1_ns - window.t0_ns - max(missing_ns, stalled_ns)) / 1e9,
        method=pieces[0].method if len(pieces) == 1 else "linear-edges",
    )
    if trace.channel.kind == "model":  # summed power: its edges bound the sum, not the truth
        return answer._replace(status="estimated", lo_j=None, hi_j=None, method="power-integral")
    return answer


def _near(trace: Trace, window: Window, margin_ns: int) -> Sequence[Sample]:
    """The samples that can say something about *window*: epochs of long traces stay cheap."""
    first = bisect.bisect_left(trace.samples, window.t0_ns - margin_ns, key=lambda s: s.t_ns)
    last = bisect.bisect_right(trace.samples, window.t1_ns + margin_ns, key=lambda s: s.t_ns)
    return trace.samples[first:last]


def _frozen(near: Sequence[Sample], window: Window, stall_ns: int) -> bool:
    """Read all through the window, which is long enough to show ticks, and never moved in it."""
    if not near or near[0].t_ns > window.t0_ns or near[-1].t_ns < window.t1_ns:
        return False
    before = [s for s in near if s.t_ns <= window.t0_ns][-1]
    inside = [s for s in near if window.t0_ns < s.t_ns <= window.t1_ns]
    # The polling drops the flat parts of a staircase: then the next sight is after the window.
    seen = inside or [s for s in near if s.t_ns > window.t1_ns][:1]
    still = all(s.joules == before.joules for s in seen)
    return still and window.t1_ns - window.t0_ns > stall_ns


def _piece(run: Sequence[Sample], window: Window, idle: Idle | None) -> _Piece | None:
    """The part of *window* between the first and the last edge of one run, or None."""
    edges = staircase.edges_of(run)
    if len(edges) < 2:
        return None
    t0, t1 = max(edges[0].hi_ns, window.t0_ns), min(edges[-1].lo_ns, window.t1_ns)
    if t1 <= t0:
        return None
    lo_j, hi_j = staircase.bracket(edges, t0, t1, window.unc_ns)
    outer = window.name != "training" and not window.name.startswith(("epoch:", "phase:", "idle:"))
    if idle is not None and outer and t0 == window.t0_ns and t1 == window.t1_ns:
        joules, method = staircase.resolved(edges, t0, t1, idle.power_w), "resolved-edges"
    else:
        joules, method = staircase.linear(edges, t1) - staircase.linear(edges, t0), "linear-edges"
    return _Piece(t1 - t0, min(max(joules, lo_j), hi_j), lo_j, hi_j, method)


def _why_uncovered(trace: Trace, window: Window, runs: Sequence[Sequence[Sample]], stall_ns: int) -> str:
    for old, new in itertools.pairwise(runs):
        if old[-1].t_ns <= window.t1_ns + stall_ns and new[0].t_ns >= window.t0_ns - stall_ns:
            return "counter-reset"
    return _fault_code(trace, window)


def _suspect(trace: Trace, window: Window, joules: float) -> str:
    """Counter and power gauge of one device must agree within a factor of two."""
    gauge = [g for g in trace.gauges.get("power_w", ()) if window.t0_ns <= g[0] <= window.t1_ns]
    if len(gauge) < 5 or (gauge[-1][0] - gauge[0][0]) / 1e9 < SUSPECT_AFTER_S:
        return ""
    area = sum((b[0] - a[0]) / 1e9 * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(gauge))
    mean_w = area / ((gauge[-1][0] - gauge[0][0]) / 1e9)
    ratio = joules / (mean_w * window.duration_s) if mean_w > 0 else 1.0
    return "" if 0.5 <= ratio <= 2 else "power-mismatch"


def _from_window(trace: Trace, window: Window) -> _Answer:
    first, last = trace.samples[0], trace.samples[-1]
    t0, t1 = max(first.t_ns, window.t0_ns), min(last.t_ns, window.t1_ns)
    if t1 <= t0:
        return _Answer(reason=_fault_code(trace, window) or "not-covered")
    span_ns, total = last.t_ns - first.t_ns, last.joules - first.joules
    model = trace.channel.kind == "model"
    if total == 0 and span_ns / 1e9 > max(1.0, 5 * trace.channel.tick_s):
        return _Answer(reason="zero-estimate" if model else "frozen-counter")
    reason = _fault_code(trace, window, inside=True)
    if (window.t1_ns - window.t0_ns) - (t1 - t0) > 2 * window.unc_ns:
        reason = reason or "not-covered"
    slack_ns = span_ns - (t1 - t0)
    exact = slack_ns <= max(SLACK_S * 1e9, SLACK_SHARE * span_ns)
    if exact:
        joules, spread = total, total * 2 * window.unc_ns / (t1 - t0)
        lo_j, hi_j = total * (1 - slack_ns / span_ns) - spread, total + spread
    else:
        joules = _share(trace.samples, t1) - _share(trace.samples, t0)
        lo_j, hi_j = _inner_bounds(trace.samples, t0 - window.unc_ns, t1 + window.unc_ns)
    return _Answer(
        status="estimated" if model or not exact else "partial" if reason else "measured",
        reason=reason,
        joules=joules,
        lo_j=max(0.0, lo_j),
        hi_j=hi_j,
        covered_s=(t1 - t0) / 1e9,
        method="exact-window" if exact else "interpolated",
    )


def _share(samples: Sequence[Sample], t_ns: float) -> float:
    """Cumulative joules at *t_ns* by time share between the two samples around it."""
    i = min(max(1, bisect.bisect_right(samples, t_ns, key=lambda s: s.t_ns)), len(samples) - 1)
    a, b = samples[i - 1], samples[i]
    return a.joules + (b.joules - a.joules) * (t_ns - a.t_ns) / (b.t_ns - a.t_ns)


def _inner_bounds(samples: Sequence[Sample], t0: float, t1: float) -> tuple[float, float]:
    """All that is known of an inner window: the sample intervals inside it, and those around it."""
    inside = [s.joules for s in samples if t0 <= s.t_ns <= t1]
    before = max((s.joules for s in samples if s.t_ns <= t0), default=samples[0].joules)
    after = min((s.joules for s in samples if s.t_ns >= t1), default=samples[-1].joules)
    return (inside[-1] - inside[0] if inside else 0.0), after - before


def _fault_code(trace: Trace, window: Window, *, inside: bool = False) -> str:
    """The first fault up to the window's end; with *inside* only one within the window."""
    for fault in trace.faults:
        if fault.t_ns <= window.t1_ns and (not inside or fault.t_ns >= window.t0_ns):
            return fault.code
    return ""
