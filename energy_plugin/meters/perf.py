"""CPU package and memory energy by ``perf stat``, switched on exactly around the program."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.meters.liveness import BusyLoop
from energy_plugin.meters.perf_probe import PerfProbe
from energy_plugin.meters.perf_process import Ack, PerfProcess
from energy_plugin.meters.rapl_unit import DOMAINS, PowerUnit
from energy_plugin.record.exact import ROUNDING
from energy_plugin.record.trace import Channel, Fault, Sample, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from energy_plugin.meters.perf_output import Count
    from energy_plugin.meters.protocols import Edge

# An interval of 0.1 s costs perf 0.2 % of a core, one of 0.2 s half of that; the 0.01 J steps of CSV must
# stay small beside what an interval counts.
INTERVAL_MS = {"json": 200, "csv": 1000}
CLOCKS_AGREE_S = 0.02  # perf's own time of counting and ours, or CLOCKS_SHARE of it
CLOCKS_SHARE = 0.02
HALF_STEP_J = 0.005  # of CSV


class PerfMeter:
    """``perf stat -a`` on the package and memory counters of all processors.

    It answers the window between its two edges exactly: each edge lies between the moment its command
    was written and that of its ack (gauge ``edge_s``), the counter's tick is 1 ms and its resolution
    1 µJ. Inner windows it can only estimate, unless it also writes intervals.

    Args:
        program: the perf executable.
        sysfs: where the kernel lists its power events.
        procfs: where the kernel tells what plain users may do.
        probe_s: length of the busy loop that tells a living counter from a dead one.
        busy: the loop to share with other meters.
        intervals: asked at each start whether to write intervals too; yes where no other meter reads
            these counters all through the window.
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
        busy: BusyLoop | None = None,
        intervals: Callable[[], bool] = lambda: True,
    ) -> None:
        self._program = program
        self._clock = clock or SystemClock()
        self._busy = busy or BusyLoop(probe_s, clock=clock)
        self._probe = PerfProbe(program, PowerUnit(sysfs=sysfs, procfs=procfs), self._clock)
        self._busy.join(self._probe)
        self._intervals = intervals
        self._process: PerfProcess | None = None
        self._opened: Ack | None = None
        self._closed: Ack | None = None
        self._spawned_ns = self._started_ns = 0
        self._faults: list[Fault] = []

    def probe(self) -> Sequence[Channel]:
        """Package and memory of every socket, and psys where the kernel lists it."""
        self._busy.run()
        return self._probe.channels

    def _alive(self) -> list[Channel]:
        return [channel for channel in self.probe() if channel.alive]

    def start(self) -> None:
        """Open perf, switched off, and wait until it answers (10 to 20 ms; two seconds at most)."""
        self.close()
        self._faults, self._opened, self._closed = [], None, None
        wanted = {channel.id.rpartition(":")[0] for channel in self._alive()}
        events = [f"power/{event}/" for event, name in DOMAINS.items() if name in wanted]
        if not events:
            return
        dialect = self._probe.dialect
        self._spawned_ns = self._clock.now_ns()
        try:
            self._process = PerfProcess(
                self._program,
                events,
                dialect=dialect,
                by_die=self._probe.by_die,
                interval_ms=INTERVAL_MS[dialect] if self._intervals() else 0,
                clock=self._clock,
            )
        except OSError as error:
            self._fault("perf-died", str(error))
            return
        self._started_ns = self._command("disable", "after its start").got_ns

    def edge(self, kind: Edge) -> None:
        """Switch the counters on (``open``) or off (``close``); ``split`` is beyond perf."""
        if self._process is None or kind == "split":
            return
        if kind == "open":
            self._opened = self._command("enable", "at the open edge")
        else:
            self._closed = self._command("disable", "at the close edge")

    def _command(self, word: str, when: str) -> Ack:
        assert self._process is not None
        ack = self._process.command("enable" if word == "enable" else "disable")
        if not ack.done:
            code, told = ("perf-silent", "is stuck") if self._process.silent else ("perf-died", "has ended")
            self._fault(code, f"perf {told}: it did not answer {when}")
        return ack

    def _fault(self, code: str, detail: str) -> None:
        self._faults.append(Fault(self._clock.now_ns(), code, detail))

    def stop(self) -> Sequence[Trace]:
        """End perf; one trace for each living channel."""
        if self._process is None:
            return [self._trace(channel, []) for channel in self._alive()]
        if self._opened and not self._closed:
            self.edge("close")
        counts, code, text = self._process.finish()
        self._process = None
        said = f"perf ended with code {code}: {text.strip()[:200]}"
        if not counts and not self._faults:
            self._fault("perf-died", said)
        return [self._trace(channel, self._counts_of(channel, counts), said) for channel in self._alive()]

    def _counts_of(self, channel: Channel, counts: Sequence[Count]) -> list[Count]:
        parts = self._probe.parts[channel.id]
        event = next(event for event, name in DOMAINS.items() if channel.id.startswith(name))
        return [c for c in counts if c.event == event and (c.socket, c.die) in parts]

    def _trace(self, channel: Channel, counts: Sequence[Count], said: str = "") -> Trace:
        faults, gauges = list(self._faults), dict[str, tuple[tuple[int, float], ...]]()
        if said and not counts and not faults:
            faults.append(Fault(self._clock.now_ns(), "perf-failed", f"not a count of it: {said}"))
        samples: tuple[Sample, ...] = ()
        hole = self._hole(counts)
        last = counts[hole].at_s if hole < len(counts) else None
        known = [c for c in counts[:hole] if c.value is not None and (last is None or c.at_s != last)]
        if known and self._opened and self._opened.done:
            samples = self._samples(known, to_the_end=hole == len(counts))
            acks = [ack for ack in (self._opened, self._closed) if ack and ack.done]
            gauges = {"edge_s": tuple((a.sent_ns, (a.got_ns - a.sent_ns) / 1e9) for a in acks)}
            if self._probe.dialect == "csv":
                gauges[ROUNDING] = tuple(_rounding(samples, len(known)))
        if hole < len(counts):
            now_ns, note = self._clock.now_ns(), counts[hole].note
            faults.append(Fault(now_ns, note, f"perf wrote <{note.replace('-', ' ')}> while switched on"))
        if samples and faults:
            # It ended somewhere after what it wrote last: that is where the hole begins.
            faults = [fault._replace(t_ns=samples[-1].t_ns) for fault in faults]
        return Trace(
            meter=self.name,
            channel=channel,
            form="window",
            samples=samples,
            faults=tuple(faults),
            gauges=gauges,
        )

    def _hole(self, counts: Sequence[Count]) -> int:
        """Index of the first count without joules though the counter was on; how many there are if none is.

        Nobody knows what flowed there, and so nothing after it can be summed.
        """
        known = [i for i, count in enumerate(counts) if count.value is not None]
        within = range(known[0], known[-1]) if known else range(len(counts))
        beside = {counts[i].at_s for i in known}
        empty = ((i, count) for i, count in enumerate(counts) if count.value is None)
        holes = (i for i, count in empty if i in within or count.at_s in beside or self._was_on(count))
        return next(holes, len(counts))

    def _was_on(self, count: Count) -> bool:
        """Whether all of its interval surely lies between the edges, by perf's time since its start."""
        if count.at_s is None or self._opened is None or not self._spawned_ns:
            return False
        begun_ns = self._spawned_ns + (count.at_s - INTERVAL_MS[self._probe.dialect] / 1000) * 1e9
        ended_ns = self._started_ns + count.at_s * 1e9
        return self._opened.got_ns < begun_ns and (self._closed is None or ended_ns < self._closed.sent_ns)

    def _samples(self, known: Sequence[Count], *, to_the_end: bool) -> tuple[Sample, ...]:
        """Cumulative joules from the open edge, at the end of every interval, to the close edge."""
        assert self._opened is not None
        first = Sample(self._opened.sent_ns, 0.0)
        closed = self._closed if to_the_end and self._closed and self._closed.done else None
        if known[0].at_s is None:  # a total: nothing without an edge that says where it ends
            whole_j = sum(count.value or 0.0 for count in known)
            return (first, Sample(closed.got_ns, whole_j)) if closed else ()
        rows = [list(same) for _, same in itertools.groupby(known, key=lambda c: c.at_s)]
        total_j = list(itertools.accumulate(sum(c.value or 0.0 for c in row) for row in rows))
        times = self._times([row[0] for row in rows], closed.got_ns if closed else None)
        inner = [Sample(t, j) for t, j in zip(times, total_j, strict=True)]
        if closed is None:
            return (first, *inner)
        early = [sample for sample in inner[:-1] if first.t_ns < sample.t_ns < closed.got_ns]
        return (first, *early, Sample(closed.got_ns, total_j[-1]))

    def _times(self, rows: Sequence[Count], closed_ns: int | None) -> list[int]:
        """When each interval ended: perf's own time of counting since it was switched on.

        A perf that does not tell this time is dated by its start, known to some 15 ms.
        """
        assert self._opened is not None
        on_ns = list(itertools.accumulate(row.run_ns for row in rows))
        span_ns = closed_ns - self._opened.got_ns if closed_ns else on_ns[-1]
        if abs(on_ns[-1] - span_ns) <= CLOCKS_AGREE_S * 1e9 + CLOCKS_SHARE * span_ns and on_ns[-1] > 0:
            return [self._opened.got_ns + int(t) for t in on_ns]
        return [self._started_ns + int((row.at_s or 0.0) * 1e9) for row in rows]

    def close(self) -> None:
        """Kill perf if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process = None


def _rounding(samples: Sequence[Sample], counts: int) -> Iterator[tuple[int, float]]:
    """How far each sample may be off: all *counts* that the last one sums were rounded."""
    for i, sample in enumerate(samples):
        yield sample.t_ns, HALF_STEP_J * counts * i / max(1, len(samples) - 1)
