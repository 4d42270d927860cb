"""What the plugin asks of a meter. Meters record traces; windows are asked afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.trace import Channel, Sample, Trace

Edge = Literal["open", "split", "close"]


class Meter(Protocol):
    """One instrument with one or more channels.

    No method raises and none blocks for longer than its edge needs; what goes wrong becomes a
    :class:`~energy_plugin.record.trace.Fault` in the trace. ``close`` is safe at any time, also
    after a kill and twice.

    Attributes:
        lead_s: seconds of samples wanted before the window opens (idle before, edge of the counter).
        tail_s: seconds of samples wanted after it closed (the counter's next update).
    """

    name: str
    lead_s: float
    tail_s: float

    def probe(self) -> Sequence[Channel]:
        """Every channel this meter could have here, dead ones included with their reason."""

    def start(self) -> None:
        """Arm for one attempt; counting begins at the ``open`` edge or before."""

    def edge(self, kind: Edge) -> None:
        """The window opens, splits or closes now."""

    def stop(self) -> Sequence[Trace]:
        """End the attempt and hand over one trace for each living channel."""

    def close(self) -> None:
        """Release threads, processes and files."""


@runtime_checkable
class Warming(Protocol):
    """A meter with a helper that takes long to start."""

    def warm(self) -> None:
        """Begin to start the helper; returns at once. ``probe`` then waits for it."""


@runtime_checkable
class Selecting(Protocol):
    """A meter whose readings depend on which case is run: a replay."""

    def select(self, case_id: str) -> None:
        """The next attempt runs this case."""


class Sensor(Protocol):
    """A polled counter: all a new meter has to bring; PollingMeter owns thread and rate."""

    channel: Channel

    def read(self) -> Sample:
        """Cumulative joules now; may raise, which becomes a fault."""
