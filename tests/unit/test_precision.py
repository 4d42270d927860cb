"""What the plan says a design can see, held against simulation and against the formulas' own ends."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from energy_plugin.errors import UsageError
from energy_plugin.run.past import session_runs
from energy_plugin.run.precision import Noise, detectable_percent, noise_of, replicates_for, stated

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, rows: list[dict[str, object]]) -> Path:
    folder.mkdir()
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def row(
    treatment: str, replicate: int, seconds: float, joules: float | str = "", **more: object
) -> dict[str, object]:
    return {
        "repository": "examples",
        "model": "mnist",
        "mode": "alone",
        "role": "a",
        "experiment_id": f"examples_mnist_{treatment}_{replicate}",
        "timestamp": "2026-11-21T19:00:00+00:00",
        "training_success": "True",
        "case_id": f"examples-mnist-alone-{treatment}-r{replicate}",
        "duration_seconds": seconds,
        "total_energy_joules": joules,
        **more,
    }


def test_noise_is_the_spread_within_treatments_and_not_between_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [
        row(f"epochs:{epochs}", r, epochs * 10 * math.exp(rng.normal(0, 0.05)))
        for epochs in range(1, 41)
        for r in (1, 2, 3)
    ]
    (noise,) = noise_of(session_runs(write(tmp_path / "a", rows))).values()
    assert noise.freedom == 80
    assert noise.sd == pytest.approx(0.05, rel=0.25)
    assert noise.column == "duration_seconds"


def test_noise_between_sessions_is_not_noise_of_replicates(tmp_path: Path) -> None:
    first = write(tmp_path / "a", [row("default", r, 10 * 1.01**r) for r in (1, 2, 3)])
    second = write(tmp_path / "b", [row("default", r, 30 * 1.01**r) for r in (1, 2, 3)])
    (noise,) = noise_of([*session_runs(first), *session_runs(second)]).values()
    assert noise.sd == pytest.approx(math.log(1.01), rel=0.01)


def test_energy_is_taken_before_time_and_failed_runs_are_not_taken(tmp_path: Path) -> None:
    rows = [row("default", r, 10 + r, 100 * 1.1**r) for r in (1, 2, 3)]
    rows.append(row("default", 4, 99, 9999, training_success="False"))
    (noise,) = noise_of(session_runs(write(tmp_path / "a", rows))).values()
    assert noise.column == "total_energy_joules"
    assert noise.sd == pytest.approx(math.log(1.1), rel=0.01)


def test_no_noise_where_nothing_was_replicated_or_no_summary_is(tmp_path: Path) -> None:
    runs = [*session_runs(write(tmp_path / "a", [row("default", 1, 10)])), *session_runs(tmp_path / "none")]
    assert len(runs) == 1
    assert noise_of(runs) == {}


def test_runs_that_differ_in_what_their_ids_leave_out_are_no_replicates(tmp_path: Path) -> None:
    rows = [row("default", r, 10 * r, hyperparam_epochs=r, row_limit="") for r in (1, 2, 3)]
    assert noise_of(session_runs(write(tmp_path / "a", rows))) == {}
    rows = [row("default", r, 10 * r, hyperparam_epochs=1, row_limit=r) for r in (1, 2, 3)]
    assert noise_of(session_runs(write(tmp_path / "b", rows))) == {}


def test_detectable_effect_is_found_about_as_often_as_said() -> None:
    noise, treated, base = stated(5), 3, 5
    percent = detectable_percent(noise, treated, base)
    assert percent is not None
    rng = np.random.default_rng(0)
    effect = math.log1p(percent / 100)
    a = rng.normal(effect, noise.sd, (4000, treated))
    b = rng.normal(0, noise.sd, (4000, base))
    found = (stats.ttest_ind(a, b, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(0.8, abs=0.03)


def test_more_replicates_see_smaller_effects_and_one_of_each_sees_none() -> None:
    seen = [detectable_percent(stated(4), n, n) for n in (2, 3, 5, 20)]
    assert all(value is not None for value in seen)
    assert sorted(seen, reverse=True) == seen  # type: ignore[type-var]
    assert detectable_percent(stated(4), 1, 1) is None


@pytest.mark.parametrize("percent", [1.0, 3.0, 10.0, 50.0])
def test_replicates_needed_are_enough_and_one_fewer_is_not(percent: float) -> None:
    noise = stated(4)
    n = replicates_for(noise, percent)
    assert n is not None
    enough = detectable_percent(noise, n, n)
    assert enough is not None
    assert enough <= percent * 1.0001
    if n > 2:
        fewer = detectable_percent(noise, n - 1, n - 1)
        assert fewer is not None
        assert fewer > percent


def test_effect_far_below_the_noise_is_said_to_be_out_of_reach() -> None:
    assert replicates_for(stated(50), 0.01) is None


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_impossible_percentages_are_refused(wrong: float) -> None:
    with pytest.raises(UsageError):
        stated(wrong)
    with pytest.raises(UsageError):
        replicates_for(Noise(sd=0.1), wrong)
