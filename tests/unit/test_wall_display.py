"""A meter that shows coarse steps: its bounds hold, whatever its display does."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from energy_plugin.meters.tape import Tape
from energy_plugin.record import display
from energy_plugin.record.trace import Channel, Fault, Reading, Sample, Trace, Window, integrate

S = 1_000_000_000


@dataclass(frozen=True)
class Plug:
    """A display of an energy known in closed form: idle watts, and load watts from *on* to *off*.

    Attributes:
        quantum_j: of the last digit; ten times as much from ``wide_from_j`` on, as with four digits.
        refresh_s: the display shows the energy of its last refresh.
    """

    idle_w: float = 60.0
    load_w: float = 300.0
    on_s: float = 10.0
    off_s: float = 40.0
    quantum_j: float = 3.6
    refresh_s: float = 0.0
    start_j: float = 1000.0
    wide_from_j: float = math.inf

    def energy_j(self, t_s: float) -> float:
        loaded = min(max(t_s, self.on_s), self.off_s) - self.on_s
        return self.start_j + self.idle_w * t_s + (self.load_w - self.idle_w) * loaded

    def power_w(self, t_s: float) -> float:
        return self.load_w if self.on_s <= t_s < self.off_s else self.idle_w

    def shows(self, t_s: float) -> tuple[float, float]:
        """Joules on display and their quantum."""
        if self.refresh_s:
            t_s = t_s // self.refresh_s * self.refresh_s
        joules = self.energy_j(t_s)
        quantum = self.quantum_j * (10 if joules >= self.wide_from_j else 1)
        return math.floor(joules / quantum) * quantum, quantum


def poll(
    plug: Plug,
    period_s: float = 0.5,
    end_s: float = 50.0,
    call_s: float = 0.02,
    power: bool = True,
    skip: tuple[float, float] = (0.0, 0.0),
    tick_s: float = 1.0,
) -> Trace:
    """What polling that display gives: as the polling thread keeps it."""
    tape, looks = Tape(), [i * period_s for i in range(int(end_s / period_s))]
    gauges: dict[str, list[tuple[int, float]]] = {name: [] for name in ("resolution_j", "power_w", "call_s")}
    for look in sorted([*looks, plug.on_s - 0.01, plug.off_s + 0.01]):
        if skip[0] <= look < skip[1]:
            continue
        answered = look + call_s / 2
        joules, quantum = plug.shows(answered)
        tape.add(int(look * S), Sample(int(answered * S), joules), int((look + call_s) * S))
        for name, value in (
            ("resolution_j", quantum),
            ("power_w", plug.power_w(answered)),
            ("call_s", call_s),
        ):
            gauges[name].append((int(answered * S), value))
    if not power:
        del gauges["power_w"]
    channel = Channel(id="mains:desk", meter="wall", source="shelly2-counter", tick_s=tick_s)
    kept = {name: tuple(values) for name, values in gauges.items()}
    faults = (Fault(int(skip[0] * S), "unreachable", "gone"),) if skip[1] else ()
    return Trace(
        meter="wall", channel=channel, form="counter", samples=tuple(tape.samples), gauges=kept, faults=faults
    )


def window(t0: float = 10.0, t1: float = 40.0, name: str = "process", unc_s: float = 0.0) -> Window:
    return Window(program="a", name=name, t0_ns=int(t0 * S), t1_ns=int(t1 * S), unc_ns=int(unc_s * S))


def labels(reading: Reading) -> tuple[str, str, str]:
    return reading.status, reading.reason, reading.method


def held(plug: Plug, reading: Reading) -> bool:
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.joules is not None
    truth = plug.energy_j(reading.window.t1_ns / S) - plug.energy_j(reading.window.t0_ns / S)
    assert reading.lo_j <= reading.joules <= reading.hi_j
    return reading.lo_j - 1e-6 <= truth <= reading.hi_j + 1e-6


@settings(max_examples=300, deadline=None)
@given(
    quantum=st.sampled_from([0.1, 3.6, 36.0, 60.0, 360.0, 3600.0, 36000.0]),
    refresh=st.sampled_from([0.0, 0.2, 0.9, 1.0, 5.0, 17.0]),
    start=st.floats(0, 1e5),
    idle=st.floats(5, 100),
    load=st.floats(100, 600),
    span=st.tuples(st.floats(1, 45), st.floats(0.3, 40)),
    period=st.sampled_from([0.3, 0.5, 1.0]),
    power=st.booleans(),
)
def test_the_truth_is_within_the_bounds_for_every_display(
    quantum: float,
    refresh: float,
    start: float,
    idle: float,
    load: float,
    span: tuple[float, float],
    period: float,
    power: bool,
) -> None:
    # A refresh slower than the channel says must show itself in steps of several quanta.
    assume(refresh <= 1 or 3 * quantum < idle * refresh)
    plug = Plug(quantum_j=quantum, refresh_s=refresh, start_j=start, idle_w=idle, load_w=load)
    trace = poll(plug, period_s=period, power=power, end_s=60)
    reading = integrate(trace, window(span[0], min(span[0] + span[1], 55)), None)
    if reading.joules is not None and reading.lo_j is not None:
        assert held(plug, reading)


@pytest.mark.parametrize("ends", [(45.0, 65.0), (45.0, 59.0), (61.0, 69.0), (55.0, 100.0)])
def test_a_number_renewed_once_a_minute_is_bounded_where_only_one_renewal_was_seen(
    ends: tuple[float, float],
) -> None:
    plug = Plug(quantum_j=60.0, refresh_s=60.0, on_s=ends[0], off_s=ends[1])
    trace = poll(plug, skip=(0.0, 40.0), end_s=ends[1] + 2.0)
    reading = integrate(trace, window(*ends), None)
    if reading.lo_j is not None:
        assert held(plug, reading)
    assert reading.joules == pytest.approx(300 * (ends[1] - ends[0]), rel=0.05)


def test_a_fine_counter_measures_within_a_percent() -> None:
    plug = Plug()
    reading = integrate(poll(plug), window(), None)
    assert (reading.status, reading.method, reading.reason) == ("measured", "linear-edges", "")
    assert held(plug, reading)
    assert reading.joules == pytest.approx(9000, rel=0.01)


def test_the_quantum_of_each_reading_counts_where_the_range_changes_between_them() -> None:
    """Four digits: 9.9xx kWh in steps of 3600 J, from 10 kWh on in steps of 36 000 J."""
    plug = Plug(start_j=35_990_000, quantum_j=3600, wide_from_j=36e6, load_w=600, off_s=190.0)
    reading = integrate(poll(plug, end_s=260), window(10, 190), None)
    assert reading.status == "measured"
    assert held(plug, reading)
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert 36_000 <= reading.hi_j - reading.lo_j <= 2.2 * 36_000
    fine = integrate(poll(Plug(quantum_j=3600, load_w=600, off_s=190.0), end_s=260), window(10, 190), None)
    assert fine.lo_j is not None
    assert fine.hi_j is not None
    assert 3600 <= fine.hi_j - fine.lo_j <= 2.2 * 3600 + 600


def test_a_quantum_too_coarse_for_the_window_gives_way_to_the_power_within_the_bounds() -> None:
    plug = Plug(quantum_j=3600)
    reading = integrate(poll(plug), window(), None)
    assert (reading.status, reading.method) == ("measured", "power-integral")
    assert held(plug, reading)
    assert reading.joules == pytest.approx(9000, rel=0.02)


def test_a_counter_that_never_moved_is_not_shown_to_live() -> None:
    plug = Plug(quantum_j=36_000, start_j=100)
    reading = integrate(poll(plug), window(), None)
    assert labels(reading) == ("estimated", "below-resolution", "power-integral")
    assert held(plug, reading)
    without = integrate(poll(plug, power=False), window(), None)
    assert (without.status, without.reason, without.joules) == ("unavailable", "below-resolution", None)


def frozen(trace: Trace, from_s: float) -> Trace:
    stop = next(s for s in trace.samples if s.t_ns >= from_s * S)
    kept = [s for s in trace.samples if s.t_ns <= stop.t_ns]
    samples = (*kept, Sample(50 * S, stop.joules))
    return replace(trace, samples=samples)


@pytest.mark.parametrize("from_s", [0.0, 5.0])
def test_a_counter_that_stands_while_power_flows_is_found_out(from_s: float) -> None:
    reading = integrate(frozen(poll(Plug()), from_s), window(), None)
    assert labels(reading) == ("estimated", "frozen-counter", "power-integral")
    assert reading.joules == pytest.approx(9000, rel=0.02)
    assert reading.lo_j is None


def test_a_short_window_after_the_counter_stopped_is_found_out_too() -> None:
    trace = frozen(poll(Plug()), 15.0)
    for seconds in (2.0, 4.0):
        short = replace(window(), name="epoch:9", t0_ns=20 * S, t1_ns=round((20 + seconds) * S))
        reading = integrate(trace, short, None)
        assert labels(reading) == ("estimated", "frozen-counter", "power-integral")
        assert reading.joules == pytest.approx(300 * seconds, rel=0.02)


def test_a_counter_in_the_wrong_unit_does_not_pass() -> None:
    trace = poll(Plug())
    scaled = tuple(Sample(t, j * 60) for t, j in trace.samples)
    wrong = replace(trace, samples=scaled)
    reading = integrate(wrong, window(), None)
    assert (reading.status, reading.reason) == ("partial", "power-mismatch")


def test_a_plug_lost_in_the_middle_is_bridged_by_its_counter() -> None:
    plug = Plug()
    reading = integrate(poll(plug, skip=(15.0, 30.0)), window(), None)
    assert reading.status == "measured"
    assert held(plug, reading)


def test_a_plug_lost_to_the_end_covers_only_what_was_seen() -> None:
    plug = Plug()
    reading = integrate(poll(plug, skip=(25.0, 60.0)), window(), None)
    assert (reading.status, reading.reason) == ("partial", "unreachable")
    assert reading.covered_s == pytest.approx(14.5, abs=0.6)
    assert reading.joules == pytest.approx(300 * reading.covered_s, rel=0.05)


def test_a_counter_set_back_is_never_energy_given_back() -> None:
    trace = poll(Plug())
    cut = tuple(Sample(t, j if t < 20 * S else j - 6000) for t, j in trace.samples)
    reset = replace(trace, samples=cut)
    reading = integrate(reset, window(), None)
    assert (reading.status, reading.reason) == ("partial", "counter-reset")
    assert 28.5 < reading.covered_s < 30
    assert reading.joules == pytest.approx(300 * reading.covered_s, rel=0.03)


def test_zeros_lost_at_the_end_of_a_number_do_not_widen_what_comes_before_finer_ones() -> None:
    trace = poll(Plug())
    points = list(trace.gauges["resolution_j"])
    points[10:14] = [(t, 3600.0) for t, _ in points[10:14]]
    gauges = {**trace.gauges, "resolution_j": tuple(points)}
    trimmed = replace(trace, gauges=gauges)
    assert integrate(trimmed, window(), None) == integrate(trace, window(), None)


def test_epochs_add_up_to_their_training_within_the_bounds() -> None:
    trace = poll(Plug())
    whole = integrate(trace, window(12, 36, "training"), None)
    parts = [integrate(trace, window(12 + 4 * i, 16 + 4 * i, f"epoch:{i + 1}"), None) for i in range(6)]
    total = sum(part.joules or math.nan for part in parts)
    assert whole.lo_j is not None
    assert whole.hi_j is not None
    assert whole.lo_j <= total <= whole.hi_j
    assert all(held(Plug(), part) for part in parts)


def by_power(trace: Trace) -> Trace:
    gauges = {name: trace.gauges[name] for name in ("power_w", "call_s")}
    return replace(trace, form="power", gauges=gauges)


def test_power_alone_is_an_estimate_without_bounds() -> None:
    """What flowed between two looks was not seen: nothing bounds it."""
    reading = integrate(by_power(poll(Plug())), window(), None)
    assert labels(reading) == ("estimated", "power-sampled", "power-integral")
    assert reading.joules == pytest.approx(9000, rel=0.02)
    assert reading.lo_j is None
    assert reading.kind == "direct"


def test_power_alone_says_which_seconds_it_missed() -> None:
    reading = integrate(by_power(poll(Plug(), skip=(20.0, 30.0))), window(), None)
    assert (reading.status, reading.reason) == ("partial", "unreachable")
    assert reading.covered_s == pytest.approx(20, abs=0.6)
    assert reading.joules == pytest.approx(300 * reading.covered_s, rel=0.03)


def test_a_window_nobody_looked_at_is_not_covered() -> None:
    for trace in (poll(Plug()), by_power(poll(Plug()))):
        reading = integrate(trace, window(200, 210), None)
        assert (reading.status, reading.reason, reading.joules) == ("unavailable", "not-covered", None)


def test_idle_power_is_that_of_the_power_readings() -> None:
    trace = poll(Plug())
    assert display.idle_power(trace, window(2, 8)) == (60.0, 0.0)
    assert display.idle_power(trace, window(2, 3)) is None


def test_idle_power_of_a_counter_alone_is_its_slope() -> None:
    trace = poll(Plug(), power=False)
    level = display.idle_power(trace, window(2, 8))
    assert level is not None
    assert level[0] == pytest.approx(60, abs=2 * level[1] + 1e-9)
    assert 0 < level[1] < 1
    assert display.idle_power(poll(Plug(quantum_j=3600), power=False), window(2, 8)) is None
