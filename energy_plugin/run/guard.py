"""A meter behind a guard: whatever it raises or however long it hangs, the run goes on and it is recorded."""

from __future__ import annotations

import math
import queue
import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energy_plugin.meters.protocols import Selecting, Warming
from energy_plugin.record.trace import Channel, Fault, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.meters.protocols import Edge, Meter

EDGE_S = 5.0
"""An edge that takes longer is a fault; the program is not kept waiting for it."""
CALL_S = 120.0
"""Any other call: the slowest known start of a helper takes half of it."""
GRACE_S = 1.0
"""Our own meters give up at ``EDGE_S`` by themselves, and say better why."""
MOST_S = 60.0
"""No meter may ask for a longer lead or tail."""


class Guarded:
    """One meter, called in a thread of its own, one call after the other.

    A method that raises leaves the fault ``meter-raised``, one that does not come back in time
    ``meter-blocked``; a meter that did either before its traces were whole has its living channels
    unavailable with that reason for this attempt, and is tried again in the next.

    The thread lives as long as the guard: a child process that is to die with the thread that
    started it must not die between two calls.

    Args:
        meter: anyone's meter, which need not keep its promises.
        edge_s: seconds that an edge may take.
    """

    def __init__(self, meter: Meter, clock: Clock, edge_s: float = EDGE_S) -> None:
        self._meter = meter
        self._clock = clock
        self._edge_s = edge_s
        self._channels: tuple[Channel, ...] = ()
        self._faults: list[Fault] = []
        self._lost: Fault | None = None
        self._calls: queue.SimpleQueue[tuple[Future[tuple[bool, Any]], Callable[[], Any]] | None]
        self._calls = queue.SimpleQueue()
        self._stuck: Future[tuple[bool, Any]] | None = None
        self._thread: threading.Thread | None = None
        self.name = str(getattr(meter, "name", type(meter).__name__))
        self.lead_s = self.tail_s = 0.0

    # --- what it wants ---

    def _ask_seconds(self) -> None:
        """Known for sure only once it was probed: a counter's tick decides it."""
        self.lead_s, self.tail_s = self._seconds("lead_s"), self._seconds("tail_s")

    def _seconds(self, name: str) -> float:
        try:
            value = getattr(self._meter, name, 0.0)
        except Exception:
            return 0.0
        good = isinstance(value, (int, float)) and math.isfinite(value) and value > 0
        return min(float(value), MOST_S) if good else 0.0

    @property
    def live(self) -> bool:
        """Whether it sees the machine as it is now; a replay does not."""
        return not isinstance(self._meter, Selecting)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What the last probe found."""
        return self._channels

    # --- the protocol ---

    def warm(self) -> None:
        """Let a helper start, where the meter has one."""
        if isinstance(self._meter, Warming):
            self._call("warm", self._meter.warm)

    def select(self, case_id: str) -> None:
        """Tell a replay which case comes."""
        if isinstance(self._meter, Selecting):
            meter = self._meter
            self._call("select", lambda: meter.select(case_id))

    def probe(self) -> Sequence[Channel]:
        """The meter's channels; one dead channel where it fails to say."""
        self._begin()
        found = self._call("probe", lambda: _checked(self._meter.probe(), Channel))
        self._channels = tuple(found or ()) if self._lost is None else (self._dead(self._lost),)
        self._ask_seconds()
        return self._channels

    def start(self) -> None:
        """Arm it; forgets what went wrong in the last attempt."""
        self._begin()
        self._call("start", self._meter.start)
        self._ask_seconds()

    def edge(self, kind: Edge) -> None:
        """Pass the edge on; not to a meter that failed already."""
        if self._lost is None:
            self._call(f"edge({kind})", lambda: self._meter.edge(kind), self._edge_s + GRACE_S)

    def stop(self) -> Sequence[Trace]:
        """Its traces, or one without samples for each living channel where it failed."""
        # Also after a failure, so that it can let go of what it holds.
        traces = self._call("stop", lambda: _traces(self._meter.stop()))
        if self._lost is not None or traces is None:
            return [self._empty(channel) for channel in self._channels if channel.alive]
        return [replace(trace, faults=(*trace.faults, *self._faults)) for trace in traces]

    def processes(self) -> Sequence[Any]:
        """What a :class:`~energy_plugin.meters.protocols.Witness` saw; nothing of any other meter."""
        asked = getattr(self._meter, "processes", None)
        return [] if asked is None or self._lost else self._call("processes", lambda: list(asked())) or []

    @property
    def witness(self) -> bool:
        """Whether it can tell which processes use a GPU, and there is one."""
        has = hasattr(self._meter, "processes")
        return has and any(c.alive and c.id.startswith("gpu:") for c in self._channels)

    def close(self) -> None:
        """Release the meter and end the thread; safe at any time."""
        self._call("close", self._meter.close, self._edge_s)
        self._calls.put(None)
        self._thread = None

    # --- calls ---

    def _begin(self) -> None:
        self._faults, self._lost = [], None

    def _call(self, what: str, function: Callable[[], Any], limit_s: float = CALL_S) -> Any:
        """The function's result; None with a fault where it raised or did not come back in time."""
        if self._stuck is not None and not self._stuck.done():
            self._lose(self._clock.now_ns(), "meter-blocked", "an earlier call has not returned yet")
            return None
        began_ns = self._clock.now_ns()
        future: Future[tuple[bool, Any]] = Future()
        self._calls.put((future, function))
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._serve, name=f"guard-{self.name}", daemon=True)
            self._thread.start()
        try:
            good, result = future.result(limit_s)
        except TimeoutError:
            self._stuck = future
            self._lose(began_ns, "meter-blocked", f"{what} did not return within {limit_s:g} s")
            return None
        if not good:
            self._lose(began_ns, "meter-raised", f"{what}: {result!r}")
            return None
        took_s = (self._clock.now_ns() - began_ns) / 1e9
        if what.startswith("edge") and took_s > self._edge_s:
            self._faults.append(Fault(began_ns, "meter-blocked", f"{what} took {took_s:.1f} s"))
        return result

    def _lose(self, t_ns: int, code: str, detail: str) -> None:
        self._lost = self._lost or Fault(t_ns, code, detail)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            try:
                future.set_result((True, function()))
            except BaseException as error:  # anyone's meter: whatever it throws is a fault, never an end
                future.set_result((False, error))

    # --- what stands for a meter that failed ---

    def _dead(self, fault: Fault) -> Channel:
        # Nobody knows what it would have read, so no total lacks it: kind model.
        return Channel(
            id=self.name,
            meter=self.name,
            source=self.name,
            kind="model",
            alive=False,
            reason=fault.code,
            detail=fault.detail,
        )

    def _empty(self, channel: Channel) -> Trace:
        fault = self._lost or Fault(self._clock.now_ns(), "meter-raised", "stop() gave no traces")
        return Trace(meter=self.name, channel=channel, form="window", samples=(), faults=(fault,))


def _checked(found: Any, kind: type) -> list[Any]:
    items = list(found)
    wrong = next((item for item in items if not isinstance(item, kind)), None)
    if wrong is not None:
        raise TypeError(f"gave {wrong!r} in place of a {kind.__name__}")
    return items


def _traces(found: Any) -> list[Trace]:
    """Traces whose samples are joules over ascending time.

    Raises:
        TypeError, ValueError: they are not.
    """
    traces: list[Trace] = _checked(found, Trace)
    for trace in traces:
        last_ns = -1
        for t_ns, joules in trace.samples:
            if not math.isfinite(joules):
                raise ValueError(f"{trace.channel.id} counts {joules} J")
            if t_ns < last_ns:
                raise ValueError(f"{trace.channel.id} goes back in time")
            last_ns = t_ns
    return traces
