"""One session: plans cases, runs attempts with retries, keeps the journal. Measures nothing itself."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.declare.order import block_of
from energy_plugin.errors import DisturbedError, ExecutorError, GivenUpError
from energy_plugin.record.files import write_json, write_missing, write_summary
from energy_plugin.record.journal import Journal, records
from energy_plugin.record.record import Cooldown, Order, Record
from energy_plugin.run.attempt import Setting
from energy_plugin.run.continuation import Continuation
from energy_plugin.run.facts import carried, facts_of, order_of
from energy_plugin.run.folder import new_folder, point_latest
from energy_plugin.run.hold import hold_of
from energy_plugin.run.hostcheck import disturbances
from energy_plugin.run.probe import Probed, guard_all, probe_all, refuse_other_value, value_of
from energy_plugin.run.progress import Progress
from energy_plugin.run.rest import Rest
from energy_plugin.run.resume import Past, find_session
from energy_plugin.run.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Case
    from energy_plugin.declare.catalog import Catalog, Repository
    from energy_plugin.meters.protocols import Meter
    from energy_plugin.options import Options
    from energy_plugin.record.baseline import Baseline
    from energy_plugin.run.executors.protocols import Executor
    from energy_plugin.run.weights import Weights

INTERRUPTED = 2
"""pytest's exit code after Ctrl-C: whoever wants to leave does not wait for a last baseline."""


class Session:
    """Everything between the first and the last case of one invocation.

    Args:
        plan: the cases in the order they will run.

    Attributes:
        plan: those that an earlier session finished come first, once it was looked back at.
        cases_done: how many of the plan are over, skipped ones too. ``undone``: of these, how many
            could not be run at all.
        done: the records of this invocation.
        continued: the session that this one goes on with, if any.
        tell: called with a line for each wait longer than three seconds; to be set before the begin.
    """

    def __init__(
        self,
        *,
        options: Options,
        catalog: Catalog,
        executor: Executor,
        weights: Weights,
        meters: Sequence[Meter],
        clock: Clock,
        plan: Sequence[Case],
        root: Path,
    ) -> None:
        self.options = options
        self.catalog = catalog
        self.plan = list(plan)
        self._blocks = {id(case): block for case, block in zip(self.plan, block_of(plan), strict=True)}
        self._executor = executor
        self._weights = weights
        self._meters = guard_all(meters, clock)
        self._clock = clock
        self._root = root
        self._base = ""
        self._used: dict[str, Repository] | None = None
        self._journal: Journal | None = None
        self.progress = Progress(clock, options.warmup)
        self._numbers: dict[str, int] = {}
        self._hold = hold_of(options, plan)
        self.continued: Continuation | None = None
        self.folder = Path()
        self.facts: dict[str, Any] = {}
        self.probed = Probed((), ())
        self.rest = Rest((), clock, 0.0, 0.0)
        self.done: list[Record] = []
        self.cases_done = 0
        self.undone = 0
        self.tell: Callable[[str], None] = lambda line: None

    # --- begin --------------------------------------------------------------------------------

    def look_back(self) -> None:
        """With ``--energy-resume``: find the earlier session and put what it finished first in the plan.

        For a run this takes the host; for ``--energy-plan`` it changes nothing.

        Raises:
            UsageError: there is no such session, it is another experiment, or the host is not free.
            ResultsError: its journal cannot be read or written.
        """
        folder = find_session(self.options.results, self.options.resume)
        if folder is None:
            return
        if not self.options.plan:
            self._hold.take(self.options.results)
            self._journal = Journal(folder)
        self._check()
        found = Continuation(folder, self.plan, self.key, self.options.retries)
        found.refuse_other(self._executor.name, carried(self.options), order_of(self.options))
        self.continued, self.folder, self._numbers = found, folder, found.trail.numbers
        self.plan = [*found.finished, *found.left]
        self.cases_done = len(found.finished)
        for case in found.finished:
            self.progress.expectation.learn(self.catalog, case, found.past(self.key(case)).duration_s)

    def _check(self) -> None:
        """Ask the executor once whether it can run these repositories, and on what."""
        if self._used is None:
            names = sorted({p.repository for case in self.plan for p in case.programs})
            self._used = {name: self.catalog.repositories[name] for name in names}
            self._executor.check(self._used)
            self._base = self._executor.base()

    def begin(self, compared_value: str = "") -> None:
        """Take the host, check executor, meters and folder, before any run.

        Args:
            compared_value: column of the run that pytest-benchmark compares with, if any.

        Raises:
            UsageError: something needed is missing, or another session measures on this host; with
                ``--energy-strict`` also a dead meter.
            ResultsError: the results folder cannot be written.
        """
        self._take()
        self._check()
        self.probed = probe_all(self._meters)
        if self.options.strict:
            self.probed.refuse_dead()
        refuse_other_value(compared_value, self.value)
        self.folder = self._place()
        self._journal = self._journal or Journal(self.folder)
        self._hold.change(self.folder)
        limits, living = self._hold.limits, self.probed.living
        self._runner = Runner(
            self.folder, self._journal, self._clock, living, limits, numbers=self._numbers, kept=self._keep
        )
        self._runner.tell = self.tell
        self.rest = Rest(living, self._clock, self.options.idle, self.options.cooldown, self.tell)
        self.facts = self._facts()
        self._write("session-resume" if self._before() else "session-begin", session=self.facts)
        for names in self.continued.lost if self.continued else ():
            self._write("attempt-lost", **names)
        write_json(self.folder / "session.json", self.facts)
        point_latest(self.options.results, self.folder)
        self.progress.start(
            self.folder,
            self.catalog,
            self.left(),
            done=self.finished,
            planned=self.planned,
            most_rest_s=self.rest.most_s,
        )

    def _take(self) -> None:
        """The host is this session's, unless nothing is left to be run."""
        if self.continued is not None and self.cases_done == len(self.plan):
            self._hold.release()
        else:
            self._hold.take(self.options.results)

    def _place(self) -> Path:
        return self.continued.folder if self.continued else new_folder(self.options.results, self._clock)

    def _before(self) -> Mapping[str, Any]:
        """What session.json keeps of earlier invocations; empty where there was none."""
        return self.continued.facts(self._now()) if self.continued else {}

    def _facts(self) -> dict[str, Any]:
        known = facts_of(
            options=self.options,
            executor=self._executor.name,
            base=self._base,
            channels=self.probed.channels,
            repositories=list((self._used or {}).values()),
            root=self._root,
        )
        return {
            "schema_version": 1,
            "session": self.folder.name,
            "started_utc": self._now(),
            **known,
            **self._before(),
            "governor": self._hold.facts(),
            "value": self.value,
            "planned": self.planned,
            "complete": False,
            "done": self.finished,
        }

    @property
    def value(self) -> str:
        """The column that pytest-benchmark sees; falls to duration where no joules are measured."""
        return value_of(self.options.value, self.probed)

    @property
    def planned(self) -> int:
        """Cases of the whole session, with those of earlier invocations that are not selected now."""
        return self.continued.planned if self.continued else len(self.plan)

    @property
    def finished(self) -> int:
        """Cases of the whole session that came to an end."""
        return self.cases_done - self.undone + (self.continued.beside if self.continued else 0)

    # --- cases --------------------------------------------------------------------------------

    def measure(self, case: Case) -> Record:
        """Run a case until it succeeds, two failures agree, or the retries are used up.

        Raises:
            GivenUpError: it failed for good in a session that is resumed.
            DisturbedError: the host is not fit for it, with ``--energy-strict``.
            ExecutorError: it could not be started, however often that was tried.
            ResultsError: what was measured could not be kept; nothing more may run.
            KeyboardInterrupt: the run was interrupted; its record is in the journal.
        """
        key = self.key(case)
        past = self.continued.past(key) if self.continued else Past()
        self.progress.begin(self.catalog, case)
        try:
            past.refuse_given_up(case.id, self.folder, self.options.retries)
            cooldown = self._cool_down()
            self._refuse_disturbed(case, key)
            setting = self._setting(case, key, cooldown)
            record = self._runner.until_success(case, self._executor, setting, past, self.options.retries)
        except (DisturbedError, ExecutorError, GivenUpError) as error:
            self.undone += not isinstance(error, GivenUpError)
            self._over(case, success=False)
            raise
        self._over(case, success=record.success)
        return record

    def _keep(self, record: Record) -> None:
        """A record was journalled."""
        self.done.append(record)
        self.progress.keep(self.catalog, record)

    def _over(self, case: Case, *, success: bool) -> None:
        self.cases_done += 1
        self.progress.over(self.catalog, case, success=success)

    def _refuse_disturbed(self, case: Case, key: str) -> None:
        """With ``--energy-strict``: run nothing whose numbers would hold others' energy."""
        alive = [c.id.removeprefix("gpu:") for c in self.probed.channels if c.meter == "nvml" and c.alive]
        gpus = alive or None
        if self.options.strict and (reasons := disturbances(self._executor, gpus, self._clock)):
            self._write("case-refused", case_id=case.id, case_key=key, reasons=reasons)
            raise DisturbedError(f"--energy-strict: {case.id} was not run: {'; '.join(reasons)}")

    def admit(self, case: Case, repository: Repository) -> None:
        """Take up a case that was not planned, to be run next, with its catalogue entry."""
        self.plan.insert(self.cases_done, case)
        known = {**self.catalog.repositories, repository.name: repository}
        self.catalog = replace(self.catalog, repositories=known)
        entries = {**self.facts["catalogue"], repository.name: repository.entry()}
        self.facts |= {"planned": self.planned, "catalogue": entries}
        self.progress.add(self.catalog, case)
        write_json(self.folder / "session.json", self.facts)

    def once(self, case: Case, executor: Executor, *, rest: bool) -> Record:
        """Run an admitted case by an executor of its own: one attempt, whose failure is not retried.

        Args:
            case: the case admitted last.
            executor: makes its job.
            rest: let the machine rest before, as before other cases.

        Raises:
            ResultsError: what was measured could not be kept.
        """
        self.progress.begin(self.catalog, case)
        cooldown = self._cool_down() if rest else Cooldown(seconds=0.0, reason="no rest before a section")
        setting = self._setting(case, self.key(case, executor), cooldown)
        record = self._runner.run(case, 1, executor, setting)
        self._over(case, success=record.success)
        return record

    def key(self, case: Case, executor: Executor | None = None) -> str:
        """The content hash of a case in this session."""
        sources = {
            p.repository: self.catalog.repositories[p.repository].sources + self._weights.digest(p)
            for p in case.programs
        }
        return case.key(sources=sources, base=self._base, executor=(executor or self._executor).name)

    def _setting(self, case: Case, key: str, cooldown: Cooldown) -> Setting:
        """What an attempt must know beside its case."""
        block = self._blocks.get(id(case), case.replicate)
        order = Order(block=block, index=self.cases_done, **order_of(self.options))
        return Setting(
            session=self.folder.name,
            case_key=key,
            order=order,
            cooldown=cooldown,
            metrics={p.path: self.catalog.model(p.path).metrics for p in case.programs},
            dead=self.probed.dead,
            timeout_s=self.options.timeout,
            baseline=self.rest.held,
            warmup_s=self.options.warmup,
        )

    def _cool_down(self) -> Cooldown:
        """Let the machine rest; the idle baseline is taken meanwhile."""
        if self.rest.first is None:
            self._note(self.rest.before())
            return Cooldown(seconds=0.0, reason="first case")
        held = self.rest.held
        cooldown = self.rest.between()
        if self.rest.held is not held:
            self._note(self.rest.held)
        return cooldown

    def _note(self, baseline: Baseline) -> None:
        if baseline.levels:  # a baseline of nothing is in the records, with its reason
            self._write("idle", baseline=asdict(baseline))

    def _write(self, event: str, **fields: Any) -> None:
        assert self._journal is not None, "the session has not begun"
        self._journal.append(event, self._now(), **fields)

    # --- progress and end ---------------------------------------------------------------------

    def estimate_s(self, cases: Sequence[Case]) -> float | None:
        """Seconds these cases are thought to take, None if nothing is known."""
        return self.progress.expectation.seconds(self.catalog, cases, self.rest.most_s)

    def left(self) -> list[Case]:
        """The cases that are not over, in their order."""
        return self.plan[self.cases_done :]

    def left_s(self) -> float | None:
        """Seconds until the last case, None if nothing is known."""
        return self.estimate_s(self.left())

    def notes(self) -> list[str]:
        """For the header: what is resumed, and what was put back on the host."""
        anew = f"no session in {self.options.results} to resume: this is the first"
        lines = self.continued.lines() if self.continued else [anew] if self.options.resume else []
        return [*lines, *self._hold.notes]

    def end_notes(self) -> list[str]:
        """For the end: attempts that were lost, and what could not be put back."""
        return [*(self.continued.lost_lines() if self.continued else ()), *self._hold.faults]

    @property
    def due(self) -> bool:
        """Whether there is something that no report tells yet."""
        return bool(self.done or (self.continued and not (self.folder / "report.html").exists()))

    def finish(self, exit_code: int) -> None:
        """Write session.json and the summary from the journal; safe when cases are missing."""
        complete = self.cases_done >= len(self.plan) and self.finished >= self.planned
        idle = self._idle_after(interrupted=exit_code == INTERRUPTED)
        end = {"complete": complete, "done": self.finished, "exit_code": exit_code, "ended_utc": self._now()}
        self._write("session-end", **end)
        self.progress.end(exit_code)
        write_json(self.folder / "session.json", {**self.facts, "idle": idle, **end})
        self._tabulate()

    def _tabulate(self) -> None:
        """Write the summary of all that the journal holds."""
        found = records(self.folder)
        write_missing(self.folder, found)
        write_summary(self.folder, found)

    def _idle_after(self, *, interrupted: bool) -> list[dict[str, Any]]:
        found = self.rest.ends(interrupted=interrupted)
        for baseline in found[1:]:
            self._note(baseline)
        return [asdict(baseline) for baseline in found]

    def close(self) -> None:
        """Release meters, executor, journal and host; safe at any time."""
        for meter in self._meters:
            meter.close()
        self._executor.close()
        if self._journal is not None:
            self._journal.close()
        self._hold.release()

    def _now(self) -> str:
        return self._clock.utc().isoformat()
