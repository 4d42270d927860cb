"""What --energy-plan shows: cases, hours, disk, rests, retries, and the effects a design can find."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import lines_with

if TYPE_CHECKING:
    from tests.conftest import Project

ONE_FACTOR = """
@experiments("tiny/good", design=one_at_a_time("epochs", levels=3), replicates={replicates})
def test_one(case, measure):
    assert measure(case).success
"""


def plan(project: Project, *arguments: str) -> str:
    done = project.run("--energy-plan", *arguments)
    assert done.returncode in (0, pytest.ExitCode.NO_TESTS_COLLECTED), done.stdout + done.stderr
    return done.stdout


def test_a_plan_without_any_past_says_what_is_guessed_and_what_is_not_known(project: Project) -> None:
    project.declare(ONE_FACTOR.format(replicates=2))
    out = plan(project)
    assert re.search(r"plan of \d+ cases, about \d+ s", out)
    assert lines_with(out, "tiny/good alone:", "cases", "(the catalogue's guess)")
    assert lines_with(out, "rests are not counted: 1 min 00 s a case")
    assert lines_with(out, "a failed training is not tried again: --energy-retries 0")
    assert lines_with(out, "disk: about", "a guess: no case is there yet", "free")
    assert lines_with(out, "tiny/good alone: unknown", "--energy-noise PCT")
    assert not (project.folder / "results").exists()


def test_retries_are_said_and_not_counted(project: Project) -> None:
    project.case("good")
    out = plan(project, "--energy-retries", "2")
    assert lines_with(out, "a failed training is tried again, 2 times at most: not counted")


def test_a_stated_noise_gives_the_smallest_effect_and_the_replicates_for_a_wanted_one(
    project: Project,
) -> None:
    project.declare(ONE_FACTOR.format(replicates=3))
    out = plan(project, "--energy-noise", "4", "--energy-effect", "5")
    (line,) = lines_with(out, "tiny/good alone:", "stated noise 4 %")
    assert "(3 runs of each level, 3 of the base" in line
    seen = re.search(r"alone: ([\d.]+) %", line)
    assert seen is not None
    assert 10 < float(seen[1]) < 15  # 3 against 3: an effect of 3.07 standard deviations
    assert "5 % needs 12 replicates of each level and of the base" in line


def test_a_design_that_allows_no_test_says_why(project: Project) -> None:
    project.declare(ONE_FACTOR.format(replicates=1))
    assert lines_with(
        plan(project, "--energy-noise", "4"), "one run of a level and one of the base allow no test"
    )
    project.case("good")
    assert lines_with(plan(project, "--energy-noise", "4"), "nothing is changed, so this is the noise floor")
    project.declare(
        "@experiments('tiny/good', design=joint(n=3))\ndef test_j(case, measure): measure(case)\n"
    )
    assert lines_with(plan(project, "--energy-noise", "4"), "no runs at the base to compare with")


def test_past_sessions_give_durations_disk_and_noise(project: Project) -> None:
    project.declare(ONE_FACTOR.format(replicates=2))
    assert project.run().returncode == 0
    out = plan(project)
    assert lines_with(out, "tiny/good alone:", "past runs)")
    assert lines_with(out, "disk:", "median of")
    assert lines_with(out, "tiny/good alone:", "noise", "degrees of freedom in past sessions")
    other = "@experiments('tiny/other')\ndef test_case(case, measure): measure(case)\n"
    project.declare(other)
    assert lines_with(plan(project), "tiny/other alone: 1 cases", "scaled by")


def test_noise_and_effect_must_be_percentages(project: Project) -> None:
    project.case("good")
    done = project.run("--energy-plan", "--energy-noise", "4", "--energy-effect", "5000")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--energy-effect 5000: must be a percentage above 0" in done.stdout + done.stderr


def test_progress_is_one_plain_line_a_case_with_what_is_next(project: Project) -> None:
    project.case("good", "crash", replicates=2)
    out = project.run("--energy-order", "declared").stdout
    lines = [line for line in out.splitlines() if re.search(r"energy: [\d:]+ \d of 4 cases", line)]
    assert len(lines) == 4
    assert "\r" not in out
    assert re.match(
        r"energy: \d\d:\d\d:\d\d 1 of 4 cases, .* so far, about .* left until \d\d:\d\d:\d\d", lines[0]
    )
    assert "next tiny-" in lines[0]
    assert "2 failed" in lines[-1]
    assert ", done, no joules measured" in lines[-1]
    assert "next" not in lines[-1]


def test_other_tests_of_the_same_run_print_no_progress(project: Project) -> None:
    project.case("good")
    body = "import pytest\n@pytest.mark.parametrize('n', range(5))\ndef test_n(n): pass\n"
    (project.folder / "test_a_other.py").write_text(body)
    out = project.run().stdout
    assert len(lines_with(out, "1 of 1 cases")) == 1


def test_a_killed_session_leaves_the_case_under_way_in_its_status(project: Project) -> None:
    project.case("hang")
    process = project.start()
    try:
        found: dict[str, Any] = {}
        for _ in range(600):
            file = project.folder / "results" / "latest" / "status.json"
            if file.is_file() and (found := json.loads(file.read_text()))["current"]:
                break
            time.sleep(0.05)
        assert found["current"]["case_id"] == "tiny-hang-alone-default-r1"
        assert found["state"] == "running"
    finally:
        process.terminate()
        process.communicate(timeout=60)
    ended = json.loads((project.session / "status.json").read_text())
    assert (ended["state"], ended["current"], ended["exit_code"]) == ("ended", None, 2)
