"""A training that goes wrong leaves a failed record with its reason, and the session goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import records

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

FAULTS = [
    ("crash", "exit-code", "ended with exit code 1"),
    ("garbage", "events", "cannot be read"),
    ("torn", "events", "torn"),
    ("silent", "no-metrics", "no final accuracy"),
    ("nan", "no-metrics", "no final accuracy"),
    ("bytes", "exit-code", "exit code 3"),
]


@pytest.mark.parametrize(("model", "reason", "detail"), FAULTS)
def test_fault_is_recorded_with_its_reason_and_the_next_case_runs(
    project: Project, model: str, reason: str, detail: str
) -> None:
    project.case(model, "good")
    done = project.run("-v", "--energy-order", "declared")
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert f"{reason}: " in done.stdout
    assert detail in done.stdout
    kept = {r.outcomes[0].program.model: r.outcomes[0] for r in records(project.session)}
    assert (kept[model].success, kept[model].reason) == (False, reason)
    assert kept["good"].success


def test_failure_shows_the_tail_of_the_log(project: Project) -> None:
    project.case("crash")
    assert "about to divide by zero" in project.run().stdout


def test_log_that_is_no_text_is_shown_escaped(project: Project) -> None:
    project.case("bytes")
    assert "\\x80" in project.run().stdout


@pytest.mark.parametrize("model", ["hang", "stubborn"])
@pytest.mark.slow
def test_training_that_hangs_is_ended_at_the_deadline(project: Project, model: str) -> None:
    project.case(model)
    done = project.run("--energy-timeout", "1")
    assert "timeout: still running after 1 s" in done.stdout
    (record,) = records(project.session)
    assert record.outcomes[0].exit_code is not None
    assert record.outcomes[0].exit_code < 0


def test_failed_attempt_keeps_its_energy_and_the_retry_has_its_own_record(
    project: Project, tmp_path: Path
) -> None:
    project.environment["WATTWHY_TINY_MARK"] = str(tmp_path / "mark")
    project.case("flaky")
    done = project.run("--energy-retries", "2", "--energy-tdp", "cpu=65")
    assert done.returncode == 0, done.stdout
    first, second = records(project.session)
    assert (first.success, first.attempt) == (False, 1)
    assert (second.success, second.attempt) == (True, 2)
    assert first.experiment_id != second.experiment_id
    for record in (first, second):
        joules = record.estimates()["calculator"].joules
        assert joules == pytest.approx(65 * record.duration_s, rel=0.2)


def test_two_equal_failures_end_the_retries(project: Project) -> None:
    project.case("crash")
    project.run("--energy-retries", "5")
    assert len(records(project.session)) == 2


def test_experiment_folder_holds_what_design_says(project: Project) -> None:
    project.case("good")
    project.run()
    folder = project.session / "tiny_good_001"
    experiment: dict[str, Any] = json.loads((folder / "experiment.json").read_text())
    assert experiment["training_success"] is True
    assert experiment["hyperparameters"] == {"epochs": 2, "learning_rate": 0.1, "seed": 1}
    assert {"training.log", "experiment.json", "energy"} <= {path.name for path in folder.iterdir()}
    readings = json.loads((folder / "energy" / "readings.json").read_text())
    (reading,) = [r for r in readings if (r["meter"], r["channel"]) == ("calculator", "cpu")]
    assert (reading["status"], reading["reason"], reading["joules"]) == ("unavailable", "no-tdp", None)
