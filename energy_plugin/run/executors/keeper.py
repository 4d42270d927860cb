"""A process that outlives this one for a moment, to end what this one leaves running when it is killed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from energy_plugin.run.executors import orphans

if TYPE_CHECKING:
    from collections.abc import Sequence


class Keeper:
    """Sleeps on a pipe whose only writer is this process; nothing can keep the kernel from closing it.

    Without it a SIGKILL of the session would leave its trainings running, a background one for ever.
    It takes no processor time while it waits.

    Args:
        mark: what the programs carry.
        command: run after they were ended, for what is no process of this host's.
    """

    def __init__(self, mark: str, command: Sequence[str] = ()) -> None:
        self._mark = mark
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; safe twice, also after it has died."""
        if self._process is not None and self._process.poll() is None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", orphans.__file__, self._mark, *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # the terminal's Ctrl-C is not for it
        )

    def close(self) -> None:
        """Dismiss it, now that nothing is left to be ended; safe twice and without start."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # first: a closed pipe is what it waits for
            process.communicate()
