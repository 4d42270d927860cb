"""A session that was stopped goes on in its own folder, and runs nothing twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import read_journal, records
from energy_plugin.run.governor import CPU
from tests.conftest import lines_with, summary
from tests.simulated.hardware import Gpu

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

RESUME = "--energy-resume=latest"


def events(project: Project) -> list[str]:
    return [event["event"] for event in read_journal(project.session)]


def facts(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.session / "session.json").read_text())
    return found


def stop_in(project: Project, number: int, attempts: int, *arguments: str) -> subprocess.Popen[str]:
    """Signal a session while its *attempts*-th attempt is under way."""
    running = project.start(*arguments)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        journal = project.folder / "results" / "latest" / "journal.jsonl"
        if journal.is_file() and journal.read_text().count('"attempt-begin"') >= attempts:
            time.sleep(0.3)
            running.send_signal(number)
            running.communicate(timeout=30)
            return running
        time.sleep(0.05)
    running.kill()
    raise AssertionError(f"attempt {attempts} never began: {running.communicate()[0]}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_session_goes_on_where_it_was(project: Project, tmp_path: Path, number: int) -> None:
    project.environment["WATTWHY_TINY_MARK"] = str(tmp_path / "mark")
    project.case("good", "hang", "other")
    first = stop_in(project, number, 2, "--energy-order=declared")
    folder = project.session
    (project.images / "tiny" / "train.py").touch()  # the same content: the same sources
    done = project.run(RESUME, "--energy-order=declared", "--energy-timeout=1", "-v")
    assert project.session == folder
    assert lines_with(done.stdout, f"resuming {folder.name}: 1 of 3 done, 2 to run")
    assert "1 failed, 1 passed, 1 deselected" in done.stdout
    found = records(folder)
    names = Counter(record.case.programs[0].model for record in found if record.success)
    assert names == {"good": 1, "other": 1}
    hung = [(r.experiment_id, r.attempt) for r in found if r.case.programs[0].model == "hang"]
    assert hung[-1] == ("tiny_hang_002", 2)
    killed = number == signal.SIGKILL
    assert ("attempt-lost" in events(project)) == killed
    assert facts(project).get("lost", []) == (["tiny_hang_001"] if killed else [])
    assert bool(lines_with(done.stdout, "lost with an earlier session: tiny_hang_001")) == killed
    assert (folder / "tiny_hang_001").is_dir()
    assert first.returncode in (2, -9)
    told = facts(project)
    assert (told["complete"], told["done"], told["planned"]) == (True, 3, 3)
    assert len(told["resumed_utc"]) == 1
    assert told["started_utc"] < told["resumed_utc"][0]
    assert [row["experiment_id"] for row in summary(folder)] == [r.experiment_id for r in found]
    indices = [record.order.index for record in found]
    assert indices == sorted(indices)


def test_a_session_with_nothing_left_is_no_error_and_takes_no_host(project: Project) -> None:
    project.case("good", "other")
    assert project.run().returncode == 0
    again = project.run(RESUME)
    assert again.returncode == 0, again.stdout
    assert "2 of 2 done, 0 to run" in again.stdout
    assert "2 deselected" in again.stdout
    assert events(project).count("attempt-begin") == 2
    assert events(project)[-2:] == ["session-resume", "session-end"]
    assert facts(project)["complete"]


def test_without_any_session_resume_begins_one_and_says_so(project: Project) -> None:
    project.case("good")
    done = project.run(RESUME)
    assert done.returncode == 0
    assert "to resume: this is the first" in done.stdout
    assert events(project)[0] == "session-begin"


def test_a_resume_alone_on_the_command_line_is_of_the_latest(project: Project) -> None:
    project.case("good")
    project.run()
    assert "1 of 1 done" in project.run("--energy-resume").stdout


def test_a_name_of_no_session_is_refused_with_the_known_ones(project: Project) -> None:
    project.case("good")
    project.run()
    done = project.run("--energy-resume=run_yesterday")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert lines_with(done.stdout + done.stderr, "--energy-resume run_yesterday", project.session.name)


def test_other_options_than_the_first_ones_are_refused_and_change_nothing(project: Project) -> None:
    project.case("good", "crash")
    project.run("--energy-seed=5")
    before = (project.session / "journal.jsonl").read_bytes()
    done = project.run(RESUME, "--energy-seed=6")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert lines_with(done.stdout + done.stderr, "begun with --energy-seed=5, this is --energy-seed=6")
    done = project.run(RESUME, "--energy-seed=5", "--energy-meters", "perf")
    assert lines_with(done.stdout + done.stderr, "--energy-meters=calculator, this is --energy-meters=perf")
    assert (project.session / "journal.jsonl").read_bytes() == before


def test_a_plan_tells_what_is_left_and_changes_nothing(project: Project) -> None:
    project.case("good", replicates=2)
    project.run("-k", "r1")
    before = (project.session / "journal.jsonl").read_bytes()
    done = project.run(RESUME, "--energy-plan")
    assert lines_with(done.stdout, "1 of 2 done, 1 to run")
    assert lines_with(done.stdout, "plan of 1 case")
    assert (project.session / "journal.jsonl").read_bytes() == before


def test_changed_sources_are_run_again(project: Project) -> None:
    project.case("good")
    project.run()
    program = project.images / "tiny" / "train.py"
    program.write_text(program.read_text() + "\n# changed\n")
    done = project.run(RESUME)
    assert lines_with(done.stdout, "1 finished cases are run again")
    assert [record.experiment_id for record in records(project.session)] == ["tiny_good_001", "tiny_good_002"]
    told = facts(project)
    assert (told["complete"], told["done"], told["planned"]) == (True, 1, 1)


def test_a_case_that_failed_for_good_fails_again_without_a_run(project: Project) -> None:
    project.case("crash", "good")
    project.run("--energy-retries", "1")
    done = project.run(RESUME, "--energy-retries", "1")
    assert done.returncode == 1
    assert "1 failed, 1 deselected" in done.stdout
    assert lines_with(done.stdout, "tiny-crash", "failed for good", "tiny_crash_002", "--energy-earlier=")
    assert len(records(project.session)) == 3


def test_the_report_of_a_killed_session_is_written_by_the_resume(project: Project) -> None:
    project.case("good", replicates=3)
    project.run()
    (project.session / "summary.csv").unlink()
    (project.session / "tiny_good_003" / "experiment.json").unlink()
    (project.session / "tiny_good_003" / "energy" / "readings.json").unlink()
    project.run(RESUME)
    assert (project.session / "summary.csv").read_text().count("\n") == 4
    assert (project.session / "tiny_good_003" / "experiment.json").exists()


def test_a_torn_journal_is_cut_and_the_resume_goes_on_behind_it(project: Project) -> None:
    project.case("good", "other")
    project.run("-k", "good")
    with (project.session / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"event":"attempt-end","t_utc":"20')
    assert project.run(RESUME).returncode == 0
    assert "damaged" not in events(project)
    assert facts(project)["done"] == 2


# --- the host --------------------------------------------------------------------------------------------


def test_a_second_session_on_the_host_is_refused_before_it_touches_anything(project: Project) -> None:
    project.case("good", "hang")
    running = project.start("--energy-order=declared")
    deadline = time.monotonic() + 30
    while not (project.folder / "results" / "latest").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = project.run("--energy-results=elsewhere")
    assert second.returncode == pytest.ExitCode.USAGE_ERROR
    assert lines_with(second.stdout + second.stderr, f"pid {running.pid}", str(project.session))
    assert not (project.folder / "elsewhere").exists()
    plan = project.run("--energy-plan")
    assert plan.returncode == 0
    running.kill()
    running.communicate()
    assert project.run("--energy-results=elsewhere", "-k", "good").returncode == 0


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    folder = tmp_path / "sys"
    (folder / "class").mkdir(parents=True)
    for cpu in ("cpu0", "cpu1"):
        own = folder / CPU / cpu / "cpufreq"
        own.mkdir(parents=True)
        (own / "scaling_governor").write_text("powersave\n")
        (own / "scaling_available_governors").write_text("performance powersave\n")
    return folder


def governors(sysfs: Path) -> set[str]:
    return {file.read_text().strip() for file in sysfs.rglob("scaling_governor")}


@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_governor_is_put_back_however_the_session_ends(
    project: Project, sysfs: Path, number: int | None
) -> None:
    options = ("--energy-governor=performance", f"--energy-sysfs={sysfs}", "--energy-order=declared")
    project.case("good", *(("hang",) if number else ()))
    if number is None:
        assert project.run(*options).returncode == 0
    else:
        stop_in(project, number, 2, *options)
    if number == signal.SIGKILL:
        assert governors(sysfs) == {"performance"}
        done = project.run(f"--energy-sysfs={sysfs}", "-k", "good", "--energy-results=other")
        assert lines_with(done.stdout, "put back the governor that a session that was killed")
    assert governors(sysfs) == {"powersave"}
    told = facts(project)["governor"]
    assert told == {"asked": "performance", "before": {"powersave": 2}, "during": {"performance": 2}}


def test_a_governor_that_is_not_there_is_refused_before_a_run(project: Project, sysfs: Path) -> None:
    project.case("good")
    done = project.run("--energy-governor=turbo", f"--energy-sysfs={sysfs}")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert lines_with(done.stdout + done.stderr, "'turbo'", "Valid: performance, powersave")
    assert not list((project.folder / "results").glob("run_*/*/training.log"))


@pytest.mark.compiler
@pytest.mark.slow
def test_every_case_runs_at_each_power_limit_and_a_kill_leaves_none_behind(
    project: Project, tmp_path: Path
) -> None:
    hardware = tmp_path / "hardware"
    hardware.mkdir()
    gpu = Gpu(folder=hardware, t0_ns=time.monotonic_ns(), extra=("limits 100 700 700",))
    project.environment |= gpu.install()
    options = (
        "--energy-power-limit=150,250",
        "--energy-meters=nvml",
        "--energy-cooldown=0",
        "--energy-idle=0",
    )
    project.case("good")
    done = project.run("-v", *options)
    assert done.returncode == 0, done.stdout
    assert lines_with(done.stdout, "power_limit:150-r1", "PASSED")
    rows = summary(project.session)
    assert sorted(row["gpu_power_limit_watts"] for row in rows) == ["150.0", "250.0"]
    assert len({row["case_key"] for row in rows}) == 2
    for record in records(project.session):
        assert record.provenance["gpu_power_limit_held"] is True
        (seen,) = record.provenance["gpu_power_limits_w"].values()
        assert seen == record.case.power_limit_w
    assert limit(project) == "700.00"
    shutil.rmtree(project.folder / "results")
    project.case("good", "hang")
    stop_in(project, signal.SIGKILL, 2, *options, "--energy-order=declared", "-k", "150")
    assert limit(project) == "150.00"
    after = project.run("-k", "good", "--energy-meters=calculator", "--energy-results=other")
    assert lines_with(after.stdout, "put back the power limit")
    assert limit(project) == "700.00"


def limit(project: Project) -> str:
    command = ["nvidia-smi", "--query-gpu=power.limit", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, env=project.environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_strict_session_fails_a_case_on_a_busy_host_with_the_reason(project: Project) -> None:
    project.case("good")
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        done = project.run("--energy-strict", "--energy-tdp=cpu=65,gpu=300")
    finally:
        burner.kill()
        burner.wait()
    assert done.returncode == 1
    assert lines_with(done.stdout, "was not run: others take", "of the processors")
    assert events(project) == ["session-begin", "case-refused", "session-end"]
    assert not facts(project)["complete"]
    assert os.listdir(project.session).count("tiny_good_001") == 0
