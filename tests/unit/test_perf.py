"""What perf writes, and what must never become a number."""

from __future__ import annotations

import pytest

from energy_plugin.meters.perf_process import parse

LINE = '{"socket" : "S1", "aggregate-number" : 1, "counter-value" : "%s", "unit" : "Joules", "event" : "%s"}'


def test_numbers_come_as_strings_and_keep_their_microjoules() -> None:
    (count,) = parse("Events disabled\n" + LINE % ("12.345678", "power/energy-pkg/"))
    assert (count.event, count.socket, count.value, count.unit) == ("energy-pkg", 1, 12.345678, "Joules")


@pytest.mark.parametrize("words", ["<not supported>", "<not counted>"])
def test_what_was_not_counted_is_no_zero(words: str) -> None:
    (count,) = parse(LINE % (words, "power/energy-pkg/u"))
    assert count.event == "energy-pkg"
    assert count.value is None
    assert count.note == words.strip("<>").replace(" ", "-")


@pytest.mark.parametrize(
    "text", ["", "{}", "{not json", '{"counter-value": "1"}', LINE % ("1,00", "power/x/")]
)
def test_broken_lines_are_skipped(text: str) -> None:
    assert parse(text) == []


def test_without_a_socket_it_is_socket_zero() -> None:
    line = '{"counter-value" : "1.000000", "unit" : "Joules", "event" : "power/energy-ram/"}'
    assert parse(line)[0].socket == 0


def test_dies_within_sockets_belong_to_their_socket() -> None:
    assert parse(LINE.replace("S1", "S1-D0") % ("1.0", "power/energy-pkg/"))[0].socket == 1
