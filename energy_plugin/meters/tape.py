"""What a thread writes down while it polls one sensor during one attempt."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from energy_plugin.record.trace import Fault, Sample, Trace

if TYPE_CHECKING:
    from energy_plugin.record.trace import Channel

MOST_FAULTS = 100  # of one code; a sensor that fails every other call says no more by the next ten thousand


class SensorError(Exception):
    """A sensor could not be read; *code* goes into the trace's faults."""

    def __init__(self, code: str, detail: str) -> None:
        """Name the stable *code* and say it in words."""
        super().__init__(detail)
        self.code = code


@dataclass(slots=True)
class Tape:
    """Samples, faults and gauges of one sensor."""

    samples: list[Sample] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    gauges: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    calls_s: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    failing: str = ""

    def add(self, before_ns: int, sample: Sample, after_ns: int) -> bool:
        """Keep the first and the last sight of each value; in between a counter says nothing.

        The call took from *before* to *after*: a new value was surely there when it returned, an
        old one surely still there when it began. A sensor that stamps its own time is believed.

        Returns:
            Whether the value is another than before.
        """
        self.failing = ""
        self.calls_s.append((after_ns - before_ns) / 1e9)
        own = not before_ns <= sample.t_ns <= after_ns
        if not self.samples or sample.joules != self.samples[-1].joules:
            self.samples.append(sample if own else Sample(after_ns, sample.joules))
            return len(self.samples) > 1
        seen_twice = len(self.samples) > 1 and self.samples[-2].joules == sample.joules
        if seen_twice:
            self.samples.pop()
        self.samples.append(sample if own else Sample(before_ns, sample.joules))
        return False

    def fail(self, t_ns: int, error: Exception) -> None:
        """Note an error when it begins; while it lasts it is no news."""
        code = getattr(error, "code", "read-failed")
        if code != self.failing:
            self.fault(t_ns, code, str(error))
        self.failing = code

    def fault(self, t_ns: int, code: str, detail: str) -> None:
        """Something went wrong at *t_ns*."""
        if sum(fault.code == code for fault in self.faults) < MOST_FAULTS:
            self.faults.append(Fault(t_ns, code, detail))

    def gauge(self, name: str, t_ns: int, value: float) -> None:
        """Another quantity, at this time."""
        self.gauges.setdefault(name, []).append((t_ns, value))

    @property
    def usual_call_s(self) -> float:
        """The median seconds of the last calls: how dear it is to read this sensor."""
        return statistics.median(self.calls_s) if self.calls_s else 0.0

    def note_call(self, t_ns: int) -> None:
        """Keep that median as a gauge."""
        if self.calls_s:
            self.gauge("call_s", t_ns, self.usual_call_s)

    def trace(self, meter: str, channel: Channel) -> Trace:
        """All of it, as it stands."""
        return Trace(
            meter=meter,
            channel=channel,
            form="counter",
            samples=tuple(self.samples),
            faults=tuple(self.faults),
            gauges={name: tuple(values) for name, values in list(self.gauges.items())},
        )
