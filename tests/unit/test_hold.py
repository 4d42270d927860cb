"""A session takes the host, changes it, and puts it back: by itself, or by the next one after a SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from energy_plugin.errors import HostTakenError, UsageError
from energy_plugin.run.governor import CPU
from energy_plugin.run.hold import Hold
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

KILLED = """
import os, signal, sys
from pathlib import Path
from energy_plugin.run.hold import Hold
hold = Hold(lock=Path(sys.argv[1]), governor="performance", sysfs=Path(sys.argv[2]))
hold.take(Path("results"))
hold.change(Path("results/run_1"))
{end}
"""


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    for cpu, governor in (("cpu0", "schedutil"), ("cpu1", "powersave")):
        folder = tmp_path / CPU / cpu / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
        (folder / "scaling_available_governors").write_text("performance powersave schedutil\n")
    return tmp_path


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "host.lock"


def governors(sysfs: Path) -> list[str]:
    return [file.read_text().strip() for file in sorted(sysfs.rglob("scaling_governor"))]


def session(lock: Path, sysfs: Path, end: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED.format(end=end), str(lock), str(sysfs)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_governor_is_set_told_and_put_back(lock: Path, sysfs: Path) -> None:
    hold = Hold(lock=lock, governor="performance", sysfs=sysfs)
    hold.take(sysfs)
    hold.change(sysfs / "run_1")
    assert governors(sysfs) == ["performance", "performance"]
    assert hold.facts() == {
        "asked": "performance",
        "before": {"schedutil": 1, "powersave": 1},
        "during": {"performance": 2},
    }
    told = json.loads(lock.read_text())
    assert told["governor"] == {"cpu0": "schedutil", "cpu1": "powersave"}
    assert told["folder"] == str(sysfs / "run_1")
    hold.release()
    hold.release()
    assert governors(sysfs) == ["schedutil", "powersave"]
    assert (lock.read_text(), hold.faults) == ("", [])


def test_what_a_killed_session_changed_is_put_back_by_the_next_one(lock: Path, sysfs: Path) -> None:
    done = session(lock, sysfs, "os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert governors(sysfs) == ["performance", "performance"]
    hold = Hold(lock=lock, sysfs=sysfs)
    hold.take(sysfs)
    assert governors(sysfs) == ["schedutil", "powersave"]
    assert [note.partition(" (pid")[0] for note in hold.notes] == [
        "put back the governor that a session that was killed"
    ]
    hold.release()


def test_a_session_that_forgets_to_release_does_so_at_its_exit(lock: Path, sysfs: Path) -> None:
    assert session(lock, sysfs, "sys.exit(3)").returncode == 3
    assert governors(sysfs) == ["schedutil", "powersave"]
    assert lock.read_text() == ""


def test_what_the_next_session_cannot_put_back_stays_written_for_the_one_after(
    lock: Path, sysfs: Path
) -> None:
    session(lock, sysfs, "os.kill(os.getpid(), signal.SIGKILL)")
    stuck = sysfs / CPU / "cpu1" / "cpufreq" / "scaling_governor"
    stuck.unlink()
    stuck.mkdir()  # refuses a write whoever asks, root too
    second = Hold(lock=lock, sysfs=sysfs)
    second.take(sysfs)
    assert "could NOT be put back for cpu1" in second.notes[0]
    second.release()
    stuck.rmdir()
    stuck.write_text("performance")
    third = Hold(lock=lock, sysfs=sysfs)
    third.take(sysfs)
    third.release()
    assert governors(sysfs) == ["schedutil", "powersave"]
    assert lock.read_text() == ""


def test_after_a_new_start_of_the_host_nothing_is_put_back(lock: Path, sysfs: Path) -> None:
    session(lock, sysfs, "os.kill(os.getpid(), signal.SIGKILL)")
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "boot": "another"}))
    hold = Hold(lock=lock, sysfs=sysfs)
    hold.take(sysfs)
    hold.release()
    assert governors(sysfs) == ["performance", "performance"]


def test_a_refused_governor_leaves_nothing_changed(lock: Path, sysfs: Path) -> None:
    hold = Hold(lock=lock, governor="turbo", sysfs=sysfs)
    hold.take(sysfs)
    with pytest.raises(UsageError, match="Valid: performance"):
        hold.change(sysfs)
    hold.release()
    assert governors(sysfs) == ["schedutil", "powersave"]


def test_a_session_in_the_same_process_shares_the_host_and_gives_nothing_away(
    lock: Path, sysfs: Path
) -> None:
    outer, inner = Hold(lock=lock), Hold(lock=lock)
    outer.take(sysfs)
    inner.take(sysfs)
    inner.release()
    child = (
        "import sys, pathlib as p; from energy_plugin.run.hold import Hold; "
        "Hold(lock=p.Path(sys.argv[1])).take(p.Path())"
    )
    shared = subprocess.run([sys.executable, "-c", child, str(lock)], cwd=ROOT, capture_output=True)
    assert shared.returncode == 0
    assert json.loads(lock.read_text())["pid"] == os.getpid()
    with pytest.raises(UsageError, match="give them there"):
        Hold(lock=lock, governor="performance", sysfs=sysfs).take(sysfs)
    outer.release()


def test_a_stranger_is_refused_and_told_who_has_the_host(lock: Path, sysfs: Path) -> None:
    code = "print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", KILLED.format(end=code), str(lock), str(sysfs)]
    stranger = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert stranger.stdout is not None
    assert stranger.stdout.readline() == "held\n"
    with pytest.raises(HostTakenError, match=f"pid {stranger.pid}, results in results/run_1"):
        Hold(lock=lock).take(sysfs)
    stranger.communicate("")
    assert governors(sysfs) == ["schedutil", "powersave"]
