"""The original in a copy of the user's checkout, in a container; its log passes through this host."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

from energy_plugin.run.executors import container
from energy_plugin.run.executors.dockerjob import DockerJob
from energy_plugin.run.logmarks import pipe_chunks, tee

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from docker.models.containers import Container

    from energy_plugin.run.executors.protocols import Exit
    from energy_plugin.run.logmarks import LogMarks

RAW = ".raw"
"""Between a job's name and ``.log``: a pipe that the container's shell takes for its log."""
LOG_GRACE_S = 5.0


def make_pipe(folder: Path, name: str) -> Path:
    """A named pipe where the container's shell will write the log of *name*."""
    pipe = folder / f"{name}.log"
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    container.hand_over(pipe)
    return pipe


class DockerOriginalJob(DockerJob):
    """Reads the log as it is written, stamps each line, and writes log and events.

    Args:
        scratch: the copy of the checkout, removed at the end.
        pipe: the named pipe of the raw log.
        marks: how lines become events.
    """

    def __init__(
        self,
        made: Container,
        folder: Path,
        name: str,
        facts: Mapping[str, Any],
        scratch: Path,
        pipe: Path,
        marks: LogMarks,
    ) -> None:
        super().__init__(made, folder, name, facts)
        self._usage = folder / f"{name}{RAW}{container.USAGE}"
        self._scratch = scratch
        self._pipe = pipe
        self._marks = marks
        self._reader = threading.Thread(target=self._read, daemon=True)

    def start(self, on_exit: Callable[[], None]) -> None:
        """Start to read before there is anything to be read."""
        self._reader.start()
        super().start(on_exit)

    def _read(self) -> None:
        tee(pipe_chunks(os.open(self._pipe, os.O_RDONLY)), self.log, self.events, self._marks)

    def close(self) -> Exit:
        """As of every job; then the rest of the log is read and the copy removed."""
        exit_ = super().close()
        if self._reader.is_alive():
            # A container that never opened the pipe leaves its reader waiting for a first writer.
            with contextlib.suppress(OSError):
                os.close(os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK))
            self._reader.join(LOG_GRACE_S)
        self._pipe.unlink(missing_ok=True)
        shutil.rmtree(self._scratch, ignore_errors=True)
        return exit_
