"""Which counters the installed perf can read here, and why it cannot read the others."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.meters.liveness import Verdict, is_virtual, judge, mirrors, paranoid, unmirrored
from energy_plugin.meters.perf_process import ACK_TIMEOUT_S, Output, PerfProcess
from energy_plugin.meters.rapl_unit import DOMAINS, PERMIT, PSYS, TICK_S
from energy_plugin.record.trace import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.meters.perf_output import Count, Dialect
    from energy_plugin.meters.rapl_unit import PowerUnit

INSTALL = "apt-get install linux-perf"
INSTALL_UBUNTU = "apt-get install linux-tools-$(uname -r)"
SETCAP = f"{PERMIT}   or: setcap cap_perfmon+ep $(readlink -f $(which perf))"
STEP_MS, STEPS_S = 10, 0.6
LEAST_STEPS, SAME_STEPS = 10, 0.9
OTHER = "close what else reads the power counters, or measure on the machine itself"


class Part(NamedTuple):
    """One counter of a channel: a package, or a die of it where the kernel counts these."""

    socket: int
    die: int


class _Trial(NamedTuple):
    """What perf said of one event through the busy loop."""

    output: Output
    silent: bool
    duration_s: float


class PerfProbe:
    """Watches the busy loop with one perf for each event: a bad event ends all of its perf.

    Attributes:
        dialect: the output format this perf knows.
        parts: the counters to sum for each living channel.
    """

    def __init__(self, program: str, unit: PowerUnit, clock: Clock) -> None:
        self.dialect: Dialect = "json"
        self.parts: dict[str, list[Part]] = {}
        self.channels: list[Channel] = []
        self.by_die = False
        self._program = program
        self._unit = unit
        self._clock = clock
        self._listed: list[str] = []
        self._processes: dict[str, PerfProcess] = {}
        self._failed: dict[str, Verdict] = {}
        self._silent = False
        self._begun_ns = 0

    # --- the busy loop ---

    def begin(self) -> None:
        """Start counting what the kernel lists, and package and memory also where it does not: perf knows."""
        self._listed = self._unit.listed()
        self.by_die = self._unit.by_die()
        if not shutil.which(self._program):
            gone = Verdict("no-perf", f"there is no program {self._program!r}", INSTALL)
            self._failed = dict.fromkeys(self._listed, gone)
            return
        for event in dict.fromkeys((*DOMAINS, *self._listed)):
            if not self._silent:
                self._open(event)
        self._begun_ns = self._clock.now_ns()

    def _open(self, event: str) -> None:
        for dialect in (self.dialect, "csv"):
            try:
                process = self._start(event, dialect)
            except OSError as error:
                self._failed[event] = Verdict("perf-failed", str(error), INSTALL)
                return
            self._processes[event] = process
            if process.command("enable").done:
                return
            self._silent = process.silent
            output = process.finish()
            self._failed[event] = self._broken(event, _Trial(output, process.silent, 0.0))
            del self._processes[event]
            if dialect == "csv" or not _refuses(output.text, "j"):
                return
            del self._failed[event]
            self.dialect = "csv"

    def _start(self, event: str, dialect: Dialect, interval_ms: int = 0) -> PerfProcess:
        return PerfProcess(
            self._program,
            [f"power/{event}/"],
            dialect=dialect,
            by_die=self.by_die,
            interval_ms=interval_ms,
            clock=self._clock,
        )

    def look(self) -> None:
        """Nothing to see before the end."""

    def end(self) -> None:
        """Stop counting and judge every event."""
        for process in self._processes.values():
            process.command("disable")
        duration_s = (self._clock.now_ns() - self._begun_ns) / 1e9
        trials = {e: _Trial(p.finish(), p.silent, duration_s) for e, p in self._processes.items()}
        self._processes = {}
        for event in (*DOMAINS, PSYS):
            counted = event in trials and (event in self._listed or trials[event].output.counts)
            if counted:
                self.channels += self._judge(event, trials[event])
            elif event in self._listed:
                self.channels.append(_channel(event, 0, self._failed.get(event) or self._mute()))
            elif event in DOMAINS:
                self.channels.append(_channel(event, 0, self._unit.missing()))

    # --- verdicts ---

    def _judge(self, event: str, trial: _Trial) -> Iterator[Channel]:
        broken = self._broken(event, trial)
        if broken.reason:
            yield _channel(event, 0, broken)
        elif event == PSYS:
            yield _channel(event, 0, self._judge_psys(trial))
        else:
            yield from self._judge_sockets(event, trial)

    def _judge_sockets(self, event: str, trial: _Trial) -> Iterator[Channel]:
        counts = trial.output.counts
        kept = self._unmirrored(event, counts)
        for socket in dict.fromkeys(count.socket for count in counts):
            mine = [(i, c) for i, c in enumerate(counts) if c.socket == socket]
            verdict = next((v for _, c in mine if (v := _unread(c)).reason), Verdict())
            whole_j = sum(c.value or 0.0 for i, c in mine if i in kept or c.value == 0)
            if not verdict.reason and (whole_j or all(c.value == 0 for _, c in mine)):
                verdict = judge(DOMAINS[event].removeprefix("cpu:"), whole_j, trial.duration_s)
            elif not verdict.reason:
                verdict = Verdict("mirrored", "counts to the microjoule what another socket counts")
            channel = _channel(event, socket, verdict, self._detail())
            self.parts[channel.id] = [Part(c.socket, c.die) for i, c in mine if i in kept]
            yield channel

    def _unmirrored(self, event: str, counts: Sequence[Count]) -> set[int]:
        """Indices of the counts to keep; a socket is not left out because two rounded numbers agree."""
        kept = set(unmirrored([(c.socket, c.value or 0.0) for c in counts]))
        if self.dialect == "json" or len(kept) == len(counts) or not (steps := self._steps(event)):
            return kept
        for i, count in enumerate(counts):
            twins = (counts[k] for k in kept)
            if i not in kept and not any(_twins(count, twin, steps) for twin in twins):
                kept.add(i)
        return kept

    def _steps(self, event: str) -> dict[Part, list[float]]:
        """What each counter counts in every 10 ms, empty where this perf writes no intervals."""
        found: dict[Part, list[float]] = {}
        try:
            process = self._start(event, self.dialect, STEP_MS)
        except OSError:
            return found
        process.command("enable")
        self._clock.sleep(STEPS_S)
        process.command("disable")
        for count in process.finish().counts:
            if count.value is not None:
                found.setdefault(Part(count.socket, count.die), []).append(count.value)
        return found

    def _detail(self) -> str:
        return "this perf knows no JSON and writes steps of 0.01 J" if self.dialect == "csv" else ""

    def _broken(self, event: str, trial: _Trial) -> Verdict:
        code, text = trial.output.code, trial.output.text
        if trial.silent:
            return self._mute()
        if trial.output.counts:
            return self._unit.bad_unit(event) if event in self._listed else Verdict()
        said = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
        told = f"perf ended with code {code}: {said}"
        if "unknown option" in text or "unknown switch" in text:
            return Verdict("old-perf", told, INSTALL)
        if "not found for kernel" in text:
            return Verdict("no-perf", told, INSTALL_UBUNTU)
        if code == 129:
            return Verdict("no-event", told, self._unit.missing().fix)
        if code == 255 or "perf_event_paranoid" in text:
            return Verdict("no-permission", f"perf_event_paranoid is {paranoid(self._unit.procfs)}", SETCAP)
        return Verdict("perf-failed", told, INSTALL)

    def _mute(self) -> Verdict:
        return Verdict("perf-silent", f"perf answered no command within {ACK_TIMEOUT_S:g} s", INSTALL)

    def _judge_psys(self, trial: _Trial) -> Verdict:
        count = trial.output.counts[0]
        verdict = _unread(count)
        if not verdict.reason:
            verdict = judge("psys", count.value or 0.0, trial.duration_s)
        if verdict.reason:
            return verdict
        virtual = "; on a virtual machine it is a made-up counter" if is_virtual(self._unit.procfs) else ""
        return Verdict("not-used", f"it lives but contains the package and more{virtual}")


def _twins(one: Count, other: Count, steps: dict[Part, list[float]]) -> bool:
    """Whether two counters of coarse numbers count the same: step by step, or as dies of one package do."""
    if one.socket == other.socket:
        return mirrors(one.value or 0.0, other.value or 0.0, same_package=True)
    mine, its = (steps.get(Part(count.socket, count.die), []) for count in (one, other))
    moved = [a == b for a, b in zip(mine, its, strict=False) if a or b]
    return len(moved) >= LEAST_STEPS and sum(moved) >= SAME_STEPS * len(moved)


def _refuses(text: str, switch: str) -> bool:
    return any(f"unknown {word} `{switch}'" in text for word in ("switch", "option"))


def _unread(count: Count) -> Verdict:
    """What perf wrote in place of joules, if it did."""
    if count.value is None:
        if count.note == "not-supported" and os.geteuid() != 0:
            return Verdict("no-permission", "perf wrote <not supported>", SETCAP)
        return Verdict(count.note, f"perf wrote <{count.note.replace('-', ' ')}>", OTHER)
    if count.unit != "Joules":
        return Verdict("bad-unit", f"perf counts it in {count.unit!r}")
    return Verdict()


def _channel(event: str, socket: int, verdict: Verdict, detail: str = "") -> Channel:
    return Channel(
        id=f"{DOMAINS.get(event, 'cpu:psys')}:{socket}",
        meter="perf",
        source="rapl-pmu",
        alive=not verdict.reason,
        reason=verdict.reason,
        detail=verdict.detail or detail,
        fix=verdict.fix,
        tick_s=TICK_S,
    )
