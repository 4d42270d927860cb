"""A counter's trace made ready to be asked: impossible samples out, wraps undone, resets cut."""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.record import staircase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.staircase import Flight
    from energy_plugin.record.trace import Channel, Fault, Sample, Trace, Window

MOST_W = 2000.0  # no package, memory or GPU draws more; where the channel knows its limit ...
LIMIT_FACTOR = 1.5  # ... it may exceed it by this for a moment
LEAP_S = 0.1  # updates may come late by this, and then two at once
STALL_S, STALL_TICKS = 1.0, 5  # a counter that stands still for longer is frozen
LONGEST_CALL_S = 60.0
MOST_J = 1e15  # thirty years of a megawatt
STARVED = "starved"
BLIND_S = 1.5  # far from a window's edges a meter may look once a second only
STARVED_FACTOR, STARVED_S = 10, 0.5  # nobody looked for longer than ten usual gaps


class Counter(NamedTuple):
    """What the samples of one trace say.

    Attributes:
        flights: unbroken rises, in order of time.
        stalls: spans in which the counter was read, stood still, and its device drew power.
        faults: those of the trace and those found in its samples: ``clock-step`` (a sample older than
            the one before it), ``bad-value`` (negative, infinite or no number), ``wrap-unseen`` (nobody
            looked for so long that the counter may have begun again), ``implausible`` (it leapt forward
            by more than any device draws).
        told: those of the trace alone.
        gap_ns: usual distance between samples.
    """

    flights: tuple[Flight, ...]
    stalls: tuple[tuple[int, int], ...]
    faults: tuple[Fault, ...]
    told: tuple[Fault, ...]
    gap_ns: float

    def fault(self, window: Window, *, inside: bool = False) -> str:
        """Code of the first fault within the window; unless *inside*, else of the meter's first before it.

        That nobody looked for a while is no fault of a counter: it ran on.
        """
        within = [f for f in self.faults if window.t0_ns <= f.t_ns <= window.t1_ns and f.code != STARVED]
        before = [] if inside else [f for f in self.told if f.t_ns <= window.t1_ns]
        if not inside and not self.flights:
            before = [*before, *self.faults]  # nothing is left: then whatever is wrong with it
        return next((f.code for f in (*within, *before)), "")

    def stalled_ns(self, t0_ns: int, t1_ns: int) -> int:
        """Nanoseconds of the span in which the counter stood still though it should have counted."""
        return sum(max(0, min(b, t1_ns) - max(a, t0_ns)) for a, b in self.stalls)

    def blind_ns(self, flight: Flight, t0_ns: int, t1_ns: int) -> int:
        """The longest time within the span in which nobody looked, 0 where that is as usual."""
        first = max(0, bisect.bisect_right(flight.edges, t0_ns, key=lambda e: e.hi_ns) - 1)
        longest = 0
        for edge in itertools.islice(flight.edges, first, None):
            if edge.lo_ns >= t1_ns:
                break
            i = bisect.bisect_left(flight.samples, edge.hi_ns, key=lambda s: s.t_ns)
            if i:
                longest = max(longest, edge.hi_ns - flight.samples[i - 1].t_ns)
        return longest if longest > max(STARVED_FACTOR * self.gap_ns, BLIND_S * 1e9) else 0


class _Key:
    """A trace by identity: what was made ready once is not made ready again for every window."""

    __slots__ = ("trace",)

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def __hash__(self) -> int:
        return id(self.trace)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.trace is other.trace


def counter_of(trace: Trace) -> Counter:
    """The trace made ready; windows of one trace share the work."""
    return _ready(_Key(trace))


@functools.lru_cache(maxsize=4)
def _ready(key: _Key) -> Counter:
    trace = key.trace
    samples, faults, breaks = clean(trace.samples)
    runs, wrapped = _runs(samples, breaks, trace)
    tick_ns = int(trace.channel.tick_s * 1e9)
    calls_s = (value for _, value in trace.gauges.get("call_s", ()) if 0 <= value < LONGEST_CALL_S)
    call_ns = int(max(calls_s, default=0.0) * 1e9)
    stall_ns = int(max(STALL_S * 1e9, STALL_TICKS * tick_ns))
    gaps = [b.t_ns - a.t_ns for a, b in itertools.pairwise(samples) if b.joules != a.joules]
    stalls = [span for run in runs for span in staircase.stalls_of(run, stall_ns)]
    every = sorted((*trace.faults, *faults, *wrapped), key=lambda fault: fault.t_ns)
    return Counter(
        flights=tuple(staircase.flight_of(run, tick_ns, call_ns) for run in runs),
        stalls=tuple(span for span in stalls if not _at_rest(trace, span)),
        faults=tuple(every),
        told=trace.faults,
        gap_ns=statistics.median(gaps) if gaps else 0.0,
    )


class Clean(NamedTuple):
    """The samples that can be true, in order of time, and one fault for each kind of the others.

    Attributes:
        breaks: indices of samples before which the clock stepped back: nothing may be carried over it.
    """

    samples: list[Sample]
    faults: list[Fault]
    breaks: set[int]


def clean(samples: Sequence[Sample]) -> Clean:
    """Leave out what cannot be true."""
    from energy_plugin.record.trace import Fault

    good: list[Sample] = []
    faults: dict[str, Fault] = {}
    breaks: set[int] = set()
    for sample in samples:
        if not 0 <= sample.joules <= MOST_J:
            said = f"the counter read {sample.joules:g} J"
            faults.setdefault("bad-value", Fault(sample.t_ns, "bad-value", said))
        elif good and sample.t_ns < good[-1].t_ns + (len(good) in breaks):
            said = f"a sample {(good[-1].t_ns - sample.t_ns) / 1e9:g} s older than the one before it"
            faults.setdefault("clock-step", Fault(good[-1].t_ns, "clock-step", said))
            breaks.add(len(good))
        elif good and sample.t_ns == good[-1].t_ns and sample.joules > good[-1].joules:
            good[-1] = sample  # two reads at one time: the later one
        else:
            good.append(sample)
    return Clean(good, list(faults.values()), breaks)


def sane(trace: Trace) -> Trace:
    """The trace without values that cannot be true; a fault says what was left out of its samples."""
    return _sane(_Key(trace))


@functools.lru_cache(maxsize=4)
def _sane(key: _Key) -> Trace:
    from energy_plugin.record.trace import Fault

    trace = key.trace
    samples = tuple(sample for sample in trace.samples if abs(sample.joules) <= MOST_J)
    gauges = {
        name: tuple(sorted(((t, v) for t, v in points if 0 <= v <= MOST_J), key=lambda point: point[0]))
        for name, points in trace.gauges.items()
    }
    faults = trace.faults
    if len(samples) < len(trace.samples):
        first = next(sample for sample in trace.samples if not abs(sample.joules) <= MOST_J)
        faults = (*faults, Fault(first.t_ns, "bad-value", f"the meter read {first.joules:g} J"))
    return replace(trace, samples=samples, gauges=gauges, faults=faults)


def _runs(
    samples: Sequence[Sample], breaks: set[int], trace: Trace
) -> tuple[list[list[Sample]], list[Fault]]:
    """Cut at breaks and resets; go on over a wrap, given a known range and a plausible power."""
    from energy_plugin.record.trace import Fault, Sample

    channel = trace.channel
    most_w = LIMIT_FACTOR * channel.limit_w or MOST_W
    runs: list[list[Sample]] = []
    faults: list[Fault] = []
    offset, old, moved_ns = 0.0, None, 0
    for i, sample in enumerate(samples):
        rise = sample.joules - old.joules if old is not None else 0.0
        if i in breaks:
            runs.append([])
        elif old is not None and rise > _most_j(channel, (sample.t_ns - moved_ns) / 1e9):
            faults.append(Fault(sample.t_ns, "implausible", f"the counter leapt by {rise:.6g} J"))
            runs.append([])
        elif old is not None and channel.range_j > 0:
            seconds = (sample.t_ns - old.t_ns) / 1e9 + channel.tick_s
            if seconds * most_w > channel.range_j:
                faults.append(Fault(old.t_ns, "wrap-unseen", f"not read for {seconds:.1f} s"))
                runs.append([])
            elif rise < 0 and 0 <= rise + channel.range_j <= most_w * seconds:
                offset += channel.range_j
            elif rise < 0:
                runs.append([])
        if not runs or (runs[-1] and sample.joules + offset < runs[-1][-1].joules):
            runs.append([])
        runs[-1].append(Sample(sample.t_ns, sample.joules + offset) if offset else sample)
        moved_ns = sample.t_ns if rise or not moved_ns else moved_ns
        old = sample
    return runs, faults


def _most_j(channel: Channel, seconds: float) -> float:
    """What a counter may have risen by since it last moved; of what is no GPU or processor nobody knows.

    Nor of recorded joules, which are played into a span of time that is not their own.
    """
    device = channel.kind == "direct" and channel.id.startswith(("gpu:", "cpu:"))
    if not device or channel.source.startswith("replay:"):
        return math.inf
    return max(MOST_W, LIMIT_FACTOR * channel.limit_w) * (seconds + channel.tick_s + LEAP_S)


def _at_rest(trace: Trace, span: tuple[int, int]) -> bool:
    """The device's own power reading says that there was nothing to count."""
    points = trace.gauges.get("power_w", ())
    first = bisect.bisect_left(points, span[0], key=lambda p: p[0])
    last = bisect.bisect_right(points, span[1], key=lambda p: p[0])
    return last > first and all(value <= 0 for _, value in points[first:last])
