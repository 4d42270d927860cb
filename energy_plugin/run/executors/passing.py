"""A child's output on its way: to where ours goes, as if nothing stood between, and into a log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import termios
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 65536
STDOUT, STDERR = 1, 2


class Passing:
    """Two channels from a child to our standard output and error, both copied to one log.

    A channel whose end is a terminal is a pseudo terminal with that terminal's size and settings, so
    that the child still shows progress bars and colours; one for both where both are terminals. Any
    other channel is a pipe. The child's standard input is not touched.

    Attributes:
        stdout: file that the child is given as standard output. ``stderr``: as standard error.
    """

    def __init__(self, log: Path) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._ends: list[tuple[int, int]] = []
        """(where it is read here, where it goes)"""
        self._threads: list[threading.Thread] = []
        self._given: list[int] = []
        self.stdout = self._channel(STDOUT)
        both = os.isatty(STDOUT) and os.isatty(STDERR)
        self.stderr = self.stdout if both else self._channel(STDERR)

    def _channel(self, to: int) -> int:
        if os.isatty(to):
            ours, theirs = os.openpty()
            _as_terminal(to, theirs)
        else:
            ours, theirs = os.pipe()
        self._given.append(theirs)
        self._ends.append((ours, to))
        return theirs

    def begin(self) -> None:
        """The child has its ends: close them here, and copy."""
        self._close_given()
        for end in self._ends:
            thread = threading.Thread(target=self._copy, args=end, name="energy-output", daemon=True)
            self._threads.append(thread)
            thread.start()

    def resize(self) -> None:
        """Give the pseudo terminals the size that the terminal has now."""
        for ours, to in self._ends:
            if os.isatty(to):
                _copy_size(to, ours)

    def close(self, seconds: float) -> None:
        """Wait for the rest of the output, *seconds* at most; then the log is closed. Safe twice."""
        self._close_given()
        if not self._threads:  # it never began
            for ours, _ in self._ends:
                os.close(ours)
        self._ends = []
        for thread in self._threads:
            thread.join(seconds)
        if self._log >= 0 and not any(thread.is_alive() for thread in self._threads):
            os.close(self._log)
            self._log = -1

    def _close_given(self) -> None:
        given, self._given = self._given, []
        for number in given:
            os.close(number)

    def _copy(self, ours: int, to: int) -> None:
        """Until the last writer is gone; a reader of ours that is gone ends the child's channel too."""
        try:
            while piece := _read(ours):
                with contextlib.suppress(OSError):  # a full disk must not stop the child
                    os.write(self._log, piece)
                _write_all(to, piece)
        except OSError:
            pass  # nobody reads us any more: the child shall find that out as it would without us
        finally:
            os.close(ours)


def _read(number: int) -> bytes:
    try:
        return os.read(number, CHUNK)
    except OSError:  # how a pseudo terminal says that the last writer is gone
        return b""


def _write_all(number: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(number, data) :]
        except BlockingIOError:  # whoever gave us this file set it so
            select.select([], [number], [])


def _as_terminal(terminal: int, copy: int) -> None:
    """Size and settings of *terminal*, except that nothing is done to the output: that comes later."""
    with contextlib.suppress(termios.error):
        settings = termios.tcgetattr(terminal)
        settings[1] &= ~termios.OPOST
        termios.tcsetattr(copy, termios.TCSANOW, settings)
    _copy_size(terminal, copy)


def _copy_size(terminal: int, copy: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(copy, termios.TIOCSWINSZ, fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
