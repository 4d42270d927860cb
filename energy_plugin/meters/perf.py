"""CPU package and memory energy by ``perf stat``, switched on exactly around the program."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.meters.perf_process import Count, PerfProcess
from energy_plugin.record.trace import Channel, Fault, Sample, Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_plugin.meters.protocols import Edge

# Event -> channel. Package and memory do not overlap; cores and gpu lie within the package.
DOMAINS = {"energy-pkg": "cpu:package", "energy-ram": "cpu:dram"}
PSYS = "energy-psys"  # contains the package: probed for the doctor, never read
MIN_PACKAGE_W = 0.5
MAX_W = 2000.0
TICK_S = 0.001  # the hardware's own update
INSTALL = "apt-get install linux-perf"
PERMIT = "sysctl kernel.perf_event_paranoid=0   or: setcap cap_perfmon+ep $(which perf)"


class _Verdict(NamedTuple):
    """Why an event cannot be read; an empty reason means it can."""

    reason: str = ""
    detail: str = ""
    fix: str = ""


class _Trial(NamedTuple):
    """What perf said of one event in the probe."""

    counts: list[Count]
    code: int
    text: str
    duration_s: float


class PerfMeter:
    """``perf stat -a`` on the package and memory counters of all processors.

    It answers the window between its two edges exactly (resolution 1 µJ, counter tick 1 ms) and
    anything inside only as an estimate.

    Args:
        program: the perf executable.
        sysfs: where the kernel lists its power events.
        procfs: where the kernel tells what plain users may do.
        probe_s: length of the busy loop that tells a living counter from a dead one.
    """

    name = "perf"
    lead_s = 0.0
    tail_s = 0.0

    def __init__(
        self,
        *,
        program: str = "perf",
        sysfs: Path = Path("/sys"),
        procfs: Path = Path("/proc"),
        clock: Clock | None = None,
        probe_s: float = 0.3,
    ) -> None:
        self._program = program
        self._power = sysfs / "bus/event_source/devices/power"
        self._procfs = procfs
        self._clock = clock or SystemClock()
        self._probe_s = probe_s
        self._channels: tuple[Channel, ...] | None = None
        self._process: PerfProcess | None = None
        self._opened_ns = self._closed_ns = 0
        self._faults: list[Fault] = []

    # --- what is here ---

    def probe(self) -> Sequence[Channel]:
        """Package and memory of every socket, and psys where the kernel lists it."""
        if self._channels is None:
            self._channels = tuple(self._examine())
        return self._channels

    def _examine(self) -> Iterator[Channel]:
        listed = [event for event in (*DOMAINS, PSYS) if (self._power / "events" / event).is_file()]
        for event in DOMAINS:
            if event not in listed:
                yield _channel(event, 0, self._missing())
        if not shutil.which(self._program):
            gone = _Verdict("no-perf", f"there is no program {self._program!r}", INSTALL)
            yield from (_channel(event, 0, gone) for event in listed)
            return
        try:
            trials = self._try_all(listed)
        except OSError as error:
            failed = _Verdict("perf-failed", str(error))
            yield from (_channel(event, 0, failed) for event in listed)
            return
        for event, trial in zip(listed, trials, strict=True):
            yield from self._judge(event, trial)

    def _missing(self) -> _Verdict:
        if self._power.is_dir():
            return _Verdict("no-event", "this processor has no such counter")
        where = " of this virtual machine" if self._virtual() else ""
        return _Verdict("no-event", f"the kernel{where} lists no power counters in {self._power}")

    def _virtual(self) -> bool:
        try:
            return " hypervisor" in (self._procfs / "cpuinfo").read_text()
        except OSError:
            return False

    def _try_all(self, events: Sequence[str]) -> list[_Trial]:
        """Count every event, each with its own perf (one bad event ends all of its perf), while busy."""
        processes = [PerfProcess(self._program, [f"power/{event}/"]) for event in events]
        for process in processes:
            process.command("enable")
        start_ns = self._clock.now_ns()
        while self._clock.now_ns() - start_ns < self._probe_s * 1e9:
            pass
        for process in processes:
            process.command("disable")
        duration_s = (self._clock.now_ns() - start_ns) / 1e9
        return [_Trial(*process.finish(), duration_s) for process in processes]

    def _judge(self, event: str, trial: _Trial) -> Iterator[Channel]:
        broken = self._broken(event, trial)
        if broken.reason or event == PSYS:
            yield _channel(event, 0, broken if broken.reason else self._judge_psys(trial))
            return
        seen: dict[float, int] = {}
        for count in trial.counts:
            verdict = _judge_count(count, trial.duration_s)
            if not verdict.reason and count.value in seen:
                same = f"counts to the microjoule what socket {seen[count.value]} counts"
                verdict = _Verdict("mirrored", same)
            elif count.value is not None:
                seen[count.value] = count.socket
            yield _channel(event, count.socket, verdict)

    def _broken(self, event: str, trial: _Trial) -> _Verdict:
        if trial.counts:
            return self._bad_unit(event)
        said = next((line.strip() for line in trial.text.splitlines() if line.strip()), "nothing")
        told = f"perf ended with code {trial.code}: {said}"
        if "unknown option" in trial.text or "unknown switch" in trial.text:
            return _Verdict("old-perf", told, INSTALL)
        if "not found for kernel" in trial.text:
            return _Verdict("no-perf", told, "apt-get install linux-tools-$(uname -r)")
        if trial.code == 129:
            return _Verdict("no-event", told)
        if trial.code == 255 or "perf_event_paranoid" in trial.text:
            return _Verdict("no-permission", f"perf_event_paranoid is {self._paranoid()}", PERMIT)
        return _Verdict("perf-failed", told)

    def _bad_unit(self, event: str) -> _Verdict:
        try:
            unit = (self._power / "events" / f"{event}.unit").read_text().strip()
            scale = float((self._power / "events" / f"{event}.scale").read_text())
        except (OSError, ValueError) as error:
            return _Verdict("bad-unit", f"the kernel tells no unit or scale: {error}")
        if unit == "Joules" and 0 < scale <= 1:
            return _Verdict()
        return _Verdict("bad-unit", f"the kernel counts it in {scale} {unit}")

    def _paranoid(self) -> str:
        try:
            return (self._procfs / "sys/kernel/perf_event_paranoid").read_text().strip()
        except OSError:
            return "unknown"

    def _judge_psys(self, trial: _Trial) -> _Verdict:
        verdict = _judge_count(trial.counts[0], trial.duration_s)
        if verdict.reason:
            return verdict
        virtual = "; on a virtual machine it is a made-up counter" if self._virtual() else ""
        return _Verdict("not-used", f"it lives but contains the package and more{virtual}")

    # --- one attempt ---

    def _alive(self) -> list[Channel]:
        return [channel for channel in self.probe() if channel.alive]

    def start(self) -> None:
        """Open perf, switched off, and wait until it answers (10 to 20 ms)."""
        self.close()
        self._faults, self._opened_ns, self._closed_ns = [], 0, 0
        wanted = {channel.id.rpartition(":")[0] for channel in self._alive()}
        events = [f"power/{event}/" for event, name in DOMAINS.items() if name in wanted]
        if not events:
            return
        try:
            self._process = PerfProcess(self._program, events)
        except OSError as error:
            self._fault("perf-died", str(error))
            return
        if not self._process.command("disable"):
            self._fault("perf-died", "perf did not answer after its start")

    def edge(self, kind: Edge) -> None:
        """Switch the counters on (``open``) or off (``close``); ``split`` is beyond perf."""
        if self._process is None or kind == "split":
            return
        if kind == "open":
            done = self._process.command("enable")
            self._opened_ns = self._clock.now_ns()
        else:
            done = self._process.command("disable")
            self._closed_ns = self._clock.now_ns()
        if not done:
            self._fault("perf-died", f"perf did not answer at the {kind} edge")

    def _fault(self, code: str, detail: str) -> None:
        self._faults.append(Fault(self._clock.now_ns(), code, detail))

    def stop(self) -> Sequence[Trace]:
        """End perf; one exact two-point trace for each living channel."""
        if self._process is None:
            return [self._trace(channel, None) for channel in self._alive()]
        if self._opened_ns and not self._closed_ns:
            self.edge("close")
        counts, code, text = self._process.finish()
        self._process = None
        if not counts and not self._faults:
            self._fault("perf-died", f"perf ended with code {code}: {text.strip()[:200]}")
        by_channel = {f"{DOMAINS[c.event]}:{c.socket}": c for c in counts if c.event in DOMAINS}
        return [self._trace(channel, by_channel.get(channel.id)) for channel in self._alive()]

    def _trace(self, channel: Channel, count: Count | None) -> Trace:
        samples: tuple[Sample, ...] = ()
        faults = tuple(self._faults)
        if count is not None and count.value is None:
            faults = (*faults, Fault(self._closed_ns, count.note, f"perf wrote <{count.note}>"))
        elif count is not None and count.value is not None and self._closed_ns and not faults:
            samples = (Sample(self._opened_ns, 0.0), Sample(self._closed_ns, count.value))
        return Trace(meter=self.name, channel=channel, form="window", samples=samples, faults=faults)

    def close(self) -> None:
        """Kill perf if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process = None


def _judge_count(count: Count, duration_s: float) -> _Verdict:
    """A counter lives when it moved, by a believable amount, while a core was busy."""
    if count.value is None:
        if count.note == "not-supported" and os.geteuid() != 0:
            return _Verdict("no-permission", "perf wrote <not supported>", PERMIT)
        return _Verdict(count.note, f"perf wrote <{count.note}>")
    if count.unit != "Joules":
        return _Verdict("bad-unit", f"perf counts it in {count.unit!r}")
    if count.value == 0:
        return _Verdict("dead-counter", f"it stood at 0 J through {duration_s:.2f} s of a busy core")
    power_w = count.value / duration_s
    lowest_w = MIN_PACKAGE_W if count.event == "energy-pkg" else 0.0
    if not lowest_w <= power_w <= MAX_W:
        return _Verdict("implausible", f"{power_w:.3g} W with one core busy")
    return _Verdict()


def _channel(event: str, socket: int, verdict: _Verdict) -> Channel:
    return Channel(
        id=f"{DOMAINS.get(event, 'cpu:psys')}:{socket}",
        meter=PerfMeter.name,
        source="rapl-pmu",
        alive=not verdict.reason,
        reason=verdict.reason,
        detail=verdict.detail,
        fix=verdict.fix,
        tick_s=TICK_S,
    )
