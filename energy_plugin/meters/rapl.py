"""CPU package and memory energy all through the run, read from the kernel without a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.meters.liveness import BusyLoop
from energy_plugin.meters.polling import PollingMeter, SensorError
from energy_plugin.meters.rapl_kernel import Kernel
from energy_plugin.meters.rapl_probe import CODES, RaplProbe
from energy_plugin.meters.rapl_unit import PowerUnit
from energy_plugin.record.trace import Channel, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.meters.rapl_counters import Place

LEAD_S = 0.3
TAIL_S = 0.05  # fifty of the counter's updates
LEAD_TICKS, TAIL_TICKS = 5.0, 2.5


class RaplSensor:
    """The counters of one channel, summed: a package, or its dies where the kernel counts these."""

    def __init__(self, channel: Channel, places: Sequence[Place], clock: Clock) -> None:
        self.channel = channel
        self._places = tuple(places)
        self._clock = clock

    def read(self) -> Sample:
        """Cumulative joules now.

        Raises:
            SensorError: the kernel refuses, or the counter was reset.
        """
        joules = 0.0
        try:
            for place in self._places:
                joules += place.counter.joules(self._clock.now_ns())
        except OSError as error:
            raise SensorError(CODES.get(error.errno or 0, "read-failed"), str(error)) from error
        return Sample(self._clock.now_ns(), joules)

    def close(self) -> None:
        """Give the counters back; the next read opens them anew."""
        for place in self._places:
            place.counter.close()


class RaplMeter(PollingMeter):
    """The package and memory counters of every processor, by ``perf_event_open`` or powercap.

    It gives what perf cannot: joules of windows inside the run. Its own cost is a system call or two
    for each channel and poll.

    Args:
        sysfs: where the kernel lists its power events and powercap zones.
        procfs: where the kernel tells what plain users may do.
        kernel: the system calls.
        rate_hz: polls a second near the edges of a window.
        busy: the loop to share with other meters; tells living counters from dead ones.
    """

    name = "rapl"

    def __init__(
        self,
        *,
        sysfs: Path = Path("/sys"),
        procfs: Path = Path("/proc"),
        kernel: Kernel | None = None,
        rate_hz: float = 100.0,
        clock: Clock | None = None,
        probe_s: float = 0.3,
        busy: BusyLoop | None = None,
    ) -> None:
        super().__init__((), rate_hz, LEAD_S, TAIL_S, clock=clock)
        self._busy = busy or BusyLoop(probe_s, clock=clock)
        unit = PowerUnit(sysfs=sysfs, procfs=procfs)
        self._probe = RaplProbe(unit, kernel or Kernel(), clock or SystemClock())
        self._busy.join(self._probe)

    def probe(self) -> Sequence[Channel]:
        """Package and memory of every socket; a slow counter is watched for longer at both ends."""
        self._busy.run()
        tick_s = max((channel.tick_s for channel in self._probe.channels if channel.alive), default=0.0)
        self.lead_s, self.tail_s = max(LEAD_S, LEAD_TICKS * tick_s), max(TAIL_S, TAIL_TICKS * tick_s)
        return self._probe.channels

    def start(self) -> None:
        """Begin to poll."""
        alive = [channel for channel in self.probe() if channel.alive]
        if not self._sensors:
            self._sensors = tuple(RaplSensor(c, self._probe.places[c.id], self._clock) for c in alive)
        super().start()

    def close(self) -> None:
        """End the thread and give the counters back."""
        super().close()
        for sensor in self._sensors:
            if isinstance(sensor, RaplSensor):
                sensor.close()
