"""Counters polled into traces: all a new meter has to bring is a Sensor."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.meters.pace import CPU_SHARE, SHARED, Pace
from energy_plugin.meters.poller import HANGS_S, Ask, Asking, Gauges, Poller
from energy_plugin.meters.tape import SensorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.meters.protocols import Edge, Sensor
    from energy_plugin.record.trace import Channel, Trace

__all__ = ["Ask", "Asking", "Gauges", "PollingMeter", "SensorError"]

_RUNNING: weakref.WeakSet[PollingMeter] = (
    weakref.WeakSet()
)  # all that poll in this process: they share CPU time


class PollingMeter:
    """Polls sensors into counter traces; a failing sensor leaves a fault for each spell of an error.

    The attempt leaves ``lead_s`` between ``start`` and the open edge and ``tail_s`` between the
    close edge and ``stop``, so that idle power and the counter's next updates are seen. When it
    polls, and what that means for windows whose edges nobody announced (epochs), says
    :mod:`energy_plugin.meters.pace`.

    Args:
        sensors: the counters to read; one that also has ``gauges()`` gives these once a second.
        rate_hz: polls a second near the edges of a window; elsewhere as few as will do, and fewer
            where calls are slow.
        lead_s: seconds to poll before the window opens.
        tail_s: seconds to poll after it closed.
        clock: the time of all samples.
    """

    name = "polling"
    weight = 1.0  # of what all meters that poll at the same time may take

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
        self._pollers: list[Poller] = []
        self._polled: tuple[Sensor, ...] = ()

    def probe(self) -> Sequence[Channel]:
        """The sensors' channels."""
        return [sensor.channel for sensor in self._sensors]

    def _groups(self) -> Sequence[Sequence[Sensor]]:
        """Sensors that share a thread; those of devices that may hang on their own should not."""
        return [self._sensors]

    def _make_pollers(self) -> list[Poller]:
        groups = [[s for s in group if s.channel.alive] for group in self._groups()]
        groups = [group for group in groups if group]
        return [
            Poller(group, self._new_pace(group, len(groups)), self._clock, f"energy-{self.name}")
            for group in groups
        ]

    def _new_pace(self, group: Sequence[Sensor], of: int) -> Pace:
        tick_s = max(sensor.channel.tick_s for sensor in group)
        return Pace(self._rate_hz, tick_s, rhythmic=len(group) == 1, budget=lambda: self.cpu_share() / of)

    def cpu_share(self) -> float:
        """Of one core, for the threads of this meter: less where other meters poll, too."""
        every = sum(meter.weight for meter in tuple(_RUNNING))
        return min(CPU_SHARE, SHARED * self.weight / max(every, self.weight))

    def start(self) -> None:
        """Begin to poll."""
        self.close()
        if self._polled != self._sensors:
            self._polled, self._pollers = self._sensors, self._make_pollers()
        if self._pollers:
            _RUNNING.add(self)
        for poller in self._pollers:
            poller.start()

    def edge(self, kind: Edge) -> None:
        """Poll fast for a while: here the counter's edges matter."""
        for poller in self._pollers:
            poller.edge(close=kind == "close")

    def stop(self) -> Sequence[Trace]:
        """End the threads and hand over what they saw."""
        self.close()
        return [
            tape.trace(self.name, sensor.channel)
            for poller in self._pollers
            for sensor, tape in zip(poller.sensors, poller.tapes, strict=True)
        ]

    def close(self) -> None:
        """End the threads; a call that hangs in a driver is left behind after two seconds in all."""
        _RUNNING.discard(self)
        for poller in self._pollers:
            poller.end()
        deadline_ns = self._clock.now_ns() + int(HANGS_S * 1e9)
        for poller in self._pollers:
            poller.join(max(0.0, (deadline_ns - self._clock.now_ns()) / 1e9))
