"""One measuring session on one host: a second one would be a load in every number of the first."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import HostTakenError, UsageError
from energy_plugin.run.overlap import ancestors

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDERS = (Path("/run/lock"), Path(tempfile.gettempdir()))
NAME = "wattwhy.lock"
VARIABLE = "WATTWHY_LOCK"


def default_file() -> Path:
    """Where every user of this host looks for the lock, unless the environment names another file."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    for folder in FOLDERS:
        if os.access(folder, os.W_OK | os.X_OK):
            return folder / NAME
    return FOLDERS[-1] / NAME


class HostLock:
    """An advisory lock (``flock``) that the kernel gives back however its holder ends, SIGKILL too.

    The file tells who holds it and what that session changed on the host and has to put back, so
    that the next holder can do so after a SIGKILL. Whoever runs within the holder's own process, or
    below it as a program that it measures, shares the lock.

    Attributes:
        left: what a holder that was killed had written into the file.
        taken: this session may measure.
        shared: because one above it holds the lock, which alone gives it back.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or default_file()
        self._number: int | None = None
        self.left: dict[str, Any] = {}
        self.shared = False

    @property
    def taken(self) -> bool:
        """Whether this session may measure."""
        return self.shared or self._number is not None

    def take(self, facts: Mapping[str, Any]) -> None:
        """Take the lock and write *facts* into it; what a killed holder left is in ``left``.

        Raises:
            HostTakenError: another session holds it; names its pid and folder.
            UsageError: the file cannot be opened.
        """
        number = self._open()
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(number)
            os.close(number)
            self.shared = holder.get("pid") in set(ancestors())
            if not self.shared:
                raise self._refusal(holder) from None
            return
        self._number = number
        self.left = _read(number)
        self.note(facts)

    def note(self, facts: Mapping[str, Any]) -> None:
        """Replace what the file tells."""
        if self._number is not None:
            text = json.dumps({"pid": os.getpid(), **facts}).encode()
            os.pwrite(self._number, text, 0)
            os.ftruncate(self._number, len(text))

    def release(self, left: Mapping[str, Any] | None = None) -> None:
        """Give the lock back; safe twice. The file stays: removing it would race.

        Args:
            left: what is still to be put back by somebody who may.
        """
        self.shared = False
        number, self._number = self._number, None
        if number is not None:
            os.ftruncate(number, 0)
            if left:
                os.pwrite(number, json.dumps({"pid": os.getpid(), **left}).encode(), 0)
            fcntl.flock(number, fcntl.LOCK_UN)  # a forked child may have the file open, too
            os.close(number)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            # Without O_CREAT first: in a sticky folder the kernel refuses to create over another user's file.
            return os.open(self._file, flags)
        except FileNotFoundError:
            pass
        except PermissionError as error:
            raise UsageError(f"{self._file}: {error.strerror}; give --energy-lock FILE") from error
        try:
            number = os.open(self._file, flags | os.O_CREAT, 0o666)
        except OSError as error:
            raise UsageError(f"{self._file}: {error.strerror}; give --energy-lock FILE") from error
        with contextlib.suppress(OSError):
            os.fchmod(number, 0o666)  # whatever the umask: every user of the host has to meet here
        return number

    def _refusal(self, holder: Mapping[str, Any]) -> HostTakenError:
        who = f"pid {holder['pid']}" if "pid" in holder else "a process that did not say which"
        where = f", results in {holder['folder']}" if holder.get("folder") else ""
        where = where or (f", {holder['what']}" if holder.get("what") else "")
        return HostTakenError(f"{who}{where}", f"Wait for it or end it (lock: {self._file})")


def _read(number: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(number, 65536, 0) or b"{}")
    except ValueError:  # its holder was killed while it wrote
        return {}
    return found if isinstance(found, dict) else {}
