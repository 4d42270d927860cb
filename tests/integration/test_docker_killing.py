"""However a session dies, its containers do not outlive it for long, and no record lies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.record.journal import read_journal, records
from energy_plugin.run import baseimage, images
from energy_plugin.run.executors.engine import LABEL, labels_of, sweep
from energy_plugin.run.executors.owner import owner
from tests.engine import private_engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import DockerClient

    from energy_plugin.run.images import Base
    from tests.conftest import Project

pytestmark = pytest.mark.engine
HANG = '@experiments("boxed/hang")\ndef test_case(case, measure):\n    assert measure(case).success\n'
GOOD = '@experiments("boxed/good")\ndef test_case(case, measure):\n    assert measure(case).success\n'


def started(project: Project) -> subprocess.Popen[str]:
    """A session whose only program is ready and hangs."""
    project.declare(HANG)
    running = project.start()
    events = project.folder / "results" / "latest" / "boxed_hang_001" / "training.events.jsonl"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and running.poll() is None:
        if events.exists() and '"ready"' in events.read_text():
            return running
        time.sleep(0.05)
    raise AssertionError(running.communicate()[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_container_and_the_record_says_so(
    box_project: Project, containers: Callable[[], list[str]], number: signal.Signals
) -> None:
    running = started(box_project)
    running.send_signal(number)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == pytest.ExitCode.INTERRUPTED, output
    (record,) = records(box_project.session)
    assert record.outcomes[0].reason == "interrupted"
    assert containers() == []


def test_container_of_a_killed_session_is_removed_by_the_next_one(
    box_project: Project, containers: Callable[[], list[str]], engine: DockerClient
) -> None:
    running = started(box_project)
    first = box_project.session
    running.kill()
    running.communicate()
    (orphan,) = containers()
    assert engine.containers.get(orphan).status == "running"
    time.sleep(1)  # sessions are named by the second
    box_project.declare(GOOD)
    done = box_project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert containers() == []
    # The dead session claims nothing: its attempt began, and no end was written.
    assert [event["event"] for event in read_journal(first)] == ["session-begin", "attempt-begin"]
    assert records(first) == []
    assert not json.loads((first / "session.json").read_text())["complete"]
    assert box_project.session != first


def test_clean_removes_orphans_and_only_those(
    engine: DockerClient, plain: Base, containers: Callable[[], list[str]], project: Project
) -> None:
    alive = {LABEL: "1", **labels_of(owner())}
    dead = alive | {f"{LABEL}.pid": "1", f"{LABEL}.born": "no start time"}
    rebooted = alive | {f"{LABEL}.boot": "another boot"}
    for name, labels in {"ww-alive": alive, "ww-dead": dead, "ww-rebooted": rebooted}.items():
        engine.containers.create(plain.name, ["true"], name=name, labels=labels, network_mode="none")
    foreign = engine.containers.create(plain.name, ["true"], network_mode="none")
    command = [sys.executable, "-m", "energy_plugin", "clean"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**project.environment, "DOCKER_HOST": _host()}
    )
    assert done.stdout == "2 containers of dead sessions removed\n", done.stderr
    assert containers() == ["ww-alive"]
    assert sweep(engine) == 0
    foreign.reload()  # still there
    foreign.remove()


def _host() -> str:
    return os.environ.get("DOCKER_HOST", "")


@pytest.mark.slow
@pytest.mark.root
def test_engine_that_dies_mid_run_leaves_a_failed_record_and_no_made_up_exit_code(
    project: Project, boxed: Path
) -> None:
    with private_engine() as address:
        folder = Path(address.removeprefix("unix://")).parent
        client = docker.DockerClient(base_url=address)
        base = baseimage.ensure(client, "plain", print)
        images.build(client, load_catalog(boxed).repositories["boxed"], base, print)
        client.close()
        project.environment["DOCKER_HOST"] = address
        project.declare(HANG.replace("hang", "burn"))
        running = project.start("--energy-executor", "docker", "--energy-cooldown", "0")
        events = project.folder / "results" / "latest" / "boxed_burn_001" / "training.events.jsonl"
        deadline = time.monotonic() + 30
        while not (events.exists() and '"ready"' in events.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
        output, _ = running.communicate(timeout=60)
        subprocess.run(["pkill", "-9", "-f", str(folder)])  # what a killed daemon leaves behind
    assert running.returncode == 1, output
    (record,) = records(project.session)
    outcome = record.outcomes[0]
    assert (outcome.success, outcome.reason, outcome.exit_code) == (False, "engine-lost", None), (
        outcome.detail
    )
    assert [event["event"] for event in read_journal(project.session)][-1] == "session-end"
