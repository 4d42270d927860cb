"""What a process and its descendants have used, from procfs: processor time and resident memory."""

from __future__ import annotations

import os
from pathlib import Path

from energy_plugin.run.executors.protocols import Used

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def used(pid: int, procfs: Path = Path("/proc")) -> Used | None:
    """Sum over the tree below *pid*; None when it is gone.

    The time of children that were waited for is in their parent's own count. Memory is resident pages
    summed over processes: pages that several share count several times.
    """
    seen: set[int] = set()
    cpu_s, memory_bytes, waiting = 0.0, 0, [pid]
    while waiting:
        one = waiting.pop()
        stat = _stat(procfs / str(one))
        if stat is None or one in seen:
            continue
        seen.add(one)
        cpu_s += stat[0]
        memory_bytes += stat[1]
        waiting += _children(procfs / str(one))
    if pid not in seen:
        return None
    return Used(source="procfs", cpu_s=cpu_s, memory_bytes=memory_bytes, pids=frozenset(seen))


def _stat(folder: Path) -> tuple[float, int] | None:
    try:
        text = (folder / "stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    # After the name, which may hold anything: field 3 of proc(5) comes first.
    words = text.rpartition(")")[2].split()
    seconds = sum(int(word) for word in words[11:15]) / TICKS  # utime stime cutime cstime
    return seconds, int(words[21]) * PAGE


def _children(folder: Path) -> list[int]:
    """Of all its threads; none where the kernel keeps no such list."""
    found: list[int] = []
    try:
        threads = os.listdir(folder / "task")
    except OSError:
        return found
    for thread in threads:
        try:
            found += map(int, (folder / "task" / thread / "children").read_text().split())
        except OSError:
            continue
    return found
