"""Every window of an attempt asked of every trace."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from energy_plugin.record.trace import Idle, Reading, Window, idle_of, integrate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.record.baseline import Baseline
    from energy_plugin.record.record import Outcome
    from energy_plugin.record.trace import Channel, Trace

ADDITIVE_GAUGES = {"power_w", "power_average_w", "memory_used_bytes"}
FROZEN, RAPL = "frozen-counter", "rapl-"
ALIVE_W, LEAST_SHARE = 0.5, 0.5
"""Another meter that counted on had at least this power meanwhile, or this share of the power before."""
BITS = {"throttle_reasons"}
"""Gauges that are sets of bits: a mean of them says nothing."""


def joint_window(outcomes: Sequence[Outcome]) -> Window | None:
    """From the first program's start to the last one's end; of one program its process window, renamed."""
    spans = [window for outcome in outcomes for window in outcome.windows if window.name == "process"]
    if not spans:
        return None
    return Window(
        program=None,
        name="joint",
        t0_ns=min(span.t0_ns for span in spans),
        t1_ns=max(span.t1_ns for span in spans),
        unc_ns=max(span.unc_ns for span in spans),
    )


def readings_of(
    traces: Sequence[Trace],
    outcomes: Sequence[Outcome],
    rest: tuple[Window | None, Window | None],
    dead: Sequence[Channel],
    baseline: Baseline | None,
    *,
    tail: bool = True,
) -> tuple[Reading, ...]:
    """Readings of all windows; one unavailable reading for each dead channel.

    Args:
        traces: of all meters.
        outcomes: of all programs.
        rest: spans with nothing running just before the first start and after the last end; None where
            a background ran on: then idle power says nothing about the edges.
        dead: channels that cannot be read here.
        baseline: idle power that the readings carry, for net joules.
        tail: whether what came after the end is the programs' own.
    """
    windows = [window for outcome in outcomes for window in outcome.windows]
    joint = joint_window(outcomes)
    if len(outcomes) > 1 and joint:
        windows.append(joint)
    alone = len(outcomes) == 1
    found: list[Reading] = []
    for trace in traces:
        idle = idle_around(trace, *rest)
        # Where another program runs on at a window's edge, idle power says nothing about that edge.
        found += [integrate(trace, w, idle if alone or w.name == "joint" else None) for w in windows]
        if tail and joint and (span := tail_of(trace, joint)):
            found.append(integrate(trace, span, None))
    found = [_with_baseline(reading, baseline) for reading in _seen_to_stop(found)]
    return (*found, *(_unavailable(c, w) for c in dead for w in windows if w.name in ("process", "joint")))


def _seen_to_stop(readings: Sequence[Reading]) -> list[Reading]:
    """Less trust in what perf counted between two edges, where another meter saw that counter stand still.

    Two numbers cannot show a counter that stopped in between; of one sensor both meters read the same.
    """
    mine = [r for r in readings if r.reason == FROZEN and r.source.startswith(RAPL)]
    stopped = {(r.channel, r.window.program, r.window.name): r for r in mine}
    return [_as_stopped(r, stopped.get((r.channel, r.window.program, r.window.name))) for r in readings]


def _as_stopped(reading: Reading, other: Reading | None) -> Reading:
    if other is None or not reading.source.startswith(RAPL) or not _no_more(reading, other):
        return reading
    stopped = replace(
        reading, reason=FROZEN, covered_s=other.covered_s, detail=f"{other.meter} saw the counter stand still"
    )
    if other.joules is not None:
        return replace(stopped, status="partial")
    return replace(
        stopped, status="unavailable", joules=None, lo_j=None, hi_j=None, unc_j=None, covered_s=0.0
    )


def _no_more(reading: Reading, other: Reading) -> bool:
    """Whether *reading* holds nothing of the time in which *other* saw no joules come in."""
    if reading.status != "measured" or reading.joules is None:
        return False
    stood_s = reading.window.duration_s - other.covered_s
    usual_w = (other.joules or 0.0) / other.covered_s if other.covered_s else 0.0
    return reading.joules <= (other.hi_j or 0.0) + max(ALIVE_W, LEAST_SHARE * usual_w) * stood_s


def idle_around(trace: Trace, before: Window | None, after: Window | None) -> Idle | None:
    """Power just before and after the programs, from the trace's own samples; it resolves the edges."""
    idle = idle_of(trace, before) if before else None
    later = idle_of(trace, after) if idle and after else None
    if idle is None or later is None:
        return idle
    return replace(idle, after_w=later.power_w, after_unc_w=later.unc_w)


def tail_of(trace: Trace, joint: Window) -> Window | None:
    """What the trace saw after the last end, to its last edge; None where it saw nothing."""
    if trace.form != "counter" or trace.channel.kind != "direct":
        return None
    pairs = itertools.pairwise(reversed(trace.samples))
    last_ns = next((old.t_ns for new, old in pairs if new.joules != old.joules), 0)
    if last_ns <= joint.t1_ns:
        return None
    return Window(program=None, name="tail", t0_ns=joint.t1_ns, t1_ns=last_ns, unc_ns=joint.unc_ns)


def _with_baseline(reading: Reading, baseline: Baseline | None) -> Reading:
    """The reading with the baseline's idle power in place of that of its edges; None if it was refused."""
    if baseline is None:
        return reading
    level = baseline.level(reading.meter, reading.channel)
    if level is None or level.power_w is None:
        return replace(reading, idle_w=None, idle_unc_w=None)
    return replace(reading, idle_w=level.power_w, idle_unc_w=level.unc_w)


def _unavailable(channel: Channel, window: Window) -> Reading:
    return Reading(
        meter=channel.meter,
        channel=channel.id,
        window=window,
        status="unavailable",
        reason=channel.reason,
        source=channel.source,
        kind=channel.kind,
    )


def gauges_of(traces: Sequence[Trace], window: Window | None) -> Mapping[str, float]:
    """Average, least and greatest of each GPU gauge over the programs' time.

    Over several GPUs power and memory add up (of least and greatest that is a bound, since they need
    not coincide); of temperature and utilisation the mean, least and greatest are taken.
    """
    per_gpu: dict[str, list[list[float]]] = {}
    for trace in traces:
        if window is None or not trace.channel.id.startswith("gpu:"):
            continue
        for name, points in trace.gauges.items():
            inside = [value for t_ns, value in points if window.t0_ns <= t_ns <= window.t1_ns]
            if inside and name not in BITS:
                per_gpu.setdefault(name, []).append(inside)
    summary: dict[str, float] = {}
    for name, gpus in per_gpu.items():
        means = [sum(values) / len(values) for values in gpus]
        adds = name in ADDITIVE_GAUGES
        summary |= {
            f"{name}_avg": sum(means) if adds else sum(means) / len(means),
            f"{name}_min": (sum if adds else min)(min(values) for values in gpus),
            f"{name}_max": (sum if adds else max)(max(values) for values in gpus),
        }
    return summary
