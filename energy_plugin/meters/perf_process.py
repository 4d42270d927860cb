"""One ``perf stat`` process, opened beforehand and switched on and off over a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ACK_TIMEOUT_S = 2.0  # seen: 22 µs to 69 ms


class Count(NamedTuple):
    """One line of perf's output.

    Attributes:
        event: the event's name without its unit of hardware: ``energy-pkg``.
        socket: number of the processor package.
        value: joules, for a power event; None, never 0, where perf wrote ``<not supported>`` or
            ``<not counted>``.
    """

    event: str
    socket: int
    value: float | None
    unit: str
    note: str


class PerfProcess:
    r"""``perf stat -a`` on *events*, counting nothing until told to.

    Acks are ``ack\n\0``. A perf that died shows as end of file or a broken pipe; then every later
    command answers False and :meth:`finish` tells why. Nothing here raises but a missing program.

    Args:
        program: the perf executable.
        events: as perf spells them: ``power/energy-pkg/``.

    Raises:
        OSError: *program* cannot be started.
    """

    def __init__(self, program: str, events: Sequence[str]) -> None:
        theirs_in, self._commands = os.pipe()
        self._acks, theirs_out = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - finish and kill close it
        arguments = [
            "stat",
            "-a",
            "-j",
            "--per-socket",
            "--control",
            f"fd:{theirs_in},{theirs_out}",
            "-D",
            "-1",
        ]
        try:
            self._process = subprocess.Popen(
                [*_dies_with_us(), program, *arguments, "-e", ",".join(events)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=(theirs_in, theirs_out),
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,  # Ctrl-C at the terminal must not end a measurement
            )
        except OSError:
            self._close_files()
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)

    def command(self, word: Literal["enable", "disable"]) -> bool:
        """Send *word* and wait for its ack; False when perf is dead or silent."""
        try:
            os.write(self._commands, f"{word}\n".encode())
            return self._await_ack()
        except OSError:
            return False

    def _await_ack(self) -> bool:
        answer = b""
        while not answer.endswith(b"\0"):
            if not select.select([self._acks], [], [], ACK_TIMEOUT_S)[0]:
                return False
            piece = os.read(self._acks, 64)
            if not piece:
                return False
            answer += piece
        return answer.startswith(b"ack")

    def finish(self) -> tuple[list[Count], int, str]:
        """End perf; its counts, its exit code (-2, death by SIGINT, is normal) and all it wrote."""
        code = self._end(signal.SIGINT)
        self._log.seek(0)
        text = self._log.read().decode(errors="replace")
        self._close_files()
        return parse(text), code, text

    def kill(self) -> None:
        """End perf at once and forget its counts; safe at any time and twice."""
        if not self._log.closed:
            self._end(signal.SIGKILL)
            self._close_files()

    def _end(self, number: signal.Signals) -> int:
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout=ACK_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _close_files(self) -> None:
        self._log.close()
        for number in (self._commands, self._acks):
            with contextlib.suppress(OSError):
                os.close(number)


def parse(text: str) -> list[Count]:
    """Counts among the lines of ``perf stat -j``; numbers come as strings."""
    counts = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError, KeyError):
            if line.lstrip().startswith("{"):
                counts.append(_count(json.loads(line)))
    return counts


def _count(row: dict[str, str]) -> Count:
    value = row["counter-value"].strip()
    event = (
        row["event"].removeprefix("power/").split("/")[0]
    )  # as a plain user the name gains a ``u`` after the last slash
    socket = int("".join(c for c in row.get("socket", "S0").split("-")[0] if c.isdigit()))
    if value.startswith("<"):
        return Count(event, socket, None, row.get("unit", ""), value.strip("<>").replace(" ", "-"))
    return Count(event, socket, float(value), row.get("unit", ""), "")


def _dies_with_us() -> list[str]:
    """A prefix under which perf ends when this process is killed and can no longer end it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []
