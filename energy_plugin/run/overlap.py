"""Who else measures on this host just now: two runs at once read the same counters."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

NAME = "wattwhy-measuring"
MOST = 100
"""More than so many others are not looked at; a hostile folder must not hold up a run."""
LINE = 200

_numbers = itertools.count(1)


class Presence:
    """One measured run, visible to others while it lasts.

    A file of its own, locked while this process lives, in a folder that all users share. A newcomer
    writes its name into the files of all that are there, so both know of each other, also when the
    newcomer is gone again at the end. Runs inside another one's own program are no strangers.
    Nothing here raises: where the folder cannot be used, nobody is seen.

    Args:
        label: what is run, for the others' records.
        folder: where the files are; the same for all on one host.
    """

    def __init__(self, label: str, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / NAME
        line = " ".join(label.split())[: LINE - 20]
        self._name = f"{line} (pid {os.getpid()})"
        self._file = -1
        self._path: Path | None = None
        self._met: set[str] = set()

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            self._announce()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.others()
            if self._path is not None:
                self._path.unlink()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def others(self) -> tuple[str, ...]:
        """Every other run that was there at any time so far, by name and process id."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                self._met |= set(_guests(self._file))
        return tuple(sorted(self._met))

    def _announce(self) -> None:
        with contextlib.suppress(FileExistsError):
            self._folder.mkdir()
            self._folder.chmod(0o1777)  # as /tmp itself: everybody adds, nobody removes another's
        path = self._folder / f"{os.getpid()}-{next(_numbers)}"
        hidden = path.with_name(f".{path.name}")  # until it is locked: it would pass for a dead one's
        for old in (path, hidden):
            old.unlink(missing_ok=True)  # of a dead process with our id
        self._file = os.open(hidden, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        os.fchmod(self._file, 0o666)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.write(self._file, f"{self._name}\n".encode())
        hidden.rename(path)
        self._path = path
        own = set(ancestors())
        for other in itertools.islice(self._folder.iterdir(), MOST):
            with contextlib.suppress(OSError, ValueError):
                if other != path and int(other.name.split("-")[0]) not in own:
                    self._meet(other)

    def _meet(self, other: Path) -> None:
        """Note a run that is there, and be noted; what a dead process left is removed."""
        number = os.open(other, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            facts = os.fstat(number)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
                return
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                other.unlink()
                return
            owner = os.pread(number, LINE, 0).split(b"\n")[0].decode(errors="replace")
            self._met.add(owner)
            os.write(number, f"{self._name}\n".encode())
        finally:
            os.close(number)


def _guests(number: int) -> Iterator[str]:
    """The lines after the first one, which is our own."""
    text = os.pread(number, MOST * LINE, 0).decode(errors="replace")
    return (line[:LINE] for line in text.splitlines()[1:])


def ancestors(procfs: Path = Path("/proc")) -> Iterator[int]:
    """This process, its parent, and so on."""
    pid = os.getpid()
    while pid > 0:
        yield pid
        try:
            pid = int((procfs / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return
