"""The container engine of the tests: one that answers, else a private one for as long as they run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from energy_plugin.errors import UsageError
from energy_plugin.run.executors.engine import connect, knock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

READY_S = 30.0


@contextmanager
def private_engine() -> Iterator[str]:
    """Run a daemon of our own with its own folders; its address."""
    folder = Path(tempfile.mkdtemp(prefix="ww"))  # short: a socket's path has 107 bytes at most
    socket = folder / "docker.sock"
    command: list[str | Path] = ["dockerd", "--data-root", folder / "root", "--exec-root", folder / "exec"]
    command += ["--pidfile", folder / "pid", "-H", f"unix://{socket}"]
    if not Path("/sys/class/net/docker0").exists():
        # Programs have no network. Where a bridge exists another daemon uses it, and this would delete it.
        command += ["--bridge=none", "--iptables=false"]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _await(f"unix://{socket}", daemon, folder / "log")
        yield f"unix://{socket}"
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
            subprocess.run(["umount", "-l", mount], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _await(address: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while daemon.poll() is None and time.monotonic() < deadline:
        try:
            knock(address)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"dockerd did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """A client; ``DOCKER_HOST`` names its engine as long as the session lasts."""
    try:
        client = connect()
    except UsageError as error:
        if os.geteuid() or not shutil.which("dockerd"):
            pytest.skip(f"no engine answers, and none can be started (needs root and dockerd): {error}")
    else:
        yield client
        client.close()
        return
    with private_engine() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", address)
        client = connect()
        yield client
        client.close()
