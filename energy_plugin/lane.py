"""Where the sections of this process are measured: one session with warm meters, one section at a time."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import threading
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import EnergyError, UsageError
from energy_plugin.run.code import CodeCases, CodeSession, digest_of
from energy_plugin.run.executors.body import BodyExecutor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy_plugin.declare.case import Value
    from energy_plugin.record.record import Record
    from energy_plugin.run.executors.body import BodyJob
    from energy_plugin.section import Section

QUICK: dict[str, Any] = {"cooldown": 0.0, "idle": 0.0, "retries": 0, "report": "never"}
"""Options of a process that goes on by itself: nothing that makes it wait, unless asked for."""


class Going:
    """One attempt in a thread of its own, while the section runs in the thread that opened it."""

    def __init__(
        self, cases: CodeCases, name: str, values: Mapping[str, Value], facts: Mapping[str, Any], design: str
    ) -> None:
        self._executor = BodyExecutor(facts)
        self._record: Future[Record] = Future()
        digest = _digest(facts.get("file", ""))
        arguments = (cases, name, values, design, digest)
        threading.Thread(target=self._attempt, args=arguments, name="energy-attempt", daemon=True).start()

    def _attempt(
        self, cases: CodeCases, name: str, values: Mapping[str, Value], design: str, digest: str
    ) -> None:
        try:
            self._record.set_result(cases.run(name, values, self._executor, design=design, digest=digest))
        except BaseException as error:  # handed to the thread that waits
            self._record.set_exception(error)
        finally:
            self._executor.opened.set()

    def open(self) -> BodyJob:
        """Wait until the meters are open; the job, which the section then enters.

        Raises:
            EnergyError, OSError: the attempt came to its end before.
        """
        try:
            self._executor.opened.wait()
        except BaseException:  # Ctrl-C: nobody will enter
            if self._executor.job is not None:
                self._executor.job.abandon("interrupted")
            raise
        if self._record.done():
            raise self._record.exception() or EnergyError("the attempt ended before the section began")
        assert self._executor.job is not None
        self._executor.job.enter()
        return self._executor.job

    def record(self) -> Record:
        """Wait for the record; raises what the attempt raised."""
        return self._record.result()


class Lane:
    """Measures sections in one session, one after the other.

    Args:
        cases: of a session that has begun.
        design: how sections were asked for, for the record.
    """

    def __init__(self, cases: CodeCases, design: str) -> None:
        self.cases = cases
        self._design = design

    @property
    def folder(self) -> Path:
        """The session's folder."""
        return self.cases.session.folder

    @property
    def busy(self) -> bool:
        """Whether a section of this process is measured just now."""
        return HERE.owner is not None

    def begin(self, name: str, values: Mapping[str, Value], facts: Mapping[str, Any]) -> Going:
        """Start the attempt of one section."""
        return Going(self.cases, name, values, facts, self._design)


class Process:
    """Which section is measured just now, and the sessions that :func:`energy_plugin.measure` made.

    One section at a time has the meters; what is opened meanwhile, in whichever thread, becomes a
    window of it.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child does: it has none of its parent's threads."""
        self.lock = threading.RLock()
        self.owner: Section | None = None
        self._lanes: dict[str, Lane] = {}
        self._pid = os.getpid()

    def lane(self, given: Mapping[str, Any]) -> Lane:
        """The session with these options; with none given that of the section before.

        Raises:
            EnergyError: an option is wrong, a meter is dead that must live, the results folder cannot
                be written.
        """
        key = json.dumps({name: str(value) for name, value in given.items()}, sort_keys=True)
        with self.lock:
            if self._lanes and (not given or key in self._lanes):
                key = key if given else next(reversed(self._lanes))
                return self._lanes[key]
            if not self._lanes:
                atexit.register(self.finish)
            self._lanes[key] = Lane(CodeCases(_session(given)), "measure")
            return self._lanes[key]

    def finish(self) -> None:
        """End the sessions of this process; a forked child leaves them to its parent."""
        if os.getpid() != self._pid:
            return
        if self.owner is not None:
            self.owner.left_open()
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            session = lane.cases.session
            failed = not all(record.success for record in session.done)
            # At exit threads can no longer be started, and nobody is there to be told.
            with contextlib.suppress(EnergyError, OSError, RuntimeError):
                session.finish(int(failed))
            with contextlib.suppress(EnergyError, OSError, RuntimeError):
                session.close()


def _session(given: Mapping[str, Any]) -> CodeSession:
    from energy_plugin.clock import SystemClock
    from energy_plugin.meters.select import meters_of
    from energy_plugin.options import plain_options

    options = plain_options({**QUICK, **given}, Path.cwd())
    if options.executor != "local":
        raise UsageError(f"executor {options.executor}: a section runs in its own process")
    session = CodeSession(
        options=options,
        executor=BodyExecutor({}),
        meters=meters_of(options),
        clock=SystemClock(),
        argv=sys.argv,
        ending=True,
    )
    try:
        session.begin()
    except BaseException:
        session.close()
        raise
    return session


@cache
def _digest(file: str) -> str:
    return digest_of([Path(file)]) if file else ""


HERE = Process()


os.register_at_fork(after_in_child=HERE.forget)
