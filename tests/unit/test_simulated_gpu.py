"""Energy and power of the simulated NVML are what its closed form says, in virtual time."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulated.ask import ENERGY, POWER, answers, made
from tests.simulated.hardware import (
    GEFORCE,
    H100,
    PESSIMISTIC,
    Burst,
    Counter,
    Drift,
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
