"""Calls of the simulated NVML fail, last and tell of processes, clocks and limits as its world says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT
from tests.simulated.ask import ENERGY, INIT, POWER, answers, made
from tests.simulated.hardware import Counter, Fault, Gpu, Segment, lost, without_counter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.compiler
STEP = Segment(start_s=1.0, end_s=60.0, power_w=300.0)

# --- calls ------------------------------------------------------------------------------------------


def test_a_fault_has_its_function_its_time_and_its_gpu(tmp_path: Path) -> None:
    faults = (
        Fault(name="TotalEnergyConsumption", code=15, start_s=2, end_s=3, gpu=1),
        Fault(name="FieldValue186", code=3),
        Fault(name="*", code=16, start_s=9),
    )
    gpu = made(tmp_path, gpus=2, faults=faults)
    fields = "nvmlDeviceGetFieldValues"
    calls: list[list[Any]] = [[2.5, ENERGY, 0], [2.5, ENERGY, 1], [3.5, ENERGY, 1], [2.5, POWER, 1]]
    found = answers(gpu, [*calls, [1, fields, 0, [186]], [9.5, POWER, 0], [9.5, "nvmlDeviceGetCount"]])
    assert found[1] == {"error": 15}
    assert all(isinstance(found[i], int) for i in (0, 2, 3))
    assert found[4][0]["code"] == 3
    assert found[5:] == [{"error": 16}, 2]


def test_a_lost_gpu_and_a_missing_counter_are_so_by_every_way(tmp_path: Path) -> None:
    gpu = made(tmp_path, faults=(*without_counter(), lost(9)))
    before, fields, after, count = answers(
        gpu,
        [
            [1, ENERGY, 0],
            [1, "nvmlDeviceGetFieldValues", 0, [83, 186]],
            [9.5, "nvmlDeviceGetMemoryInfo", 0],
            [9.5, "nvmlDeviceGetCount"],
        ],
    )
    assert before == {"error": 3}
    assert [field["code"] for field in fields] == [3, 0]
    assert (after, count) == ({"error": 15}, 1)


def test_without_a_world_there_is_no_driver_and_before_init_nothing(tmp_path: Path) -> None:
    gpu = made(tmp_path)
    environment = {**gpu.install(), "SIMULATED_NVML": "/nonexistent"}
    found = answers(gpu, [INIT, [None, "nvmlDeviceGetCount"]], environment)
    assert found == [{"error": 9}, {"error": 1}]


def test_a_fault_can_be_added_while_the_hardware_is_in_use(tmp_path: Path) -> None:
    gpu = made(tmp_path)
    environment = {**os.environ, **gpu.install(), "PYTHONPATH": str(ROOT)}
    code = (
        "import sys, pynvml\npynvml.nvmlInit()\nh = pynvml.nvmlDeviceGetHandleByIndex(0)\n"
        "for line in sys.stdin:\n"
        "    try:\n        print(pynvml.nvmlDeviceGetPowerUsage(h), flush=True)\n"
        "    except pynvml.NVMLError as e:\n        print(e, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=-1, stdout=-1, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        said = []
        for _ in range(2):
            child.stdin.write("\n")
            child.stdin.flush()
            said.append(child.stdout.readline().strip())
            gpu.add("fault PowerUsage -inf inf 15")
        child.stdin.close()
    assert said == ["60000", "GPU is lost"]


def test_calls_take_their_time_and_tell_of_the_moment_asked_for(tmp_path: Path) -> None:
    for share, joules in (("1", 60.6), ("0", 60.0), ("0.5", 60.3)):
        (tmp_path / share).mkdir()
        extra = ("call_of TotalEnergyConsumption 0.01", f"call_at {share}")
        gpu = made(tmp_path / share, call_s=0.002, tick_s=1e-6, extra=extra, counter=Counter(base_j=0.0))
        (value,) = answers(gpu, [[1.0, ENERGY, 0]])
        assert value / 1000 == pytest.approx(joules, abs=0.002)


def test_call_times_of_a_real_clock_are_spread_as_told(tmp_path: Path) -> None:
    gpu = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), call_s=0.004, call_jitter_s=0.01)
    code = (
        "import time, pynvml\npynvml.nvmlInit()\nh = pynvml.nvmlDeviceGetHandleByIndex(0)\n"
        "for _ in range(30):\n    t = time.monotonic()\n    pynvml.nvmlDeviceGetPowerUsage(h)\n"
        "    print(time.monotonic() - t)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **gpu.install()}, capture_output=True, text=True
    )
    times = sorted(float(line) for line in done.stdout.split())
    assert len(times) == 30, done.stderr
    assert times[0] >= 0.004
    assert times[20] - times[5] > 0.002
    assert times[10] < 0.014


# --- what else a GPU tells ----------------------------------------------------------------------------


def test_gpus_are_told_apart_by_uuid_and_say_that_they_are_simulated(tmp_path: Path) -> None:
    gpu = made(tmp_path, gpus=2)
    first, second, driver, missing = answers(
        gpu,
        [
            [0, "nvmlDeviceGetUUID", 0],
            [0, "nvmlDeviceGetUUID", 1],
            [0, "nvmlSystemGetDriverVersion"],
            [0, "nvmlDeviceGetHandleByUUID", "GPU-none"],
        ],
    )
    assert first != second
    assert first.startswith("GPU-")
    assert driver.startswith("simulated")
    assert missing == {"error": 6}


def test_processes_and_their_shares_come_from_live_work(tmp_path: Path) -> None:
    gpu = made(tmp_path, extra=("process 999 1000000 0 20 5", "activity_bytes 2000000"))
    environment = gpu.install()
    lines = [
        f"B {gpu.t0_ns + 10**9} 7 200",
        f"B {gpu.t0_ns + 5 * 10**9} 8 100",
        f"E {gpu.t0_ns + 8 * 10**9} 7",
    ]
    gpu.activity.write_text("\n".join(lines) + "\n")
    listed, used = "nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetProcessUtilization"
    both, alone, shares, later, none, util = answers(
        gpu,
        [
            [6, listed, 0],
            [9, listed, 0],
            [6, used, 0, 0],
            [6.01, used, 0, 2**62],
            [30, listed, 0],
            [2, "nvmlDeviceGetUtilizationRates", 0],
        ],
        environment,
    )
    assert [(p["pid"], p["usedGpuMemory"]) for p in both] == [(999, 10**6), (7, 2 * 10**6), (8, 2 * 10**6)]
    assert [p["pid"] for p in alone] == [999, 8]
    assert [(p["pid"], p["smUtil"]) for p in shares] == [(999, 5), (7, 67), (8, 33)]
    assert later == {"error": 6}
    assert [p["pid"] for p in none] == [8]
    assert util["gpu"] == 100


def test_a_dead_process_is_written_off_by_whoever_reads_the_gpu(tmp_path: Path) -> None:
    gpu = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns())
    environment = gpu.install()
    gpu.activity.write_text(f"L {time.monotonic_ns()} 4194305 200\n")  # beyond the largest pid of Linux
    assert answers(gpu, [[None, POWER, 0]], environment) == [60_000]
    assert gpu.activity.read_text().splitlines()[1].startswith("E ")


def test_clocks_reasons_and_temperature_follow_the_power(tmp_path: Path) -> None:
    gpu = made(tmp_path, segments=(STEP,), extra=("throttle 40 50 32", "limits 100 300 400"))
    reasons, clock, heat = (
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetClockInfo",
        "nvmlDeviceGetTemperature",
    )
    found = answers(
        gpu,
        [
            *([0.5, reasons, 0], [0.5, clock, 0, 1], [0.5, heat, 0, 0]),
            *([39, reasons, 0], [45, reasons, 0], [45, clock, 0, 1], [45, heat, 0, 0]),
        ],
    )
    assert found == [1, 345, 36, 4, 36, 1386, 66]


def test_a_power_limit_holds_for_every_process_and_within_its_constraints(tmp_path: Path) -> None:
    gpu = made(tmp_path, extra=("limits 100 700 700",))
    environment = gpu.install()
    limit, put = "nvmlDeviceGetPowerManagementLimit", "nvmlDeviceSetPowerManagementLimit"
    calls: list[list[Any]] = [[0, limit, 0], [0, put, 0, 50_000], [0, put, 0, 250_000]]
    assert answers(gpu, calls, environment) == [700_000, {"error": 2}, None]
    assert answers(gpu, [[0, "nvmlDeviceGetEnforcedPowerLimit", 0]], environment) == [250_000]
    smi = [str(tmp_path / "nvidia-smi")]
    subprocess.run([*smi, "-pl", "300"], env={**os.environ, **environment}, check=True, stdout=-3)
    assert answers(gpu, [[0, limit, 0]], environment) == [300_000]


def test_clocks_can_be_locked_and_the_kind_of_gpu_chosen(tmp_path: Path) -> None:
    gpu = made(tmp_path, segments=(STEP,), name="Simulated A100", arch=7)
    clock, lock = "nvmlDeviceGetClockInfo", "nvmlDeviceSetGpuLockedClocks"
    found = answers(
        gpu,
        [
            *([2, "nvmlDeviceGetName", 0], [2, "nvmlDeviceGetArchitecture", 0]),
            *([2, "nvmlDeviceGetSupportedMemoryClocks", 0], [2, lock, 0, 345, 1000], [2, clock, 0, 1]),
            *([2, "nvmlDeviceResetGpuLockedClocks", 0], [2, clock, 0, 1]),
        ],
    )
    assert found == ["Simulated A100", 7, [2619, 1593], None, 1000, None, 1980]


def test_a_part_of_a_gpu_has_no_energy_of_its_own(tmp_path: Path) -> None:
    gpu = made(tmp_path, extra=("mig 1",))
    code = (
        "import pynvml as n\nn.nvmlInit()\nh = n.nvmlDeviceGetHandleByIndex(0)\n"
        "print(n.nvmlDeviceGetMigMode(h))\nm = n.nvmlDeviceGetMigDeviceHandleByIndex(h, 1)\n"
        "print(n.nvmlDeviceGetUUID(m))\n"
        "try:\n    n.nvmlDeviceGetTotalEnergyConsumption(m)\nexcept n.NVMLError as e:\n    print(e)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **gpu.install()}, capture_output=True, text=True
    )
    mode, uuid, energy = done.stdout.splitlines()
    assert (mode, energy) == ("[1, 1]", "Not Supported")
    assert uuid.startswith("MIG-")
    assert answers(made(tmp_path), [[0, "nvmlDeviceGetMigMode", 0]]) == [{"error": 3}]
