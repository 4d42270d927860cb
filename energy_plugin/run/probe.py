"""What the meters say of themselves at the start of a session."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.errors import UsageError
from energy_plugin.record.record import is_missed
from energy_plugin.run.guard import Guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.meters.protocols import Meter
    from energy_plugin.record.trace import Channel


@dataclass(frozen=True, slots=True)
class Probed:
    """What the meters said at the start of the session."""

    living: tuple[Guarded, ...]
    channels: tuple[Channel, ...]

    @property
    def dead(self) -> tuple[Channel, ...]:
        """Channels that cannot be read here."""
        return tuple(channel for channel in self.channels if not channel.alive)

    @property
    def direct(self) -> tuple[Channel, ...]:
        """Living channels that read a sensor."""
        return tuple(c for c in self.channels if c.alive and c.kind == "direct")

    def refuse_dead(self) -> None:
        """Every chosen meter must live, with every channel of hardware that is there.

        Raises:
            UsageError: one does not.
        """
        living = {channel.meter for channel in self.channels if channel.alive}
        named = ("mains:",)  # each was asked for by its name
        wrong = [
            c
            for c in self.dead
            if c.meter not in living or c.id.startswith(named) or is_missed(c.id, c.reason)
        ]
        if wrong:
            listed = "; ".join(f"{c.meter} {c.id}: {c.reason}, {c.fix or c.detail}" for c in wrong)
            raise UsageError(f"--energy-strict: {listed}")


def guard_all(meters: Sequence[Meter], clock: Clock | None = None) -> list[Guarded]:
    """Each meter behind a guard of its own."""
    return [Guarded(meter, clock or SystemClock()) for meter in meters]


def probe_all(meters: Sequence[Guarded]) -> Probed:
    """Probe every meter; the living ones are those with at least one living channel."""
    for meter in meters:
        meter.warm()  # helpers start while the others are probed
    found = [(meter, tuple(meter.probe())) for meter in meters]
    living = tuple(meter for meter, channels in found if any(c.alive for c in channels))
    return Probed(living, tuple(channel for _, channels in found for channel in channels))


def as_facts(channels: Sequence[Channel]) -> list[dict[str, Any]]:
    """Channels as plain data for session.json."""
    return [asdict(channel) for channel in channels]


def value_of(wanted: str, probed: Probed) -> str:
    """The column that pytest-benchmark sees; ``auto`` falls to duration where no joules are measured."""
    if wanted != "auto":
        return wanted
    return "total_energy_joules" if probed.direct else "duration_seconds"


def refuse_other_value(compared: str, value: str) -> None:
    """Joules are not compared with seconds.

    Args:
        compared: column of the run that pytest-benchmark compares with, empty if there is none.
        value: column of this run.

    Raises:
        UsageError: they differ.
    """
    if compared not in ("", value):
        raise UsageError(
            f"the run to compare with holds {compared}, this one {value}: give --energy-value {compared}"
        )
