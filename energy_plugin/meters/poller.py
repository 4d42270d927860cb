"""One thread that polls some sensors; it survives whatever they do and says what it missed."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from energy_plugin.meters.tape import SensorError, Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.meters.pace import Pace
    from energy_plugin.meters.protocols import Sensor

GAUGE_S = 1.0  # gauges of a sensor that names no rate of its own
OFTEN_S = 0.3  # what is asked more often than this is asked after the window, too
QUIET_S = 0.25  # around an edge of a window nothing but the counter is asked
ASK_SHARE = 0.1  # of the time, for everything that is not the counter
ASK_CREDIT_S = 0.02  # ... of which this much may be saved up
ASK_AGAIN_S = 5.0  # after an error
ABSENT = {"not-supported", "no-function"}  # asked once, never again
STARVED_PERIODS = 10
STARVED_AT_LEAST_S = 0.25
HANGS_S = 2.0
HOUR_NS = 3600 * 10**9


@runtime_checkable
class Gauges(Protocol):
    """A sensor that knows more than joules."""

    def gauges(self) -> Mapping[str, float]:
        """Other quantities now, by gauge name; what raises is asked again a little later."""


@runtime_checkable
class Telling(Protocol):
    """A sensor whose reads bring other quantities with them, in ``told`` after each ``read``."""

    told: Mapping[str, float]


@dataclass(slots=True)
class Ask:
    """A question beside the counter: *call* gives gauges by name, and is asked every *period_s*.

    In the calm, far from a window's edges, it is asked every *calm_s*: it costs CPU time, too. One that
    raises ``not-supported`` is dropped for good, without a word: the device has no such thing.
    """

    period_s: float
    call: Callable[[], Mapping[str, float]]
    calm_s: float = 1.0
    due_ns: int = 0


@runtime_checkable
class Asking(Protocol):
    """A sensor with questions of different urgency and price."""

    def asks(self) -> Sequence[Ask]:
        """The questions, the most urgent first."""


def asks_of(sensor: Sensor) -> list[Ask]:
    """What to ask this sensor beside its counter."""
    if isinstance(sensor, Asking):
        return list(sensor.asks())
    return [Ask(GAUGE_S, sensor.gauges)] if isinstance(sensor, Gauges) and callable(sensor.gauges) else []


class Poller:
    """Polls *sensors* one after the other in one thread, at the times its pace says.

    Args:
        sensors: what to read, all of them alive.
        pace: when.
        clock: the time of samples and faults.
        name: of the thread.
    """

    def __init__(self, sensors: Sequence[Sensor], pace: Pace, clock: Clock, name: str) -> None:
        self.sensors = list(sensors)
        self.tapes = [Tape() for _ in self.sensors]
        self._telling = [sensor if isinstance(sensor, Telling) else None for sensor in sensors]
        self._pace = pace
        self._clock = clock
        self._name = name
        self._asks: list[tuple[int, Ask]] | None = None
        self._thread: threading.Thread | None = None
        self._bell = threading.Lock()  # taken while nobody rings: dearer kinds cost more CPU than a poll
        self._bell.acquire()
        self._run = 0
        self._in_call_ns = 0
        self._edge_ns = self._credit_then_ns = self._asks_due_ns = 0
        self._closed = False
        self._credit_s = 0.0

    def start(self) -> None:
        """Begin with empty tapes; where the last thread still hangs in a driver, say so instead."""
        self.tapes = [Tape() for _ in self.sensors]
        self._pace = self._pace.anew()
        self._closed = False
        self._edge_ns = 0
        if self._thread is not None and self._thread.is_alive():
            self._report_hang(self._clock.now_ns())
            return
        self._pace.edge(self._clock.now_ns())
        self._run += 1
        self._thread = threading.Thread(target=self._poll, args=(self._run,), name=self._name, daemon=True)
        self._thread.start()

    def edge(self, *, close: bool) -> None:
        """An edge of a window: poll now and densely."""
        self._closed = close
        self._asks_due_ns = 0
        self._edge_ns = self._clock.now_ns()
        self._pace.edge(self._edge_ns)
        self._ring()

    def end(self) -> None:
        """Tell the thread to end; returns at once."""
        self._run += 1
        self._ring()

    def join(self, timeout_s: float) -> None:
        """Await the thread's end; a call that hangs is left behind and reported."""
        thread = self._thread
        if thread is None:
            return
        hung_s = (self._clock.now_ns() - self._in_call_ns) / 1e9 if self._in_call_ns else 0.0
        thread.join(timeout=max(0.0, timeout_s - max(0.0, hung_s)))
        if thread.is_alive():
            self._report_hang(self._in_call_ns or self._clock.now_ns())
        else:
            self._thread = None

    def _report_hang(self, since_ns: int) -> None:
        for tape in self.tapes:
            tape.fail(since_ns, SensorError("sensor-hangs", "a call to the sensor did not return"))

    def _ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # rung already
            self._bell.release()

    # --- the thread ---

    def _poll(self, run: int) -> None:
        tapes, pace, note_due_ns = self.tapes, self._pace, 0
        last_ns = rested_ns = self._clock.now_ns()
        if self._asks is None:
            self._asks = [(i, ask) for i, sensor in enumerate(self.sensors) for ask in asks_of(sensor)]
        self._asks_due_ns = 0
        for _, ask in self._asks:
            ask.due_ns = 0
        while run == self._run:
            now_ns = self._clock.now_ns()
            due_ns = pace.next_ns(now_ns)
            if due_ns > now_ns:
                if self._bell.acquire(timeout=(due_ns - now_ns) / 1e9):
                    continue  # rung: an edge, or the end
                now_ns = self._clock.now_ns()
            if now_ns - last_ns > STARVED_AT_LEAST_S * 1e9:
                self._note_starved(tapes, (last_ns, rested_ns), due_ns, now_ns)
            last_ns, rested_ns = now_ns, self._read_all(tapes, pace, now_ns)
            if now_ns >= note_due_ns:
                note_due_ns = now_ns + int(GAUGE_S * 1e9)
                for tape in tapes:
                    tape.note_call(now_ns)
            if rested_ns >= self._asks_due_ns and not pace.pairing:
                self._ask_some(tapes, rested_ns)

    def _read_all(self, tapes: Sequence[Tape], pace: Pace, begun_ns: int) -> int:
        """Read every sensor and tell the pace; when it was done."""
        moved = [self._read(i, tape) for i, tape in enumerate(tapes)]
        ended_ns = self._clock.now_ns()
        if all(answer is None for answer in moved):
            pace.failed(begun_ns, ended_ns)
        else:
            pace.polled(begun_ns, ended_ns, moved=any(moved), cpu_ns=time.thread_time_ns())
        return ended_ns

    def _read(self, index: int, tape: Tape) -> bool | None:
        """Whether the value moved; None when it could not be read."""
        before_ns = self._in_call_ns = self._clock.now_ns()
        try:
            sample = self.sensors[index].read()
        except Exception as error:  # whatever a driver throws is a fault in the trace
            tape.fail(before_ns, error)
            return None
        finally:
            self._in_call_ns = 0
        if (telling := self._telling[index]) is not None:
            for name, value in telling.told.items():
                tape.gauge(name, sample.t_ns, value)
        return tape.add(before_ns, sample, self._clock.now_ns())

    def _note_starved(self, tapes: Sequence[Tape], last: tuple[int, int], due_ns: int, now_ns: int) -> None:
        """The machine was too busy for this thread, or a call was far slower than usual.

        Args:
            tapes: of this attempt.
            last: begin and end of the poll before.
            due_ns: when the next one was due.
            now_ns: when it comes.
        """
        begun_ns, ended_ns = last
        gap_s = (now_ns - begun_ns) / 1e9
        for tape in tapes:
            planned_s = max(0.0, (due_ns - ended_ns) / 1e9) + tape.usual_call_s
            if gap_s > STARVED_PERIODS * planned_s and not tape.failing:
                tape.fault(begun_ns, "starved", f"no poll for {gap_s:.2f} s, planned after {planned_s:.3f} s")

    # --- what is asked beside the counter ---

    def _ask_some(self, tapes: Sequence[Tape], now_ns: int) -> None:
        """Ask what is due, while the questions stay within their share of the time."""
        quiet_ns = self._edge_ns + int(QUIET_S * 1e9)
        if now_ns < quiet_ns or not self._asks:
            self._asks_due_ns = quiet_ns
            return
        self._credit_s += ASK_SHARE * (now_ns - self._credit_then_ns) / 1e9
        self._credit_s, self._credit_then_ns = min(self._credit_s, ASK_CREDIT_S), now_ns
        due = [(i, a) for i, a in self._asks if a.due_ns <= now_ns and self._wanted(a)]
        # Where slow calls leave no time for all, the one longest overdue in its own periods comes first.
        due.sort(key=lambda entry: (entry[1].due_ns - now_ns) / entry[1].period_s)
        for i, ask in due:
            if self._credit_s <= 0 or self._pace.next_ns(now_ns) <= now_ns:
                return
            self._put(tapes[i], i, ask)
            then_ns, now_ns = now_ns, self._clock.now_ns()
            self._credit_s -= (now_ns - then_ns) / 1e9
        self._asks_due_ns = min(
            (a.due_ns for _, a in self._asks if self._wanted(a)), default=now_ns + HOUR_NS
        )

    def _wanted(self, ask: Ask) -> bool:
        return not self._closed or ask.period_s < OFTEN_S

    def _put(self, tape: Tape, index: int, ask: Ask) -> None:
        now_ns = self._in_call_ns = self._clock.now_ns()
        period_s = ask.calm_s if self._pace.calm(now_ns) else ask.period_s
        ask.due_ns = now_ns + int(period_s * 1e9)
        try:
            for name, value in ask.call().items():
                tape.gauge(name, self._clock.now_ns(), value)
        except Exception as error:  # a gauge is no reason to doubt the joules
            ask.due_ns = now_ns + int(ASK_AGAIN_S * 1e9)
            if getattr(error, "code", "") in ABSENT and self._asks is not None:
                self._asks.remove((index, ask))
        finally:
            self._in_call_ns = 0
