"""The calculator on paper: rated power times time, as online carbon calculators do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.record.trace import Channel, Sample, Trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.meters.protocols import Edge

PARTS = ("cpu", "gpu")


class CalculatorMeter:
    """Thermal design power x duration x utilisation 1, for the parts whose power was given.

    This is the estimate of Lacoste et al. 2019, "Quantifying the Carbon Emissions of Machine
    Learning" (device TDP x hours), and of Lannelongue et al. 2021, "Green Algorithms", at usage
    factor 1 and without memory. A power that was not given is never guessed.

    Args:
        tdp: watts of all devices of a part together, by part: ``{"cpu": 65, "gpu": 300}``.
    """

    name = "calculator"
    lead_s = 0.0
    tail_s = 0.0

    def __init__(self, tdp: Mapping[str, float] | None = None, *, clock: Clock | None = None) -> None:
        self._tdp = dict(tdp or {})
        self._clock = clock or SystemClock()
        self._edges_ns: list[int] = []

    def probe(self) -> Sequence[Channel]:
        """``cpu`` and ``gpu``; dead where no rated power was given."""
        return [self._channel(part) for part in PARTS]

    def _channel(self, part: str) -> Channel:
        known = self._tdp.get(part, 0) > 0
        return Channel(
            id=part,
            meter=self.name,
            source="tdp-table",
            kind="model",
            alive=known,
            reason="" if known else "no-tdp",
            detail=f"{self._tdp[part]:g} W given"
            if known
            else f"the rated power of the {part} was not given",
            fix="" if known else f"--energy-tdp {part}={'65' if part == 'cpu' else '300'} (its rated watts)",
        )

    def start(self) -> None:
        """Forget the last attempt."""
        self._edges_ns = []

    def edge(self, kind: Edge) -> None:
        """Note the time."""
        self._edges_ns.append(self._clock.now_ns())

    def stop(self) -> Sequence[Trace]:
        """Rated power times the time between the first and the last edge."""
        return [self._trace(channel) for channel in self.probe() if channel.alive]

    def _trace(self, channel: Channel) -> Trace:
        first = self._edges_ns[0] if self._edges_ns else 0
        samples = tuple(Sample(t, self._tdp[channel.id] * (t - first) / 1e9) for t in self._edges_ns)
        return Trace(meter=self.name, channel=channel, form="window", samples=samples)

    def close(self) -> None:
        """Nothing to release."""
