"""The machine at rest, watched by the session's own meters in short slices."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.record.baseline import Baseline, Level
from energy_plugin.record.trace import Window, idle_of, integrate
from energy_plugin.run.usage import LoadWatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.record.trace import Channel, Trace
    from energy_plugin.run.guard import Guarded

SLICE_S = 1.0
SLICE_TICKS = 6.5
"""Idle power needs four edges of a counter whose phase is anything ..."""
MOST_SLICE_S = 2.5
"""... but for one slow counter the others do not wait."""
MOST_LOAD = 0.05
"""Of the processors' time, or of a GPU's: beyond it the machine is not idle."""

Key = tuple[str, str]  # meter, channel


class Seen(NamedTuple):
    """One channel in one slice; ``power_w`` None with a reason where it could not be seen.

    Attributes:
        parts_w: mean power second by second, where the samples tell it.
    """

    power_w: float | None
    unc_w: float
    parts_w: tuple[float, ...]
    temperature_c: float | None
    utilization: float | None
    reason: str


class Slice(NamedTuple):
    """One span in which nothing of ours ran.

    Attributes:
        cpu_load: share of the processors' time that others took.
        processes: how many processes were on each GPU; None where no meter can tell.
    """

    t0_ns: int
    t1_ns: int
    seen: dict[Key, Seen]
    cpu_load: float | None
    processes: dict[str, int] | None

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.t1_ns - self.t0_ns) / 1e9


def is_sensed(channel: Channel) -> bool:
    """Whether a living channel follows the machine's power now, and is no estimate from elsewhere."""
    return channel.alive and (channel.kind == "direct" or channel.id.startswith(("gpu:", "mains:")))


def sensing(meters: Iterable[Guarded]) -> list[Guarded]:
    """The meters that can see the machine at rest."""
    return [meter for meter in meters if meter.live and any(is_sensed(c) for c in meter.channels)]


def slice_s(meters: Sequence[Guarded]) -> float:
    """The shortest slice in which the counters show their edges."""
    ticks = [c.tick_s for meter in meters for c in meter.channels if c.alive]
    return min(max(SLICE_S, SLICE_TICKS * max(ticks, default=0.0)), MOST_SLICE_S)


def watch(meters: Sequence[Guarded], clock: Clock, seconds: float) -> Slice:
    """Open and close every meter around a rest; works with any meter, however it records."""
    load, began_ns = LoadWatch(clock), clock.now_ns()
    for meter in meters:
        meter.start()
    for meter in meters:
        meter.edge("open")
    t0_ns = clock.now_ns()
    tail_s = min(max((meter.tail_s for meter in meters), default=0.0), seconds / 2)
    clock.sleep(seconds - tail_s)
    t1_ns = clock.now_ns()
    for meter in meters:
        meter.edge("close")
    if tail_s:
        clock.sleep(tail_s)  # polled densely again: the last edge of a counter is as sharp as the first
    end_ns = clock.now_ns()
    traces = [trace for meter in meters for trace in meter.stop()]
    seen = {(t.meter, t.channel.id): _seen(t, t0_ns, t1_ns, end_ns) for t in traces if is_sensed(t.channel)}
    return Slice(t0_ns, end_ns, seen, load.share(), _processes(meters, began_ns))


def _seen(trace: Trace, t0_ns: int, t1_ns: int, end_ns: int) -> Seen:
    counts = trace.form == "counter"
    window = _window(t0_ns, end_ns if counts else t1_ns)
    power_w, unc_w, reason = _power(trace, window)
    parts_w = tuple(_parts(trace, window)) if counts else ()
    temperature, utilization = _mean(trace, "temperature_c"), _mean(trace, "utilization_percent")
    return Seen(power_w, unc_w, parts_w, temperature, utilization, reason)


def _window(t0_ns: int, t1_ns: int) -> Window:
    return Window(program=None, name="idle:slice", t0_ns=t0_ns, t1_ns=t1_ns)


def _parts(trace: Trace, window: Window) -> Iterator[float]:
    """Mean watts of each second."""
    count = max(1, int(window.duration_s / SLICE_S))
    step_ns = (window.t1_ns - window.t0_ns) // count
    for start_ns in range(window.t0_ns, window.t1_ns - step_ns + 1, step_ns):
        part = idle_of(trace, _window(start_ns, start_ns + step_ns))
        if part is not None:
            yield part.power_w


def _power(trace: Trace, window: Window) -> tuple[float | None, float, str]:
    """Watts, their standard uncertainty, or why there are none."""
    if trace.form == "counter":
        idle = idle_of(trace, window)
        if idle is not None:
            return idle.power_w, idle.unc_w, ""
        return None, 0.0, trace.faults[0].code if trace.faults else "too-few-updates"
    reading = integrate(trace, window, None)
    if reading.joules is None or reading.status == "partial":
        return None, 0.0, reading.reason or "not-covered"
    lo_j, hi_j = (reading.joules if bound is None else bound for bound in (reading.lo_j, reading.hi_j))
    unc_w = (hi_j - lo_j) / 2 / math.sqrt(3) / window.duration_s
    return reading.joules / window.duration_s, unc_w, ""


def _mean(trace: Trace, gauge: str) -> float | None:
    points = [value for _, value in trace.gauges.get(gauge, ())]
    return statistics.fmean(points) if points else None


def _processes(meters: Sequence[Guarded], began_ns: int) -> dict[str, int] | None:
    """Those seen since *began_ns*: a driver also tells of what ended just before."""
    if not any(meter.witness for meter in meters):
        return None
    pids: dict[str, set[int]] = {}
    for process in (p for meter in meters for p in meter.processes()):
        if process.last_ns >= began_ns:
            pids.setdefault(process.channel, set()).add(process.pid)
    return {channel: len(found) for channel, found in pids.items()}


def baseline_of(name: str, slices: Sequence[Slice], earlier: Baseline | None = None) -> Baseline:
    """Median, mean, uncertainty and drift of each channel over adjoining slices.

    Refused for a CPU channel when others took more than 5 % of the processors, for a GPU channel
    when the GPU was used more than 5 % or any process held it, for mains by either.

    Args:
        name: ``idle:before``, ``idle:between`` or ``idle:after``.
        slices: in order.
        earlier: the baseline before; how far the level moved since then widens the uncertainty,
            for it may move as far again during the case.
    """
    loads = [part.cpu_load for part in slices if part.cpu_load is not None]
    load = statistics.fmean(loads) if loads else None
    known = [part.processes for part in slices if part.processes is not None]
    processes = max((sum(found.values()) for found in known), default=0) if known else None
    keys = dict.fromkeys(key for part in slices for key in part.seen)
    levels = [_level(key, slices, load, _then(earlier, key)) for key in keys]
    return Baseline(
        name=name,
        t0_ns=slices[0].t0_ns,
        t1_ns=slices[-1].t1_ns,
        levels=tuple(levels),
        cpu_load=load,
        gpu_processes=processes,
    )


def _then(earlier: Baseline | None, key: Key) -> float | None:
    level = earlier.level(*key) if earlier else None
    return level.power_w if level else None


def _level(key: Key, slices: Sequence[Slice], load: float | None, earlier_w: float | None) -> Level:
    meter, channel = key
    parts = [part.seen[key] for part in slices if key in part.seen]
    powers = [part.power_w for part in parts if part.power_w is not None]
    temperatures = [part.temperature_c for part in parts if part.temperature_c is not None]
    level = Level(
        meter=meter,
        channel=channel,
        power_w=None,
        temperature_c=statistics.fmean(temperatures) if temperatures else None,
        seconds=sum(part.seconds for part in slices),
        reason=refusal(channel, slices, load),
    )
    if level.reason or not powers:
        said = next((part.reason for part in parts if part.reason), "too-few-updates")
        return replace(level, reason=level.reason or said)
    power_w = statistics.fmean(powers)
    drift_w = powers[-1] - powers[0] if len(powers) > 1 else None
    seen_w = math.sqrt(sum(part.unc_w**2 for part in parts)) / len(powers)
    moved_w = abs(power_w - earlier_w) if earlier_w is not None else 0.0
    # A drift and a move are uniform over their span: its length / √12.
    spread_w = math.hypot(drift_w or 0.0, moved_w) / math.sqrt(12)
    return replace(
        level,
        power_w=power_w,
        median_w=statistics.median([watts for part in parts for watts in part.parts_w] or powers),
        unc_w=math.hypot(seen_w, spread_w),
        drift_w=drift_w,
    )


def refusal(channel: str, slices: Sequence[Slice], load: float | None) -> str:
    """Why the machine was not at rest as far as *channel* goes; empty when it was."""
    gpu, cpu = channel.startswith(("gpu:", "mains:")), channel.startswith(("cpu:", "mains:"))
    if gpu and any(_on(channel, part.processes or {}) for part in slices):
        return "foreign-gpu-process"
    if gpu and _utilization(channel, slices) > MOST_LOAD:
        return "gpu-busy"
    if cpu and load is not None and load > MOST_LOAD:
        return "cpu-busy"
    return ""


def _on(channel: str, processes: dict[str, int]) -> int:
    """Processes on that GPU; the mains feed all of them."""
    return sum(processes.values()) if channel.startswith("mains:") else processes.get(channel, 0)


def _utilization(channel: str, slices: Sequence[Slice]) -> float:
    """Share of the time the GPU was used; of mains that of the busiest GPU."""
    by_gpu: dict[str, list[float]] = {}
    for part in slices:
        for (_, seen_of), seen in part.seen.items():
            if seen.utilization is not None and seen_of in (channel, *_fed(channel, seen_of)):
                by_gpu.setdefault(seen_of, []).append(seen.utilization / 100)
    return max((statistics.fmean(values) for values in by_gpu.values()), default=0.0)


def _fed(channel: str, other: str) -> tuple[str, ...]:
    return (other,) if channel.startswith("mains:") else ()
