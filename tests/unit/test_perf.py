"""What perf writes, in both dialects, and what must never become a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from energy_plugin.clock import SystemClock
from energy_plugin.meters.perf import PerfMeter
from energy_plugin.meters.perf_output import Count, parse
from energy_plugin.meters.perf_probe import Part, PerfProbe
from energy_plugin.meters.perf_process import Ack
from energy_plugin.meters.rapl_unit import PowerUnit
from energy_plugin.record.trace import Channel, Window, integrate

LINE = '{"socket" : "S1", "aggregate-number" : 1, "counter-value" : "%s", "unit" : "Joules", "event" : "%s"}'
# As perf 6.1 wrote them here for task-clock with -I 100, -j or -x';', --per-socket or --per-die.
JSON_INTERVAL = (
    '{"interval" : 0.301838914, "socket" : "S0", "aggregate-number" : 2, "counter-value" : "102.598655", '
    '"unit" : "msec", "event" : "task-clock", "event-runtime" : 102597764, "pcnt-running" : 100.00, '
    '"metric-value" : 1.025987, "metric-unit" : "CPUs utilized"}'
)
CSV_INTERVAL = "     0.301708009;S0;2;102.47;msec;task-clock;102472888;100.00;1.025;CPUs utilized"
CSV_DIE = "S0-D0;2;700.93;msec;task-clock;700926734;100.00;0.932;CPUs utilized"


def only(text: str) -> Count:
    (count,), _ = parse(text.splitlines())
    return count


def test_numbers_come_as_strings_and_keep_their_microjoules() -> None:
    count = only("Events disabled\n" + LINE % ("12.345678", "power/energy-pkg/"))
    assert (count.event, count.socket, count.value, count.unit) == ("energy-pkg", 1, 12.345678, "Joules")


@pytest.mark.parametrize("words", ["<not supported>", "<not counted>"])
@pytest.mark.parametrize("line", [LINE, "S1;1;%s;Joules;%s;0;100.00;;"])
def test_what_was_not_counted_is_no_zero(words: str, line: str) -> None:
    count = only(line % (words, "power/energy-pkg/u"))
    assert (count.event, count.socket, count.value) == ("energy-pkg", 1, None)
    assert count.note == words.strip("<>").replace(" ", "-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{not json",
        '{"counter-value": "1"}',
        LINE % ("1,00", "power/x/"),
        "S0;1;0,00;Joules;power/energy-pkg/;1;100,00;;",
        "warning; something; else; entirely",
        "S0;1;1.00;Joules",
        LINE % ("nan", "power/energy-pkg/"),
        LINE % ("inf", "power/energy-pkg/"),
        LINE % ("-5.0", "power/energy-pkg/"),
        "S0;1;nan;Joules;power/energy-pkg/;500;100.00;;",
        LINE.replace("{", '{"interval" : NaN, ') % ("1.0", "power/energy-pkg/"),
    ],
)
def test_broken_lines_are_no_counts_but_said(text: str) -> None:
    assert parse(text.splitlines()) == ([], text)


def test_without_a_socket_it_is_socket_zero() -> None:
    line = '{"counter-value" : "1.000000", "unit" : "Joules", "event" : "power/energy-ram/"}'
    assert only(line).socket == 0
    assert only("1.25;Joules;power/energy-ram/;500;100.00;;") == Count(
        "energy-ram", 0, 1.25, "Joules", "", run_ns=500
    )


def test_dies_are_told_apart_within_their_socket() -> None:
    count = only(LINE.replace('"socket" : "S1"', '"die" : "S1-D3"') % ("1.0", "power/energy-pkg/"))
    assert (count.socket, count.die) == (1, 3)
    assert (only(CSV_DIE).socket, only(CSV_DIE).die, only(CSV_DIE).value) == (0, 0, 700.93)


@pytest.mark.parametrize("key", ["cpu-count", "aggregate-number", "counters"])
def test_the_number_of_processors_has_had_several_names(key: str) -> None:
    line = JSON_INTERVAL.replace("aggregate-number", key)
    assert only(line).run_ns == 51298882.0


@pytest.mark.parametrize(
    ("line", "value", "at_s", "run_ns"),
    [(JSON_INTERVAL, 102.598655, 0.301838914, 51298882.0), (CSV_INTERVAL, 102.47, 0.301708009, 51236444.0)],
)
def test_intervals_have_their_end_and_the_time_one_processor_counted(
    line: str, value: float, at_s: float, run_ns: float
) -> None:
    count = only(line)
    assert (count.value, count.at_s, count.run_ns) == (value, at_s, run_ns)


def test_endless_messages_are_cut() -> None:
    counts, text = parse(f"perf said {i}" for i in range(100_000))
    assert not counts
    assert len(text) < 5000


# --- intervals to samples ---------------------------------------------------------------------------


class Said:
    """A perf meter that was opened at 10 s and closed at 10.35 s, and what perf said of it."""

    def __init__(self, *rows: tuple[float, float | None, float], closed: bool = True) -> None:
        self.meter = PerfMeter(sysfs=Path("/nowhere"), clock=SystemClock())
        self.meter._started_ns = int(9.8e9)
        self.meter._opened = Ack(True, int(10e9) - 100_000, int(10e9))
        self.meter._closed = Ack(True, int(10.35e9), int(10.35e9) + 100_000) if closed else None
        note = "not-counted"
        self.counts = [
            Count("energy-pkg", 0, value, "Joules", "" if value is not None else note, 0, run_s * 1e9, at_s)
            for at_s, value, run_s in rows
        ]

    def samples(self) -> list[tuple[float, float]]:
        channel = Channel(id="cpu:package:0", meter="perf", source="rapl-pmu")
        trace = self.meter._trace(channel, self.counts)
        self.faults = [fault.code for fault in trace.faults]
        return [(round(t / 1e9, 3), joules) for t, joules in trace.samples]


ROWS = (
    (0.1, None, 0.0),
    (0.2, None, 0.0),
    (0.3, 4.0, 0.1),
    (0.4, 5.0, 0.1),
    (0.5, 6.0, 0.1),
    (0.6, 2.0, 0.05),
)


def test_intervals_become_one_staircase_from_edge_to_edge() -> None:
    said = Said(*ROWS, (0.7, None, 0.0))
    assert said.samples() == [(10.0, 0.0), (10.1, 4.0), (10.2, 9.0), (10.3, 15.0), (10.35, 17.0)]
    assert said.faults == []


def test_a_perf_that_tells_no_time_of_counting_is_dated_by_its_start() -> None:
    said = Said(*((at, joules, 0.0) for at, joules, _ in ROWS))
    assert said.samples() == [(10.0, 0.0), (10.1, 4.0), (10.2, 9.0), (10.3, 15.0), (10.35, 17.0)]


def test_what_comes_after_an_interval_without_joules_cannot_be_summed() -> None:
    said = Said(*ROWS[:3], (0.4, None, 0.0), *ROWS[4:])
    assert said.samples() == [(10.0, 0.0), (10.1, 4.0)]
    assert said.faults == ["not-counted"]


OPEN = [(10.0, 0.0), (10.2, 9.0), (10.4, 18.0)]


@pytest.mark.parametrize(
    ("counted", "samples"),
    [
        ({0.4, 0.6, 0.8, 1.0, 1.2}, [*OPEN, (10.6, 27.0), (10.8, 36.0), (11.0, 45.0)]),
        ({0.4, 0.6}, OPEN),
        ({0.8, 1.0, 1.2}, []),
    ],
)
def test_a_counter_that_was_on_and_not_counted_at_either_end_is_a_hole(
    counted: set[float], samples: list[tuple[float, float]]
) -> None:
    ends = [round(0.2 * i, 1) for i in range(1, 8)]
    said = Said(*((at, 9.0 if at in counted else None, 0.2 * (at in counted)) for at in ends))
    said.meter._spawned_ns = int(9.78e9)
    said.meter._closed = Ack(True, int(11.0e9), int(11.0e9))
    assert said.samples() == samples
    assert said.faults == ([] if len(counted) == 5 else ["not-counted"])


def test_a_die_without_joules_beside_another_is_a_hole() -> None:
    said = Said(*ROWS)
    said.counts.append(said.counts[-1]._replace(die=1, value=None, note="not-counted"))
    assert said.samples() == [(10.0, 0.0), (10.1, 4.0), (10.2, 9.0), (10.3, 15.0)]
    assert said.faults == ["not-counted"]


def test_one_counter_of_which_nothing_was_written_is_a_fault_of_its_own() -> None:
    said = Said(*ROWS)
    dram = Channel(id="cpu:dram:0", meter="perf", source="rapl-pmu")
    trace = said.meter._trace(dram, [], "perf ended with code 0: nan")
    assert [(fault.code, "nan" in fault.detail) for fault in trace.faults] == [("perf-failed", True)]
    said.samples()
    assert said.faults == []


def test_numbers_that_were_rounded_widen_the_bounds() -> None:
    said = Said(*ROWS)
    channel = Channel(id="cpu:package:0", meter="perf", source="rapl-pmu")
    fine = said.meter._trace(channel, said.counts)
    said.meter._probe.dialect = "csv"
    coarse = said.meter._trace(channel, said.counts)
    for name, t1_ns, rounded in (("process", int(10.35e9), 4), ("training", int(10.2e9), 2)):
        window = Window(program="a", name=name, t0_ns=int(10e9), t1_ns=t1_ns)
        one, other = integrate(fine, window, None), integrate(coarse, window, None)
        assert one.lo_j is not None
        assert one.hi_j is not None
        assert other.lo_j == pytest.approx(one.lo_j - 0.005 * rounded)
        assert other.hi_j == pytest.approx(one.hi_j + 0.005 * rounded)


def test_what_was_written_before_perf_died_is_kept_and_no_more() -> None:
    said = Said(*ROWS[:5], closed=False)
    said.meter._fault("perf-died", "")
    assert said.samples()[-1] == (10.3, 15.0)
    assert said.faults == ["perf-died"]


# --- coarse numbers that agree ----------------------------------------------------------------------

ALIKE = [Count("energy-ram", socket, 1.20, "Joules", "") for socket in (0, 1)]
STEADY = [0.04, 0.05, 0.04, 0.04, 0.05] * 6


@pytest.mark.parametrize(
    ("other", "kept"),
    [(STEADY, {0}), ([*STEADY[:29], 0.05], {0}), ([*STEADY[1:], 0.04], {0, 1}), ([0.0] * 30, {0, 1})],
)
def test_a_socket_is_left_out_for_counting_in_step_not_for_one_number(
    monkeypatch: pytest.MonkeyPatch, other: list[float], kept: set[int]
) -> None:
    unit = PowerUnit(sysfs=Path("/nowhere"), procfs=Path("/nowhere"))
    probe = PerfProbe("perf", unit, SystemClock())
    probe.dialect = "csv"
    monkeypatch.setattr(probe, "_steps", lambda event: {Part(0, 0): STEADY, Part(1, 0): other})
    assert probe._unmirrored("energy-ram", ALIKE) == kept
    monkeypatch.setattr(probe, "_steps", lambda event: {})
    assert probe._unmirrored("energy-ram", ALIKE) == {0}
