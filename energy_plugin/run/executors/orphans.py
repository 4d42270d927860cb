"""Programs that outlive whoever started them: found by a mark in their environment, and ended.

Every program of a local session carries ``WATTWHY_SESSION``, its descendants inherit it, and neither a
new process group nor a dead parent takes it from them. Standard library only: this file is also run by
itself, as the process that waits for the session's death (:mod:`energy_plugin.run.executors.keeper`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARIABLE = "WATTWHY_SESSION"
ROUNDS = 100
ROUND_S = 0.01
"""A program that goes on starting others is outrun; one that the kernel holds is given up after a second."""


def marked(procfs: str = "/proc") -> Iterator[tuple[int, str]]:
    """Every living process that carries a mark and is ours to look at, with its mark."""
    start = f"{VARIABLE}=".encode()
    for name in os.listdir(procfs):
        if not name.isdecimal():
            continue
        try:
            with open(f"{procfs}/{name}/environ", "rb") as file:
                entries = file.read().split(b"\0")
        except OSError:
            continue
        for entry in entries:
            if entry.startswith(start):
                yield int(name), entry[len(start) :].decode(errors="replace")


def end(is_mine: Callable[[str], bool]) -> int:
    """Kill every process whose mark *is_mine*, and those that they start meanwhile; how many."""
    ended: set[int] = set()
    for _ in range(ROUNDS):
        found = [pid for pid, mark in marked() if is_mine(mark) and pid != os.getpid()]
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        ended |= set(found)
        time.sleep(ROUND_S)
    return len(ended)


def within(owner: str) -> Callable[[str], bool]:
    """Whether a mark is *owner* itself or of one of its programs."""
    return lambda mark: mark == owner or mark.startswith(f"{owner}/")


def main(owner: str, *command: str) -> None:
    """Wait until standard input ends, as it does with its writer; then end *owner*'s programs.

    Args:
        owner: the mark of the session.
        command: run after that, for what is no process of this host's.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end(within(owner))
    if command:
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
