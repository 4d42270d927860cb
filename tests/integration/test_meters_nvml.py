"""The NVML meter on simulated GPUs whose energy is known in closed form.

One machine with a GPU of each kind, all under the same load from second 5.0 to 6.5; a child process (the
library is found by its environment) measures them all at once, as it would several real ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests import gpus
from tests.simulated.hardware import Gpu, Segment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.compiler

START_S, END_S = 5.0, 6.5
STEADY = Segment(start_s=START_S, end_s=END_S, power_w=300.0)
BURSTS = Segment(start_s=START_S, end_s=END_S, power_w=400.0, period_s=0.13, duty=0.35)
NO_COUNTER = "fault TotalEnergyConsumption -inf inf 3"
KINDS: dict[str, tuple[str, ...]] = {
    "steady": (),
    "bursts": (),
    "fast": ("tick_s 0.02", "phase_s 0.0037"),
    "slow calls": ("call_of GetTotalEnergyConsumption 0.02",),
    "jitter": ("jitter_s 0.02 7",),
    "no temperature": ("fault GetTemperature -inf inf 3",),
    "averaged": (NO_COUNTER,),
    "averaged usage": (NO_COUNTER, "fault FieldValues -inf inf 3", "usage average"),
    "old": (NO_COUNTER, "fault FieldValues -inf inf 3", "fault GetArchitecture -inf inf 3"),
    "crowded": (
        "process 4242 1000000 -inf 4.6 10",
        "process 4243 2000000 5.1 inf 80",
    ),
    "slow counter": ("tick_s 0.4",),
}
NAMES = tuple(KINDS)
COUNTED = ("steady", "bursts", "fast", "slow calls", "jitter", "no temperature", "crowded", "slow counter")
GAUGES = {
    "power_w", "power_average_w", "temperature_c", "utilization_percent", "memory_used_bytes", "clock_sm_hz",
    "clock_memory_hz", "throttle_reasons", "call_s",
}  # fmt: skip
Measured = tuple[Gpu, dict[str, Any]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    extra = tuple(f"@{i} {line}" for i, lines in enumerate(KINDS.values()) for line in lines)
    each = {i: (BURSTS if name == "bursts" else STEADY,) for i, name in enumerate(NAMES)}
    gpu = Gpu(
        folder=tmp_path_factory.mktemp(
            "gpu",
        ),
        t0_ns=time.monotonic_ns(),
        gpus=len(KINDS),
        each=each,
        extra=extra,
    )
    return gpu, gpus.end(gpus.begin(gpu, START_S, END_S))


def reading(measured: Measured, name: str) -> tuple[float, dict[str, Any]]:
    """The truth and the reading of the process window."""
    index = NAMES.index(name)
    found = gpus.process(measured[1], index)
    return gpus.truth_j(measured[0], found, index), found


@pytest.mark.parametrize("name", COUNTED)
def test_a_known_energy_is_measured_within_its_bounds(measured: Measured, name: str) -> None:
    truth, found = reading(measured, name)
    assert (found["status"], found["reason"]) == ("measured", "")
    assert found["lo_j"] <= truth <= found["hi_j"]
    assert found["lo_j"] <= found["joules"] <= found["hi_j"]
    assert found["source"] == "nvml-counter"


@pytest.mark.parametrize("name", ["steady", "bursts", "fast", "no temperature", "crowded"])
def test_resolved_edges_come_close_to_the_truth(measured: Measured, name: str) -> None:
    truth, found = reading(measured, name)
    if measured[1]["idle"][found["channel"]] is None:
        # Too busy a machine for an idle baseline before the load: then the bracket is all there is.
        assert found["method"] == "linear-edges"
    else:
        assert found["method"] == "resolved-edges"
        assert found["joules"] == pytest.approx(truth, rel=0.02)


def test_bounds_are_those_of_a_tick_or_two_at_each_end_and_no_more(measured: Measured) -> None:
    _, found = reading(measured, "steady")
    assert (found["hi_j"] - found["lo_j"]) / 2 <= 0.09 * found["joules"]


def test_epochs_add_up_and_hold_the_truth(measured: Measured) -> None:
    gpu, answer = measured
    channel = f"gpu:{gpus.uuid(0)}"
    epochs = [
        r for r in answer["readings"] if r["window"]["name"].startswith("epoch:") and r["channel"] == channel
    ]
    assert len(epochs) == 4
    for epoch in epochs:
        assert epoch["status"] == "measured"
        assert epoch["lo_j"] <= gpus.truth_j(gpu, epoch) <= epoch["hi_j"]
    total, whole = sum(r["joules"] for r in epochs), reading(measured, "steady")[1]
    assert whole["lo_j"] <= total <= whole["hi_j"]


@pytest.mark.parametrize(("name", "tick_s"), [("steady", 0.1), ("fast", 0.02), ("slow counter", 0.4)])
def test_every_gpu_is_a_channel_by_its_uuid_and_knows_its_tick(
    measured: Measured, name: str, tick_s: float
) -> None:
    channels = measured[1]["channels"]
    assert [c["id"] for c in channels] == [f"gpu:{gpus.uuid(i)}" for i in range(len(KINDS))]
    assert channels[NAMES.index(name)]["tick_s"] == pytest.approx(tick_s, rel=0.3)


def test_it_polls_long_enough_before_and_after_for_the_slowest_gpu(measured: Measured) -> None:
    assert measured[1]["lead_s"] == pytest.approx(6 * 0.4, rel=0.3)
    assert measured[1]["tail_s"] == pytest.approx(5.5 * 0.4, rel=0.3)


def test_gauges_are_recorded_and_those_unknown_are_left_out(measured: Measured) -> None:
    gauges = measured[1]["gauges"]
    assert set(gauges[f"gpu:{gpus.uuid(0)}"]) == GAUGES
    assert set(gauges[f"gpu:{gpus.uuid(NAMES.index('no temperature'))}"]) == GAUGES - {"temperature_c"}


def test_gauges_say_what_the_gpu_did(measured: Measured) -> None:
    gpu, answer = measured
    gauges = answer["gauges"][f"gpu:{gpus.uuid(0)}"]
    start, end = (gpu.t0_ns + int(s * 1e9) for s in (START_S, END_S))
    inside = {name: [v for t, v in points if start < t < end] for name, points in gauges.items()}
    assert set(inside["power_w"]) == {360.0}
    assert len(inside["power_w"]) >= 4
    assert max(inside["utilization_percent"]) == 100
    assert inside["clock_sm_hz"][-1] == 1980e6
    assert min(value for _, value in gauges["power_w"]) == 60.0


def test_how_long_calls_take_is_recorded(measured: Measured) -> None:
    gauges = measured[1]["gauges"]
    slow = [value for _, value in gauges[f"gpu:{gpus.uuid(NAMES.index('slow calls'))}"]["call_s"]]
    assert slow[-1] == pytest.approx(0.02, rel=0.5)
    assert [value for _, value in gauges[f"gpu:{gpus.uuid(0)}"]["call_s"]][-1] < 0.005


@pytest.mark.parametrize(
    ("name", "source", "average_s"),
    [
        ("averaged", "nvml-power-average", 1.0),
        ("averaged usage", "nvml-power", 1.0),
        ("old", "nvml-power", 0.0),
    ],
)
def test_without_a_counter_power_is_summed_and_called_an_estimate(
    measured: Measured, name: str, source: str, average_s: float
) -> None:
    truth, found = reading(measured, name)
    channel = measured[1]["channels"][NAMES.index(name)]
    assert (found["status"], found["source"]) == ("estimated", source)
    assert (channel["kind"], channel["average_s"]) == ("model", average_s)
    assert found["joules"] == pytest.approx(truth, rel=0.05)
    if found["lo_j"] is not None:
        assert found["lo_j"] <= truth <= found["hi_j"]


def test_every_process_on_a_gpu_is_witnessed_with_its_share(measured: Measured) -> None:
    gpu, answer = measured
    seen = {p["pid"]: p for p in answer["processes"]}
    assert set(seen) == {4242, 4243}
    assert {p["channel"] for p in seen.values()} == {f"gpu:{gpus.uuid(NAMES.index('crowded'))}"}
    assert (seen[4242]["memory_bytes"], seen[4243]["memory_bytes"]) == (1000000, 2000000)
    assert seen[4242]["last_ns"] < gpu.t0_ns + int(START_S * 1e9) < seen[4243]["first_ns"]
    assert {share for _, share in seen[4243]["sm_percent"]} == {80.0}
    for t_ns, _ in seen[4243]["sm_percent"]:
        assert gpu.t0_ns + int(START_S * 1e9) < t_ns <= time.monotonic_ns(), "shares are told in our own time"


def test_a_staircase_is_kept_without_its_flat_parts(measured: Measured) -> None:
    samples = measured[1]["samples"][f"gpu:{gpus.uuid(0)}"]
    assert samples < 2.5 * (measured[1]["lead_s"] + END_S - START_S + measured[1]["tail_s"]) / 0.1


def probe_alone(folder: Path, **world: Any) -> list[list[Any]]:
    """Id, life and reason of every channel of another machine."""
    code = (
        "import json; from energy_plugin.meters.nvml import NvmlMeter\n"
        "print(json.dumps([[c.id, c.alive, c.reason] for c in NvmlMeter(probe_timeout_s=2).probe()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=gpus.ROOT,
        env={**os.environ, **Gpu(folder=folder, t0_ns=time.monotonic_ns(), **world).install()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        ({"gpus": 0}, "no-gpu"),
        ({"extra": ("fault InitWithFlags -inf inf 9",)}, "no-driver"),
        ({"extra": ("fault InitWithFlags -inf inf 4",)}, "no-permission"),
        ({"extra": ("call_of GetCount_v2 60",)}, "sensor-hangs"),
    ],
)
def test_a_machine_without_gpus_or_driver_has_one_dead_channel(
    tmp_path: Path, world: dict[str, Any], reason: str
) -> None:
    assert probe_alone(tmp_path, **world) == [["gpu", False, reason]]


def test_a_gpu_whose_driver_hangs_hides_no_other(tmp_path: Path) -> None:
    found = probe_alone(tmp_path, gpus=2, extra=("@0 call_of GetTotalEnergyConsumption 60",))
    assert found == [[f"gpu:{gpus.uuid(0)}", False, "sensor-hangs"], [f"gpu:{gpus.uuid(1)}", True, ""]]
