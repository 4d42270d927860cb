"""The host lock: one holder, known to the second, freed by the kernel however the first ends."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from energy_plugin.clock import SystemClock
from energy_plugin.doctor import measure
from energy_plugin.errors import HostTakenError, UsageError
from energy_plugin.record.trace import Channel
from energy_plugin.run.guard import Guarded
from energy_plugin.run.lock import HostLock, default_file
from energy_plugin.run.probe import Probed
from tests.chaos.chaosplugin import SteadyMeter
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLD = (
    "import sys, time, pathlib; from energy_plugin.run.lock import HostLock\n"
    "lock = HostLock(pathlib.Path(sys.argv[1]))\n"
    "lock.take({'folder': 'results/first', 'governor': {'cpu0': 'x'}})\n"
    "print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "host.lock"


@contextmanager
def held(file: Path, code: str = HOLD) -> Iterator[int]:
    """The pid of a process that holds the lock; in the end it is killed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline().strip() == "held"
        yield holder.pid
    finally:
        holder.kill()
        holder.communicate()


def test_second_session_is_refused_and_told_the_firsts_pid_and_folder(file: Path) -> None:
    with held(file) as pid, pytest.raises(UsageError, match=f"pid {pid}, results in results/first"):
        HostLock(file).take({})


def test_lock_of_a_killed_session_is_free_and_tells_what_it_left_changed(file: Path) -> None:
    with held(file) as pid:
        pass
    lock = HostLock(file)
    lock.take({"folder": "second"})
    assert lock.left["pid"] == pid
    assert lock.left["governor"] == {"cpu0": "x"}
    lock.release()


def test_released_lock_is_free_and_tells_nothing(file: Path) -> None:
    first = HostLock(file)
    first.take({"folder": "a"})
    first.release()
    first.release()
    second = HostLock(file)
    second.take({"folder": "b"})
    assert second.left == {}
    second.release()


def test_child_does_not_inherit_the_lock(file: Path) -> None:
    lock = HostLock(file)
    lock.take({})
    child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        lock.release()
        again = HostLock(file)
        again.take({})
        again.release()
    finally:
        child.kill()
        child.wait()


def test_file_half_written_by_a_killed_holder_does_not_stop_the_next(file: Path) -> None:
    file.write_text('{"pid": 12')
    lock = HostLock(file)
    lock.take({})
    assert lock.left == {}
    lock.release()


def test_lock_where_no_file_can_be_made_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--energy-lock"):
        HostLock(tmp_path / "missing" / "host.lock").take({})


def test_file_is_open_to_every_user(file: Path) -> None:
    old = os.umask(0o077)
    try:
        lock = HostLock(file)
        lock.take({})
        lock.release()
    finally:
        os.umask(old)
    assert file.stat().st_mode & 0o777 == 0o666
    assert default_file().is_absolute()


def test_the_environment_names_the_lock_of_all_that_run_in_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTWHY_LOCK", str(file))
    assert default_file() == file


def test_no_processor_is_made_busy_while_another_session_measures() -> None:
    channel = Channel(id="cpu:package:0", meter="steady", source="test")
    probed = Probed((Guarded(SteadyMeter(), SystemClock()),), (channel,))
    lock = Path(os.environ["WATTWHY_LOCK"])
    with held(lock) as pid, pytest.raises(HostTakenError, match=f"pid {pid}"):
        measure(probed, 0.1, SystemClock(), io.StringIO())


def test_what_holds_the_lock_without_results_is_named(file: Path) -> None:
    trial = HOLD.replace("'folder': 'results/first'", "'what': 'a trial'")
    with held(file, trial) as pid, pytest.raises(HostTakenError, match=rf"\(pid {pid}, a trial\)"):
        HostLock(file).take({})


def test_a_forked_child_does_not_keep_the_lock_of_a_session_that_ended(file: Path) -> None:
    lock = HostLock(file)
    lock.take({})
    child = os.fork()
    if not child:
        signal.pause()
    try:
        lock.release()
        again = HostLock(file)
        again.take({})
        again.release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
