"""Programs in containers: what a record says of them, and what they may not do."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from energy_plugin.errors import ExecutorError
from energy_plugin.record.journal import records
from energy_plugin.record.marks import read_marks
from energy_plugin.run.executors import engine as engines
from tests.boxes import LIMITS, executor, program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docker import DockerClient

    from energy_plugin.record.record import Record
    from tests.conftest import Project

pytestmark = pytest.mark.engine


def declare(project: Project, *models: str) -> None:
    listed = ", ".join(repr(f"boxed/{model}") for model in models)
    body = "def test_case(case, measure):\n    assert measure(case).success\n"
    project.declare(f"@experiments({listed})\n{body}")


def run_one(project: Project, model: str, *arguments: str) -> Record:
    """Run one case to its end, whatever that is; its record."""
    declare(project, model)
    done = project.run(*arguments)
    assert (project.folder / "results" / "latest").exists(), done.stdout + done.stderr
    (record,) = records(project.session)
    return record


def test_case_in_a_container_succeeds_and_leaves_none(
    box_project: Project, containers: Callable[[], list[str]]
) -> None:
    record = run_one(box_project, "good")
    (outcome,) = record.outcomes
    assert outcome.success, outcome.detail
    assert outcome.metrics == {"accuracy": 0.9}
    assert outcome.data_source == "a row"
    assert record.executor == "docker"
    facts = record.provenance["programs"][0]
    assert facts["image"].startswith("wattwhy/boxed:")
    assert facts["end_seen_by"] == "process"
    assert containers() == []
    session = json.loads((box_project.session / "session.json").read_text())
    assert session["base"].startswith("python3.")


def test_process_window_holds_everything_the_program_marked(box_project: Project) -> None:
    record = run_one(box_project, "good")
    window = record.outcomes[0].window("process")
    marks = read_marks(box_project.session / record.experiment_id / "training.events.jsonl")
    assert window is not None
    assert window.t0_ns < marks.begin["t_ns"] < marks.end["t_ns"] < window.t1_ns
    # python has little to do after its last event: the end is seen at once, not when the engine tells
    assert (window.t1_ns - marks.end["t_ns"]) / 1e9 < 0.5


def test_processor_time_of_the_program_and_its_children_is_counted(box_project: Project) -> None:
    (outcome,) = run_one(box_project, "burn").outcomes
    assert outcome.cpu_s is not None
    assert 1.0 <= outcome.cpu_s < 2.0
    assert outcome.memory_peak_bytes is not None
    assert 2**21 < outcome.memory_peak_bytes < 2**28


def test_program_is_alone_and_powerless(box_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    box_project.environment["SECRET_OF_THE_HOST"] = "token"
    record = run_one(box_project, "probe", "--energy-cpus", "1")
    facts = json.loads((box_project.session / record.experiment_id / "output" / "facts.json").read_text())
    assert facts["uid"] == (os.getuid() or 1000)
    assert facts["interfaces"] == ["lo"]
    assert facts["capabilities"] == ["0000000000000000"] * 3
    assert facts["no_new_privileges"] == "1"
    assert facts["root_is_read_only"]  # and not only closed to this user
    refused = facts["refused"]
    assert refused.pop("/tmp/new") == ""
    assert set(refused.values()) <= {"Read-only file system", "Permission denied"}
    assert refused["/new"]
    assert refused["/data/new"]
    assert "SECRET_OF_THE_HOST" not in facts["env"]
    assert facts["env"]["OMP_NUM_THREADS"] == "1"
    assert facts["shm"] == 2**30
    assert facts["init"] in ("docker-init", "tini")


def test_binary_garbage_is_in_the_log_as_it_was_written(box_project: Project) -> None:
    record = run_one(box_project, "noisy")
    assert record.success
    log = (box_project.session / record.experiment_id / "training.log").read_bytes()
    assert bytes(range(256)) * 8 in log


def test_folder_with_colon_and_space_is_mounted(box_project: Project, tmp_path: Path) -> None:
    declare(box_project, "good")
    done = box_project.run(f"--energy-results={tmp_path / 'a: b,c'}")
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = records((tmp_path / "a: b,c" / "latest").resolve())
    assert (record.executor, record.success) == ("docker", True)


@pytest.mark.parametrize(
    ("model", "reason", "code"),
    [("crash", "exit-code", 1), ("quitter", "signal", -6)],
)
def test_failed_program_is_a_failed_record_with_its_code(
    box_project: Project, containers: Callable[[], list[str]], model: str, reason: str, code: int
) -> None:
    (outcome,) = run_one(box_project, model).outcomes
    assert (outcome.success, outcome.reason, outcome.exit_code) == (False, reason, code)
    assert containers() == []


@pytest.mark.parametrize("model", ["hog", "parent_of_hog"])
def test_lack_of_memory_is_named_even_when_the_program_goes_on(box_project: Project, model: str) -> None:
    (outcome,) = run_one(box_project, model, "--energy-memory", "0.0625").outcomes
    assert (outcome.success, outcome.reason) == (False, "out-of-memory")
    assert "limit of 0.0625 GiB" in outcome.detail
    assert outcome.exit_code == (-9 if model == "hog" else 0)


def test_timeout_ends_the_container(box_project: Project, containers: Callable[[], list[str]]) -> None:
    record = run_one(box_project, "hang", "--energy-timeout", "1")
    assert record.outcomes[0].reason == "timeout"
    assert 1 <= record.duration_s < 4
    assert containers() == []


def test_program_has_time_to_save_its_work_when_it_is_ended(box_project: Project) -> None:
    record = run_one(box_project, "graceful", "--energy-timeout", "1")
    assert (record.success, record.outcomes[0].reason) == (False, "timeout")
    assert "saved" in (box_project.session / record.experiment_id / "training.log").read_text()


@pytest.mark.slow
def test_timeout_ends_a_program_that_ignores_sigterm(
    box_project: Project, containers: Callable[[], list[str]]
) -> None:
    record = run_one(box_project, "stubborn", "--energy-timeout", "1")
    assert record.outcomes[0].reason == "timeout"
    assert record.duration_s < 10
    assert containers() == []


def test_container_ends_itself_at_its_deadline(built: Path, tmp_path: Path) -> None:
    boxes = executor(built, tmp_path / "cache", replace(LIMITS, deadline_s=1))
    ended = threading.Event()
    job = boxes.prepare(program("hang"), tmp_path / "case")
    job.start(ended.set)
    assert ended.wait(10)
    end = job.close()
    boxes.close()
    assert (end.code, end.reason) == (124, "timeout")


def test_end_is_seen_through_the_engine_where_the_process_is_not_visible(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def invisible(pid: int) -> int:
        raise ProcessLookupError(pid)

    monkeypatch.setattr(os, "pidfd_open", invisible)
    boxes = executor(built, tmp_path / "cache")
    ended = threading.Event()
    job = boxes.prepare(program("burn"), tmp_path / "case")
    job.start(ended.set)
    assert ended.wait(20)
    end = job.close()
    boxes.close()
    assert (end.code, end.detail["end_seen_by"]) == (0, "engine")
    assert end.unc_ns > 0
    assert end.cpu_s is not None
    assert 1.0 <= end.cpu_s < 2.0  # its own shell told, as the host could not see


def test_program_waits_at_the_barrier_until_the_host_opens_it(built: Path, tmp_path: Path) -> None:
    (tmp_path / "barrier").mkdir()
    go = tmp_path / "barrier" / "go"
    boxes = executor(built, tmp_path / "cache")
    job = boxes.prepare(program("good"), tmp_path / "case", go=go)
    ended = threading.Event()
    job.start(ended.set)
    while not (job.events.exists() and '"ready"' in job.events.read_text()):
        assert not ended.wait(0.02)
    assert not ended.wait(0.5)
    assert read_marks(job.events).epochs == ()
    opened_ns = time.monotonic_ns()
    go.touch()
    assert ended.wait(10)
    assert job.close().code == 0
    boxes.close()
    late_ns = read_marks(job.events).epochs[0].t0_ns - opened_ns
    assert 0 < late_ns < 50e6


def test_gpus_are_requested_exactly_and_a_failing_start_leaves_no_container(
    built: Path,
    tmp_path: Path,
    containers: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    engine: DockerClient,
) -> None:
    monkeypatch.setattr(engines, "check_gpus", lambda info, gpus: None)
    boxes = executor(built, tmp_path / "cache", replace(LIMITS, gpus=("GPU-1a", "GPU-2b")))
    job = boxes.prepare(program("good"), tmp_path / "case")
    (name,) = containers()
    assert engine.containers.get(name).attrs["HostConfig"]["DeviceRequests"] == [
        {
            "Driver": "",
            "Count": 0,
            "DeviceIDs": ["GPU-1a", "GPU-2b"],
            "Capabilities": [["gpu"]],
            "Options": {},
        }
    ]
    with pytest.raises(ExecutorError, match="container not started"):
        job.start(lambda: None)
    job.kill("not-started: no GPU")
    end = job.close()
    assert (end.code, end.reason) == (None, "not-started: no GPU")
    assert containers() == []
    boxes.close()


def test_closing_the_executor_removes_what_was_only_created(
    built: Path, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    boxes = executor(built, tmp_path / "cache")
    boxes.prepare(program("good"), tmp_path / "case")
    assert len(containers()) == 1
    boxes.close()
    assert containers() == []
