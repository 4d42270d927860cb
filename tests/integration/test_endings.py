"""However a session ends, its journal is whole and what was measured is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import read_journal, records

if TYPE_CHECKING:
    from tests.conftest import Project


def wait_for_second_case(project: Project, seconds: float = 30) -> None:
    """Until one case is done and the next has begun."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        journal = project.folder / "results" / "latest" / "journal.jsonl"
        if journal.is_file() and journal.read_text().count('"attempt-begin"') >= 2:
            time.sleep(0.3)
            return
        time.sleep(0.05)
    raise AssertionError("the second case never began")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_with_a_whole_journal_and_no_orphan(project: Project, number: signal.Signals) -> None:
    project.case("good", "hang")
    running = project.start("--energy-order", "declared")
    wait_for_second_case(project)
    running.send_signal(number)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == pytest.ExitCode.INTERRUPTED, output
    events = [event["event"] for event in read_journal(project.session)]
    assert events == [
        "session-begin",
        "attempt-begin",
        "attempt-end",
        "attempt-begin",
        "attempt-end",
        "session-end",
    ]
    good, hung = records(project.session)
    assert good.success
    assert hung.outcomes[0].reason == "interrupted"
    facts = json.loads((project.session / "session.json").read_text())
    assert (facts["complete"], facts["done"], facts["planned"]) == (False, 1, 2)
    assert (project.session / "summary.csv").read_text().count("\n") == 3
    begin = json.loads(
        (project.session / "tiny_hang_001" / "training.events.jsonl").read_text().splitlines()[0]
    )
    with pytest.raises(ProcessLookupError):
        os.kill(begin["pid"], 0)


@pytest.mark.slow
def test_interrupted_session_has_a_report_marked_incomplete(project: Project) -> None:
    project.case("good", "hang")
    running = project.start("--energy-order", "declared", "--energy-report", "auto")
    wait_for_second_case(project)
    running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=90)
    assert "--engine exact" in output
    page = (project.session / "report.html").read_text()
    assert "ncomplete" in page
    assert "1 of 2" in page


def test_killed_session_can_be_rebuilt_from_its_journal(project: Project) -> None:
    project.case("good", "hang")
    running = project.start("--energy-order", "declared")
    wait_for_second_case(project)
    pid = json.loads(
        (project.session / "tiny_hang_001" / "training.events.jsonl").read_text().splitlines()[0]
    )["pid"]
    running.kill()
    running.communicate()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists():  # what the session started does not outlive it
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with (project.session / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"event":"attempt-en')  # a crash in the middle of a write
    done = subprocess.run(
        [sys.executable, "-m", "energy_plugin", "rebuild", str(project.session)],
        capture_output=True,
        text=True,
        env=project.environment,
    )
    assert done.stdout.startswith("1 attempts written"), done.stderr
    assert (project.session / "summary.csv").read_text().count("\n") == 2


def test_results_folder_that_is_a_file_stops_before_a_run(project: Project) -> None:
    (project.folder / "results").write_text("not a folder")
    project.case("good")
    done = project.run()
    assert done.returncode == 8
    assert "choose another --energy-results" in done.stdout + done.stderr


@pytest.mark.root
def test_results_folder_that_is_not_writable_stops_before_a_run(project: Project, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(closed)], check=True)
    try:
        project.case("good")
        done = project.run("--energy-results", str(closed / "results"))
    finally:
        subprocess.run(["umount", str(closed)], check=True)
    assert done.returncode == 8
    assert "Read-only file system" in done.stdout + done.stderr


@pytest.mark.root
def test_full_disk_stops_the_session_and_keeps_what_was_measured(project: Project, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(small)], check=True)
    try:
        project.case("good", "hang", "other")
        running = project.start(
            "--energy-order", "declared", "--energy-results", str(small), "--energy-timeout", "4"
        )
        latest = small / "latest" / "journal.jsonl"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (
            latest.is_file() and latest.read_text().count('"attempt-begin"') >= 2
        ):
            time.sleep(0.05)
        (small / "filler").write_bytes(b"x" * (20 << 20))
        output, _ = running.communicate(timeout=60)
        kept = records(small / "latest")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    assert running.returncode == 8, output
    assert "MiB free" in output
    assert [record.outcomes[0].program.model for record in kept] == ["good", "hang"]
