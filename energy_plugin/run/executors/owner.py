"""The process that programs belong to: what of it survives as a mark on them when it does not itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """One process of one host, for good.

    Attributes:
        boot: id of the host's start.
        born: start time of the process in clock ticks since boot, against reused process ids.
        pids: the process-id namespace: from another one, ``pid`` says nothing.
    """

    pid: str
    boot: str
    born: str
    pids: str

    def __str__(self) -> str:
        return f"{self.boot}/{self.pids}/{self.pid}/{self.born}"

    def is_gone(self) -> bool | None:
        """Whether it has ended; None where that cannot be seen from here."""
        if self.boot != _boot():
            return True
        if self.pids != _namespace():
            return None
        return not self.born or _born(self.pid) != self.born


def owner() -> Owner:
    """This process."""
    pid = os.getpid()
    return Owner(pid=str(pid), boot=_boot(), born=_born(str(pid)), pids=_namespace())


def read_owner(text: str) -> Owner | None:
    """The owner that ``str`` wrote, with anything after it; None where it is none."""
    parts = text.split("/")
    if len(parts) < 4 or not all(parts[:4]):
        return None
    boot, pids, pid, born = parts[:4]
    return Owner(pid=pid, boot=boot, born=born, pids=pids)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid")


def _born(pid: str) -> str:
    """Field 22 of ``/proc/PID/stat``; empty when there is no such process, or only its zombie."""
    try:
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after[0] == "Z" else after[19]
