"""Selecting, ordering, planning and refusing cases."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import records, session_facts
from tests.conftest import ROOT, lines_with

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

ONE_FACTOR = """
@experiments("tiny/good", "tiny/other", design=one_at_a_time(levels=3), replicates=2)
def test_one(case, measure):
    assert measure(case).success
"""


def collected(output: str) -> list[str]:
    return re.findall(r"\[(.+-r\d+)\]", output)


def test_ids_name_repository_model_mode_value_and_replicate(project: Project) -> None:
    project.declare(ONE_FACTOR)
    ids = collected(project.run("--collect-only", "-q").stdout)
    assert "tiny-good-alone-epochs:4-r1" in ids
    assert "tiny-other-alone-default-r2" in ids
    assert not (project.folder / "results").exists()


def test_k_and_m_select_cases(project: Project) -> None:
    project.declare(ONE_FACTOR)
    by_name = collected(project.run("--collect-only", "-q", "-k", "good and epochs").stdout)
    assert by_name
    assert all("good-alone-epochs" in name for name in by_name)
    mark = "energy(model='other', mode='alone')"
    by_mark = collected(project.run("--collect-only", "-q", "-m", mark).stdout)
    assert by_mark
    assert all("tiny-other-" in name for name in by_mark)


def test_order_is_block_by_block_seeded_and_recorded(project: Project) -> None:
    project.declare(ONE_FACTOR)
    first = collected(project.run("--collect-only", "-q", "--energy-seed", "3").stdout)
    again = collected(project.run("--collect-only", "-q", "--energy-seed", "3").stdout)
    other = collected(project.run("--collect-only", "-q", "--energy-seed", "4").stdout)
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)
    half = len(first) // 2
    assert all(name.endswith("-r1") for name in first[:half])
    assert all(name.endswith("-r2") for name in first[half:])


def test_adding_a_model_changes_no_other_models_draws(project: Project) -> None:
    body = "@experiments({}, design=joint(n=3))\ndef test_joint(case, measure): measure(case)\n"
    project.declare(body.format("'tiny/good'"))
    alone = set(collected(project.run("--collect-only", "-q").stdout))
    project.declare(body.format("'tiny/good', 'tiny/other'"))
    both = set(collected(project.run("--collect-only", "-q").stdout))
    assert alone == {name for name in both if "tiny-good" in name}


def test_two_designs_that_differ_only_unvaried_keep_both_their_cases(project: Project) -> None:
    body = "@experiments('tiny/good', limit={0})\ndef test_{0}(case, measure): measure(case)\n"
    project.declare(body.format(64) + body.format(128))
    assert project.run("--energy-order", "declared").returncode == 0
    first = records(project.session)
    assert {record.case.programs[0].limit for record in first} == {64, 128}
    again = project.run("--collect-only", "-q", str(project.session / "journal.jsonl"))
    assert len(collected(again.stdout)) == 2, again.stdout


def test_values_reach_the_program_at_full_precision(project: Project) -> None:
    project.declare(
        "@experiments('tiny/good', design=joint('learning_rate', n=1))\n"
        "def test_joint(case, measure):\n    assert measure(case).success\n"
    )
    project.run()
    (record,) = records(project.session)
    program = record.outcomes[0].program
    assert record.outcomes[0].log == "tiny_good_001/training.log"
    log = (project.session / record.outcomes[0].log).read_text()
    assert f"learning_rate={program.values['learning_rate']!r}" in log
    assert program.passed == {"learning_rate"}


def test_from_options_follows_the_command_line(project: Project) -> None:
    project.declare(
        "@experiments('tiny/good', design=from_options())\ndef test_asked(case, measure): measure(case)\n"
    )
    none = project.run("--collect-only", "-q")
    assert collected(none.stdout) == []
    asked = project.run("--collect-only", "-q", "--energy-mutate", "epochs", "--energy-runs", "2")
    assert len(collected(asked.stdout)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--energy-executor", "dokcer"], "Valid: docker, local"),
        (["--energy-meters", "nvmll"], "Did you mean 'nvml'? Valid: calculator, codecarbon, nvml, perf"),
        (["--energy-tdp", "cpu=fast"], "write cpu=WATTS"),
        (["--energy-tdp", "cpu=inf"], "watts must be a number above 0"),
        (["--energy-timeout", "inf"], "must be a number of at least 0"),
        (["--energy-meters", "perf,perf"], "name each meter once"),
        (["--energy-retries", "some"], "must be of type int"),
        (["--energy-data", "nowhere"], "no such folder"),
        (["--energy-value", "joules"], "Valid: auto, duration_seconds"),
    ],
)
def test_wrong_option_is_a_usage_error_that_lists_the_valid(
    project: Project, arguments: list[str], message: str
) -> None:
    project.case("good")
    done = project.run(*arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("@experiments('tiny/goood')", "Did you mean 'tiny/good'?"),
        ("@experiments('tiny/good', design=one_at_a_time('epoch', levels=2))", "Did you mean 'epochs'?"),
    ],
)
def test_wrong_name_in_a_declaration_is_a_usage_error(project: Project, body: str, message: str) -> None:
    project.declare(f"{body}\ndef test_case(case, measure): measure(case)\n")
    done = project.run()
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('type = "float"', 'type = "real"', "learning_rate.type = 'real': must be one of int, float"),
        ("range = [1, 4]", "range = [4, 1]", "epochs.range = [4, 1]: must be [low, high]"),
        ('name = "tiny"', 'name = "small"', "name = 'small': must be the folder's name"),
        ('metrics = ["accuracy"]', 'metrics = ["acc"]', "not declared; declared are accuracy"),
        ("default = 2", "default = 2.5", "epochs.default = 2.5: must be a whole number"),
        ("[metrics.accuracy]", "[metrics.accuracy", "not valid TOML"),
    ],
)
def test_broken_repository_file_names_file_key_value_and_mend(
    project: Project, old: str, new: str, message: str
) -> None:
    file = project.images / "tiny" / "repository.toml"
    file.write_text(file.read_text().replace(old, new, 1))
    project.case("good")
    done = project.run()
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert str(file) in done.stderr
    assert message in done.stderr


def test_more_than_an_hour_shows_the_plan_and_stops(project: Project) -> None:
    file = project.images / "tiny" / "repository.toml"
    file.write_text(file.read_text().replace("epoch_s = 0.02", "epoch_s = 3600"))
    project.case("good")
    done = project.run()
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "energy:   tiny/good alone: 1 cases, about 2 h 00 min" in done.stdout
    assert "--energy-yes" in done.stdout
    assert not (project.folder / "results").exists()
    assert project.run("--energy-yes").returncode == 0


def test_plan_shows_and_runs_nothing(project: Project) -> None:
    project.case("good", replicates=3)
    done = project.run("--energy-plan")
    assert done.returncode in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "plan of 3 cases" in done.stdout
    assert not (project.folder / "results").exists()


def test_xdist_is_refused_with_a_clear_usage_error(project: Project) -> None:
    project.case("good", replicates=2)
    done = project.run("-n", "2")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "cannot run under pytest-xdist" in done.stdout + done.stderr


def test_xdist_stays_usable_for_other_tests(project: Project) -> None:
    (project.folder / "test_other.py").write_text("def test_it(): pass\n")
    assert project.run("-n", "2").returncode == 0


def test_x_stops_at_the_first_failure_and_lf_runs_it_again(project: Project) -> None:
    project.case("crash", "other")
    stopped = project.run("-x", "--energy-order", "declared")
    assert lines_with(stopped.stdout, "INCOMPLETE: 1 of 2 cases")
    again = project.run("--lf")
    assert "1 failed" in again.stdout
    assert len(records(project.session)) == 1


def test_runs_without_cache_provider_and_from_a_sub_folder(project: Project) -> None:
    project.case("good")
    below = project.folder / "below"
    below.mkdir()
    done = project.run("-p", "no:cacheprovider", "..", cwd=below)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.folder / "results" / "latest" / "summary.csv").is_file()


def test_ini_twin_speaks_where_the_command_line_does_not(project: Project) -> None:
    (project.folder / "pytest.ini").write_text("[pytest]\nenergy_seed = 5\nenergy_tdp = cpu=10\n")
    project.case("good")
    project.run()
    assert session_facts(project.session)["order"]["seed"] == 5
    project.run("--energy-seed", "6")
    assert session_facts(project.session)["order"]["seed"] == 6


@pytest.mark.parametrize("way", ["conftest", "option"])
def test_works_uninstalled(project: Project, tmp_path: Path, way: str) -> None:
    """From a bare copy of the packages, with no entry point to load the plugin."""
    copy = tmp_path / "copy"
    for name in ("energy_plugin", "images", "benchmarks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    flag = ["-p", "energy_plugin.plugin"] if way == "option" else []
    if way == "conftest":
        shutil.copy(ROOT / "conftest.py", copy)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flag, "--collect-only", "-q", "benchmarks", "-k", "mnist_rnn"],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert all("mnist_rnn" in name for name in collected(done.stdout))
