"""Power over time of a few runs, from their traces, small enough for a page."""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING, NamedTuple

from causal_report.findings.metering import Line, Panel, PowerTrace, Span
from causal_report.pairing import part_of
from causal_report.sources import trace as tracefile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Literal

    from causal_report.findings.metering import NetRun
    from causal_report.sources.source import Source
    from causal_report.sources.trace import Trace

    Step = tuple[float, float, float, float, float]
    Points = tuple[Step, ...]

BINS = 240
"""Steps on the time axis at most: one for every two to three pixels."""
LEAST_S, TICKS = 0.1, 3
"""A counter's step is at least so long and so many ticks: single ticks are blurred by the polling."""
BESIDE_S = 12.0
"""So much is shown before the process and after it."""
GAUGES = {
    "power_w": "W",
    "power_average_w": "W",
    "utilization_percent": "%",
    "temperature_c": "°C",
}
RATES = {"energy_j": "W", "cpu_time_s": "cores"}
"""Cumulative quantities, with the unit of their increase in one second."""


class Segment(NamedTuple):
    """A value that held from one moment to another, seconds after the start."""

    start_s: float
    end_s: float
    value: float


def traces(sources: Sequence[Source], runs: Sequence[NetRun]) -> tuple[PowerTrace, ...]:
    """The runs with the least, the median and the most energy that left traces of a direct meter."""
    folders = {source.name: source.path for source in sources}
    found: list[PowerTrace] = []
    for run, rank in representative(runs):
        if run.session not in folders:
            continue
        recorded = tracefile.read(folders[run.session] / run.experiment_id / "energy" / "trace.csv")
        start_ns, end_ns, windows = spans(sources, run.session, run.experiment_id)
        made = panels(recorded, start_ns, windows, beside(sources, run.session, start_ns, end_ns))
        if not any(line.kind == "direct" and line.unit == "W" for panel in made for line in panel.lines):
            continue
        found.append(
            PowerTrace(
                session=run.session,
                experiment_id=run.experiment_id,
                model=run.model,
                rank=rank,
                joules=run.gross_j or 0.0,
                status=run.shown,
                spans=tuple(windows),
                panels=made,
            )
        )
    return tuple(found)


def representative(runs: Sequence[NetRun]) -> tuple[tuple[NetRun, str], ...]:
    """Least, median and most energy, each run once; of partial ones only where none is whole."""
    measured = [r for r in runs if r.status == "measured"] or list(runs)
    ordered = sorted(measured, key=lambda r: (r.gross_j or 0.0, r.experiment_id))
    if not ordered:
        return ()
    chosen = {"median": ordered[len(ordered) // 2], "least": ordered[0], "most": ordered[-1]}
    seen: dict[str, tuple[NetRun, str]] = {}
    for rank, run in chosen.items():
        seen.setdefault(f"{run.session}/{run.experiment_id}", (run, rank))
    order = ("least", "median", "most")
    return tuple(sorted(seen.values(), key=lambda item: order.index(item[1])))


def spans(sources: Sequence[Source], session: str, run: str) -> tuple[int, int, list[Span]]:
    """Start and end of the process in CLOCK_MONOTONIC ns, and every window that was asked for."""
    windows = {
        (str(r.get("program") or ""), str(r["window"]), int(r["t0_ns"]), int(r["t1_ns"]))
        for source in sources
        for r in source.readings
        if source.name == session and r["experiment_id"] == run and "t0_ns" in r
    }
    starts = [t0 for _, name, t0, _ in windows if name in ("process", "joint")]
    start_ns = min(starts, default=min((w[2] for w in windows), default=0))
    end_ns = max((t1 for _, name, _, t1 in windows if name in ("process", "joint")), default=start_ns)
    rests = beside(sources, session, start_ns, end_ns)
    windows |= {("", str(b["name"]), int(b["t0_ns"]), int(b["t1_ns"])) for b in rests}
    return (
        start_ns,
        end_ns,
        [
            Span(name=name, program=program, start_s=(t0 - start_ns) / 1e9, end_s=(t1 - start_ns) / 1e9)
            for program, name, t0, t1 in sorted(windows, key=lambda w: (w[2], -w[3], w[1]))
        ],
    )


def beside(sources: Sequence[Source], session: str, start_ns: int, end_ns: int) -> list[Mapping[str, Any]]:
    """The baseline right before a run and the one right after it, where they are near."""
    taken = [b for s in sources if s.name == session for b in s.baselines if b.get("t1_ns")]
    near_ns = int(BESIDE_S * 1e9)
    before = [b for b in taken if start_ns - near_ns < int(b["t1_ns"]) <= start_ns]
    after = [b for b in taken if end_ns <= int(b["t0_ns"]) < end_ns + near_ns]
    return [*before[-1:], *after[:1]]


def panels(
    recorded: Sequence[Trace],
    start_ns: int,
    windows: Sequence[Span],
    rests: Sequence[Mapping[str, Any]] = (),
) -> tuple[Panel, ...]:
    """One panel for each direct channel and unit; what estimators say lies in that of its part.

    Of a baseline beside the run its mean power is drawn.
    """
    end_s = max((w.end_s for w in windows if w.name in ("process", "joint")), default=0.0)
    bounds = (-BESIDE_S, end_s + BESIDE_S)
    lines: dict[tuple[str, str], list[Line]] = {}
    for trace in sorted(recorded, key=lambda t: (t.kind != "direct", t.channel)):
        for line in _lines(trace, start_ns, bounds):
            own = trace.kind == "direct" or trace.meter == "usage"
            channel = trace.channel if own else _home(trace.channel, lines)
            if channel:
                lines.setdefault((channel, line.unit), []).append(line)
    for line, channel in _resting(rests, start_ns):
        if (channel, "W") in lines:
            lines[channel, "W"].append(line)
    faults = {
        channel: tuple(
            ((t_ns - start_ns) / 1e9, f"{t.meter}: {code}")
            for t in recorded
            if t.channel == channel
            for t_ns, code in t.faults
        )
        for channel, _ in lines
    }
    ordered = sorted(lines, key=lambda k: (k[1] != "W", *_rank(k[0])))
    return tuple(
        Panel(channel=c, unit=u, lines=tuple(lines[c, u]), faults=faults[c] if u == "W" else ())
        for c, u in ordered
    )


def _resting(rests: Sequence[Mapping[str, Any]], start_ns: int) -> Iterator[tuple[Line, str]]:
    for rest in rests:
        span = ((int(rest["t0_ns"]) - start_ns) / 1e9, (int(rest["t1_ns"]) - start_ns) / 1e9)
        for level in rest.get("levels", ()):
            watts = level.get("power_w")
            if watts is not None:
                line = Line(
                    meter=str(level["meter"]),
                    quantity="idle_w",
                    unit="W",
                    form="window",
                    kind="direct",
                    points=((*span, watts, watts, watts),),
                    samples=2,
                )
                yield line, str(level["channel"])


def _rank(channel: str) -> tuple[int, str]:
    parts = ("cpu", "ram", "gpu", "mains")
    part = part_of(channel)
    return (parts.index(part) if part in parts else len(parts)), channel


def _home(channel: str, lines: dict[tuple[str, str], list[Line]]) -> str:
    """The first direct channel of the estimator's part; empty where that part was not metered."""
    found = sorted(c for c, unit in lines if unit == "W" and part_of(c) == part_of(channel))
    return found[0] if found else ""


def _lines(trace: Trace, start_ns: int, bounds: tuple[float, float]) -> Iterator[Line]:
    for quantity, raw in trace.values.items():
        points = [((t - start_ns) / 1e9, value) for t, value in raw]
        # Two samples know one mean, whatever the meter calls itself; perf's intervals know more.
        form: Literal["counter", "gauge", "window"] = "window" if len(points) <= 2 else "counter"
        if quantity in RATES:
            least_s = 0.0 if trace.form == "window" else max(LEAST_S, TICKS * trace.tick_s)
            steps = binned(list(rates(points, trace.tick_s)), bounds, least_s)
            # Least and most of a counter's step would be those of single ticks, which a poll blurs.
            made, unit = tuple((a, b, mean, mean, mean) for a, b, mean, _, _ in steps), RATES[quantity]
        elif quantity in GAUGES and any(value != points[0][1] for _, value in points):
            made, unit, form = binned(list(_held(points)), bounds, 0.0), GAUGES[quantity], "gauge"
        else:
            continue
        if made:
            yield Line(
                meter=trace.meter,
                quantity=quantity,
                unit=unit,
                form=form,
                kind=trace.kind,
                points=made,
                samples=len(raw),
            )


def rates(points: Sequence[tuple[float, float]], tick_s: float) -> Iterator[Segment]:
    """Mean increase per second between the moments at which a counter is known; a step back is a gap.

    A counter that is always up to date is known whenever it was read. One that ticks is known when it
    was seen to move: the update came since the last sight of the old value, at most a tick ago.
    """
    gaps = sorted(new[0] - old[0] for old, new in itertools.pairwise(points))
    if gaps and tick_s >= gaps[len(gaps) // 2] / 2:
        points = [
            ((max(old[0], new[0] - tick_s) + new[0]) / 2, new[1])
            for old, new in itertools.pairwise(points)
            if old[1] != new[1]
        ]
    for (t0, before), (t1, after) in itertools.pairwise(points):
        if after >= before and t1 > t0:
            yield Segment(t0, t1, (after - before) / (t1 - t0))


def _held(points: Sequence[tuple[float, float]]) -> Iterator[Segment]:
    for (t0, value), (t1, _) in itertools.pairwise(points):
        if t1 > t0:
            yield Segment(t0, t1, value)


def binned(segments: Sequence[Segment], bounds: tuple[float, float], least_s: float) -> Points:
    """(start, end, mean, least, most) of at most :data:`BINS` equal steps; the area is kept.

    Args:
        segments: in order of time; a gap between two stays a gap.
        bounds: what lies outside is cut off.
        least_s: no step is shorter, unless the segments are few enough to stand as they are.
    """
    inside = [
        Segment(max(s.start_s, bounds[0]), min(s.end_s, bounds[1]), s.value)
        for s in segments
        if s.end_s > bounds[0] and s.start_s < bounds[1]
    ]
    if not inside:
        return ()
    start_s, end_s = inside[0].start_s, inside[-1].end_s
    if len(inside) == 1 or (not least_s and len(inside) <= BINS):
        return tuple(_step(s.start_s, s.end_s, [s]) for s in inside)
    count = max(1, int(min(BINS, (end_s - start_s) / least_s)) if least_s else BINS)
    edges = [start_s + (end_s - start_s) * i / count for i in range(count + 1)]
    starts, ends = [s.start_s for s in inside], [s.end_s for s in inside]
    found = [
        (low, high, inside[bisect.bisect_right(ends, low) : bisect.bisect_left(starts, high)])
        for low, high in itertools.pairwise(edges)
    ]
    return tuple(_step(low, high, here) for low, high, here in found if here)


def _step(low: float, high: float, here: Sequence[Segment]) -> Step:
    """One step over *here*, which lie at least partly in it."""
    shares = [max(0.0, min(s.end_s, high) - max(s.start_s, low)) for s in here]
    whole = sum(shares) or 1.0
    mean = sum(share * s.value for share, s in zip(shares, here, strict=True)) / whole
    values = [s.value for s in here]
    return round(low, 4), round(high, 4), round(mean, 4), round(min(values), 4), round(max(values), 4)
