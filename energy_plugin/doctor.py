"""``wattwhy doctor``: which meters live here, why the others do not, what mends them, what they say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TextIO

from energy_plugin.clock import SystemClock
from energy_plugin.run.executors.hostpath import MOUNTINFO, own_container
from energy_plugin.run.host import host_facts, host_line, simulated_by
from energy_plugin.run.lock import HostLock
from energy_plugin.run.probe import guard_all, probe_all
from energy_plugin.trial import Trial, print_table, processors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.meters.protocols import Meter
    from energy_plugin.record.trace import Channel
    from energy_plugin.run.probe import Probed


def run(
    meters: Sequence[Meter],
    out: TextIO,
    *,
    strict: bool = False,
    measure_s: float = 0.0,
    clock: Clock | None = None,
) -> int:
    """Probe *meters*, write the report to *out*, with *measure_s* measure with the living ones, close all.

    Returns:
        0; with *strict* 1 when no direct meter lives; 130 when Ctrl-C ended the measurement.
    """
    clock = clock or SystemClock()
    guards = guard_all(meters, clock)
    try:
        probed = probe_all(guards)
        print_report(probed.channels, host_facts(), out)
        if measure_s and not measure(probed, measure_s, clock, out):
            return INTERRUPTED
    finally:
        for guard in guards:
            guard.close()
    return 1 if strict and not probed.direct else 0


def measure(probed: Probed, seconds: float, clock: Clock, out: TextIO) -> bool:
    """Idle, then every processor busy, *seconds* each, by every living meter side by side.

    Returns:
        False when Ctrl-C came in between; what was seen until then is shown.

    Raises:
        HostTakenError: a session measures on this host, and busy processors would be in its joules.
    """
    if not probed.living:
        print("\nNothing to measure with: no meter lives here, not even an estimator.", file=out)
        return True
    print(
        f"\nMeasuring {seconds:g} s idle, then {seconds:g} s with all {processors()} processors busy "
        "(one Python loop each; GPUs do nothing in either).",
        file=out,
        flush=True,
    )
    trial, host = Trial(probed.living, seconds, clock), HostLock()
    host.take({"what": "wattwhy doctor --measure"})
    try:
        whole = trial.run()
    finally:
        host.release()
    print_table(list(trial.lines.values()), out)
    print("W ± half of the span between the bounds; without ± nothing bounds the number.", file=out)
    if not probed.direct:
        print("No direct meter lives here: every watt above is an estimate, none was measured.", file=out)
    if not whole:
        print("Interrupted: what is missing was not seen.", file=out)
    return whole


INTERRUPTED = 130
NOT_ASKED = {
    "wall": "a plug or meter in the mains measures the whole machine: --wall NAME=http://HOST",
    "zeus": "AMD GPUs and Apple chips, by name only, not verified on hardware: --meters zeus",
}
"""Meters that are only used where they are asked for."""

CONTAINER_FLAGS = {
    ("perf", "no-permission"): "--cap-add=PERFMON --security-opt seccomp=unconfined (or --privileged)",
    ("perf", "no-event"): "-v /sys:/sys:ro, if the host itself has the event",
    ("rapl", "no-permission"): "--cap-add=PERFMON --security-opt seccomp=unconfined (or --privileged)",
    ("rapl", "no-event"): "-v /sys:/host:ro and --energy-sysfs /host, if the host itself has the event",
    ("nvml", "no-driver"): "--gpus all, if the host itself has a GPU",
}
"""In a container the mend is a flag of ``docker run``, by meter and reason."""


def print_report(channels: Sequence[Channel], facts: Mapping[str, Any], out: TextIO) -> None:
    """The host in one line, then each channel: alive with its sensor, or reason, detail and fix."""
    user = "root" if os.geteuid() == 0 else "plain user"
    inside = own_container(MOUNTINFO.read_text(encoding="utf-8")) is not None
    print(f"{host_line(facts)}, {user}, perf_event_paranoid {facts['perf_event_paranoid']}", file=out)
    if simulated := simulated_by():
        print(f"SIMULATED: {simulated} (WATTWHY_SIMULATED is set). No joule below is a real one.", file=out)
    meter = ""
    for channel in channels:
        if channel.meter != meter:
            meter = channel.meter
            print(f"\n{meter}", file=out)
        for line in _lines(channel, inside=inside):
            print(line, file=out)
    for name, said in NOT_ASKED.items():
        if name not in {channel.meter for channel in channels}:
            print(f"\n{name}\n  --   not asked: {said}", file=out)
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
