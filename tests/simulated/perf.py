r"""A `perf stat` whose power events count joules that are known.

Understood: `-a -j -x SEP -I MS -D MS|-1 -e LIST -A --per-socket --per-die --control fd:R,W|fifo:P,P -o FILE
--interval-count N --timeout MS`, with or without a command, and `--version`. It acks `ack\n\0`, prints its
counts at SIGINT and dies of it; unknown events end it with 129 before anything runs. The folder it was
installed in holds `perf.json`: what domains.py reads, and `mode`, `modes` (event -> mode), `dies_after`
(commands), `delay_s` and `ack_s` (before and after a command takes effect), `locale`, `count_key`, `version`.
Modes: "not-supported", "not-counted", "zero", "no-permission" (255 at once), "silent" (no ack), "old"
(no -j), "older" (no --control either), "wrapper" (Ubuntu's, without tools for the kernel).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.simulated.domains import Domains
from tests.simulated.perf_form import NO_PERMISSION, WRAPPER, Form, Row, unknown_event
from tests.simulated.perf_options import Asked, Stop

if TYPE_CHECKING:
    from pathlib import Path

SOFTWARE = {"cpu-clock": "msec", "task-clock": "msec", "context-switches": "", "duration_time": "ns"}
NOTES = {"not-supported": "<not supported>", "not-counted": "<not counted>"}


class Perf:
    """One run."""

    def __init__(self, asked: Asked, domains: Domains) -> None:
        world = domains.world
        self.asked, self.domains, self.world = asked, domains, world
        self.begun_ns = time.monotonic_ns()
        self.since_ns: int | None = None
        self.run_ns = self.shown_run_ns = 0
        self.counted: dict[tuple[str, int, int], float] = {}
        self.shown: dict[tuple[str, int, int], float] = {}
        self.at_enable: dict[tuple[str, int, int], float] = {}
        self.seen = self.printed = 0
        locale = os.environ.get("LC_ALL") or os.environ.get("LC_NUMERIC") or world.get("locale", "C")
        comma = not str(locale).startswith(("C", "POSIX", "en"))
        self.form = Form(asked, comma=comma, count_key=world.get("count_key", "aggregate-number"))
        self.out = open(asked.output, "w") if asked.output else sys.stderr  # noqa: SIM115 - open to the end
        if asked.output:
            self.out.write(f"# started on {time.ctime()}\n\n")

    # --- counting ---

    def _mode(self, event: str) -> str:
        name = event.split("/")[1] if "/" in event else event
        return str(self.world.get("modes", {}).get(name, self.world.get("mode", "")))

    def _keys(self) -> list[tuple[str, int, int]]:
        names = [event.split("/")[1] for event in self.asked.events if event.startswith("power/")]
        return [
            (name, s, d)
            for name in names
            for s in range(self.domains.sockets)
            for d in range(self.domains.dies)
        ]

    def _now(self, now_ns: int) -> dict[tuple[str, int, int], float]:
        return {key: self.domains.counter_j(*key, now_ns) for key in self._keys()}

    def enable(self) -> None:
        if self.since_ns is None:
            self.since_ns = time.monotonic_ns()
            self.at_enable = self._now(self.since_ns)

    def disable(self) -> None:
        """Add what was counted since :meth:`enable`."""
        if self.since_ns is not None:
            now_ns = time.monotonic_ns()
            for key, joules in self._now(now_ns).items():
                self.counted[key] = self.counted.get(key, 0.0) + joules - self.at_enable[key]
            self.run_ns += now_ns - self.since_ns
            self.since_ns = None

    def sample(self) -> None:
        """Bring the counts up to now without a gap."""
        if self.since_ns is not None:
            now_ns = time.monotonic_ns()
            values = self._now(now_ns)
            for key, joules in values.items():
                self.counted[key] = self.counted.get(key, 0.0) + joules - self.at_enable[key]
            self.run_ns += now_ns - self.since_ns
            self.since_ns, self.at_enable = now_ns, values

    # --- writing ---

    def _places(self) -> list[tuple[str, list[tuple[int, int]]]]:
        pairs = [(s, d) for s in range(self.domains.sockets) for d in range(self.domains.dies)]
        if self.asked.each:
            return [(f"CPU{i}", [pair]) for i, pair in enumerate(pairs)]
        if self.asked.place == "die":
            return [(f"S{s}-D{d}", [(s, d)]) for s, d in pairs]
        if self.asked.place == "socket":
            return [(f"S{s}", [p for p in pairs if p[0] == s]) for s in range(self.domains.sockets)]
        return [("", pairs)]

    def _row(self, event: str, where: str, pairs: list[tuple[int, int]]) -> Row:
        run_ns, mode = self.run_ns - self.shown_run_ns, self._mode(event)
        if event.startswith("power/"):
            keys = [(event.split("/")[1], s, d) for s, d in pairs]
            value = sum(self.counted.get(key, 0.0) - self.shown.get(key, 0.0) for key in keys)
            value, unit, counters, metric = (0.0 if mode == "zero" else value), "Joules", len(pairs), 0.0
        else:
            counters, unit, mode = os.cpu_count() or 1, SOFTWARE[event], ""
            scale = {"msec": 1e-6 * counters, "ns": 1.0}.get(unit, 0.0)
            value = run_ns * scale
            metric = counters if unit == "msec" else 0.0
        mixed = not self.asked.everywhere and any(not e.startswith("power/") for e in self.asked.events)
        if event.startswith("power/") and (mixed or self.asked.pid):
            mode = "not-supported"
        note = NOTES.get(mode, "" if run_ns else "<not counted>")
        name = f"{event}u" if mode == "not-supported" else event
        if note:
            return Row(name, where, 1, None, note, unit, 0, 0.0, "")
        return Row(
            name,
            where,
            counters,
            value,
            "",
            unit,
            run_ns * counters,
            metric,
            "CPUs utilized" if metric else "",
        )

    def show(self, at_s: float | None) -> None:
        """One line for each event and place: since the last interval, or of all."""
        if at_s is not None and not self.printed and not (self.asked.json or self.asked.separator):
            self.out.write("#           time             counts unit events\n")
        for where, pairs in self._places():
            for event in self.asked.events:
                self.out.write(self.form.line(self._row(event, where, pairs), at_s) + "\n")
        self.out.flush()
        self.printed += 1
        if at_s is not None:
            self.shown, self.shown_run_ns = dict(self.counted), self.run_ns

    def finish(self) -> None:
        """The counts at the end."""
        plain = not (self.asked.json or self.asked.separator)
        elapsed_s = (time.monotonic_ns() - self.begun_ns) / 1e9
        if self.asked.interval_ms:
            self.show(elapsed_s)
            return
        what = (
            "system wide" if self.asked.everywhere or not self.asked.command else " ".join(self.asked.command)
        )
        if plain:
            self.out.write(f"\n Performance counter stats for '{what}':\n\n")
        self.show(None)
        self.out.write(f"\n{elapsed_s:18.9f} seconds time elapsed\n\n\n" if plain else "")
        self.out.flush()

    # --- commands ---

    def obey(self, line: str, acks: int) -> None:
        word, *names = line.split() or [""]
        self.seen += 1
        if self.world.get("dies_after") and self.seen > self.world["dies_after"]:
            os._exit(1)
        time.sleep(self.world.get("delay_s", 0.0))
        if word in ("enable", "disable") and names and names[0] not in self.asked.events:
            sys.stderr.write(f"failed: can't find '{names[0]}' event\n")
        elif word in ("enable", "disable"):
            {"enable": self.enable, "disable": self.disable}[word]()
            sys.stderr.write(f"Events {word}d\n")
            sys.stderr.flush()
        elif word == "evlist":
            sys.stderr.write("\n".join(self.asked.events) + "\n")
        elif word not in ("ping", "stop", "snapshot"):
            return
        time.sleep(self.world.get("ack_s", 0.0))
        if acks >= 0 and self.world.get("mode") != "silent":
            os.write(acks, b"ack\n\0")


def descriptors(control: str) -> tuple[int, int]:
    """Where commands come from and acks go to; -1: nowhere."""
    kind, _, rest = control.partition(":")
    names = rest.split(",")
    if not control:
        return -1, -1
    if kind == "fd":
        return int(names[0]), int(names[1]) if len(names) > 1 else -1
    commands = os.open(names[0], os.O_RDWR | os.O_NONBLOCK)
    return commands, os.open(names[1], os.O_RDWR | os.O_NONBLOCK) if len(names) > 1 else -1


class Loop:
    """Waits for commands, intervals, signals and the child, until the run is over."""

    def __init__(self, perf: Perf, child: int) -> None:
        self.perf, self.child, self.code = perf, child, 0
        self.number = 0
        self.commands, self.acks = descriptors(perf.asked.control)
        self.wake, wake_in = os.pipe()
        os.set_blocking(wake_in, False)
        signal.set_wakeup_fd(wake_in)
        for number in (signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._note)
        step_ns = perf.asked.interval_ms * 1_000_000
        self.next_ns = perf.begun_ns + step_ns if step_ns else None

    def _note(self, number: int, _: Any) -> None:
        if number == signal.SIGINT:
            self.number = number

    def run(self) -> None:
        """Until SIGINT, the end of the command or of the intervals."""
        while not self._over():
            waits = [fd for fd in (self.commands, self.wake) if fd >= 0]
            ready = select.select(waits, [], [], self._pause_s())[0]
            if self.wake in ready:
                os.read(self.wake, 64)
            if self.commands in ready:
                self._listen()
            self._tick()

    def _over(self) -> bool:
        asked = self.perf.asked
        if asked.intervals and self.perf.printed >= asked.intervals:
            return True
        if asked.timeout_ms and time.monotonic_ns() >= self.perf.begun_ns + asked.timeout_ms * 1_000_000:
            return True
        if not self.child:
            return bool(self.number)
        done, status = os.waitpid(self.child, os.WNOHANG)
        if done:
            self.child, self.code = 0, os.waitstatus_to_exitcode(status)
            return True
        return bool(self.number and (asked.interval_ms or asked.control))

    def _pause_s(self) -> float | None:
        asked, ends = self.perf.asked, [self.next_ns] if self.next_ns else []
        if asked.timeout_ms:
            ends.append(self.perf.begun_ns + asked.timeout_ms * 1_000_000)
        if asked.delay_ms > 0 and self.perf.since_ns is None and not self.perf.run_ns:
            ends.append(self.perf.begun_ns + asked.delay_ms * 1_000_000)
        return max(0.0, (min(ends) - time.monotonic_ns()) / 1e9) if ends else None

    def _listen(self) -> None:
        text = os.read(self.commands, 4096).decode()
        if not text:
            self.commands = -1
        for line in text.splitlines():
            self.perf.obey(line, self.acks)

    def _tick(self) -> None:
        now_ns, asked = time.monotonic_ns(), self.perf.asked
        fresh = self.perf.since_ns is None and not self.perf.run_ns
        if asked.delay_ms > 0 and fresh and now_ns >= self.perf.begun_ns + asked.delay_ms * 1_000_000:
            self.perf.enable()
            sys.stderr.write("Events enabled\n")
        if self.next_ns and now_ns >= self.next_ns:
            self.perf.sample()
            self.perf.show((now_ns - self.perf.begun_ns) / 1e9)
            self.next_ns = now_ns + asked.interval_ms * 1_000_000


def check(asked: Asked, domains: Domains) -> None:
    """Stop where the real perf would before anything runs."""
    for event in asked.events:
        known = event.startswith("power/") and event.split("/")[1] in domains.power_w
        if not known and event not in SOFTWARE:
            raise Stop(unknown_event(event), 129)
    if domains.world.get("mode") == "no-permission":
        raise Stop(NO_PERMISSION, 255)


def spawn(command: list[str]) -> int:
    """The command as a child; 0 without one."""
    if not command:
        return 0
    try:
        return os.posix_spawnp(command[0], command, os.environ, setsigdef=[signal.SIGPIPE])
    except OSError as error:
        raise Stop(f"Workload failed: {error.strerror}\n", 255) from error


def stat(arguments: list[str], domains: Domains) -> int:
    """`perf stat`: its exit code, unless it dies of SIGINT."""
    mode = domains.world.get("mode", "")
    unknown = {"old": {"-j", "--json-output"}, "older": {"-j", "--json-output", "--control"}}
    asked = Asked(arguments, unknown.get(mode, set()))
    check(asked, domains)
    perf = Perf(asked, domains)
    if asked.delay_ms:
        sys.stderr.write("Events disabled\n")
        sys.stderr.flush()
    else:
        perf.enable()
    loop = Loop(perf, spawn(asked.command))
    loop.run()
    perf.disable()
    perf.finish()
    if loop.child:
        os.kill(loop.child, signal.SIGTERM)
    if loop.number and not (asked.command and not loop.child):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return loop.code if loop.code >= 0 else 128 - loop.code


def main(folder: Path, arguments: list[str]) -> int:
    """The whole program."""
    domains = Domains(folder, settle_s=10.0)
    if domains.world.get("mode") == "wrapper":
        sys.stderr.write(WRAPPER)
        return 2
    if arguments[:1] in (["--version"], ["version"], ["-v"]):
        print(f"perf version {domains.world.get('version', '6.1.0')}")
        return 0
    if arguments[:1] != ["stat"]:
        sys.stderr.write(f"perf: '{' '.join(arguments[:1])}' is not a perf-command. See 'perf --help'.\n")
        return 1
    try:
        return stat(arguments[1:], domains)
    except Stop as stop:
        sys.stderr.write(str(stop))
        return stop.code
