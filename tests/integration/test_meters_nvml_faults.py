"""Everything that can go wrong with a GPU's counter: what the reading then says, and what it never says.

The load is 360 W for three seconds; where a fault comes midway it comes after one and a half. Each fault has
a GPU of its own, all in one machine: none of them may disturb the others.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests import gpus
from tests.simulated.hardware import Gpu, Segment

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.compiler

IDLE_W, LOAD_W = 60.0, 300.0
START_S, END_S, FAULT_S = 3.5, 6.5, 5.0
WRAP_J = 2**32 / 1000
ENERGY = "fault TotalEnergyConsumption"
POWER = ("fault PowerUsage -inf inf 3", "fault FieldValues -inf inf 3")


class Expected(NamedTuple):
    """What the reading must say; covered seconds and share of the truth with their tolerance."""

    world: tuple[str, ...]
    status: str
    reason: str
    covered_s: float
    share: float = 1.0
    detail: str = ""


ALL_S, HALF_S = END_S - START_S, FAULT_S - START_S
MIDWAY: dict[str, Expected] = {
    "healthy": Expected((), "measured", "", ALL_S),
    "reset": Expected((f"reset {FAULT_S}",), "partial", "counter-reset", ALL_S),
    "wrap": Expected(
        (f"wrap_j {WRAP_J}", f"base_j {WRAP_J - IDLE_W * FAULT_S - LOAD_W * HALF_S}"),
        "partial",
        "counter-reset",
        ALL_S,
    ),
    "lost": Expected((f"fault * {FAULT_S} inf 15",), "partial", "gpu-lost", HALF_S, 0.5),
    "counter lost": Expected((f"{ENERGY} {FAULT_S} inf 15",), "partial", "gpu-lost", HALF_S, 0.5),
    "not supported": Expected((f"{ENERGY} -inf inf 3",), "estimated", "", ALL_S, 1.0, "not-supported"),
    "frozen": Expected((f"freeze {START_S + 1}",), "partial", "frozen-counter", 1.0, 1 / 3),
    "frozen before": Expected((f"freeze {START_S - 0.3}",), "unavailable", "frozen-counter", 0.0),
    "zero": Expected(("zero",), "estimated", "", ALL_S, 1.0, "dead-counter"),
    "mig": Expected(("mig 1",), "measured", "", ALL_S, 1.0, "scope whole-gpu"),
    "no permission": Expected((f"{ENERGY} -inf inf 4",), "estimated", "", ALL_S, 1.0, "no-permission"),
    "passing timeout": Expected(
        (f"{ENERGY} {FAULT_S} {FAULT_S + 0.3} 10",), "partial", "timeout", ALL_S, 1.0
    ),
    "driver gone": Expected((f"fault * {FAULT_S} inf 1",), "partial", "driver-unloaded", HALF_S, 0.5),
    "driver back": Expected((f"fault * {FAULT_S} {FAULT_S + 0.4} 9",), "partial", "no-driver", ALL_S, 1.0),
    "implausible": Expected(("counter_gain 50",), "estimated", "", ALL_S, 1.0, "implausible"),
    "hangs": Expected((), "partial", "sensor-hangs", HALF_S, 0.5),
}
NAMES = tuple(MIDWAY)
HANGS = f"@{NAMES.index('hangs')} call_of TotalEnergyConsumption 60"

DEAD: dict[str, tuple[tuple[str, ...], str]] = {
    "neither": ((f"{ENERGY} -inf inf 3", *POWER), "not-supported"),
    "power of nothing": ((f"{ENERGY} -inf inf 3", "gain 0"), "not-supported"),
    "zero and power of nothing": (("zero", "gain 0"), "dead-counter"),
    "both implausible": (("counter_gain 50", "gain 50"), "implausible"),
    "nothing permitted": (("fault * -inf inf 4",), "no-permission"),
    "lost from the start": (("fault * -inf inf 15",), "gpu-lost"),
    "living": ((), ""),
}


def per_gpu(worlds: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(f"@{i} {line}" for i, lines in enumerate(worlds.values()) for line in lines)


def machine(folder: Any, worlds: Mapping[str, tuple[str, ...]]) -> Gpu:
    load = Segment(start_s=START_S, end_s=END_S, power_w=LOAD_W)
    return Gpu(
        folder=folder,
        t0_ns=time.monotonic_ns(),
        idle_w=IDLE_W,
        gpus=len(worlds),
        segments=(load,),
        extra=per_gpu(worlds),
    )


Measured = tuple[Gpu, dict[str, Any]]


@pytest.fixture(scope="module")
def midway(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    gpu = machine(tmp_path_factory.mktemp("gpu"), {name: e.world for name, e in MIDWAY.items()})
    child = gpus.begin(gpu, START_S, END_S)
    time.sleep(max(0.0, gpu.t0_ns / 1e9 + FAULT_S - time.monotonic()))
    gpu.add(HANGS)
    return gpu, gpus.end(child)


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_has_its_status_reason_and_covered_seconds(midway: Measured, name: str) -> None:
    reading, expected = gpus.process(midway[1], NAMES.index(name)), MIDWAY[name]
    assert (reading["status"], reading["reason"]) == (expected.status, expected.reason)
    assert reading["covered_s"] == pytest.approx(expected.covered_s, abs=0.35)


@pytest.mark.parametrize("name", NAMES)
def test_no_fault_makes_joules_up(midway: Measured, name: str) -> None:
    gpu, answer = midway
    reading, expected = gpus.process(answer, NAMES.index(name)), MIDWAY[name]
    truth = gpus.truth_j(gpu, reading, NAMES.index(name))
    if expected.status == "unavailable":
        assert reading["joules"] is None
        return
    assert reading["joules"] == pytest.approx(expected.share * truth, rel=0.12)
    assert reading["joules"] < 1.02 * truth
    if expected.share < 1:
        # Of the covered seconds we know the truth, too: the load ran evenly.
        assert reading["joules"] == pytest.approx((IDLE_W + LOAD_W) * reading["covered_s"], rel=0.12)


@pytest.mark.parametrize("name", [n for n, e in MIDWAY.items() if e.share == 1 and e.status != "unavailable"])
def test_bounds_hold_the_truth_where_all_of_it_was_covered(midway: Measured, name: str) -> None:
    gpu, answer = midway
    reading = gpus.process(answer, NAMES.index(name))
    truth = gpus.truth_j(gpu, reading, NAMES.index(name))
    if reading["lo_j"] is not None and reading["covered_s"] >= ALL_S - 0.001:
        assert reading["lo_j"] <= truth <= reading["hi_j"]
    else:
        assert reading["status"] != "measured"


@pytest.mark.parametrize("name", ["counter lost", "frozen", "frozen before"])
def test_where_the_counter_died_the_power_still_tells_what_was_missed(midway: Measured, name: str) -> None:
    gpu, answer = midway
    reading = gpus.process(answer, NAMES.index(name))
    truth = gpus.truth_j(gpu, reading, NAMES.index(name))
    assert reading["power_j"] == pytest.approx(truth, rel=0.1)


@pytest.mark.parametrize("name", [n for n, e in MIDWAY.items() if e.detail])
def test_the_channel_says_what_is_special_about_it(midway: Measured, name: str) -> None:
    channel = midway[1]["channels"][NAMES.index(name)]
    assert MIDWAY[name].detail in channel["detail"]
    assert channel["kind"] == ("model" if MIDWAY[name].status == "estimated" else "direct")
    assert (channel["average_s"] > 0) == (channel["source"] == "nvml-power-average")


def test_a_call_that_hangs_holds_up_neither_the_other_gpus_nor_the_end(midway: Measured) -> None:
    assert midway[1]["stopped_s"] < 2.5
    assert gpus.process(midway[1], NAMES.index("healthy"))["status"] == "measured"


def test_power_limit_is_told(midway: Measured) -> None:
    assert all(c["limit_w"] == 700 and "power limit 700 W" in c["detail"] for c in midway[1]["channels"])


def test_a_gpu_that_is_dead_from_the_start_hides_no_other(tmp_path_factory: pytest.TempPathFactory) -> None:
    gpu = machine(tmp_path_factory.mktemp("gpu"), {name: world for name, (world, _) in DEAD.items()})
    answer = gpus.end(gpus.begin(gpu, START_S, START_S + 0.5))
    told = {
        name: (channel["alive"], channel["reason"])
        for name, channel in zip(DEAD, answer["channels"], strict=True)
    }
    assert told == {name: (not reason, reason) for name, (_, reason) in DEAD.items()}
    assert {reading["channel"] for reading in answer["readings"]} == {f"gpu:{gpus.uuid(len(DEAD) - 1)}"}


def test_a_meter_that_was_stopped_for_a_second_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    gpu = machine(tmp_path_factory.mktemp("gpu"), {"counter": (), "power": (f"{ENERGY} -inf inf 3",)})
    child = gpus.begin(gpu, START_S, END_S)
    time.sleep(max(0.0, gpu.t0_ns / 1e9 + FAULT_S - time.monotonic()))
    child.send_signal(signal.SIGSTOP)
    time.sleep(1.2)
    child.send_signal(signal.SIGCONT)
    answer = gpus.end(child)
    for index in range(2):
        faults = answer["faults"][f"gpu:{gpus.uuid(index)}"]
        assert [d for _, code, d in faults if code == "starved" and float(d.split()[3]) > 1.1]
    counter, power = gpus.process(answer, 0), gpus.process(answer, 1)
    truth = gpus.truth_j(gpu, counter)
    assert (counter["status"], counter["reason"]) == ("measured", ""), "a counter counts on unseen"
    assert counter["lo_j"] <= truth <= counter["hi_j"]
    assert counter["joules"] == pytest.approx(truth, rel=0.02)
    assert (power["status"], power["reason"]) == ("partial", "starved")
    assert power["covered_s"] == pytest.approx(ALL_S - 1.2, abs=0.4)
    assert power["joules"] == pytest.approx((IDLE_W + LOAD_W) * power["covered_s"], rel=0.2)
