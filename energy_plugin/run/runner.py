"""Runs the attempts of a case one after the other: its folder, its events in the journal, its next try."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError, ResultsError
from energy_plugin.record.files import write_experiment
from energy_plugin.run.attempt import attempt
from energy_plugin.run.folder import ENOUGH_BYTES, remove_empty
from energy_plugin.run.hostcheck import other_containers
from energy_plugin.run.outcome import log_tail
from energy_plugin.run.overlap import Presence
from energy_plugin.run.powerlimit import is_at
from energy_plugin.run.rest import TOLD_S
from energy_plugin.run.retry import FAULTS, Retries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Case
    from energy_plugin.record.journal import Journal
    from energy_plugin.record.record import Record
    from energy_plugin.run.attempt import Setting
    from energy_plugin.run.executors.protocols import Executor
    from energy_plugin.run.guard import Guarded
    from energy_plugin.run.powerlimit import PowerLimits
    from energy_plugin.run.resume import Past

TAIL_LINES = 5
"""Lines of the log that two failures must share to be the same one."""


class Runner:
    """Makes records in a session's folder.

    Args:
        folder: of the session.
        journal: of the session.
        clock: the time of everything, and what waits between two tries.
        meters: the living ones.
        limits: sets the GPUs' power limit where a case wants one.
        numbers: the highest number used so far by the name in front of it.
        kept: called with each record once it is journalled.

    Attributes:
        beside: another session that had the host meanwhile, and would not be seen otherwise.
        tell: called with what is waited for before a wait longer than three seconds.
    """

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        clock: Clock,
        meters: Sequence[Guarded],
        limits: PowerLimits,
        *,
        numbers: Mapping[str, int],
        kept: Callable[[Record], None],
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._meters = meters
        self._limits = limits
        self._numbers = dict(numbers)
        self._kept = kept
        self._broken = False
        self.beside = ""
        self.tell: Callable[[str], None] = lambda line: None

    def until_success(
        self, case: Case, executor: Executor, setting: Setting, past: Past, retries: int
    ) -> Record:
        """Run a case until it succeeds, two failures agree, or the retries are used up.

        Args:
            case: what to run.
            executor: makes its jobs.
            setting: of all its attempts.
            past: what became of it in a session that this one resumes.
            retries: new attempts after a failed training, and new starts after a fault, at most.

        Raises:
            ExecutorError: it could not be started, however often that was tried.
            ResultsError: what was measured could not be kept; nothing more may run.
            KeyboardInterrupt: the run was interrupted; its record is in the journal.
        """
        tries = Retries(retries, past.failures, hopeless=self._broken)
        number = past.attempts + 1
        while True:
            try:
                record = self.run(case, number, executor, setting, tries)
            except ExecutorError:
                if not self._wait(tries.wait_s):
                    raise
                continue
            number += 1
            if any(outcome.reason == "interrupted" for outcome in record.outcomes):
                raise KeyboardInterrupt
            if record.success:
                return record
            if is_fault(record):
                if not self._wait(tries.faulted()):
                    return record
                continue
            tries.failed(self._fingerprint(record))
            if tries.over:
                return record

    def _wait(self, seconds: float | None) -> bool:
        """Whether there is another try. After a case that waited in vain others do not, until one starts."""
        self._broken = seconds is None
        if seconds is not None:
            if seconds > TOLD_S:
                self.tell(f"it could not be started: trying again in {seconds:g} s")
            self._clock.sleep(seconds)
        return seconds is not None

    def run(
        self, case: Case, number: int, executor: Executor, setting: Setting, tries: Retries | None = None
    ) -> Record:
        """One attempt, journalled.

        Raises:
            ExecutorError: it could not be started, and nothing was measured.
            ResultsError: what was measured could not be kept.
        """
        self._check_space()
        folder = self._folder / self._experiment_id(case)
        names = {
            "experiment_id": folder.name,
            "case_id": case.id,
            "case_key": setting.case_key,
            "attempt": number,
        }
        self._write("attempt-begin", **names)
        try:
            record = self._measured(case, number, executor, setting, folder)
            failure = "" if record.success else self._fingerprint(record)
            self._journal.end(self._now(), record, failure)
            write_experiment(folder, record)
        except ExecutorError as error:
            wait_s = tries.faulted() if tries else None
            self._write("attempt-fault", **names, error=str(error), wait_s=wait_s)
            remove_empty(folder)
            raise
        except OSError as error:
            raise ResultsError(f"{folder}: {error.strerror}; nothing more is run") from error
        self._broken = self._broken and is_fault(record)
        self._kept(record)
        return record

    def _measured(
        self, case: Case, number: int, executor: Executor, setting: Setting, folder: Path
    ) -> Record:
        """The record with what was on the host beside the programs, and the GPUs' power limits."""
        for meter in self._meters:
            meter.select(case.id)
        if case.mode == "background" and setting.warmup_s > TOLD_S:
            self.tell(f"the background runs alone for {setting.warmup_s:g} s first")
        containers = other_containers(executor)
        with Presence(case.id) as presence, self._limits.at(case.power_limit_w) as limits_w:
            record = attempt(case, number, executor, self._meters, self._clock, folder, setting)
        others = [*presence.others(), *([self.beside] if self.beside else [])]
        facts: dict[str, Any] = {"shared_with": others} if others else {}
        facts |= {} if containers is None else {"other_containers": containers}
        if case.power_limit_w is not None:
            held = is_at(limits_w, case.power_limit_w)
            facts |= {"gpu_power_limits_w": dict(limits_w), "gpu_power_limit_held": held}
        return replace(record, provenance={**record.provenance, **facts}) if facts else record

    def _experiment_id(self, case: Case) -> str:
        names = "+".join(f"{p.repository}_{p.model}" for p in case.programs)
        number = self._numbers[names] = self._numbers.get(names, 0) + 1
        return f"{names}_{number:03d}"

    def _fingerprint(self, record: Record) -> str:
        """Digest of what two failures must share to count as the same failure."""
        own = record.experiment_id  # in the paths of a traceback, say
        parts = [
            (o.reason, o.exit_code, log_tail(self._folder / o.log, TAIL_LINES).replace(own, ""))
            for o in record.outcomes
            if o.reason != "partner"  # where it stood when it was ended says nothing
        ]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < ENOUGH_BYTES:
            raise ResultsError(
                f"{self._folder}: only {free / 2**20:.0f} MiB free, {ENOUGH_BYTES / 2**20:.0f} needed for "
                "the next case; nothing more is run"
            )

    def _write(self, event: str, **fields: Any) -> None:
        self._journal.append(event, self._now(), **fields)

    def _now(self) -> str:
        return self._clock.utc().isoformat()


def is_fault(record: Record) -> bool:
    """Whether no program of it ever began: a fault of the infrastructure, not of the training."""
    return bool(record.reasons) and record.reasons <= FAULTS
