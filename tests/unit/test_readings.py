"""Windows asked of several meters of one counter: what one of them saw counts for the other."""

from __future__ import annotations

import pytest

from energy_plugin.declare.case import Program
from energy_plugin.record.record import Outcome, total
from energy_plugin.record.trace import Channel, Reading, Sample, Trace, Window
from energy_plugin.run.readings import readings_of

S = 1_000_000_000
PACKAGE = "cpu:package:0"
PROCESS = Window(program="a", name="process", t0_ns=S, t1_ns=5 * S)


def rapl(stops_s: float, watts: float = 50.0) -> Trace:
    """Polled every 0.1 s; the counter stands still from *stops_s* on."""
    channel = Channel(id=PACKAGE, meter="rapl", source="rapl-powercap", tick_s=0.001)
    times = [0.1 * i for i in range(61)]
    samples = tuple(Sample(round(t * S), watts * min(t, stops_s)) for t in times)
    return Trace(meter="rapl", channel=channel, form="counter", samples=samples)


def perf(joules: float) -> Trace:
    channel = Channel(id=PACKAGE, meter="perf", source="rapl-pmu", tick_s=0.001)
    samples = (Sample(S, 0.0), Sample(5 * S, joules))
    return Trace(meter="perf", channel=channel, form="window", samples=samples)


def by_meter(*traces: Trace) -> dict[str, Reading]:
    program = Program(repository="code", model="train", values={}, passed=frozenset())
    outcome = Outcome(program=program, success=True, reason="", detail="", exit_code=0, windows=(PROCESS,))
    return {r.meter: r for r in readings_of(traces, [outcome], (None, None), (), None)}


@pytest.mark.parametrize("seen_j", [100.0, 112.0])
def test_a_counter_seen_to_stop_is_no_whole_measurement_of_another_meters_either(seen_j: float) -> None:
    read = by_meter(perf(seen_j), rapl(stops_s=3.0))
    assert (read["rapl"].status, read["rapl"].reason) == ("partial", "frozen-counter")
    assert (read["perf"].status, read["perf"].reason) == ("partial", "frozen-counter")
    assert read["perf"].joules == seen_j
    assert read["perf"].covered_s == read["rapl"].covered_s == pytest.approx(2.0, abs=0.2)
    assert total(read.values()).status == "partial"


def test_a_counter_that_never_moved_for_the_one_has_no_joules_for_the_other() -> None:
    read = by_meter(perf(0.05), rapl(stops_s=0.9))
    assert {(r.status, r.reason, r.joules) for r in read.values()} == {
        ("unavailable", "frozen-counter", None)
    }


@pytest.mark.parametrize(("perf_j", "stops_s"), [(200.0, 3.0), (200.0, 9.0)])
def test_what_went_on_counting_stays_measured(perf_j: float, stops_s: float) -> None:
    assert by_meter(perf(perf_j), rapl(stops_s))["perf"].status == "measured"
