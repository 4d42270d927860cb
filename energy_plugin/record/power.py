"""Readings of power: summed up where there is no counter, and a counter's cross-check where there is one."""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from typing import TYPE_CHECKING

from energy_plugin.record.answer import Answer, is_outer
from energy_plugin.record.counter import STARVED, STARVED_FACTOR, STARVED_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.counter import Counter
    from energy_plugin.record.trace import Idle, Sample, Trace, Window

UPDATE_S = 0.1  # a power sensor shows a new value so often, where the channel does not say
STILL_FACTOR = 3  # a sum of power that stands still for more than this many usual gaps misses something
CHECK_AFTER_S = 5.0  # a counter is held against its own power gauge from this length on
CHECK_FACTOR = 2.0


def summed(trace: Trace, counter: Counter, window: Window, idle: Idle | None) -> Answer:
    """Joules of a trace that is summed power: an estimate, whatever the sensor.

    A sensor shows a mean over ``Channel.average_s`` and shows it late. With idle power known around the
    window the sum goes on until all of the window has drained through the sensor, and idle power over
    that time is taken off: method ``power-drain``. Otherwise the sum is moved by half the delay, as
    far as the channel tells it.

    Returns:
        Bounds only for a sensor known to average without gaps: what it sees is all there is. One that
        looks 25 of 100 ms may be off by any amount for a load that beats with it. A gap in the samples
        is taken out of joules and covered seconds: ``partial``, reason ``starved``; so is what came
        after the last sample, and what a late sensor had not shown by then.
    """
    flights = [f.samples for f in counter.flights if len(f.samples) > 1]
    if not flights:
        return Answer(reason=counter.fault(window) or "not-covered")
    samples = max(flights, key=len)
    late_ns = int((trace.channel.average_s + trace.channel.tick_s) / 2 * 1e9)
    t0, t1 = max(samples[0].t_ns, window.t0_ns), window.t1_ns
    if samples[-1].t_ns < t1:  # it ended early: what flowed last the sensor had not shown yet
        t1 = samples[-1].t_ns - late_ns
    if t1 <= t0:
        return Answer(reason=counter.fault(window) or "not-covered")
    if counter.stalled_ns(t0, t1) >= 0.9 * (t1 - t0):
        return Answer(reason="zero-power")
    lost_ns, lost_j = _gaps(samples, t0, t1, counter.gap_ns)
    channel = trace.channel
    delay_ns = int((channel.average_s + (channel.tick_s or UPDATE_S)) * 1e9)
    whole = t0 == window.t0_ns and t1 == window.t1_ns
    drained = whole and idle is not None and is_outer(window) and samples[-1].t_ns >= t1 + delay_ns
    if idle is not None and drained:
        # What the sensor showed after the end is the window still draining: no idle power.
        after_w = min(idle.power_w, idle.power_w if idle.after_w is None else idle.after_w)
        flowed = (idle.power_w + after_w) / 2 * delay_ns / 1e9
        joules, method = _sum(samples, t0, t1 + delay_ns) - flowed, "power-drain"
    else:
        shift_ns = min(late_ns, samples[-1].t_ns - t1)
        joules, method = _sum(samples, t0 + shift_ns, t1 + shift_ns), "power-integral"
    lo_j = hi_j = None
    if channel.average_s and not lost_ns and samples[-1].t_ns >= t1 + delay_ns:
        lo_j = max(0.0, _sum(samples, min(t0 + delay_ns, t1), t1))
        hi_j = _sum(samples, t0, t1 + delay_ns)
        joules = min(max(joules, lo_j), hi_j)
    reason = (
        (counter.fault(window, inside=True) or STARVED)
        if lost_ns
        else ""
        if whole
        else counter.fault(window) or "not-covered"
    )
    return Answer(
        status="estimated" if whole and not lost_ns else "partial",
        reason=reason or counter.fault(window, inside=True),
        joules=max(0.0, joules - lost_j),
        lo_j=lo_j,
        hi_j=hi_j,
        covered_s=(t1 - t0 - lost_ns) / 1e9,
        method=method,
        unc_j=None if lo_j is None or hi_j is None else (hi_j - lo_j) / math.sqrt(12),
        detail=f"power was not read for {lost_ns / 1e9:.1f} s" if lost_ns else "",
    )


def _gaps(samples: Sequence[Sample], t0: int, t1: int, usual_ns: float) -> tuple[int, float]:
    """Nanoseconds and joules of the span that lie in gaps of the sampling: these joules are invented.

    A sum that stands still is a gap, too: the sensor failed there, and power is never nothing.
    """
    first = max(0, bisect.bisect_right(samples, t0, key=_t_ns) - 1)
    last = bisect.bisect_left(samples, t1, key=_t_ns)
    most_ns = max(STARVED_FACTOR * usual_ns, STARVED_S * 1e9)
    lost_ns, lost_j = 0, 0.0
    for a, b in itertools.pairwise(samples[first : last + 1]):
        if b.t_ns - a.t_ns > (most_ns if b.joules > a.joules else STILL_FACTOR * usual_ns):
            inside = min(b.t_ns, t1) - max(a.t_ns, t0)
            lost_ns += inside
            lost_j += (b.joules - a.joules) * inside / (b.t_ns - a.t_ns)
    return lost_ns, lost_j


def _sum(samples: Sequence[Sample], t0: float, t1: float) -> float:
    return _at(samples, t1) - _at(samples, t0)


def _at(samples: Sequence[Sample], t_ns: float) -> float:
    """Cumulative joules at *t_ns*, linear between samples."""
    i = min(max(1, bisect.bisect_right(samples, t_ns, key=_t_ns)), len(samples) - 1)
    a, b = samples[i - 1], samples[i]
    share = min(max((t_ns - a.t_ns) / max(b.t_ns - a.t_ns, 1), 0.0), 1.0)
    return a.joules + (b.joules - a.joules) * share


def _t_ns(sample: Sample) -> int:
    return sample.t_ns


# --- the cross-check of a counter ---


def gauged(trace: Trace, window: Window) -> float | None:
    """Joules by the power gauge over *window*, None where it does not cover four fifths of it."""
    every = trace.gauges.get("power_w", ())
    first = bisect.bisect_left(every, window.t0_ns, key=lambda p: p[0])
    last = bisect.bisect_right(every, window.t1_ns, key=lambda p: p[0])
    points = [(t, w) for t, w in every[first:last] if math.isfinite(w) and w >= 0]
    pairs = [(b[0] - a[0], (a[1] + b[1]) / 2) for a, b in itertools.pairwise(points) if b[0] > a[0]]
    if len(pairs) < 4:
        return None
    usual_ns = statistics.median(gap for gap, _ in pairs)
    seen = [(gap, mean_w) for gap, mean_w in pairs if gap <= STARVED_FACTOR * usual_ns]
    seen_ns = sum(gap for gap, _ in seen)
    if seen_ns < 0.8 * (window.t1_ns - window.t0_ns):
        return None
    return sum(gap * mean_w for gap, mean_w in seen) / seen_ns * window.duration_s


def contradicts(power_j: float | None, joules: float, window: Window) -> bool:
    """Counter and power gauge of one device must agree within a factor of two over five seconds."""
    if not power_j or window.duration_s < CHECK_AFTER_S:
        return False
    return not 1 / CHECK_FACTOR <= joules / power_j <= CHECK_FACTOR
