"""Pairs and backgrounds in containers: the same start, the same proof, nothing left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.declare.case import Case
from energy_plugin.record.journal import records
from energy_plugin.run.executors.engine import LABEL
from tests import tiny
from tests.boxes import executor, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docker import DockerClient

    from energy_plugin.run.executors.docker import DockerExecutor
    from tests.conftest import Project

pytestmark = pytest.mark.engine


@pytest.fixture
def boxes(built: Path, tmp_path: Path) -> Iterator[DockerExecutor]:
    made = executor(built, tmp_path / "cache")
    yield made
    made.close()


def test_containers_start_together_though_one_loads_longer(
    boxes: DockerExecutor, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    before = os.umask(0o077)
    try:
        case = Case(programs=(program("spin"), program("late", "b")))
        record = tiny.run(case, boxes, tmp_path / "run" / "pair")
    finally:
        os.umask(before)
    assert record.success, record.failure
    a, b = record.outcomes
    assert abs(record.provenance["start_skew_s"]) < 0.1
    assert record.provenance["barrier"]["waited_s"]["a"] > 0.2
    assert (a.log, b.log) == ("pair/training.log", "pair/training_b.log")
    assert [len(one.epochs) for one in (a, b)] == [2, 2]
    usage = (tmp_path / "run" / "pair" / "energy" / "trace.csv").read_text()
    for role in "ab":
        assert usage.count(f"usage,program:{role},model,cgroup,counter,cpu_time_s") >= 3
    assert containers() == []


def test_container_whose_partner_fails_is_ended(
    boxes: DockerExecutor, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    case = Case(programs=(program("crash"), program("spin", "b", epochs=1000)))
    record = tiny.run(case, boxes, tmp_path / "run" / "pair")
    a, b = record.outcomes
    assert (a.reason, a.exit_code) == ("exit-code", 1)
    assert (b.success, b.reason, b.detail) == (False, "partner", "a failed")
    assert containers() == []


def test_background_restarts_in_containers_of_its_own_and_works_throughout(
    boxes: DockerExecutor, tmp_path: Path, containers: Callable[[], list[str]]
) -> None:
    case = Case(programs=(program("spin", epochs=25), program("spin", "load", epochs=20, loop="restart")))
    record = tiny.run(case, boxes, tmp_path / "run" / "one", warmup_s=0.5)
    assert record.success, record.failure
    work = record.background
    assert work is not None
    assert len(work.runs) >= 2
    assert {run.code for run in work.runs[:-1]} == {0}
    assert work.worked_s is not None
    assert work.worked_s > 0.9 * work.window_s
    assert work.cpu_s is not None
    assert work.cpu_s > 0.05 * work.window_s
    assert work.epochs > 10
    assert all((tmp_path / "run" / "one" / run.log).exists() for run in work.runs)
    assert containers() == []


def test_background_container_killed_mid_window_flags_the_run(
    boxes: DockerExecutor, tmp_path: Path, engine: DockerClient, containers: Callable[[], list[str]]
) -> None:
    folder = tmp_path / "run" / "one"

    def kill() -> None:
        while not (folder / "training.events.jsonl").exists():
            time.sleep(0.05)
        time.sleep(0.5)
        for one in engine.containers.list(filters={"label": [LABEL, f"{LABEL}.case=run_1"]}):
            if one.name in containers():
                one.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    case = Case(programs=(program("spin", epochs=10), program("spin", "load", epochs=10**6, loop="endless")))
    record = tiny.run(case, boxes, folder, warmup_s=0.3)
    killer.join()
    (outcome,) = record.outcomes
    assert (outcome.success, outcome.reason, outcome.exit_code) == (False, "background-died", 0)
    assert outcome.metrics == {"accuracy": 0.9}
    assert containers() == []


def test_no_container_outlives_a_session_that_is_killed(
    box_project: Project, containers: Callable[[], list[str]]
) -> None:
    (box_project.folder / "study.toml").write_text(
        '[[experiments]]\nselect = "boxed/hang"\nalone = false\n'
        'background = { model = "boxed/spin", loop = "endless" }\ndesign = { kind = "defaults" }\n'
    )
    running = box_project.start("study.toml", "--energy-warmup", "0.2", "--energy-idle", "0")
    events = box_project.folder / "results/latest/boxed_hang+boxed_spin_001/training.events.jsonl"
    deadline = time.monotonic() + 60
    while not (events.exists() and '"ready"' in events.read_text()):
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.05)
    assert len(containers()) == 2
    running.send_signal(signal.SIGKILL)
    running.communicate()
    deadline = time.monotonic() + 20
    while containers():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert records(box_project.session) == []
