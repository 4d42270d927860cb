"""A project whose cases are real process trees, and whose sessions die on purpose."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import NAME, read_journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Project

MARK = "WATTWHY_CHAOS"
"""In the environment of everything that a project under chaos starts."""
QUIET_S = 10.0
CONFTEST = """
import sys
pytest_plugins = ["energy_plugin.plugin", "tests.chaos.chaosplugin"]
from tests.chaos import chaosplugin
chaosplugin.patch()
"""
FAMILY = '''
def family(training):
    """A tree: a child in our group and one in a group of its own, each with a child; all write files.

    Where it is to hang, it and its children are there until somebody ends them.
    """
    grow = (
        "for i in 1 2 3; do echo $i >>$0.child; sleep 0.01; done;"
        "sh -c 'for i in 1 2 3; do echo $i >>$0.grandchild; sleep 0.01; done' $0"
    )
    training.ready()
    children = [
        subprocess.Popen(["sh", "-c", grow, str(training.output / name)], start_new_session=name == "far")
        for name in ("near", "far")
    ]
    for epoch in range(training.values["epochs"]):
        time.sleep(EPOCH_S)
        training.epoch(1.0 / (epoch + 1))
    if os.environ.get("WATTWHY_CHAOS_HANG"):
        for far in (False, True):
            subprocess.Popen(["sleep", "600"], start_new_session=far)
        time.sleep(600)
    for child in children:
        child.wait()
    training.data_source = "tiny"
    return {"accuracy": 0.9}
'''


@dataclass
class Ordeal:
    """One study, run until it is done, whatever happens to the sessions that run it."""

    project: Project
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    killed: int = 0

    def declare(self, replicates: int) -> None:
        """Cases of the model ``family``."""
        images = self.project.images / "tiny"
        program = images / "train.py"
        text = program.read_text().replace("import os, signal, sys", "import os, signal, subprocess, sys")
        program.write_text(
            text.replace("contract.resolve_device = ", f"{FAMILY}\ncontract.resolve_device = ").replace(
                "names = dict(", "names = dict(family=family, "
            )
        )
        toml = images / "repository.toml"
        cost = "cost = { startup_s = 0.1, epoch_s = 0.02 }"
        toml.write_text(toml.read_text() + f'\n[models.family]\nmetrics = ["accuracy"]\n{cost}\n')
        (self.project.folder / "conftest.py").write_text(CONFTEST)
        self.project.environment |= {MARK: self.mark}
        self.project.case("family", replicates=replicates)

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """Begin or resume; a session with nothing to resume is the first."""
        command = self.project.command(
            "--energy-resume=latest", "--energy-cooldown=0", "--energy-idle=0.05", "--energy-retries=2", "-q"
        )
        return subprocess.Popen(
            command,
            cwd=self.project.folder,
            env=self.project.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, **environment: str) -> tuple[int, str]:
        """To its end, or its death; then nothing of it is alive and the journal can be read."""
        running = self.start(**environment)
        output, _ = running.communicate(timeout=120)
        self.killed += running.returncode == -9
        self.check_after_death(running.pid)
        return running.returncode, output

    def check_after_death(self, pid: int) -> None:
        """No process of the session is left, and the journal is readable."""
        deadline = time.monotonic() + QUIET_S
        while (left := alive(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left, f"left alive by pytest {pid}: {left}"
        assert "damaged" not in Counter(event["event"] for event in self.events())

    def await_processes(self, command: str, count: int) -> None:
        """Until so many processes of the session have this command line."""
        deadline = time.monotonic() + QUIET_S
        while sum(line.strip() == command for line in alive(self.mark)) < count:
            assert time.monotonic() < deadline, f"{command} never ran: {alive(self.mark)}"
            time.sleep(0.02)

    def events(self) -> list[dict[str, Any]]:
        """The journal of the one session, empty before there is one."""
        journals = list((self.project.folder / "results").glob(f"run_*/{NAME}"))
        assert len(journals) <= 1, "a resumed session began a second folder"
        return list(read_journal(journals[0].parent)) if journals else []

    def open_attempt(self) -> bool:
        """Whether the journal holds a begin without an end."""
        open_: set[str] = set()
        for event in self.events():
            if event["event"] == "attempt-begin":
                open_.add(event["experiment_id"])
            elif event["event"].startswith("attempt-"):
                open_.discard(event.get("experiment_id") or event["record"]["experiment_id"])
        return bool(open_)


def processes(mark: str) -> dict[int, str]:
    """Command lines of the living processes that carry the mark, by process id."""
    wanted = f"{MARK}={mark}".encode()
    folders = [folder for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
    return {int(folder.name): line for folder in folders if (line := _line(folder, wanted))}


def alive(mark: str) -> list[str]:
    """Those command lines alone."""
    return list(processes(mark).values())


def _line(folder: Path, wanted: bytes) -> str:
    try:
        if wanted not in (folder / "environ").read_bytes().split(b"\0"):
            return ""
        if (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return ""
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace") or folder.name
    except OSError:
        return ""


@pytest.fixture
def ordeal(project: Project) -> Iterator[Ordeal]:
    """An ordeal for a project; ends whatever a failed test leaves."""
    made = Ordeal(project)
    yield made
    for pid in processes(made.mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
