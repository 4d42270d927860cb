"""Windows of a trace that is exact at its samples and says nothing in between: perf, a helper's task."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING

from energy_plugin.record.answer import Answer, is_outer
from energy_plugin.record.counter import LIMIT_FACTOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.counter import Counter
    from energy_plugin.record.trace import Sample, Trace, Window

SLACK_S = 0.1  # an exact window may be this much (or SLACK_SHARE of it) longer than the window asked for
SLACK_SHARE = 0.02
ROUNDING = "rounding_j"
"""Gauge: how far each sample may be off because the numbers it sums were rounded."""


def exact(trace: Trace, counter: Counter, window: Window) -> Answer:
    """Joules between the samples around *window* where they fit, else by time share of the intervals.

    A window that nothing runs around fits with :data:`SLACK_S` to spare at both ends together; an inner
    one only with as much as it is uncertain itself, or where the trace has no more than two samples and
    the window is nearly all of it.

    The lower bound takes off what flowed in what is to spare: at the channel's limit where it knows one,
    else at the mean power of the window. Work that drew more than that right outside the window could break
    it, by at most 0.1 s of what it drew more. The upper bound needs no such word.
    """
    flights = [f.samples for f in counter.flights if len(f.samples) > 1]
    if len(flights) != 1:
        wrong = counter.fault(window) or next((fault.code for fault in counter.faults), "")
        return Answer(reason=wrong or ("counter-reset" if flights else "not-covered"))
    samples = flights[0]
    t0, t1 = max(samples[0].t_ns, window.t0_ns), min(samples[-1].t_ns, window.t1_ns)
    if t1 <= t0:
        return Answer(reason=counter.fault(window) or "not-covered")
    model = trace.channel.kind == "model"
    length_s = (samples[-1].t_ns - samples[0].t_ns) / 1e9
    if samples[-1].joules == samples[0].joules and length_s > max(1.0, 5 * trace.channel.tick_s):
        return Answer(reason="zero-estimate" if model else "frozen-counter")
    stalled_ns = 0 if model else counter.stalled_ns(t0, t1)
    if stalled_ns >= t1 - t0:
        return Answer(reason="frozen-counter")
    reason = counter.fault(window, inside=True) or ("counter-reset" if len(counter.flights) > 1 else "")
    reason = reason or ("frozen-counter" if stalled_ns else "")
    lacking = (window.t1_ns - window.t0_ns) - (t1 - t0) > 2 * window.unc_ns
    if lacking:
        reason = reason or "not-covered"
    found = _fitting(samples, t0, t1, window, LIMIT_FACTOR * trace.channel.limit_w) or _interpolated(
        samples, t0, t1, window.unc_ns
    )
    found = _stale(found, trace.channel.tick_s * 1e9 / (t1 - t0))
    found = _wider(found, _rounding_j(trace, t0, t1))
    measured = not model and found.method != "interpolated"
    return found._replace(
        status="partial" if lacking or (measured and reason) else "measured" if measured else "estimated",
        reason=reason,
        covered_s=(t1 - t0 - stalled_ns) / 1e9,
    )


def _fitting(samples: Sequence[Sample], t0: int, t1: int, window: Window, most_w: float) -> Answer | None:
    """The difference of the two samples around the window, None where they are too far from it.

    *most_w* is the most there can be right outside it; where it is less than the mean, the mean counts.
    """
    first = samples[max(0, bisect.bisect_right(samples, t0, key=_t_ns) - 1)]
    last = samples[min(len(samples) - 1, bisect.bisect_left(samples, t1, key=_t_ns))]
    span_ns, slack_ns = last.t_ns - first.t_ns, last.t_ns - first.t_ns - (t1 - t0)
    allowed_ns = max(SLACK_S * 1e9, SLACK_SHARE * span_ns)
    if not is_outer(window) and len(samples) > 2:
        allowed_ns = 2.0 * window.unc_ns
    if slack_ns > allowed_ns:
        return None
    joules = last.joules - first.joules
    spread = joules * 2 * window.unc_ns / (t1 - t0)
    outside_j = max(joules / span_ns, most_w / 1e9) * slack_ns
    lo_j, hi_j = max(0.0, joules - outside_j - spread), joules + spread
    return Answer(
        joules=joules, lo_j=lo_j, hi_j=hi_j, method="exact-window", unc_j=(hi_j - lo_j) / math.sqrt(12)
    )


def _interpolated(samples: Sequence[Sample], t0: int, t1: int, unc_ns: int) -> Answer:
    """Time shares of the intervals at both ends; bounded by them: all that is known of an inner window."""
    joules = _share(samples, t1) - _share(samples, t0)
    first = bisect.bisect_left(samples, t0 + unc_ns, key=_t_ns)
    last = bisect.bisect_right(samples, t1 - unc_ns, key=_t_ns) - 1
    lo_j = samples[last].joules - samples[first].joules if last > first else 0.0
    before = max(0, bisect.bisect_right(samples, t0 - unc_ns, key=_t_ns) - 1)
    after = min(len(samples) - 1, bisect.bisect_left(samples, t1 + unc_ns, key=_t_ns))
    hi_j = samples[after].joules - samples[before].joules
    # Whole intervals within are measured; a window within one interval is a guess at its share of it.
    method = "linear-edges" if last > first else "interpolated"
    return Answer(joules=joules, lo_j=lo_j, hi_j=hi_j, method=method, unc_j=(hi_j - lo_j) / math.sqrt(12))


def _stale(found: Answer, share: float) -> Answer:
    """Wider by one tick at the mean power to either side: at both ends the counter is up to a tick old."""
    return _wider(found, (found.joules or 0.0) * share)


def _wider(found: Answer, by_j: float) -> Answer:
    if not by_j or found.lo_j is None or found.hi_j is None:
        return found
    lo_j, hi_j = max(0.0, found.lo_j - by_j), found.hi_j + by_j
    return found._replace(lo_j=lo_j, hi_j=hi_j, unc_j=(hi_j - lo_j) / math.sqrt(12))


def _rounding_j(trace: Trace, t0: int, t1: int) -> float:
    """How far the numbers that were summed may be off together, each rounded where it was written."""
    points = trace.gauges.get(ROUNDING, ())
    if not points:
        return 0.0
    first = max(0, bisect.bisect_right(points, t0, key=lambda p: p[0]) - 1)
    last = min(len(points) - 1, bisect.bisect_left(points, t1, key=lambda p: p[0]))
    return points[last][1] - points[first][1]


def _share(samples: Sequence[Sample], t_ns: float) -> float:
    """Cumulative joules at *t_ns* by time share between the two samples around it."""
    i = min(max(1, bisect.bisect_right(samples, t_ns, key=_t_ns)), len(samples) - 1)
    a, b = samples[i - 1], samples[i]
    return a.joules + (b.joules - a.joules) * (t_ns - a.t_ns) / max(b.t_ns - a.t_ns, 1)


def _t_ns(sample: Sample) -> int:
    return sample.t_ns
