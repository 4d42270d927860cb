"""A counter in virtual time, polled as the meters poll: no sleeping, thousands of windows a minute.

The device's power has a closed-form integral. Its counter publishes that integral in ticks, late and
with jitter; :func:`polled` reads it at the times :class:`~energy_plugin.meters.pace.Pace` wants, through
calls that take time, and keeps what :class:`~energy_plugin.meters.tape.Tape` keeps.
"""

from __future__ import annotations

import bisect
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_plugin.meters.pace import Pace
from energy_plugin.meters.tape import Tape
from energy_plugin.record.trace import Channel, Sample, Trace, Window

if TYPE_CHECKING:
    from collections.abc import Callable

S = 1_000_000_000
BURST_S, BURST_PERIOD_S = 0.045, 0.130


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Power over time in watts and seconds, and how its counter tells of it.

    Attributes:
        load_w: between ``t0_s`` and ``t1_s``, on top of idle; ``bursty``: 45 ms of every 130 ms.
        drift_w: idle power rises by this much a second; ``after_w`` at once at the end of the load.
        tail_w: power above idle right after the end, falling with ``tail_s``.
        swing_w: idle power swings by this much up and down, every ``swing_s``.
        noise_w: standard deviation of the idle power, new every 20 ms.
        lag_s: what is published is this much older than its publication; ``lag_random`` from 0 to this,
            anew for each tick.
        jitter_s: a publication comes up to this much later than its tick.
        seen_s: the counter sums samples of this length, one a tick (0: it counts all).
    """

    t0_s: float
    t1_s: float
    idle_w: float = 60.0
    load_w: float = 300.0
    bursty: bool = False
    drift_w: float = 0.0
    after_w: float = 0.0
    tail_w: float = 0.0
    tail_s: float = 0.5
    swing_w: float = 0.0
    swing_s: float = 1.0
    noise_w: float = 0.0
    tick_s: float = 0.1
    phase_s: float = 0.0
    lag_s: float = 0.0
    lag_random: bool = False
    jitter_s: float = 0.0
    seen_s: float = 0.0
    seed: int = 0

    def energy_j(self, t_s: float) -> float:
        """Joules from 0 to *t_s*."""
        inside = min(max(t_s, self.t0_s), self.t1_s) - self.t0_s
        after = max(0.0, t_s - self.t1_s)
        on = self._burst(inside) if self.bursty else inside
        tail = self.tail_w * self.tail_s * (1 - math.exp(-after / self.tail_s))
        idle = self.idle_w * t_s + self.drift_w * t_s * abs(t_s) / 2 + self.after_w * after
        turn = 2 * math.pi / self.swing_s
        idle -= self.swing_w / turn * math.cos(turn * t_s)
        return idle + self.load_w * on + tail + self._noise(t_s)

    @staticmethod
    def _burst(t_s: float) -> float:
        whole = math.floor(t_s / BURST_PERIOD_S)
        return whole * BURST_S + min(t_s - whole * BURST_PERIOD_S, BURST_S)

    def _noise(self, t_s: float) -> float:
        if not self.noise_w:
            return 0.0
        slot = max(0.0, t_s) / 0.02
        whole = math.floor(slot)
        walk = _walk(self.seed, whole + 1)
        return self.noise_w * 0.02 * (walk[whole] + (slot - whole) * (walk[whole + 1] - walk[whole]))

    @property
    def truth_j(self) -> float:
        """Joules of the load's time, idle included: gross."""
        return self.energy_j(self.t1_s) - self.energy_j(self.t0_s)


_WALKS: dict[int, list[float]] = {}


def _walk(seed: int, length: int) -> list[float]:
    walk = _WALKS.setdefault(seed, [0.0])
    if len(walk) <= length:
        rng = random.Random(seed * 7919 + len(walk))
        while len(walk) <= length + 500:
            walk.append(walk[-1] + rng.gauss(0, 1))
    if len(_WALKS) > 50:
        _WALKS.clear()
        _WALKS[seed] = walk
    return walk


def published(device: Device, end_s: float) -> tuple[list[float], list[float]]:
    """When the counter shows a new value, and which (to the millijoule)."""
    rng = random.Random(device.seed + 1)
    times, values = [], []
    tick, seen_j = -2, 0.0
    while (at := device.phase_s + tick * device.tick_s) < end_s:
        lag_s = device.lag_s * (rng.random() if device.lag_random else 1.0)
        if device.seen_s:  # its own look at the end of each tick stands for all of the tick
            look = device.energy_j(at) - device.energy_j(at - device.seen_s)
            seen_j += look * device.tick_s / device.seen_s
        joules = seen_j if device.seen_s else device.energy_j(at - lag_s)
        times.append(at + rng.random() * device.jitter_s)
        values.append(round(1000.0 + joules, 3))
        tick += 1
    return times, values


def polled(
    device: Device,
    *,
    call_s: Callable[[random.Random], float] = lambda rng: 0.00005,
    rate_hz: float = 100.0,
    lead_s: float = 0.6,
    tail_s: float = 0.55,
    marks_s: tuple[float, ...] = (),
    uniform: bool = False,
) -> Trace:
    """The trace of one attempt around the device's load.

    Args:
        device: what is polled.
        call_s: how long each read takes; the value is read at a random moment of it.
        rate_hz: polls a second in a burst.
        uniform: poll at this rate always.
        lead_s: seconds of polling before the load.
        tail_s: seconds of polling after it.
        marks_s: further edges that were announced to the meter.
    """
    rng = random.Random(device.seed + 2)
    times, values = published(device, device.t1_s + tail_s + 1)
    tape, pace, cpu_ns = Tape(), Pace(rate_hz, device.tick_s), 0
    now_s = device.t0_s - lead_s
    edges = sorted((device.t0_s, *marks_s, device.t1_s))
    pace.edge(round(now_s * S))
    while now_s < device.t1_s + tail_s:
        due_s = now_s + max(0.0, 1 / rate_hz - 0.0001) if uniform else pace.next_ns(round(now_s * S)) / S
        due_s = max(due_s, now_s)
        if edges and edges[0] <= due_s:  # woken by the edge, a moment later
            now_s = max(now_s, edges.pop(0))
            pace.edge(round(now_s * S))
            now_s += 0.0001
            continue
        begun_s = due_s + 0.0001 * rng.random()
        took_s = call_s(rng)
        read_s = begun_s + took_s * rng.random()
        joules = values[max(0, bisect.bisect_right(times, read_s) - 1)]
        begun_ns, ended_ns = round(begun_s * S), round((begun_s + took_s) * S)
        moved = tape.add(begun_ns, Sample(begun_ns, joules), ended_ns)
        tape.note_call(ended_ns)
        cpu_ns += 50_000
        pace.polled(begun_ns, ended_ns, moved=moved, cpu_ns=cpu_ns)
        now_s = ended_ns / S
    channel = Channel(id="gpu:G", meter="nvml", source="nvml-counter", tick_s=device.tick_s)
    return tape.trace("nvml", channel)


def window_of(device: Device, name: str = "process") -> Window:
    """The window of the device's load."""
    return Window(program="a", name=name, t0_ns=round(device.t0_s * S), t1_ns=round(device.t1_s * S))
