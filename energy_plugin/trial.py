"""``wattwhy doctor --measure S``: the machine idle, then busy, by every living meter side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple, TextIO

from energy_plugin.record.trace import Window, integrate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.record.trace import Reading
    from energy_plugin.run.guard import Guarded

PHASES = ("idle", "busy")
FAMILIES = ("mains", "cpu", "ram", "gpu")
"""Order of the rows; within a family what measures stands before what estimates."""
SETTLE_S = 0.5
SPARE_S = 30.0
SPIN = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    sum(range(20000))
"""


class Load:
    """One Python loop for each processor this process may use; GPUs are left alone.

    Each loop ends by itself after *most_s*, also where nobody is left to end it.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._loops: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Begin to spin."""
        command = [sys.executable, "-I", "-S", "-c", SPIN, str(self._most_s)]
        for _ in range(processors()):
            # A session of its own: Ctrl-C is ours to answer.
            self._loops.append(subprocess.Popen(command, start_new_session=True))

    def stop(self) -> None:
        """End what spins; safe at any time."""
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


class Line(NamedTuple):
    """What one channel of one meter said in both phases."""

    meter: str
    channel: str
    source: str
    kind: str
    readings: dict[str, Reading]


class Trial:
    """Watches the machine idle and busy.

    Args:
        meters: the living ones; each is used once for each phase.
        seconds: length of a phase.
        load: what keeps the processors busy.
    """

    def __init__(
        self, meters: Sequence[Guarded], seconds: float, clock: Clock, load: Load | None = None
    ) -> None:
        self._meters = meters
        self._seconds = seconds
        self._clock = clock
        self._lead_s = max((meter.lead_s for meter in meters), default=0.0)
        self._tail_s = max((meter.tail_s for meter in meters), default=0.0)
        self._load = load or Load(seconds + self._lead_s + self._tail_s + SPARE_S)
        self.lines: dict[tuple[str, str], Line] = {}

    def run(self) -> bool:
        """Both phases; False when Ctrl-C came in between. What was seen until then is in ``lines``."""
        try:
            for phase in PHASES:
                self._watch(phase)
        except KeyboardInterrupt:
            return False
        finally:
            self._load.stop()
        return True

    def _watch(self, phase: str) -> None:
        if phase == "busy":
            self._load.start()
        self._clock.sleep(SETTLE_S)
        for meter in self._meters:
            meter.start()
        self._clock.sleep(self._lead_s)
        for meter in self._meters:
            meter.edge("open")
        t0_ns = self._clock.now_ns()
        self._clock.sleep(self._seconds)
        t1_ns = self._clock.now_ns()
        for meter in self._meters:
            meter.edge("close")
        self._clock.sleep(self._tail_s)
        for meter in self._meters:
            for trace in meter.stop():
                first, last = t0_ns, t1_ns
                if trace.form == "window" and len(trace.samples) > 1:
                    # Opened one after the other: each has a window of its own, a little longer.
                    first, last = trace.samples[0].t_ns, trace.samples[-1].t_ns
                window = Window(program=None, name=phase, t0_ns=first, t1_ns=last)
                self._keep(phase, integrate(trace, window, None))

    def _keep(self, phase: str, reading: Reading) -> None:
        line = Line(reading.meter, reading.channel, reading.source, reading.kind, {})
        kept = self.lines.setdefault((reading.meter, reading.channel), line)
        kept.readings[phase] = reading


def print_table(lines: Sequence[Line], out: TextIO) -> None:
    """Channel, meter and sensor, watts idle and busy with their bounds, and what kind of number that is."""
    rows = [["channel", "meter", "reads", "idle W", "busy W", "status"]]
    for line in sorted(lines, key=_place):
        seen = [watts(line.readings.get(phase)) for phase in PHASES]
        rows.append([line.channel, line.meter, line.source, *seen, _status(line)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip(), file=out)


def watts(reading: Reading | None) -> str:
    """``35.2 ± 0.1``: mean power and half of the span between its bounds.

    Alone where nothing bounds it; the bounds of an estimator are those of its window, not of the truth.
    """
    if reading is None or reading.joules is None or not reading.covered_s:
        return "--"
    power_w = _text(reading.joules / reading.covered_s)
    if reading.lo_j is None or reading.hi_j is None or reading.kind == "model":
        return power_w
    return f"{power_w} ± {_text((reading.hi_j - reading.lo_j) / 2 / reading.covered_s)}"


def _text(power_w: float) -> str:
    return f"{power_w:.1f}" if power_w >= 10 else f"{power_w:.2f}"


def _place(line: Line) -> tuple[int, bool, str, str]:
    family = line.channel.partition(":")[0]
    order = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
    return order, line.kind == "model", line.channel, line.meter


def _status(line: Line) -> str:
    """The status of both phases, in one word where they agree."""
    said = [
        f"{reading.status} ({reading.reason})" if reading.reason else reading.status
        for phase in PHASES
        if (reading := line.readings.get(phase))
    ]
    return " / ".join(dict.fromkeys(said))
