"""Estimators against meters: pairs run by run, and what is no evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from causal_report import agreement
from causal_report.sources import load
from tests.report import tables

if TYPE_CHECKING:
    from causal_report.findings.metering import Agreement


def _reading(run: int, meter: str, channel: str, joules: float | None, **changes: Any) -> dict[str, Any]:
    direct = meter in ("perf", "nvml")
    return {
        "experiment_id": f"run{run}",
        "meter": meter,
        "channel": channel,
        "window": "process",
        "program": "a",
        "status": "measured" if direct else "estimated",
        "joules": joules,
        "source": "rapl-pmu" if direct else "load-model",
        "kind": "direct" if direct else "model",
        **changes,
    }


def _compare(readings: list[dict[str, Any]]) -> dict[tuple[str, str], Agreement]:
    source = replace(tables.source(tables.rows(4)), readings=tuple(readings))
    usable = {("run_made", str(r["experiment_id"])) for r in readings}
    return {(a.estimator, a.part): a for a in agreement.compare([source], usable, seed=0)}


def test_a_known_bias_is_found_with_its_interval() -> None:
    rng = np.random.default_rng(3)
    readings = []
    for run in range(40):
        true = float(rng.uniform(50, 500))
        readings.append(_reading(run, "perf", "cpu:package:0", true))
        readings.append(_reading(run, "codecarbon", "cpu", true * 1.3 * float(np.exp(0.1 * rng.normal()))))
    found = _compare(readings)["codecarbon", "cpu"]
    assert found.n == 40
    assert found.bias_lo_pct is not None
    assert found.bias_hi_pct is not None
    assert found.bias_lo_pct < 30.65 < found.bias_hi_pct  # 1.3 × exp(0.1² / 2)
    assert found.loa_lo_pct is not None
    assert found.loa_hi_pct is not None
    assert found.loa_lo_pct == pytest.approx(7, abs=6)  # 1.3 × exp(∓1.96 × 0.1)
    assert found.loa_hi_pct == pytest.approx(58, abs=8)


def test_parts_are_compared_with_their_own_parts() -> None:
    readings = []
    for run in range(5):
        readings += [
            _reading(run, "perf", "cpu:package:0", 100.0),
            _reading(run, "perf", "cpu:dram:0", 10.0),
            _reading(run, "nvml", "gpu:GPU-1", 400.0, source="nvml-counter"),
            _reading(run, "codecarbon", "cpu", 150.0),
            _reading(run, "codecarbon", "ram", 20.0),
        ]
    found = _compare(readings)
    assert found["codecarbon", "cpu"].ratio == pytest.approx(1.5)
    assert found["codecarbon", "ram"].ratio == pytest.approx(2.0)
    assert found["codecarbon", "total"].ratio == pytest.approx(170 / 510)
    assert found["codecarbon", "total"].estimator_covers == ("cpu", "ram")
    assert found["codecarbon", "total"].meter_covers == ("cpu", "gpu", "ram")


def test_two_readers_of_one_sensor_are_listed_without_a_figure() -> None:
    readings = []
    for run in range(5):
        readings.append(_reading(run, "perf", "cpu:package:0", 100.0))
        readings.append(_reading(run, "codecarbon", "cpu", 100.0, source="rapl-powercap"))
    found = _compare(readings)["codecarbon", "cpu"]
    assert found.same_sensor
    assert (found.bias_pct, found.ratios) == (None, ())


def test_runs_without_an_estimate_do_not_make_a_shared_sensor_independent() -> None:
    readings = [_reading(run, "perf", "cpu:package:0", 100.0) for run in range(6)]
    for run in range(6):
        joules = None if run == 0 else 100.0
        readings.append(_reading(run, "codecarbon", "cpu", joules, source="rapl-powercap"))
    found = _compare(readings)["codecarbon", "cpu"]
    assert found.same_sensor
    assert (found.n, found.bias_pct) == (5, None)


def test_only_runs_with_a_sensor_of_their_own_count_and_the_others_are_named() -> None:
    readings = []
    for run in range(6):
        shared = run < 2
        readings.append(_reading(run, "perf", "cpu:package:0", 100.0))
        source, joules = ("rapl-powercap", 100.0) if shared else ("load-model", 150.0)
        readings.append(_reading(run, "codecarbon", "cpu", joules, source=source))
    found = _compare(readings)["codecarbon", "cpu"]
    assert not found.same_sensor
    assert found.n == 4
    assert found.ratio == pytest.approx(1.5)
    assert "left out: 2 runs" in found.reason


def test_a_total_with_one_shared_sensor_is_no_evidence() -> None:
    readings = []
    for run in range(5):
        readings += [
            _reading(run, "perf", "cpu:package:0", 100.0),
            _reading(run, "nvml", "gpu:GPU-1", 400.0, source="nvml-counter"),
            _reading(run, "codecarbon", "cpu", 150.0),
            _reading(run, "codecarbon", "gpu:0", 400.0, source="nvml-counter"),
        ]
    found = _compare(readings)
    assert found["codecarbon", "total"].same_sensor
    assert found["codecarbon", "total"].ratios == ()
    assert found["codecarbon", "gpu"].same_sensor
    assert found["codecarbon", "cpu"].ratio == pytest.approx(1.5)


def test_an_estimate_of_zero_has_a_bias_but_no_limits() -> None:
    readings = [_reading(run, "perf", "cpu:package:0", 100.0) for run in range(4)]
    readings += [_reading(run, "codecarbon", "cpu", 150.0 * (run > 0)) for run in range(4)]
    found = _compare(readings)["codecarbon", "cpu"]
    assert found.bias_lo_pct is not None
    assert (found.loa_lo_pct, found.loa_hi_pct) == (None, None)
    assert "zero or below" in found.reason


def test_a_replayed_sensor_is_still_that_sensor() -> None:
    readings = []
    for run in range(5):
        readings.append(_reading(run, "perf", "cpu:package:0", 100.0, source="replay:rapl-pmu"))
        readings.append(_reading(run, "codecarbon", "cpu", 100.0, source="rapl-powercap"))
    assert _compare(readings)["codecarbon", "cpu"].same_sensor


def test_a_partial_measurement_is_no_yardstick() -> None:
    readings = []
    for run in range(4):
        status = "partial" if run == 0 else "measured"
        readings.append(_reading(run, "perf", "cpu:package:0", 100.0, status=status))
        readings.append(_reading(run, "codecarbon", "cpu", 150.0))
    assert _compare(readings)["codecarbon", "cpu"].n == 3


def test_without_a_meter_nothing_is_validated() -> None:
    found = _compare([_reading(run, "codecarbon", "cpu", 150.0) for run in range(4)])
    assert set(found) == {("codecarbon", "total")}
    assert found["codecarbon", "total"].bias_pct is None
    assert "no direct meter" in found["codecarbon", "total"].reason


def test_fewer_than_three_runs_have_no_interval() -> None:
    readings = [_reading(run, "perf", "cpu:package:0", 100.0) for run in range(2)]
    readings += [_reading(run, "codecarbon", "cpu", 150.0) for run in range(2)]
    found = _compare(readings)["codecarbon", "cpu"]
    assert found.bias_pct == pytest.approx(50)
    assert found.bias_lo_pct is None


def test_runs_that_are_not_usable_do_not_count() -> None:
    (golden,) = load([tables.GOLDEN])
    two = {(golden.name, "examples_mnist_001"), (golden.name, "examples_mnist_002")}
    assert {a.n for a in agreement.compare([golden], two, seed=0) if a.ratios} == {2}


def test_the_golden_estimator_is_half_too_high_on_the_processor() -> None:
    """Its truth: 45 W claimed, 30 W drawn."""
    (golden,) = load([tables.GOLDEN])
    everything = {(golden.name, str(r["experiment_id"])) for r in golden.readings}
    found = {(a.estimator, a.part): a for a in agreement.compare([golden], everything, seed=0)}
    cpu = found["codecarbon", "cpu"]
    assert cpu.bias_lo_pct is not None
    assert cpu.bias_hi_pct is not None
    assert cpu.bias_lo_pct < 50 < cpu.bias_hi_pct
    assert "no joules" in found["calculator", "total"].reason


def test_two_meters_of_one_counter_are_counted_once_and_the_better_one_is_taken() -> None:
    readings = []
    for run in range(4):
        lost = run == 0
        perf = {"status": "partial" if lost else "measured", "method": "exact-window"}
        rapl = {"status": "measured", "method": "linear-edges", "kind": "direct", "source": "rapl-powercap"}
        readings += [
            _reading(run, "perf", "cpu:package:0", 40.0 if lost else 100.0, **perf),
            _reading(run, "rapl", "cpu:package:0", 101.0, **rapl),
            _reading(run, "codecarbon", "cpu", 150.0),
        ]
    assert [p.meter_j for p in _compare(readings)["codecarbon", "cpu"].pairs] == [101.0, 100.0, 100.0, 100.0]


def test_of_a_pair_of_programs_the_joint_window_counts_once() -> None:
    readings = []
    for run in range(4):
        for program, window, joules in (
            ("a", "process", 60.0),
            ("b", "process", 70.0),
            (None, "joint", 80.0),
        ):
            span = {"program": program, "window": window}
            readings.append(_reading(run, "perf", "cpu:package:0", joules, **span))
            readings.append(_reading(run, "codecarbon", "cpu", joules * 1.5, **span))
    found = _compare(readings)["codecarbon", "cpu"]
    assert [(p.meter_j, p.estimate_j) for p in found.pairs] == [(80.0, 120.0)] * 4


def test_a_run_that_lost_its_gpu_stays_out_of_the_total() -> None:
    readings = []
    for run in range(5):
        readings += [
            _reading(run, "perf", "cpu:package:0", 100.0),
            _reading(run, "nvml", "gpu:GPU-1", None if run == 2 else 400.0, source="nvml-counter"),
            _reading(run, "calculator", "cpu", 120.0),
            _reading(run, "calculator", "gpu", 480.0),
        ]
    found = _compare(readings)["calculator", "total"]
    assert found.n == 4
    assert found.ratio == pytest.approx(1.2)
    assert "left out: 1 runs in which a part was not covered" in found.reason


def test_a_total_with_a_part_that_was_only_estimated_is_no_yardstick() -> None:
    readings = []
    for run in range(4):
        readings += [
            _reading(run, "perf", "cpu:package:0", 100.0),
            _reading(run, "nvml", "gpu:GPU-1", 400.0, source="nvml-power-avg", status="estimated"),
            _reading(run, "calculator", "cpu", 120.0),
            _reading(run, "calculator", "gpu", 480.0),
        ]
    found = _compare(readings)
    assert found["calculator", "total"].ratios == ()
    assert ("calculator", "gpu") not in found
    assert found["calculator", "cpu"].n == 4


def test_errors_of_both_signs_cancel_in_the_bias_and_not_in_the_absolute_error() -> None:
    readings = []
    for run, (true, said) in enumerate([(100.0, 150.0), (100.0, 50.0), (200.0, 300.0), (200.0, 100.0)]):
        readings.append(_reading(run, "perf", "cpu:package:0", true))
        readings.append(_reading(run, "codecarbon", "cpu", said))
    found = _compare(readings)["codecarbon", "cpu"]
    assert found.bias_pct == pytest.approx(0)
    assert found.mape_pct == pytest.approx(50)
    assert found.sums_pct == pytest.approx(0)
    assert found.diff_j == pytest.approx(0)
    assert found.mape_lo_pct == pytest.approx(50)


def test_the_sum_weighs_large_runs_more_than_the_mean_of_ratios_does() -> None:
    readings = []
    for run, (true, said) in enumerate([(10.0, 20.0), (1000.0, 1000.0), (1000.0, 1000.0)]):
        readings.append(_reading(run, "perf", "cpu:package:0", true))
        readings.append(_reading(run, "codecarbon", "cpu", said))
    found = _compare(readings)["codecarbon", "cpu"]
    assert found.bias_pct == pytest.approx(100 / 3)
    assert found.sums_pct == pytest.approx(100 * 10 / 2010)


def test_the_meters_bounds_say_how_far_the_errors_may_shift() -> None:
    readings = []
    for run, said in enumerate((150.0, 104.0, 130.0)):
        readings.append(_reading(run, "perf", "cpu:package:0", 100.0, lo_j=90.0, hi_j=110.0))
        readings.append(_reading(run, "codecarbon", "cpu", said))
    found = _compare(readings)["codecarbon", "cpu"]
    assert (found.bounded, found.sure) == (3, 2)  # 104 J lies within 90 to 110 J
    assert found.bounds_lo_pct == pytest.approx(100 * ((150 + 104 + 130) / 3 / 110 - 1))
    assert found.bounds_hi_pct == pytest.approx(100 * ((150 + 104 + 130) / 3 / 90 - 1))
    assert found.mape_least_pct == pytest.approx(100 * (150 / 110 - 1 + 0 + 130 / 110 - 1) / 3)
    assert found.mape_most_pct is not None
    assert found.mape_pct is not None
    assert found.mape_least_pct is not None
    assert found.mape_least_pct < found.mape_pct < found.mape_most_pct


def test_a_shared_sensor_still_tells_how_well_the_windows_agree() -> None:
    readings = []
    for run in range(4):
        readings.append(_reading(run, "nvml", "gpu:GPU-1", 400.0, source="nvml-counter"))
        readings.append(_reading(run, "codecarbon", "gpu", 396.0, source="nvml-counter"))
    found = _compare(readings)["codecarbon", "gpu"]
    assert found.edges_pct == pytest.approx(-1)
    assert (found.bias_pct, found.mape_pct, found.left_out) == (None, None, 4)


def test_the_mains_judge_estimators_and_the_direct_meters_alike_and_join_no_total() -> None:
    readings = []
    for run in range(5):
        readings += [
            _reading(run, "perf", "cpu:package:0", 100.0),
            _reading(run, "wall", "mains:desk", 250.0, kind="direct", status="measured", source="shelly"),
            _reading(run, "codecarbon", "cpu", 150.0),
            _reading(run, "codecarbon", "ram", 50.0),
        ]
    found = _compare(readings)
    assert found["codecarbon", "mains"].ratio == pytest.approx(200 / 250)
    assert found["direct", "mains"].ratio == pytest.approx(100 / 250)
    assert found["codecarbon", "total"].ratio == pytest.approx(200 / 100)
