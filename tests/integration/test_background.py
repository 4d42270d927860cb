"""A training beside another one: proven to work through the whole window, or the run does not count."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import records
from energy_plugin.record.record import record_from_json
from energy_plugin.record.rows import rows
from tests import tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from energy_plugin.run.executors.local import LocalExecutor
    from tests.conftest import Project

SETTING: dict[str, Any] = {"warmup_s": 0.3, "ready_s": 10.0}


@pytest.fixture
def local(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalExecutor]:
    monkeypatch.setenv("WATTWHY_TINY_EPOCH_S", "0.4")
    with tiny.executor(images, tmp_path / "cache") as made:
        yield made


def pid_of(folder: Path) -> int:
    """Of the background's first run."""
    line = (folder / "background_logs" / "run_1" / "training_load.events.jsonl").read_text().splitlines()[0]
    return int(json.loads(line)["pid"])


def within(folder: Path, what: str) -> threading.Thread:
    """Do something to the background half a second into the measured window."""

    def act() -> None:
        events = folder / "training.events.jsonl"
        while not (events.exists() and '"ready"' in events.read_text()):
            time.sleep(0.02)
        time.sleep(0.5)
        os.kill(pid_of(folder), getattr(signal, what))

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_restarted_background_works_through_the_whole_window(local: LocalExecutor, tmp_path: Path) -> None:
    record = tiny.run(tiny.under("spin"), local, tmp_path / "run", **SETTING)
    assert record.success, record.failure
    work = record.background
    assert work is not None
    assert (work.loop, work.flag) == ("restart", "")
    window = record.outcomes[0].windows[0]
    assert work.window_s == pytest.approx(window.duration_s)
    assert work.warmup_s >= 0.3
    assert work.runs[0].t0_ns < window.t0_ns
    assert work.runs[-1].t1_ns > window.t1_ns
    assert len(work.runs) >= 2
    assert {run.code for run in work.runs[:-1]} == {0}
    assert work.alive_s > 0.9 * work.window_s
    assert work.worked_s is not None
    assert work.worked_s > 0.9 * work.window_s
    assert work.cpu_s is not None
    assert 0.2 * work.window_s < work.cpu_s <= 1.1 * work.window_s
    assert work.epochs >= 2
    for run in work.runs:
        assert (tmp_path / "run" / run.log).exists()
    assert record_from_json(json.loads(json.dumps(record.to_json()))).background == work
    assert tiny.gone(str(tmp_path / "run"), 0)


def test_endless_background_is_one_run_that_is_stopped(local: LocalExecutor, tmp_path: Path) -> None:
    case = tiny.under("spin", "endless", load_epochs=10**6)
    record = tiny.run(case, local, tmp_path / "run", **SETTING)
    assert record.success, record.failure
    assert record.background is not None
    (run,) = record.background.runs
    assert run.code == -signal.SIGTERM
    (row,) = rows(record)
    assert (row["mode"], row["is_parallel"], row["bg_loop"], row["bg_runs"]) == (
        *("background", True, "endless", 1),
    )
    assert (row["bg_repository"], row["bg_model"], row["bg_flag"]) == ("tiny", "spin", "")
    assert row["bg_hyperparam_epochs"] == 10**6
    assert row["bg_log_directory"] == "run/background_logs"
    assert row["bg_alive_seconds"] == pytest.approx(row["duration_seconds"], rel=0.02)
    assert row["bg_epochs"] == record.background.epochs > 0
    assert row["partner_model"] is None


@pytest.mark.parametrize(("what", "said"), [("SIGKILL", "ended with code -9"), ("SIGSTOP", "it worked for")])
def test_background_that_is_killed_or_stopped_mid_window_flags_the_run(
    local: LocalExecutor, tmp_path: Path, what: str, said: str
) -> None:
    case = tiny.under("spin", "endless", epochs=6, load_epochs=10**6)
    actor = within(tmp_path / "run", what)
    record = tiny.run(case, local, tmp_path / "run", **SETTING)
    actor.join()
    (outcome,) = record.outcomes
    reason = "background-died" if what == "SIGKILL" else "background-idle"
    assert (outcome.success, outcome.reason, outcome.exit_code) == (False, reason, 0)
    assert said in outcome.detail
    assert outcome.metrics == {"accuracy": 0.9}
    assert outcome.window("process") is not None
    assert rows(record)[0]["bg_flag"].startswith(f"{reason}: ")
    assert tiny.gone(str(tmp_path / "run"), 0)


def test_background_that_is_killed_once_and_starts_again_stays_a_load(
    local: LocalExecutor, tmp_path: Path
) -> None:
    actor = within(tmp_path / "run", "SIGKILL")
    case = tiny.under("spin", epochs=12, load_epochs=50)
    record = tiny.run(case, local, tmp_path / "run", **SETTING)
    actor.join()
    assert record.background is not None
    assert record.background.runs[0].code == -signal.SIGKILL
    assert len(record.background.runs) == 2
    assert record.success, record.failure


def test_background_that_works_no_more_is_idle_though_alive(local: LocalExecutor, tmp_path: Path) -> None:
    case = tiny.under("tired", "endless", epochs=8)
    record = tiny.run(case, local, tmp_path / "run", **SETTING)
    assert record.outcomes[0].reason == "background-idle"
    assert record.background is not None
    assert record.background.alive_s == pytest.approx(record.background.window_s)


@pytest.mark.parametrize(
    ("load", "said"),
    [("crash", "2 of 2 runs failed"), ("unready", "2 of 2 runs failed"), ("never", "was not ready")],
)
def test_background_that_dies_in_its_warm_up_lets_nothing_start(
    local: LocalExecutor, tmp_path: Path, load: str, said: str
) -> None:
    record = tiny.run(
        tiny.under(load), local, tmp_path / "run", warmup_s=5.0, ready_s=1.0 if load == "never" else 10.0
    )
    (outcome,) = record.outcomes
    assert (outcome.success, outcome.reason, outcome.exit_code) == (False, "background-died", None)
    assert said in outcome.detail
    assert record.readings == ()
    assert not (tmp_path / "run" / "training.log").exists()
    assert tiny.gone(str(tmp_path / "run"), 0)


def test_background_ends_with_all_its_descendants(local: LocalExecutor, tmp_path: Path) -> None:
    record = tiny.run(tiny.under("brood", "endless", load_epochs=10**6), local, tmp_path / "run", **SETTING)
    assert record.success, record.failure
    assert tiny.gone(str(tmp_path / "run"), 0)


# --- sessions ---------------------------------------------------------------------------------------

DESIGN = """
replicates = 1

[[experiments]]
select = "tiny/{model}"
background = {{ model = "tiny/{load}", values = {{ epochs = 3 }}, loop = "{loop}" }}
design = {{ kind = "defaults" }}
"""


def design(project: Project, *, model: str = "spin", load: str = "spin", loop: str = "restart") -> str:
    path = project.folder / "study.toml"
    path.write_text(DESIGN.format(model=model, load=load, loop=loop))
    project.environment["WATTWHY_TINY_EPOCH_S"] = "0.4"
    return str(path)


OPTIONS = ("--energy-warmup", "0.5", "--energy-cooldown", "0", "--energy-idle", "0")


def test_design_file_runs_each_model_alone_and_under_load(project: Project) -> None:
    done = project.run(design(project), *OPTIONS)
    assert done.returncode == 0, done.stdout + done.stderr
    by_mode = {record.case.mode: record for record in records(project.session)}
    assert set(by_mode) == {"alone", "background"}
    assert by_mode["alone"].background is None
    work = by_mode["background"].background
    assert work is not None
    assert work.flag == ""
    assert work.warmup_s >= 0.5


def test_flagged_run_is_tried_again_and_stays_in_the_table(project: Project) -> None:
    done = project.run(design(project, load="hang"), *OPTIONS, "--energy-retries", "1", "-k", "background")
    assert done.returncode == 1, done.stdout
    assert "background-idle" in done.stdout
    found = [record for record in records(project.session) if record.case.mode == "background"]
    assert [record.attempt for record in found] == [1, 2]
    table = (project.session / "summary.csv").read_text()
    assert table.count("background-idle: it worked for") >= 2


def test_interrupt_ends_the_background_too(project: Project) -> None:
    running = project.start(design(project, model="hang", load="brood"), *OPTIONS, "-k", "background")
    folder = project.folder / "results" / "latest" / "tiny_hang+tiny_brood_001"
    await_ready(folder, running)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == pytest.ExitCode.INTERRUPTED, output
    (record,) = records(project.session)
    assert record.outcomes[0].reason == "interrupted"
    assert tiny.gone(str(project.folder / "results"), 0)


def test_nothing_outlives_a_session_that_is_killed(project: Project) -> None:
    running = project.start(design(project, model="brood_hang", load="brood"), *OPTIONS, "-k", "background")
    folder = project.folder / "results" / "latest" / "tiny_brood_hang+tiny_brood_001"
    await_ready(folder, running)
    assert len(tiny.alive(f"{project.session}/")) >= 3  # the measured one with two that left it
    running.kill()
    running.communicate()
    assert tiny.gone(f"{project.session}/", 3)


def test_next_session_ends_what_a_killed_one_and_its_keeper_left(project: Project) -> None:
    running = project.start(design(project, model="brood_hang", load="brood"), *OPTIONS, "-k", "background")
    folder = project.folder / "results" / "latest" / "tiny_brood_hang+tiny_brood_001"
    await_ready(folder, running)
    session = project.session
    (keeper,) = [pid for pid in tiny.alive("orphans.py") if f"/{running.pid}/" in words(pid)]
    os.kill(keeper, signal.SIGKILL)
    running.kill()
    running.communicate()
    time.sleep(0.3)
    assert len(tiny.alive(f"{session}/")) >= 3
    project.case("good")
    done = project.run("test_study.py")
    assert done.returncode == 0, done.stdout
    assert tiny.gone(f"{session}/", 0)


def words(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()


def await_ready(folder: Path, running: object) -> None:
    """Until the measured program is ready."""
    events = folder / "training.events.jsonl"
    deadline = time.monotonic() + 30
    while not (events.exists() and '"ready"' in events.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
