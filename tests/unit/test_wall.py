"""What wall meters print, to joules and the resolution of each reading; and which of them can be named."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from energy_plugin.errors import UsageError
from energy_plugin.meters.polling import SensorError
from energy_plugin.meters.wall import PERIOD_S, Steady, WallMeter
from energy_plugin.meters.wall_devices import Shown, decode, read_command, recognise, resolution
from energy_plugin.meters.wall_sources import CommandSource
from energy_plugin.meters.wall_targets import Target, read_walls


def says(text: str) -> Shown:
    data = decode(text)
    return recognise(data).read(data)


def refused(text: str, *, command: bool = False) -> str:
    with pytest.raises(SensorError) as caught:
        (read_command if command else says)(text)
    return str(caught.value.code)


@pytest.mark.parametrize(
    ("printed", "quantum"),
    [
        ("9.966", "0.001"),
        ("12.51", "0.01"),
        ("9.960", "0.001"),  # a display keeps its zeros
        ("120", "1"),
        ("0", "1"),
        ("1.2E+3", "100"),
        ("0.30000000000000004", "0.1"),  # a computer's float
        ("12345.678000000001", "0.001"),
        ("123456789.123456", "0.000001"),
    ],
)
def test_the_last_digit_printed_is_the_resolution(printed: str, quantum: str) -> None:
    assert resolution(Decimal(printed)) == Decimal(quantum)


def test_a_first_generation_shelly_counts_watt_minutes() -> None:
    meter = '{"power":45.30,"overpower":0.00,"is_valid":true,"timestamp":1,"counters":[1.0],"total":1000}'
    assert says(meter) == Shown(60_000.0, 60.0, 45.3)
    assert says(f'{{"relays":[],"meters":[{meter}],"uptime":5}}') == Shown(60_000.0, 60.0, 45.3)


def test_a_shelly_em_counts_watt_hours() -> None:
    meter = (
        '{"power":45.3,"reactive":1.0,"voltage":230.1,"is_valid":true,"total":1000.5,"total_returned":0.0}'
    )
    assert says(meter) == Shown(3_601_800.0, 360.0, 45.3)
    assert says(f'{{"relays":[],"emeters":[{meter}]}}') == Shown(3_601_800.0, 360.0, 45.3)


def test_a_second_generation_shelly_counts_watt_hours() -> None:
    text = '{"id":0,"output":true,"apower":8.9,"aenergy":{"total":6.530,"by_minute":[1.0]}}'
    assert says(text) == Shown(23_508.0, 3.6, 8.9)


@pytest.mark.parametrize(("total", "quantum_j"), [("3.185", 3600), ("3.18512", 36), ("12.51", 36_000)])
def test_a_tasmota_counts_kilowatt_hours_with_the_digits_it_was_told_to(total: str, quantum_j: float) -> None:
    found = says(f'{{"StatusSNS":{{"ENERGY":{{"Total":{total},"Power":45}}}}}}')
    assert found.joules == pytest.approx(float(total) * 3.6e6)
    assert (found.resolution_j, found.power_w) == (quantum_j, 45.0)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"meters": [{"power": 1, "total": 1}, {"power": 2, "total": 2}]}, "several-meters"),
        ({"StatusSNS": {"ENERGY": {"Total": [1.0, 2.0], "Power": [1, 2]}}}, "several-meters"),
        ({"StatusSNS": {"Time": "now"}}, "no-metering"),
        ({"StatusSNS": []}, "no-metering"),
        ({"id": 0, "output": True}, "no-metering"),
        ({"apower": 3.0, "aenergy": None}, "no-metering"),
        ({"apower": "3 W", "aenergy": {"total": 1}}, "garbage"),
        ({"apower": 3, "aenergy": {"total": True}}, "garbage"),
        ({"apower": 3, "aenergy": {"total": -1}}, "implausible"),
        ({"apower": 1e6, "aenergy": {"total": 1}}, "implausible"),
        ({"WARNING": "Need user=<username>&password=<password>"}, "no-permission"),
        ({"Command": "Unknown"}, "unknown-device"),
        ([1, 2], "unknown-device"),
        ("hello", "unknown-device"),
    ],
)
def test_an_answer_that_says_nothing_has_a_stable_code(answer: Any, code: str) -> None:
    assert refused(json.dumps(answer)) == code


@pytest.mark.parametrize("text", ["", "<html>", '{"apower": NaN}', '{"apower": 1', "\x00\x01", "[" * 100_000])
def test_what_is_no_json_is_garbage(text: str) -> None:
    assert refused(text) == "garbage"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("123.4 J\n", Shown(123.4, 0.1, None)),
        ("45 W", Shown(None, 0.0, 45.0)),
        ("45.5 Watts", Shown(None, 0.0, 45.5)),
        ("12.51 kWh\n0.045 kW\n", Shown(45_036_000.0, 36_000.0, 45.0)),
        ('{"joules": 123.40}', Shown(123.4, 0.01, None)),
        ('{"watts": 45, "host": "rack"}', Shown(None, 0.0, 45.0)),
        ('{"joules": 5, "watts": 45.0}', Shown(5.0, 1.0, 45.0)),
        ("  1e3 J  ", Shown(1000.0, 1000.0, None)),
    ],
)
def test_a_command_prints_joules_or_watts_or_both(printed: str, shown: Shown) -> None:
    assert read_command(printed) == shown


@pytest.mark.parametrize(
    ("printed", "code"),
    [
        ("45", "bad-unit"),
        ("45 BTU", "bad-unit"),
        ("45 mwh", "bad-unit"),
        ('{"energy": 4}', "bad-unit"),
        ("45,2 W", "garbage"),
        ("power: 45 W", "garbage"),
        ("45 W\n46 W", "garbage"),
        ("", "garbage"),
        ('{"joules": null}', "no-metering"),
        ('{"joules": "4"}', "garbage"),
        ("-3 W", "implausible"),
        ("nan W", "garbage"),
    ],
)
def test_what_a_command_prints_otherwise_is_refused(printed: str, code: str) -> None:
    assert refused(printed, command=True) == code


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("no-such-program", "no-command"),
        ("sh -c 'echo no battery >&2; exit 3'", "command-failed"),
        ("sh -c 'sleep 20 & sleep 20'", "timeout"),
        ("sh -c 'sleep 20 &'", "timeout"),  # ended itself, but left a child that holds its output
        ("sh -c 'unclosed", "no-command"),
    ],
)
def test_a_command_that_does_not_answer_has_a_stable_code(command: str, code: str) -> None:
    with pytest.raises(SensorError) as caught:
        CommandSource(command, timeout_s=0.3).ask()
    assert caught.value.code == code
    if code == "command-failed":
        assert "exit code 3: no battery" in str(caught.value)


def test_targets_are_names_kinds_and_places() -> None:
    given = [
        "desk=http://plug:8080",
        "rack=tasmota:10.0.0.2",
        "",
        "ups=command:a --b=c,d:e",
        " x = shelly1:http://h ",
    ]
    assert read_walls(given) == (
        Target("desk", "", "http://plug:8080"),
        Target("rack", "tasmota", "http://10.0.0.2"),
        Target("ups", "command", "a --b=c,d:e"),
        Target("x", "shelly1", "http://h"),
    )


@pytest.mark.parametrize(
    "given",
    [
        "desk",
        "=http://h",
        "desk=",
        "two words=http://h",
        "desk=plug",
        "desk=shelly3:http://h",
        "desk=http://",
        "desk=http://h:port",
        "desk=tasmota:",
        "desk=http://user@h",
        "desk=http://h/cm?cmnd=Status%208&user=a&password=b",
    ],
)
def test_a_target_that_cannot_be_asked_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="--energy-wall"):
        read_walls([given])


def test_without_a_target_it_says_which_option_names_one() -> None:
    meter = WallMeter(())
    (channel,) = meter.probe()
    assert (channel.alive, channel.reason) == (False, "not-given")
    meter.start()
    meter.edge("open")
    assert list(meter.stop()) == []


def test_the_pace_is_steady_at_once_at_an_edge_and_spares_a_slow_device() -> None:
    s = 1_000_000_000
    pace = Steady()
    pace.edge(10 * s)
    assert pace.next_ns(10 * s) == 10 * s
    pace.polled(10 * s, 10 * s + s // 50, moved=True, cpu_ns=0)
    assert pace.next_ns(0) == 10 * s + s // 10
    pace.polled(11 * s, 11 * s + s // 50, moved=True, cpu_ns=0)
    assert pace.next_ns(0) == 11 * s + PERIOD_S * s
    pace.polled(20 * s, 21 * s, moved=False, cpu_ns=0)
    assert pace.next_ns(0) == 22 * s
    pace.failed(30 * s, 31 * s)
    assert pace.next_ns(0) == 31 * s + PERIOD_S * s
    assert pace.anew().next_ns(0) == 0
