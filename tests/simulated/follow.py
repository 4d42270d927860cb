"""Simulated hardware that follows real trainings: power in step with the CPU time they spend."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulated.activity import write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TICKS = os.sysconf("SC_CLK_TCK")
STEPS = 20
"""Power moves in so many steps from rest to a whole core."""


class Follower:
    """Watches every process below *root* that runs *program*, and tells the activity files of it.

    Args:
        root: process whose children, and theirs, are looked through.
        program: file name in a command line, such as ``train.py``.
        files: activity file -> watts above idle at one whole core of CPU time.
        period_s: time between two looks.
    """

    def __init__(
        self, root: int, program: str, files: Mapping[Path, float], *, period_s: float = 0.05
    ) -> None:
        self._root, self._program, self._files = root, program, dict(files)
        self._period_s = period_s
        self._stop = threading.Event()
        self._seen: dict[int, tuple[float, float, int]] = {}
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stop.wait(self._period_s):
            self._look()

    def _look(self) -> None:
        now_s = time.monotonic()
        found = {pid: used for pid in below(self._root) if (used := cpu_s(pid, self._program)) is not None}
        for pid, used_s in found.items():
            then_s, before_s, told = self._seen.get(pid, (now_s, used_s, -1))
            cores = (used_s - before_s) / (now_s - then_s) if now_s > then_s else 1.0
            level = round(min(1.0, cores) * STEPS)
            if level != told:
                self._tell(pid, level, begun=told >= 0)
            self._seen[pid] = (now_s, used_s, level)
        for pid in self._seen.keys() - found.keys():
            del self._seen[pid]  # its last line is tied to the process and ended with it

    def _tell(self, pid: int, level: int, *, begun: bool) -> None:
        now_ns = time.monotonic_ns()
        for path, watts in self._files.items():
            ended = f"E {now_ns} {pid} 0\n" if begun else ""
            write(path, f"{ended}L {now_ns} {pid} {watts * level / STEPS:.2f} 0")


def below(pid: int) -> Iterator[int]:
    """Every descendant of *pid* that lives."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from below(child)


def cpu_s(pid: int, program: str) -> float | None:
    """CPU seconds that *pid* has spent, None where it is gone or runs another program."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if stat[0] in "ZX" or not any(os.path.basename(word) == program.encode() for word in words):
        return None
    return (int(stat[11]) + int(stat[12])) / TICKS
