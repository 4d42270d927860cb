"""A recorded session's exact cases, run again and compared."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import records
from tests.conftest import lines_with

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

pytestmark = pytest.mark.slow


def reproduce(project: Project, session: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    options = [f"--energy-images={project.images}", "--energy-meters=calculator", "--energy-tdp=cpu=50"]
    return subprocess.run(
        [sys.executable, "-m", "energy_plugin", "reproduce", str(session), *flags, "--", *options],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def recorded(project: Project) -> Path:
    project.declare(
        "@experiments('tiny/good', 'tiny/crash', design=joint(n=2), replicates=2)\n"
        "def test_joint(case, measure):\n    assert measure(case).success\n"
    )
    project.run("--energy-tdp", "cpu=50")
    return project.session


def test_successful_cases_run_again_exactly_and_are_compared_by_metric(
    project: Project, recorded: Path
) -> None:
    done = reproduce(project, recorded)
    assert done.returncode == 0, done.stdout + done.stderr
    again = [record.case for record in records(project.session)]
    assert project.session != recorded
    assert again == [record.case for record in records(recorded) if record.success]
    assert len(again) == 4
    assert lines_with(done.stdout, "tiny/good", "perf_accuracy", "identical")
    (duration,) = lines_with(done.stdout, "tiny/good", "duration_seconds")
    assert " 4 " in duration
    assert ".." in duration
    assert lines_with(done.stdout, "tiny/good", "estimate_calculator_joules")


def test_changed_sources_are_refused_unless_allowed(project: Project, recorded: Path) -> None:
    program = project.images / "tiny" / "train.py"
    program.write_text(program.read_text() + "# changed\n")
    refused = reproduce(project, recorded)
    assert refused.returncode == 2
    assert "the sources of tiny have changed" in refused.stderr
    allowed = reproduce(project, recorded, "--changed")
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    assert "not the same: the sources of tiny differ" in allowed.stdout


def test_folder_that_is_no_session_is_named(project: Project) -> None:
    done = reproduce(project, project.folder)
    assert done.returncode == 2
    assert "no journal.jsonl here" in done.stderr
