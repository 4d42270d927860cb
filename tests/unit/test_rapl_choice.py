"""Two meters on one counter: which of them a record takes, and where they are told to look."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from energy_plugin.errors import UsageError
from energy_plugin.meters.select import make_meters
from energy_plugin.options import plain_options
from energy_plugin.record.record import pick, total
from energy_plugin.record.trace import Reading, Window

if TYPE_CHECKING:
    from pathlib import Path


def reading(
    meter: str,
    status: str = "measured",
    method: str = "linear-edges",
    *,
    joules: float | None = 10.0,
    channel: str = "cpu:package:0",
    reason: str = "",
    window: str = "process",
) -> Reading:
    return Reading(
        meter=meter,
        channel=channel,
        window=Window(program="a", name=window, t0_ns=0, t1_ns=10**9),
        status=status,  # type: ignore[arg-type]
        reason=reason,
        method=method,
        joules=joules,
        source=f"{meter}-source",
    )


BEST_FIRST = (
    reading("perf", "measured", "exact-window"),
    reading("rapl", "measured", "resolved-edges"),
    reading("half", "partial", "exact-window"),
    reading("guess", "estimated", "exact-window"),
    reading("dead", "unavailable", joules=None, reason="no-permission"),
)


@pytest.mark.parametrize("best", range(len(BEST_FIRST)))
def test_of_several_meters_the_best_reading_counts_and_the_order_does_not(best: int) -> None:
    for order in permutations(BEST_FIRST[best:]):
        assert pick(order) == [BEST_FIRST[best]]


def test_of_equals_the_first_counts() -> None:
    first, second = reading("one"), reading("two")
    assert pick([first, second]) == [first]
    assert pick([second, first]) == [second]


def test_a_channel_is_never_added_to_itself() -> None:
    whole = total([*BEST_FIRST, reading("rapl", channel="cpu:dram:0", joules=3.0)])
    assert (whole.joules, whole.status, whole.reason) == (13.0, "measured", "")
    assert whole.channels == ("cpu:package:0", "cpu:dram:0")
    assert whole.sources == ("perf-source (perf)", "rapl-source (rapl)")


def test_windows_are_kept_apart() -> None:
    found = [reading("perf"), reading("perf", window="training", joules=4.0)]
    assert pick(found) == found


def test_a_dead_meter_beside_a_living_one_leaves_no_hole() -> None:
    whole = total([BEST_FIRST[-1], reading("rapl")])
    assert (whole.joules, whole.status) == (10.0, "measured")


def test_what_one_meter_found_mirrored_another_does_not_count_twice() -> None:
    mirrored = reading("rapl", "unavailable", joules=None, reason="mirrored", channel="cpu:package:1")
    whole = total([reading("perf"), reading("perf", channel="cpu:package:1"), mirrored])
    assert (whole.joules, whole.status) == (10.0, "measured")


def test_of_dead_meters_the_one_that_knows_of_a_hole_speaks() -> None:
    absent = reading("perf", "unavailable", joules=None, reason="no-event", channel="cpu:dram:0")
    locked = reading("rapl", "unavailable", joules=None, reason="no-permission", channel="cpu:dram:0")
    for order in ([absent, locked], [locked, absent]):
        whole = total([reading("perf"), *order])
        assert (whole.status, whole.reason) == ("partial", "cpu:dram:0 no-permission")


@pytest.mark.parametrize("part", ["class", "bus"])
def test_a_folder_that_looks_like_sys_is_taken(tmp_path: Path, part: str) -> None:
    (tmp_path / "host" / part).mkdir(parents=True)
    assert plain_options({"sysfs": "host"}, tmp_path).sysfs == tmp_path / "host"
    assert plain_options({}, tmp_path).sysfs is None


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_a_folder_that_is_no_sys_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"--energy-sysfs (empty|missing)"):
        plain_options({"sysfs": folder}, tmp_path)


def test_perf_and_rapl_look_where_they_are_told(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    for meter in make_meters(["perf", "rapl"], sysfs=tmp_path):
        assert all(str(tmp_path) in channel.detail for channel in meter.probe())
