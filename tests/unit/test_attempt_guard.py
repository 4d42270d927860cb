"""A meter of anyone's making may raise, hang or lie: the attempt goes on and the record says so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.clock import SystemClock
from energy_plugin.record.trace import Channel, Sample, Trace, Window, integrate
from energy_plugin.run.guard import Guarded
from energy_plugin.run.probe import probe_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.meters.protocols import Edge

CHANNEL = Channel(id="mains:desk", meter="acme", source="acme-plug")
METHODS = ("probe", "start", "edge", "stop", "close")


class Acme:
    """Two exact samples; raises or sleeps in the method named."""

    name = "acme"
    lead_s: Any = 0.0
    tail_s: Any = 0.0

    def __init__(self, bad: str = "", error: BaseException | None = None, sleep_s: float = 0.0) -> None:
        self.bad, self.error, self.sleep_s = bad, error, sleep_s
        self.samples: list[Sample] = []
        self.closed = 0

    def _here(self, method: str) -> None:
        if method == self.bad:
            time.sleep(self.sleep_s)
            if self.error:
                raise self.error

    def probe(self) -> Sequence[Channel]:
        self._here("probe")
        return [CHANNEL]

    def start(self) -> None:
        self.samples = []
        self._here("start")

    def edge(self, kind: Edge) -> None:
        self.samples.append(Sample(time.monotonic_ns(), 10.0 * len(self.samples)))
        self._here("edge")

    def stop(self) -> Sequence[Trace]:
        self._here("stop")
        return [Trace(meter="acme", channel=CHANNEL, form="window", samples=tuple(self.samples))]

    def close(self) -> None:
        self.closed += 1
        self._here("close")


def run(meter: Guarded) -> Any:
    meter.start()
    meter.edge("open")
    t0 = time.monotonic_ns()
    time.sleep(0.01)
    window = Window(program="a", name="process", t0_ns=t0, t1_ns=time.monotonic_ns())
    meter.edge("close")
    return [integrate(trace, window, None) for trace in meter.stop()]


def test_good_meter_is_passed_through() -> None:
    meter = Guarded(Acme(), SystemClock())
    assert meter.probe() == (CHANNEL,)
    (reading,) = run(meter)
    assert (reading.status, reading.joules) == ("measured", 10.0)
    meter.close()


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(3), KeyboardInterrupt(), TimeoutError("x")])
@pytest.mark.parametrize("method", METHODS)
def test_whatever_a_meter_raises_becomes_a_reason(method: str, error: BaseException) -> None:
    meter = Guarded(Acme(method, error), SystemClock())
    channels = meter.probe()
    if method == "probe":
        assert [(c.alive, c.reason, c.kind) for c in channels] == [(False, "meter-raised", "model")]
        assert probe_all([meter]).living == ()
    else:
        (reading,) = run(meter)
        lost = method != "close"
        assert reading.status == ("unavailable" if lost else "measured")
        assert reading.reason == ("meter-raised" if lost else "")
    meter.close()


def test_meter_that_failed_once_is_tried_again() -> None:
    acme = Acme("edge", ValueError("boom"))
    meter = Guarded(acme, SystemClock())
    meter.probe()
    assert run(meter)[0].reason == "meter-raised"
    acme.bad = ""
    assert run(meter)[0].status == "measured"
    meter.close()


def test_edge_that_hangs_is_left_behind_and_later_attempts_do_not_wait_for_it() -> None:
    meter = Guarded(Acme("edge", sleep_s=4.0), SystemClock(), edge_s=0.1)
    meter.probe()
    began = time.monotonic()
    (reading,) = run(meter)
    assert (reading.status, reading.reason) == ("unavailable", "meter-blocked")
    assert run(meter)[0].reason == "meter-blocked"
    meter.close()
    assert time.monotonic() - began < 3.0


def test_slow_edge_is_a_fault_in_a_trace_that_stands() -> None:
    meter = Guarded(Acme("edge", sleep_s=0.15), SystemClock(), edge_s=0.1)
    meter.probe()
    meter.start()
    meter.edge("open")
    (trace,) = meter.stop()
    assert [fault.code for fault in trace.faults] == ["meter-blocked"]
    assert len(trace.samples) == 1
    meter.close()


@pytest.mark.parametrize(
    "samples",
    [
        (Sample(1, float("nan")), Sample(2, 1.0)),
        (Sample(2, 0.0), Sample(1, 1.0)),
        (Sample(1, "many"),),  # type: ignore[arg-type]
        ((1, 2, 3),),
        7,
    ],
)
def test_traces_that_are_none_are_a_fault(samples: Any) -> None:
    acme = Acme()
    acme.stop = lambda: [Trace(meter="acme", channel=CHANNEL, form="window", samples=samples)]  # type: ignore[method-assign]
    meter = Guarded(acme, SystemClock())
    meter.probe()
    assert run(meter)[0].reason == "meter-raised"
    acme.stop = lambda: None  # type: ignore[assignment, method-assign, return-value]
    assert run(meter)[0].reason == "meter-raised"
    meter.close()


@pytest.mark.parametrize(
    ("asked", "granted"), [(0.3, 0.3), (-1, 0.0), (float("nan"), 0.0), ("x", 0.0), (1e9, 60.0)]
)
def test_lead_is_believed_within_reason(asked: Any, granted: float) -> None:
    acme = Acme()
    acme.lead_s = asked
    meter = Guarded(acme, SystemClock())
    meter.probe()
    assert meter.lead_s == granted
    meter.close()


def test_close_is_safe_twice_and_reaches_the_meter() -> None:
    acme = Acme()
    meter = Guarded(acme, SystemClock())
    meter.close()
    meter.close()
    assert acme.closed == 2
