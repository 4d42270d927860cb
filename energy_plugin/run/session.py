"""One session: plans cases, runs attempts with retries, keeps the journal. Measures nothing itself."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import energy_plugin
from energy_plugin.errors import ResultsError, UsageError
from energy_plugin.record.baseline import Baseline
from energy_plugin.record.files import write_experiment, write_json, write_summary
from energy_plugin.record.journal import Journal, records
from energy_plugin.record.record import Cooldown, Order, Record
from energy_plugin.run.attempt import Setting, attempt
from energy_plugin.run.folder import ENOUGH_BYTES, new_folder, point_latest
from energy_plugin.run.host import git_facts, host_facts, simulated_by, versions
from energy_plugin.run.outcome import log_tail
from energy_plugin.run.overlap import Presence
from energy_plugin.run.probe import Probed, as_facts, guard_all, probe_all
from energy_plugin.run.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Case
    from energy_plugin.declare.catalog import Catalog, Repository
    from energy_plugin.meters.protocols import Meter
    from energy_plugin.options import Options
    from energy_plugin.run.executors.protocols import Executor
    from energy_plugin.run.weights import Weights

INTERRUPTED = 2
"""pytest's exit code after Ctrl-C: whoever wants to leave does not wait for a last baseline."""


class Session:
    """Everything between the first and the last case of one invocation.

    Args:
        plan: the cases in the order they will run.
        keys: case id to case key.
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
        self._executor = executor
        self._weights = weights
        self._meters = guard_all(meters, clock)
        self._clock = clock
        self._root = root
        self._base = ""
        self._numbers: dict[str, int] = {}
        self._started_s = time.monotonic()
        self.folder = Path()
        self.facts: dict[str, Any] = {}
        self.probed = Probed((), ())
        self.rest = Rest((), clock, 0.0, 0.0)
        self.done: list[Record] = []
        self.cases_done = 0

    # --- begin --------------------------------------------------------------------------------

    def begin(self, compared_value: str = "") -> None:
        """Check executor, meters and folder, before any run.

        Args:
            compared_value: column of the run that pytest-benchmark compares with, if any.

        Raises:
            UsageError: something needed is missing; with ``--energy-strict`` also a dead meter.
            ResultsError: the results folder cannot be written.
        """
        repositories = {p.repository for case in self.plan for p in case.programs}
        self._executor.check({name: self.catalog.repositories[name] for name in repositories})
        self._base = self._executor.base()
        self.probed = probe_all(self._meters)
        if self.options.strict:
            self.probed.refuse_dead()
        if compared_value not in ("", self.value):
            raise UsageError(
                f"the run to compare with holds {compared_value}, this one {self.value}: "
                f"give --energy-value {compared_value}"
            )
        self.folder = self._place()
        self.rest = Rest(self.probed.living, self._clock, self.options.idle, self.options.cooldown)
        self.facts = self._facts(repositories)
        self._journal = Journal(self.folder)
        self._journal.append("session-begin", self._now(), session=self.facts)
        write_json(self.folder / "session.json", self.facts)
        point_latest(self.options.results, self.folder)

    def _place(self) -> Path:
        """The folder that receives the session."""
        return new_folder(self.options.results, self._clock)

    def _facts(self, repositories: set[str]) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "session": self.folder.name,
            "started_utc": self._now(),
            "wattwhy": energy_plugin.__version__,
            "argv": ["pytest", *sys.argv[1:]],
            "executor": self._executor.name,
            "base": self._base,
            "options": self._carried(),
            "order": {"kind": self.options.order, "seed": self.options.seed},
            "value": self.value,
            "planned": len(self.plan),
            "host": host_facts(),
            "versions": versions(),
            "git": git_facts(self._root),
            "channels": as_facts(self.probed.channels),
            "simulated": simulated_by(),
            "catalogue": {name: self.catalog.repositories[name].entry() for name in sorted(repositories)},
            "complete": False,
            "done": 0,
        }

    def _carried(self) -> dict[str, str]:
        """What was set, with folders as absolute paths."""
        folders = {
            "data": self.options.data,
            "weights": self.options.weights,
            "sysfs": self.options.sysfs,
        }
        checkouts = ",".join(f"{name}={path}" for name, path in self.options.checkout.items())
        paths = {name: str(path) for name, path in folders.items() if path}
        return self.options.given | paths | ({"checkout": checkouts} if checkouts else {})

    @property
    def value(self) -> str:
        """The column that pytest-benchmark sees; falls to duration where no joules are measured."""
        if self.options.value != "auto":
            return self.options.value
        return "total_energy_joules" if self.probed.direct else "duration_seconds"

    # --- cases --------------------------------------------------------------------------------

    def measure(self, case: Case) -> Record:
        """Run a case until it succeeds, two failures agree, or the retries are used up.

        Raises:
            ResultsError: what was measured could not be kept; nothing more may run.
            KeyboardInterrupt: the run was interrupted; its record is in the journal.
        """
        cooldown = self._cool_down()
        key = self.key(case)
        earlier: tuple[object, ...] = ()
        for number in range(1, self.options.retries + 2):
            record = self._attempt(case, number, key, cooldown)
            if record.success:
                break
            if any(outcome.reason == "interrupted" for outcome in record.outcomes):
                raise KeyboardInterrupt
            seen = self._fingerprint(record)
            if seen == earlier:
                break
            earlier = seen
        self.cases_done += 1
        self._write_status(case)
        return record

    def admit(self, case: Case, repository: Repository) -> None:
        """Take up a case that was not planned, to be run next, with its catalogue entry."""
        self.plan.insert(self.cases_done, case)
        known = {**self.catalog.repositories, repository.name: repository}
        self.catalog = replace(self.catalog, repositories=known)
        entries = {**self.facts["catalogue"], repository.name: repository.entry()}
        self.facts |= {"planned": len(self.plan), "catalogue": entries}
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
        cooldown = self._cool_down() if rest else Cooldown(seconds=0.0, reason="no rest before a section")
        record = self._attempt(case, 1, self.key(case, executor), cooldown, executor)
        self.cases_done += 1
        self._write_status(case)
        return record

    def key(self, case: Case, executor: Executor | None = None) -> str:
        """The content hash of a case in this session."""
        sources = {
            p.repository: self.catalog.repositories[p.repository].sources + self._weights.digest(p)
            for p in case.programs
        }
        return case.key(sources=sources, base=self._base, executor=(executor or self._executor).name)

    def _attempt(
        self, case: Case, number: int, key: str, cooldown: Cooldown, executor: Executor | None = None
    ) -> Record:
        self._check_space()
        folder = self.folder / self._experiment_id(case)
        self._journal.append(
            "attempt-begin",
            self._now(),
            experiment_id=folder.name,
            case_id=case.id,
            case_key=key,
            attempt=number,
        )
        for meter in self.probed.living:
            meter.select(case.id)
        setting = Setting(
            session=self.folder.name,
            case_key=key,
            order=Order(
                block=case.replicate,
                index=self.cases_done,
                seed=self.options.seed,
                kind=self.options.order,
            ),
            cooldown=cooldown,
            metrics={
                f"{p.repository}/{p.model}": self.catalog.model(f"{p.repository}/{p.model}").metrics
                for p in case.programs
            },
            dead=self.probed.dead,
            timeout_s=self.options.timeout,
            baseline=self.rest.held,
        )
        try:
            with Presence(case.id) as presence:
                runner, living = executor or self._executor, self.probed.living
                record = attempt(case, number, runner, living, self._clock, folder, setting)
            if shared := presence.others():
                record = replace(record, provenance={**record.provenance, "shared_with": list(shared)})
            self._journal.append("attempt-end", self._now(), record=record.to_json())
            write_experiment(folder, record)
        except OSError as error:
            raise ResultsError(f"{folder}: {error.strerror}; nothing more is run") from error
        self.done.append(record)
        return record

    def _experiment_id(self, case: Case) -> str:
        names = "+".join(f"{p.repository}_{p.model}" for p in case.programs)
        number = self._numbers[names] = self._numbers.get(names, 0) + 1
        return f"{names}_{number:03d}"

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
        """Journal what was seen; a baseline of nothing is in the records, with its reason."""
        if not baseline.levels:
            return
        self._journal.append("idle", self._now(), baseline=asdict(baseline))

    def _fingerprint(self, record: Record) -> tuple[object, ...]:
        """What two failures must share to count as the same failure."""
        return tuple((o.reason, o.exit_code, log_tail(self.folder / o.log, 5)) for o in record.outcomes)

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < ENOUGH_BYTES:
            raise ResultsError(
                f"{self.folder}: only {free / 2**20:.0f} MiB free, {ENOUGH_BYTES / 2**20:.0f} needed for the "
                "next case; nothing more is run"
            )

    # --- progress and end ---------------------------------------------------------------------

    def estimate_s(self, cases: Sequence[Case]) -> float | None:
        """Seconds these cases are thought to take: the catalogue's guess, scaled by what ran so far."""
        guesses = [guess_s(self.catalog, case) for case in cases]
        known = [guess for guess in guesses if guess is not None]
        spent = [(record.duration_s, guess_s(self.catalog, record.case)) for record in self.done]
        pairs = [(real, guess) for real, guess in spent if guess]
        scale = sum(real for real, _ in pairs) / sum(guess for _, guess in pairs) if pairs else 1.0
        if not guesses:
            return 0.0
        if not known:
            return None
        mean = sum(known) / len(known)
        training_s = scale * sum(mean if guess is None else guess for guess in guesses)
        return self._rest_s() * len(cases) + training_s

    def _rest_s(self) -> float:
        """Seconds a cooldown is thought to take: the mean of those that were, else the longest."""
        spent = [record.cooldown.seconds for record in self.done if record.order.index]
        return sum(spent) / len(spent) if spent else self.rest.most_s

    def left_s(self) -> float | None:
        """Seconds until the last case, None if nothing is known."""
        return self.estimate_s(self.plan[self.cases_done :])

    def elapsed_s(self) -> float:
        """Seconds since the session was made."""
        return time.monotonic() - self._started_s

    def _write_status(self, case: Case) -> None:
        failed = sum(not record.success for record in self.done)
        status: Mapping[str, Any] = {
            "planned": len(self.plan),
            "done": self.cases_done,
            "failed_attempts": failed,
            "last_case": case.id,
            "elapsed_s": round(self.elapsed_s(), 1),
            "left_s": self.left_s(),
        }
        write_json(self.folder / "status.json", status)

    def finish(self, exit_code: int) -> None:
        """Write session.json and the summary from the journal; safe when cases are missing."""
        complete = self.cases_done >= len(self.plan)
        idle = self._idle_after(interrupted=exit_code == INTERRUPTED)
        end = {
            "complete": complete,
            "done": self.cases_done,
            "exit_code": exit_code,
            "ended_utc": self._now(),
        }
        self._journal.append("session-end", self._now(), **end)
        self._journal.close()
        write_json(self.folder / "session.json", {**self.facts, "idle": idle, **end})
        self._tabulate()

    def _tabulate(self) -> None:
        """Write the summary of all that the journal holds."""
        write_summary(self.folder, records(self.folder))

    def _idle_after(self, *, interrupted: bool) -> list[dict[str, Any]]:
        """The baselines before and after all cases, the last one taken now."""
        first = self.rest.first
        if first is None:
            return []
        if first.reason:
            return [asdict(first)]
        after = Baseline(name="idle:after", reason="interrupted") if interrupted else self.rest.after()
        self._note(after)
        return [asdict(first), asdict(after)]

    def close(self) -> None:
        """Release meters and executor; safe at any time."""
        for meter in self._meters:
            meter.close()
        self._executor.close()

    def _now(self) -> str:
        return self._clock.utc().isoformat()


def guess_s(catalog: Catalog, case: Case) -> float | None:
    """The catalogue's guess for a case: its longest measured program."""
    guesses = [
        catalog.model(f"{p.repository}/{p.model}").estimate_s(p.values, p.limit) for p in case.measured
    ]
    known = [guess for guess in guesses if guess is not None]
    return max(known) if known else None
