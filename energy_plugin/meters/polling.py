"""A thread that polls counters: all a new meter has to bring is a Sensor."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.record.trace import Fault, Sample, Trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.meters.protocols import Edge, Sensor
    from energy_plugin.record.trace import Channel

GAUGE_S = 0.2  # gauges are for people and for the cross-check: five a second
CALM_AFTER_S = 1.0  # away from the edges of a window ...
CALM_FACTOR = 5  # ... a rate five times lower loses nothing but CPU time
MAX_LOAD = 0.25  # share of the time slow calls may take away from the edges


class SensorError(Exception):
    """A sensor could not be read; *code* goes into the trace's faults."""

    def __init__(self, code: str, detail: str) -> None:
        """Name the stable *code* and say it in words."""
        super().__init__(detail)
        self.code = code


@runtime_checkable
class Gauges(Protocol):
    """A sensor that knows more than joules."""

    def gauges(self) -> Mapping[str, float]:
        """Other quantities now, by gauge name; may raise, which becomes a fault."""


@dataclass(slots=True)
class _Tape:
    """What one sensor said during one attempt."""

    samples: list[Sample] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    gauges: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def add(self, before_ns: int, sample: Sample, after_ns: int) -> None:
        """Keep the first and the last sight of each value; in between a counter says nothing.

        The call took from *before* to *after*: a new value was surely there when it returned, an
        old one surely still there when it began. A sensor that stamps its own time is believed.
        """
        own = not before_ns <= sample.t_ns <= after_ns
        if not self.samples or sample.joules != self.samples[-1].joules:
            self.samples.append(sample if own else Sample(after_ns, sample.joules))
            return
        seen_twice = len(self.samples) > 1 and self.samples[-2].joules == sample.joules
        if seen_twice:
            self.samples.pop()
        self.samples.append(sample if own else Sample(before_ns, sample.joules))

    def fail(self, t_ns: int, error: Exception) -> None:
        code = getattr(error, "code", "read-failed")
        self.faults.setdefault(code, Fault(t_ns, code, str(error)))


class PollingMeter:
    """Polls sensors into counter traces; a failing sensor leaves a fault, once for each code.

    The attempt leaves ``lead_s`` between ``start`` and the open edge and ``tail_s`` between the
    close edge and ``stop``, so that idle power and the counter's next update are seen.

    Args:
        sensors: the counters to read; one that also has ``gauges()`` gives these at 5 Hz.
        rate_hz: polls a second near the edges of a window; a fifth of it elsewhere, and less when
            the calls are slow.
    """

    name = "polling"

    def __init__(
        self,
        sensors: Sequence[Sensor],
        rate_hz: float = 100.0,
        lead_s: float = 0.3,
        tail_s: float = 0.25,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._sensors = tuple(sensors)
        self._rate_hz = rate_hz
        self.lead_s = lead_s
        self.tail_s = tail_s
        self._clock = clock or SystemClock()
        self._tapes: list[_Tape] = []
        self._thread: threading.Thread | None = None
        self._woken = threading.Event()
        self._ending = self._closed = False
        self._edge_ns = 0

    def probe(self) -> Sequence[Channel]:
        """The sensors' channels."""
        return [sensor.channel for sensor in self._sensors]

    def start(self) -> None:
        """Begin to poll."""
        self.close()
        self._tapes = [_Tape() for _ in self._sensors]
        self._edge_ns = self._clock.now_ns()
        self._ending = self._closed = False
        self._woken.clear()
        if self._sensors:
            self._thread = threading.Thread(target=self._poll, name=f"energy-{self.name}", daemon=True)
            self._thread.start()

    def edge(self, kind: Edge) -> None:
        """Poll fast for a while: here the counter's edges matter."""
        self._closed = kind == "close"
        self._edge_ns = self._clock.now_ns()
        self._woken.set()

    def stop(self) -> Sequence[Trace]:
        """End the thread and hand over what it saw."""
        self.close()
        return [
            self._trace(s, t) for s, t in zip(self._sensors, self._tapes, strict=False) if s.channel.alive
        ]

    def _trace(self, sensor: Sensor, tape: _Tape) -> Trace:
        return Trace(
            meter=self.name,
            channel=sensor.channel,
            form="counter",
            samples=tuple(tape.samples),
            faults=tuple(tape.faults.values()),
            gauges={name: tuple(values) for name, values in tape.gauges.items()},
        )

    def close(self) -> None:
        """End the thread; a call that hangs in a driver is left behind with it after two seconds."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._ending = True
            self._woken.set()
            thread.join(timeout=2.0)
            if thread.is_alive():
                hung = SensorError("sensor-hangs", "a call to the sensor did not return")
                for tape in self._tapes:
                    tape.fail(self._clock.now_ns(), hung)

    # --- the thread ---

    def _poll(self) -> None:
        tapes, gauges_due_ns = self._tapes, 0
        while not self._ending and tapes is self._tapes:
            before_ns = self._clock.now_ns()
            for sensor, tape in zip(self._sensors, tapes, strict=True):
                if sensor.channel.alive:
                    self._read(sensor, tape)
            read_ns = self._clock.now_ns()
            if read_ns >= gauges_due_ns and not self._closed:
                for sensor, tape in zip(self._sensors, tapes, strict=True):
                    if sensor.channel.alive and isinstance(sensor, Gauges):
                        self._gauge(sensor, tape)
                took_ns = self._clock.now_ns() - read_ns
                gauges_due_ns = read_ns + int(max(GAUGE_S * 1e9, took_ns / MAX_LOAD * 2))
            took_s = (read_ns - before_ns) / 1e9
            if self._woken.wait(max(0.0, self._period_s(took_s) - took_s)):
                self._woken.clear()

    def _period_s(self, took_s: float) -> float:
        calm = self._clock.now_ns() - self._edge_ns > CALM_AFTER_S * 1e9
        if calm:
            return max(CALM_FACTOR / self._rate_hz, took_s / MAX_LOAD)
        return max(1 / self._rate_hz, took_s)

    def _read(self, sensor: Sensor, tape: _Tape) -> None:
        before_ns = self._clock.now_ns()
        try:
            tape.add(before_ns, sensor.read(), self._clock.now_ns())
        except Exception as error:  # whatever a driver throws is a fault in the trace
            tape.fail(before_ns, error)

    def _gauge(self, sensor: Gauges, tape: _Tape) -> None:
        try:
            for name, value in sensor.gauges().items():
                tape.gauges.setdefault(name, []).append((self._clock.now_ns(), value))
        except Exception as error:
            tape.fail(self._clock.now_ns(), error)
