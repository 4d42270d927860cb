"""The joules of a meter that shows its counter in coarse steps and, often, its power beside it.

A wall meter's counter is a display: it moves in quanta of its last digit, which gets coarser as the
number grows, and it is refreshed when the device likes. What is surely known at time t: at least the
number that was on display, at most that number and one quantum and what flowed since the last refresh,
and at most the next number seen and one quantum. Two such facts bound the joules of a window: with a
difference *d* of two truncated readings the truth lies in ``(d - q_start, d + q_end)``.

A trace of this kind has the gauge ``resolution_j`` (the quantum of each reading); one without any
counter has the form ``power``.
"""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.record.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.trace import Sample, Trace, Window

RESOLUTION, POWER, CALL = "resolution_j", "power_w", "call_s"
COARSE_SHARE = 0.05
"""With a quantum beyond this share of the value, the power integral is the better guess within the bounds."""
RARE_SHARE = 0.5
"""So it is where the display is renewed less often than twice in a window."""
LEAP = 2.0
ONE_QUANTUM = 1.5
"""A step of less is one quantum: the display waited for the energy. A step of more waited for a refresh."""
GAP_S = 5.0
"""Readings of power further apart than this (or ten times their usual distance) say nothing in between."""
ENOUGH = 4
"""Steps of several quanta without a stand in between: the display is as fresh as we look."""
LEAST = 4
NEAR_S = 5.0
MARGIN_S = 120.0
"""Samples this far outside a window still help to bound it; more would only make long traces slow."""
CONTRADICTED = 2.0
"""Power integral and counter disagree beyond this factor: one of them is wrong."""
SUSPECT_AFTER_S = 5.0
STOOD_S = 1.0
"""A number that stood for so long, while more power flowed than its bounds leave room for, was stuck."""


def is_display(trace: Trace) -> bool:
    """Whether :func:`answer` is the one to ask: a direct meter of displayed joules, or of power alone."""
    return RESOLUTION in trace.gauges or (trace.form == "power" and trace.channel.kind == "direct")


def answer(trace: Trace, window: Window) -> Answer:
    """Joules of *window*: from the counter where it resolves the window, else from power, in its bounds.

    Returns:
        ``measured`` with bounds that hold where the counter covers the window and was seen to move;
        ``partial`` for the covered seconds after a reset or a loss; ``estimated`` where only readings
        of power carry the value: what flows between two of them was not seen, so nothing bounds it.
    """
    moved = any(a.joules != b.joules for a, b in itertools.pairwise(trace.samples))
    trace = _near(trace, window)
    if trace.form == "power":
        return _by_power(trace, window)
    runs = [_Run(trace, samples) for samples in _rises(trace.samples)]
    pieces = [piece for run in runs if (piece := run.piece(window))]
    if not pieces:
        return Answer(reason=_why(trace, window, runs) or "not-covered")
    missing_ns = window.t1_ns - window.t0_ns - sum(p.t1 - p.t0 for p in pieces)
    whole = Answer(
        status="measured",
        joules=sum(p.joules for p in pieces),
        lo_j=sum(p.lo_j for p in pieces),
        hi_j=sum(p.hi_j for p in pieces),
        covered_s=sum(p.t1 - p.t0 for p in pieces) / 1e9,
        method="power-integral" if any(p.by_power for p in pieces) else "linear-edges",
    )
    if missing_ns > 0:
        return whole._replace(status="partial", reason=_why(trace, window, runs) or "not-covered")
    return _judged(trace, window, whole, moved=moved)


def _near(trace: Trace, window: Window) -> Trace:
    """The samples and gauges that can say something about *window*."""
    margin_ns = int(MARGIN_S * 1e9) + window.unc_ns
    t0_ns, t1_ns = window.t0_ns - margin_ns, window.t1_ns + margin_ns
    gauges = {}
    for name, points in trace.gauges.items():
        first = bisect.bisect_left(points, t0_ns, key=lambda p: p[0])
        gauges[name] = points[first : bisect.bisect_right(points, t1_ns, key=lambda p: p[0])]
    first = bisect.bisect_left(trace.samples, t0_ns, key=lambda s: s.t_ns)
    last = bisect.bisect_right(trace.samples, t1_ns, key=lambda s: s.t_ns)
    return replace(trace, samples=trace.samples[first:last], gauges=gauges)


def _rises(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    """Cut where the number went back: the device was set to zero, or lost what it had not stored."""
    cuts = [i for i in range(1, len(samples)) if samples[i].joules < samples[i - 1].joules]
    return [samples[a:b] for a, b in itertools.pairwise([0, *cuts, len(samples)]) if b > a]


def idle_power(trace: Trace, window: Window) -> tuple[float, float] | None:
    """Mean watts in *window* and their standard uncertainty; None where too little was seen.

    Of at least four readings of power; where the meter gives none, of a counter that moved at least
    four times, whose two ends are each known to a quantum (variance quantum²/12).
    """
    if POWER in trace.gauges:
        inside = [w for t, w in trace.gauges[POWER] if window.t0_ns <= t <= window.t1_ns]
        if len(inside) < LEAST:
            return None
        return statistics.fmean(inside), statistics.stdev(inside) / math.sqrt(len(inside))
    looks = [s for s in trace.samples if window.t0_ns <= s.t_ns <= window.t1_ns]
    moved = sum(b.joules > a.joules for a, b in itertools.pairwise(looks))
    if moved < LEAST or len(_rises(looks)) > 1:
        return None
    span_s = (looks[-1].t_ns - looks[0].t_ns) / 1e9
    quantum = max(_quanta(trace, looks))
    return (looks[-1].joules - looks[0].joules) / span_s, quantum / math.sqrt(6) / span_s


def _judged(trace: Trace, window: Window, whole: Answer, *, moved: bool) -> Answer:
    """Hold the counter against the power readings: one that stands still measures nothing."""
    lo_j, hi_j = whole.lo_j or 0.0, whole.hi_j or 0.0
    power = _integral(trace, window.t0_ns, window.t1_ns)
    if not power or power.covered_ns < window.t1_ns - window.t0_ns:
        return whole if moved else Answer(reason="below-resolution")
    whole = whole._replace(power_j=power.joules)
    if not moved:
        if power.joules > hi_j:
            return _estimate(power, "frozen-counter")
        return whole._replace(
            status="estimated", reason="below-resolution", joules=power.joules, method="power-integral"
        )
    long = window.duration_s >= SUSPECT_AFTER_S
    if window.duration_s >= STOOD_S and lo_j == 0 and power.joules > CONTRADICTED * hi_j:
        return _estimate(power, "frozen-counter")
    if long and not lo_j / CONTRADICTED <= power.joules <= hi_j * CONTRADICTED:
        return whole._replace(status="partial", reason="power-mismatch")
    return whole


def _why(trace: Trace, window: Window, runs: Sequence[_Run]) -> str:
    """The reason why a part of the window is not covered."""
    for old, new in itertools.pairwise(runs):
        if old.samples[-1].t_ns <= window.t1_ns and new.samples[0].t_ns >= window.t0_ns:
            return "counter-reset"
    return next((fault.code for fault in trace.faults if fault.t_ns <= window.t1_ns), "")


# --- the counter ---


class _Piece(NamedTuple):
    t0: int
    t1: int
    joules: float
    lo_j: float
    hi_j: float
    by_power: bool


class _Run:
    """One unbroken rise of the display."""

    def __init__(self, trace: Trace, samples: Sequence[Sample]) -> None:
        self.trace = trace
        self.samples = samples
        self.quanta = _quanta(trace, samples)
        self.edges = [
            (a, b, q)
            for (a, b), q in zip(itertools.pairwise(samples), self.quanta[1:], strict=True)
            if b.joules > a.joules
        ]
        calls = [seconds for _, seconds in trace.gauges.get(CALL, ())]
        self.call_ns = int(max(calls, default=0.0) * 1e9)
        self.seen_tick_ns = self._seen_tick_ns()
        self.tick_ns = self._tick_ns()
        self.knots = [_knot(a, b, q, self.seen_tick_ns) for a, b, q in self.edges]

    def _seen_tick_ns(self) -> int:
        """How long a number stood while several quanta flowed: then it waited for the device's refresh."""
        longest = 0
        for (_, before, _), (a, b, q) in itertools.pairwise(self.edges):
            share = (a.t_ns - before.t_ns) / (b.t_ns - before.t_ns)
            if (b.joules - a.joules) * share > ONE_QUANTUM * q and b.t_ns - a.t_ns < GAP_S * 1e9:
                longest = max(longest, b.t_ns - before.t_ns)
        return max(longest, self._lazy_ns())

    def _lazy_ns(self) -> int:
        """The longest stand where a step was more than can have flowed since the look before; else 0.

        Such a number was not renewed for long, though its first renewal is all that was seen of that.
        """
        most_w = max((watts for _, watts in self.trace.gauges.get(POWER, ())), default=0.0)
        fresh_s = self.trace.channel.tick_s + self.call_ns / 1e9
        leaps = [
            b.joules - a.joules
            for a, b, q in self.edges
            if most_w and b.joules - a.joules > LEAP * (most_w * ((b.t_ns - a.t_ns) / 1e9 + fresh_s) + q)
        ]
        if not leaps:
            return 0
        moments = [self.samples[0].t_ns, *(b.t_ns for _, b, _ in self.edges), self.samples[-1].t_ns]
        stands = (later - earlier for earlier, later in itertools.pairwise(moments))
        return max(*stands, int(max(leaps) / most_w * 1e9))

    def _tick_ns(self) -> int:
        """How old a number may be: as seen; else as the channel says, unless every look showed a new one."""
        said = int(self.trace.channel.tick_s * 1e9)
        gaps = [b.t_ns - a.t_ns for a, b, q in self.edges if b.joules - a.joules > ONE_QUANTUM * q]
        if self.seen_tick_ns or len(gaps) < ENOUGH:
            return max(self.seen_tick_ns, said)
        return min(said, statistics.median_high(gaps))

    def _most_w(self, t_ns: int) -> float:
        """The greatest power seen near *t*; without readings of power that of the steepest step."""
        near = int(NEAR_S * 1e9) + self.seen_tick_ns
        powers = [w for t, w in self.trace.gauges.get(POWER, ()) if abs(t - t_ns) <= near]
        if powers:
            return max(powers)
        steps = ((b.joules - a.joules + q) / (b.t_ns - a.t_ns) * 1e9 for a, b, q in self.edges)
        return max(steps, default=0.0)

    def at_least(self, t_ns: int) -> float:
        """What had surely been counted at *t*: the number on display."""
        i = bisect.bisect_right(self.samples, t_ns, key=lambda s: s.t_ns)
        if i == 0:
            first = self.samples[0]
            return first.joules - self._most_w(t_ns) * (first.t_ns - t_ns) / 1e9
        return self.samples[i - 1].joules

    def at_most(self, t_ns: int) -> float:
        """What had at most been counted at *t*: by the next look, or by the next step, whichever is less."""
        later = t_ns + self.call_ns  # an answer may be as old as its call was long
        i = bisect.bisect_left(self.samples, later, key=lambda s: s.t_ns)
        stale_j = self._most_w(t_ns) * self.tick_ns / 1e9
        if i == len(self.samples):
            last = self.samples[-1]
            return last.joules + self.quanta[-1] + stale_j + self._most_w(t_ns) * (later - last.t_ns) / 1e9
        by_look = self.samples[i].joules + self.quanta[i] + stale_j
        by_step = next((b.joules + q for a, b, q in self.edges if a.t_ns >= later), math.inf)
        return min(by_look, by_step)

    def piece(self, window: Window) -> _Piece | None:
        """The part of *window* that this run covers, None if none."""
        t0, t1 = max(window.t0_ns, self.samples[0].t_ns), min(window.t1_ns, self.samples[-1].t_ns)
        if t1 <= t0:
            return None
        unc = window.unc_ns
        lo_j = max(0.0, self.at_least(t1 - unc) - self.at_most(t0 + unc))
        hi_j = self.at_most(t1 + unc) - self.at_least(t0 - unc)
        first, last = self.quantum_at(t0), self.quantum_at(t1)
        # Truncated or rounded, we do not know; where the quantum changes this is not the same.
        lo_j, hi_j = max(0.0, lo_j - max(0.0, (last - first) / 2)), hi_j + max(0.0, (first - last) / 2)
        coarse = max(first, last) > COARSE_SHARE * (lo_j + hi_j) / 2
        rare = self.seen_tick_ns > RARE_SHARE * (t1 - t0)
        power = _integral(self.trace, t0, t1) if coarse or rare else None
        by_power = power is not None and power.covered_ns >= t1 - t0
        joules = power.joules if power is not None and by_power else self.guess(t1) - self.guess(t0)
        return _Piece(t0, t1, min(max(joules, lo_j), hi_j), lo_j, hi_j, by_power)

    def quantum_at(self, t_ns: int) -> float:
        """The quantum of the reading at or before *t*."""
        i = bisect.bisect_right(self.samples, t_ns, key=lambda s: s.t_ns)
        return self.quanta[max(0, i - 1)]

    def guess(self, t_ns: int) -> float:
        """What had most likely been counted at *t*: linear between the moments best known."""
        knots = self.knots
        if len(knots) < 2:
            return (self.at_least(t_ns) + self.at_most(t_ns)) / 2
        i = min(max(1, bisect.bisect_right(knots, (t_ns, math.inf))), len(knots) - 1)
        (ta, ja), (tb, jb) = knots[i - 1], knots[i]
        return min(max(ja + (jb - ja) * (t_ns - ta) / (tb - ta), self.at_least(t_ns)), self.at_most(t_ns))


def _knot(a: Sample, b: Sample, quantum: float, tick_ns: int) -> tuple[float, float]:
    """When the counter most likely stood where. One quantum: it crossed the number between two looks."""
    if b.joules - a.joules <= ONE_QUANTUM * quantum:
        return (a.t_ns + b.t_ns) / 2, b.joules
    return b.t_ns - min(tick_ns, b.t_ns - a.t_ns) / 2, b.joules + quantum / 2


def _quanta(trace: Trace, samples: Sequence[Sample]) -> list[float]:
    """The quantum of each sample.

    A display never gets finer as its number grows: a coarse reading before a finer one has only lost
    its trailing zeros on the way.
    """
    points = trace.gauges[RESOLUTION]
    printed = []
    for sample in samples:
        i = bisect.bisect_right(points, sample.t_ns, key=lambda p: p[0])
        printed.append(points[max(0, i - 1)][1])
    return list(itertools.accumulate(reversed(printed), min))[::-1]


# --- power ---


class _Integral(NamedTuple):
    joules: float
    covered_ns: int


def _integral(trace: Trace, t0_ns: int, t1_ns: int) -> _Integral | None:
    """Trapezoids of the power readings from *t0* to *t1*, without the gaps; None where there are none."""
    points = trace.gauges.get(POWER, ())
    if len(points) < 2:
        return None
    usual_ns = statistics.median_low(b[0] - a[0] for a, b in itertools.pairwise(points))
    most_ns = max(GAP_S * 1e9, 10 * usual_ns)
    joules, covered_ns = 0.0, 0
    for (ta, wa), (tb, wb) in itertools.pairwise(points):
        a, b = max(ta, t0_ns), min(tb, t1_ns)
        if b > a and tb - ta <= most_ns:
            slope = (wb - wa) / (tb - ta)
            joules += (wa + slope * ((a + b) / 2 - ta)) * (b - a) / 1e9
            covered_ns += b - a
    return _Integral(joules, covered_ns) if covered_ns else None


def _by_power(trace: Trace, window: Window) -> Answer:
    power = _integral(trace, window.t0_ns, window.t1_ns)
    if power is None:
        return Answer(reason=next((f.code for f in trace.faults), "not-covered"))
    found = _estimate(power, "power-sampled")
    if power.covered_ns < window.t1_ns - window.t0_ns:
        why = next((f.code for f in trace.faults if f.t_ns <= window.t1_ns), "not-covered")
        return found._replace(status="partial", reason=why)
    return found


def _estimate(power: _Integral, reason: str) -> Answer:
    return Answer(
        status="estimated",
        reason=reason,
        joules=power.joules,
        covered_s=power.covered_ns / 1e9,
        method="power-integral",
    )
