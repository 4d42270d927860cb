"""One ``perf stat`` process, opened beforehand and switched on and off over a pipe."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING, Literal, NamedTuple

from energy_plugin.clock import SystemClock
from energy_plugin.meters.perf_output import SWITCHES, Count, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.meters.perf_output import Dialect

ACK_TIMEOUT_S = 2.0  # seen: 22 µs to 69 ms
END_TIMEOUT_S = 10.0  # for the counts, which are written at the end: nothing waits for that


class Ack(NamedTuple):
    """When a command was written and when its answer came: it took effect in between."""

    done: bool
    sent_ns: int
    got_ns: int


class Output(NamedTuple):
    """All that a perf left: its counts, its exit code and what else it wrote."""

    counts: list[Count]
    code: int
    text: str


class PerfProcess:
    r"""``perf stat -a`` on *events*, counting nothing until told to.

    Acks are ``ack\n\0``. A perf that died shows as end of file or a broken pipe, one that is stuck as
    ``silent`` after two seconds; then every later command fails at once and :meth:`finish` tells why.
    Nothing here raises but a missing program.

    Args:
        program: the perf executable.
        events: as perf spells them: ``power/energy-pkg/``.
        dialect: which output format this perf knows.
        by_die: count each die of a package on its own.
        interval_ms: also write what was counted in every so many milliseconds; 0 only the total.

    Raises:
        OSError: *program* cannot be started.
    """

    def __init__(
        self,
        program: str,
        events: Sequence[str],
        *,
        dialect: Dialect = "json",
        by_die: bool = False,
        interval_ms: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.silent = False
        self._clock = clock or SystemClock()
        theirs_in, self._commands = os.pipe()
        self._acks, theirs_out = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - finish and kill close it
        arguments = ["stat", "-a", SWITCHES[dialect], "--per-die" if by_die else "--per-socket"]
        arguments += ["-I", str(interval_ms)] if interval_ms else []
        arguments += ["--control", f"fd:{theirs_in},{theirs_out}", "-D", "-1", "-e", ",".join(events)]
        try:
            self._process = subprocess.Popen(
                [*_dies_with_us(), program, *arguments],
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

    def command(self, word: Literal["enable", "disable"]) -> Ack:
        """Send *word* and wait for its ack, for two seconds at most."""
        sent_ns = self._clock.now_ns()
        done = False
        if not self.silent:
            with contextlib.suppress(OSError):
                os.write(self._commands, f"{word}\n".encode())
                done = self._await_ack()
        return Ack(done, sent_ns, self._clock.now_ns())

    def _await_ack(self) -> bool:
        answer = b""
        while b"\n" not in answer:  # the NUL after it may come later, or never
            if not select.select([self._acks], [], [], ACK_TIMEOUT_S)[0]:
                self.silent = True
                return False
            piece = os.read(self._acks, 64)
            if not piece:
                return False
            answer += piece
        return answer.lstrip(b"\0").startswith(b"ack")

    def finish(self) -> Output:
        """End perf; its exit code is normally -2, death by SIGINT."""
        code = self._end(signal.SIGKILL if self.silent else signal.SIGINT, END_TIMEOUT_S)
        self._log.seek(0)
        counts, text = parse(line.decode(errors="replace") for line in self._log)
        self._close_files()
        return Output(counts, code, text)

    def kill(self) -> None:
        """End perf at once and forget its counts; safe at any time and twice."""
        if not self._log.closed:
            self._end(signal.SIGKILL, ACK_TIMEOUT_S)
            self._close_files()

    def _end(self, number: signal.Signals, timeout_s: float) -> int:
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _close_files(self) -> None:
        self._log.close()
        for number in (self._commands, self._acks):
            with contextlib.suppress(OSError):
                os.close(number)


def _dies_with_us() -> list[str]:
    """A prefix under which perf ends when this process is killed and can no longer end it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []
