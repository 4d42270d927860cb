"""What the plugin asks of a meter. Meters record traces; windows are asked afterwards."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """One process seen on one GPU during an attempt.

    Attributes:
        channel: the GPU, ``gpu:<uuid>``.
        pid: as the driver numbers it: the host's number, which a container may not know.
        name: its command, empty where neither the host nor the driver tells.
        memory_bytes: the most GPU memory it was seen to hold; 0 where the driver does not say.
        first_ns: first seen, CLOCK_MONOTONIC. last_ns: last seen; seen about once a second.
        sm_percent: its share of the GPU's multiprocessors as ``(t_ns, percent)``, empty where the
            driver keeps none.
    """

    channel: str
    pid: int
    name: str = ""
    memory_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    sm_percent: tuple[tuple[int, float], ...] = ()


@runtime_checkable
class Witness(Protocol):
    """A meter that sees which processes use its devices."""

    def processes(self) -> Sequence[GpuProcess]:
        """After ``stop``: every process seen on the meter's GPUs since ``start``, foreign ones too."""


class Sensor(Protocol):
    """A polled counter: all a new meter has to bring; PollingMeter owns thread and rate."""

    channel: Channel

    def read(self) -> Sample:
        """Cumulative joules now; may raise, which becomes a fault."""
