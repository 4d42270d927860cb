"""``wattwhy run -- COMMAND``: any command, measured, with its own exit code, terminal and signals."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin import reporting
from energy_plugin.errors import EnergyError, UsageError
from energy_plugin.receipt import table
from energy_plugin.run.code import CodeCases, CodeSession, clean_name, digest_of, sorted_values
from energy_plugin.run.executors.command import CommandExecutor

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from energy_plugin.record.record import Record

EXIT_WRAPPER, EXIT_NO_EXEC, EXIT_NOT_FOUND, EXIT_TIMEOUT = 125, 126, 127, 124
"""As those of env, nice and timeout: our own failure, a file that is no program, none there, too long."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
TELLING = (signal.SIGUSR1, signal.SIGUSR2)
KEYS = (signal.SIGINT, signal.SIGQUIT)
"""The terminal gives these to all processes in its foreground at once."""


def run(arguments: argparse.Namespace) -> int:
    """Run and measure the command that follows ``--``; its exit code.

    Ours are 127 and 126 where the command cannot be run, 124 after ``--timeout``, 128 + n where
    signal n ended it, and 125 where something of ours failed before it ran.
    """
    command: list[str] = arguments.rest
    if problem := _missing(command):
        print(f"wattwhy: {problem[1]}", file=sys.stderr)
        return problem[0]
    try:
        return _Runs(arguments, command).all()
    except (EnergyError, OSError) as error:
        print(f"wattwhy: {error}", file=sys.stderr)
        return EXIT_WRAPPER
    except KeyboardInterrupt:  # before the command, or after it
        return 128 + signal.SIGINT


def _missing(command: Sequence[str]) -> tuple[int, str] | None:
    if not command:
        return EXIT_WRAPPER, "say what to run after --, such as: wattwhy run -- python train.py"
    if shutil.which(command[0]):
        return None
    if os.path.exists(command[0]) and os.sep in command[0]:
        kind = "is a folder" if os.path.isdir(command[0]) else "is not executable"
        return EXIT_NO_EXEC, f"{command[0]}: {kind}"
    return EXIT_NOT_FOUND, f"{command[0]}: command not found"


class _Runs:
    """One command, run once or several times in one session."""

    def __init__(self, arguments: argparse.Namespace, command: list[str]) -> None:
        self._arguments = arguments
        self._command = command
        self._name = arguments.name or _name(command)
        clean_name(self._name)
        self._values, labels = sorted_values(dict(map(_pair, arguments.set)))
        facts = {"argv": command, "cwd": str(Path.cwd()), **({"labels": labels} if labels else {})}
        self._executor = CommandExecutor(command, facts)
        self._digest = digest_of([Path(shutil.which(command[0]) or command[0]), *map(Path, command[1:])])
        if arguments.repeat < 1:
            raise UsageError(f"--repeat {arguments.repeat}: must be at least 1")
        if labels:
            kept = ", ".join(f"{name}={text}" for name, text in labels.items())
            _tell(f"{kept}: no number, so kept in the record only; --name can tell such runs apart")

    def all(self) -> int:
        """Every run, the session's end, the report."""
        session = self._session()
        session.tell = _tell
        code, begun = EXIT_WRAPPER, False
        try:
            with _Signals(self._executor):
                session.begin()
                begun = True
                code = self._repeat(CodeCases(session, session.earlier))
        finally:
            if begun:
                _tell_errors(lambda: session.finish(2 if code > 128 else code))
            session.close()
        if not self._arguments.no_report:
            _report(session.folder)
        return code

    def _session(self) -> CodeSession:
        from energy_plugin.clock import SystemClock
        from energy_plugin.meters.select import meters_of
        from energy_plugin.options import plain_options

        given: dict[str, Any] = {"retries": 0, **dict(map(_pair, self._arguments.option))}
        given |= {name: getattr(self._arguments, name) for name in ("results", "meters", "timeout")}
        options = plain_options(given, Path.cwd())
        return CodeSession(
            options=options,
            executor=self._executor,
            meters=meters_of(options),
            clock=SystemClock(),
            argv=["wattwhy", *sys.argv[1:]],
            join=self._arguments.join,
        )

    def _repeat(self, cases: CodeCases) -> int:
        """Exit code of the last run: the first that fails is the last."""
        code = EXIT_WRAPPER
        for _ in range(self._arguments.repeat):
            self._executor.job = None
            try:
                record = cases.run(
                    self._name, self._values, self._executor, design="wattwhy run", digest=self._digest
                )
            except EnergyError as error:
                return self._unkept(error)
            for line in table(record, cases.session.folder):
                _tell(line)
            code = _exit_code(record)
            if code:
                break
        return code

    def _unkept(self, error: EnergyError) -> int:
        """Exit code where the record could not be kept: the command's own, if it ran to its end."""
        ended = self._executor.job.poll() if self._executor.job is not None else None
        if ended is None or ended.code is None:
            raise error
        _tell(f"NOT RECORDED: {error}")
        return ended.code if ended.code >= 0 else 128 - ended.code


def _name(command: Sequence[str]) -> str:
    """The script's name where the command is an interpreter with a script, else the program's."""
    scripts = [word for word in command[1:] if not word.startswith("-") and os.path.isfile(word)]
    return Path(scripts[0] if scripts else command[0]).stem


def _pair(text: str) -> tuple[str, object]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise UsageError(f"{text!r}: write NAME=VALUE")
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return name, kind(value)
    return name, value


def _exit_code(record: Record) -> int:
    outcome = record.outcomes[0]
    if outcome.reason == "timeout":
        return EXIT_TIMEOUT
    if outcome.exit_code is None:
        return 128 + signal.SIGINT if outcome.reason == "interrupted" else EXIT_NO_EXEC
    return outcome.exit_code if outcome.exit_code >= 0 else 128 - outcome.exit_code


class _Signals:
    """Signals that come to us go on to the command while it runs; else they end us as Ctrl-C does."""

    def __init__(self, executor: CommandExecutor) -> None:
        self._executor = executor
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (*ENDING, *TELLING, signal.SIGWINCH):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or whoever started us, wants it so
                self._before[number] = signal.signal(number, self._take)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: object) -> None:
        job = self._executor.job
        if number == signal.SIGWINCH:
            if job is not None:
                job.resized()
        elif job is not None and job.running:
            delivered = number in KEYS and _in_foreground()
            job.pass_on(number, ending=number in ENDING, delivered=delivered)
        elif number in ENDING:
            raise KeyboardInterrupt


def _in_foreground() -> bool:
    """Whether a terminal's keys reach us, and with us the command, which is in our process group."""
    try:
        with open("/dev/tty", "rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _tell(text: str) -> None:
    """On standard error: the command's own output is not ours to add to."""
    with contextlib.suppress(OSError):
        print(f"wattwhy: {text}", file=sys.stderr, flush=True)


def _tell_errors(function: Callable[[], None]) -> None:
    """What fails after the command has run is said; its exit code stays."""
    try:
        function()
    except (EnergyError, OSError) as error:
        _tell(str(error))


def _report(folder: Path) -> None:
    """The page, by the fast engine; measurements are whole whether it can be made or not."""
    found = reporting.analyse(folder, "exact")
    if found.page is None:
        _tell(f"no report: exit code {found.exit_code} of python -m causal_report {folder}")
    for line in found.said:
        _tell(f"  {line}")
    if found.page is not None:
        _tell(f"report: {found.page}")
