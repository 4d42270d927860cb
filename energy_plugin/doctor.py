"""``wattwhy doctor``: which meters live here, why the others do not, and what mends them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TextIO

from energy_plugin.meters.protocols import Warming
from energy_plugin.run.executors.hostpath import MOUNTINFO, own_container
from energy_plugin.run.host import host_facts, host_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from energy_plugin.meters.protocols import Meter
    from energy_plugin.record.trace import Channel


def run(meters: Sequence[Meter], out: TextIO, *, strict: bool = False) -> int:
    """Probe *meters*, close them, and write the report to *out*.

    Returns:
        0; with *strict* 1 when no direct meter lives.
    """
    channels = diagnose(meters)
    print_report(channels, host_facts(), out)
    direct = any(channel.alive and channel.kind == "direct" for channel in channels)
    return 1 if strict and not direct else 0


CONTAINER_FLAGS = {
    ("perf", "no-permission"): "--cap-add=PERFMON --security-opt seccomp=unconfined (or --privileged)",
    ("perf", "no-event"): "-v /sys:/sys:ro, if the host itself has the event",
    ("rapl", "no-permission"): "--cap-add=PERFMON --security-opt seccomp=unconfined (or --privileged)",
    ("rapl", "no-event"): "-v /sys:/host:ro and --energy-sysfs /host, if the host itself has the event",
    ("nvml", "no-driver"): "--gpus all, if the host itself has a GPU",
}
"""In a container the mend is a flag of ``docker run``, by meter and reason."""


def diagnose(meters: Sequence[Meter]) -> list[Channel]:
    """Every channel of every meter, dead ones with their reason; closes the meters."""
    for meter in meters:
        if isinstance(meter, Warming):
            meter.warm()  # a slow helper wakes up while the others are probed
    channels: list[Channel] = []
    for meter in meters:
        try:
            channels.extend(meter.probe())
        finally:
            meter.close()
    return channels


def print_report(channels: Sequence[Channel], facts: Mapping[str, Any], out: TextIO) -> None:
    """The host in one line, then each channel: alive with its sensor, or reason, detail and fix."""
    user = "root" if os.geteuid() == 0 else "plain user"
    inside = own_container(MOUNTINFO.read_text(encoding="utf-8")) is not None
    print(f"{host_line(facts)}, {user}, perf_event_paranoid {facts['perf_event_paranoid']}", file=out)
    meter = ""
    for channel in channels:
        if channel.meter != meter:
            meter = channel.meter
            print(f"\n{meter}", file=out)
        for line in _lines(channel, inside=inside):
            print(line, file=out)
    living = [c for c in channels if c.alive]
    direct = sum(c.kind == "direct" for c in living)
    print(f"\n{direct} direct and {len(living) - direct} estimating channels live here.", file=out)
    if not direct:
        print("Without a direct meter joules are estimates or missing, never measured.", file=out)


def _lines(channel: Channel, *, inside: bool) -> Iterator[str]:
    if channel.alive:
        kind = "reads" if channel.kind == "direct" else "estimates by"
        yield f"  ok   {channel.id:24} {kind} {channel.source}"
        if channel.detail:
            yield f"       {channel.detail}"
        return
    yield f"  --   {channel.id:24} {channel.reason}: {channel.detail}"
    if channel.fix:
        yield f"       fix: {channel.fix}"
    flag = CONTAINER_FLAGS.get((channel.meter, channel.reason))
    if inside and flag:
        yield f"       in this container: docker run {flag}"
