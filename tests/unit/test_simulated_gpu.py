"""The simulated NVML says through the unmodified nvidia-ml-py what its closed form says, in virtual time."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT
from tests.simulated.hardware import (
    GEFORCE,
    H100,
    PESSIMISTIC,
    Burst,
    Counter,
    Drift,
    Fault,
    Gpu,
    Ramp,
    Segment,
    Sensor,
    Sine,
    Swing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.compiler

# Answers calls [second, function, arguments ...] of standard input; handles stand for GPU numbers.
ASK = """
import ctypes, json, sys
from tests.simulated.gpu import VirtualClock
from pathlib import Path
import pynvml
clock = VirtualClock(Path(sys.argv[1])) if sys.argv[1] else None
t0 = int(sys.argv[2])
def plain(value):
    if isinstance(value, (list, tuple, ctypes.Array)):
        return [plain(v) for v in value]
    if hasattr(value, "_fields_"):
        if hasattr(value, "fieldId"):
            number = value.value.ullVal if value.valueType == 3 else value.value.uiVal
            return {"id": value.fieldId, "code": value.nvmlReturn, "value": number}
        return {name: plain(getattr(value, name)) for name, *_ in value._fields_}
    if hasattr(value, "__dict__"):
        return {k: plain(v) for k, v in vars(value).items()}
    return value
def ask(second, name, *arguments):
    if clock is not None and second is not None:
        clock.set(t0 + round(second * 1e9))
    try:
        if arguments and isinstance(arguments[0], int) and name.startswith("nvmlDevice"):
            handle = pynvml.nvmlDeviceGetHandleByIndex(arguments[0])
            if second is not None and clock is not None:
                clock.set(t0 + round(second * 1e9))
            return plain(getattr(pynvml, name)(handle, *arguments[1:]))
        return plain(getattr(pynvml, name)(*arguments))
    except pynvml.NVMLError as error:
        return {"error": error.value}
print(json.dumps([ask(*call) for call in json.load(sys.stdin)]))
"""
ENERGY = "nvmlDeviceGetTotalEnergyConsumption"
POWER = "nvmlDeviceGetPowerUsage"
INIT = [None, "nvmlInit"]


def answers(gpu: Gpu, calls: Sequence[Sequence[Any]], environment: dict[str, str] | None = None) -> list[Any]:
    """What nvidia-ml-py returns for each of *calls*, after nvmlInit."""
    told = environment or gpu.install()
    command = [sys.executable, "-c", ASK, told.get("SIMULATED_CLOCK", ""), str(gpu.t0_ns)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **told, "PYTHONPATH": str(ROOT)},
        input=json.dumps([INIT, *calls]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    _, *found = json.loads(done.stdout)
    return list(found)


def made(folder: Path, **arguments: Any) -> Gpu:
    return Gpu(folder=folder, t0_ns=1_000_000_000_000, virtual=True, **arguments)


STEP = Segment(start_s=1.0, end_s=60.0, power_w=300.0)
EVERY = (
    Burst(start_s=1, end_s=50, power_w=400, on_s=0.045, period_s=0.13, jitter_s=0.05, seed=3),
    Ramp(start_s=2, end_s=9, from_w=10, to_w=100),
    Sine(start_s=3, end_s=7, power_w=50, amplitude_w=20, period_s=0.7),
    Segment(start_s=4, end_s=8, power_w=100, period_s=0.2, duty=0.3),
    Drift(rate_w_s=0.5, start_s=1, end_s=6),
    Swing(amplitude_w=5, period_s=4),
)


# --- energy -----------------------------------------------------------------------------------------


def test_the_counter_of_every_trace_is_the_closed_form(tmp_path: Path) -> None:
    gpu = made(tmp_path, segments=EVERY, tick_s=1e-6, counter=Counter(base_j=0.0))
    moments = [0.5, 1.07, 2.5, 3.3, 4.1, 5.77, 7.7, 20.01, 70.0]
    for second, millijoules in zip(moments, answers(gpu, [[s, ENERGY, 0] for s in moments]), strict=True):
        truth = gpu.energy_j(gpu.t0_ns, gpu.t0_ns + round(second * 1e9))
        assert millijoules / 1000 == pytest.approx(truth, abs=0.005)


def test_exact_power_is_the_slope_of_the_energy(tmp_path: Path) -> None:
    gpu = made(tmp_path, segments=EVERY)
    moments = [k * 0.0917 + 0.003 for k in range(100)]
    for second, milliwatts in zip(moments, answers(gpu, [[s, POWER, 0] for s in moments]), strict=True):
        a = gpu.t0_ns + round(second * 1e9)
        slope_w = gpu.energy_j(a - 1000, a + 1000) / 2e-6
        assert milliwatts / 1000 == pytest.approx(slope_w, abs=0.1), second


def test_live_work_of_each_gpu_is_its_own(tmp_path: Path) -> None:
    gpu = made(tmp_path, gpus=2, tick_s=1e-6, counter=Counter(base_j=0.0))
    environment = gpu.install()
    lines = [f"B {gpu.t0_ns + 10**9} 7 200", f"B {gpu.t0_ns} 8 50 1", f"E {gpu.t0_ns + 3 * 10**9} 7"]
    gpu.activity.write_text("\n".join(lines) + "\n")
    found = answers(gpu, [[5, ENERGY, 0], [5, ENERGY, 1]], environment)
    assert found == [pytest.approx(5 * 60_000 + 400_000, abs=2), pytest.approx(5 * 60_000 + 250_000, abs=2)]
    assert gpu.energy_j(gpu.t0_ns, gpu.t0_ns + 5 * 10**9, gpu=1) == pytest.approx(550)


def staircase(gpu: Gpu, seconds: float = 6.0) -> list[tuple[float, float]]:
    """Second and joules of every step, polled each millisecond."""
    moments = [2 + k / 1000 for k in range(round(seconds * 1000))]
    values = [v / 1000 for v in answers(gpu, [[s, ENERGY, 0] for s in moments])]
    pairs = itertools.pairwise(zip(moments, values, strict=True))
    return [(t, new) for (_, old), (t, new) in pairs if new != old]


def test_a_counter_ticks_and_lags_as_told_with_its_seeded_jitter(tmp_path: Path) -> None:
    counter = Counter(base_j=0.0, jitter_s=0.02, lag_s=0.03, lag_jitter_s=0.01, phase_s=0.007, seed=4)
    gpu = made(tmp_path, idle_w=100.0, counter=counter)
    steps = staircase(gpu)
    assert len(steps) in (59, 60, 61)
    late, jitter = [], []
    for shown_s, joules in steps:
        taken_s = joules / 100.0  # at 100 W a value tells when it was taken
        late.append(shown_s - taken_s)
        jitter.append((taken_s - 0.007) % 0.1)
    assert 0.03 - 1e-4 <= min(late) < max(late) <= 0.041 + 1e-4
    assert max(late) - min(late) > 0.004
    assert 0 <= min(jitter) < max(jitter) <= 0.02 + 1e-4
    assert max(jitter) - min(jitter) > 0.01
    assert staircase(gpu) == steps, "another process sees other hardware"


def test_the_pessimistic_counter_sees_its_own_quarter_of_the_time_only(tmp_path: Path) -> None:
    # Work of 25 ms in every 100 ms: wholly inside the samples, or wholly outside them.
    for start_s, seen_w in ((0.975, 400.0), (1.0, 0.0)):
        work = Segment(start_s=start_s, end_s=40, power_w=400.0, period_s=0.1, duty=0.25)
        folder = tmp_path / str(start_s)
        folder.mkdir()
        gpu = made(folder, segments=(work,), counter=PESSIMISTIC)
        first, last = answers(gpu, [[5.05, ENERGY, 0], [25.05, ENERGY, 0]])
        assert (last - first) / 1000 == pytest.approx((60 + seen_w) * 20, rel=1e-3)
        assert gpu.energy_j(gpu.t0_ns, gpu.t0_ns + 20 * 10**9) < 20 * 60 + 20 * 101


@pytest.mark.parametrize(
    ("extra", "counter", "expected"),
    [
        # 60 J a second, read at 2, 3.05 and 5 s
        (("freeze 2.5",), {}, [120, 150, 150]),
        (("freeze 2.5 4",), {}, [120, 150, 300]),
        (("reset 2.5",), {}, [1120, 30, 150]),
        (("reset 2.5", "reset 4"), {}, [1120, 30, 60]),
        (("zero",), {}, [0, 0, 0]),
        ((), {"wrap_j": 1200.0}, [1120, 1180, 100]),
        ((), {"gain": 1.1}, [1132, 1198, 1330]),
    ],
)
def test_a_counter_fails_as_told(
    tmp_path: Path, extra: tuple[str, ...], counter: dict[str, Any], expected: list[float]
) -> None:
    base_j = 0.0 if extra and extra[0].startswith("freeze") else 1000.0
    gpu = made(tmp_path, counter=Counter(base_j=base_j, **counter), extra=extra, tick_s=0.1)
    found = answers(gpu, [[2.01, ENERGY, 0], [3.05, ENERGY, 0], [5.01, ENERGY, 0]])
    assert [value / 1000 for value in found] == pytest.approx(expected, abs=0.01)


# --- power ------------------------------------------------------------------------------------------


def powers(gpu: Gpu, moments: Sequence[float]) -> list[float]:
    return [value / 1000 for value in answers(gpu, [[s, POWER, 0] for s in moments])]


def test_an_averaging_sensor_climbs_for_a_second_and_a_fast_one_does_not(tmp_path: Path) -> None:
    for name, sensor in (("slow", H100), ("fast", Sensor(period_s=0.1, window_s=0.025))):
        (tmp_path / name).mkdir()
        gpu = made(tmp_path / name, segments=(STEP,), sensor=sensor)
        found = powers(gpu, [0.95, 1.25, 1.55, 2.05, 3.05])
        expected = [60, 120, 210, 360, 360] if name == "slow" else [60, 360, 360, 360, 360]
        assert found == pytest.approx(expected, abs=0.01)


def test_instant_and_averaged_power_are_fields_of_their_own(tmp_path: Path) -> None:
    gpu = made(tmp_path, segments=(STEP,), sensor=GEFORCE, counter=Counter(base_j=0.0))
    ((energy, average, instant, memory),) = answers(
        gpu, [[1.55, "nvmlDeviceGetFieldValues", 0, [83, 185, 186, [186, 2]]]]
    )
    assert (energy["code"], energy["value"]) == (0, pytest.approx(1500 * 60 + 150_000, abs=2))
    assert (average["code"], average["value"]) == (0, pytest.approx(210_000, abs=2))
    assert (instant["code"], instant["value"]) == (0, 360_000)
    assert memory["code"] == 3


def test_an_average_of_samples_is_blind_between_them(tmp_path: Path) -> None:
    work = Segment(start_s=1.0, end_s=40, power_w=400.0, period_s=0.1, duty=0.5)  # samples see 75 to 100 ms
    for of, seen_w in (("true", 200.0), ("samples", 0.0)):
        (tmp_path / of).mkdir()
        sensor = Sensor(period_s=0.1, window_s=0.025, average_period_s=0.1, of=of, usage="average")
        gpu = made(tmp_path / of, segments=(work,), sensor=sensor)
        assert powers(gpu, [10.03]) == pytest.approx([60 + seen_w], abs=0.01)


def test_a_sensor_has_gain_offset_steps_and_seeded_noise(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "noisy").mkdir()
    plain = made(tmp_path / "plain", sensor=Sensor(gain=1.05, offset_w=2.0, step_w=0.5))
    assert powers(plain, [3.0]) == [65.0]
    noisy = made(tmp_path / "noisy", sensor=Sensor(period_s=0.1, noise_w=3.0, seed=2))
    moments = [1 + k / 10 + 0.05 for k in range(200)]
    found = powers(noisy, moments)
    mean = sum(found) / len(found)
    deviation = (sum((p - mean) ** 2 for p in found) / len(found)) ** 0.5
    assert mean == pytest.approx(60, abs=1)
    assert deviation == pytest.approx(3, rel=0.2)
    assert powers(noisy, moments) == found


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
