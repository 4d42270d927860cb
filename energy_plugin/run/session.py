"""One session: plans cases, runs attempts with retries, keeps the journal. Measures nothing itself."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import energy_plugin
from energy_plugin.errors import ResultsError, UsageError
from energy_plugin.meters.protocols import Selecting, Warming
from energy_plugin.record.files import write_experiment, write_json, write_summary
from energy_plugin.record.journal import Journal, records
from energy_plugin.record.record import Cooldown, Order, Record, is_missed
from energy_plugin.run.attempt import Setting, as_facts, attempt, log_tail
from energy_plugin.run.host import git_facts, host_facts, versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Case
    from energy_plugin.declare.catalog import Catalog
    from energy_plugin.meters.protocols import Meter
    from energy_plugin.options import Options
    from energy_plugin.record.trace import Channel
    from energy_plugin.run.executors.protocols import Executor
    from energy_plugin.run.weights import Weights

ENOUGH_BYTES = 32 * 2**20
"""A case is not started with less free space than this: its log and traces must fit."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What the meters said at the start of the session."""

    living: tuple[Meter, ...]
    channels: tuple[Channel, ...]

    @property
    def dead(self) -> tuple[Channel, ...]:
        """Channels that cannot be read here."""
        return tuple(channel for channel in self.channels if not channel.alive)

    @property
    def direct(self) -> tuple[Channel, ...]:
        """Living channels that read a sensor."""
        return tuple(c for c in self.channels if c.alive and c.kind == "direct")


def probe_all(meters: Sequence[Meter]) -> Probed:
    """Probe every meter; the living ones are those with at least one living channel."""
    for meter in meters:
        if isinstance(meter, Warming):
            meter.warm()  # helpers start while the others are probed
    found = [(meter, tuple(meter.probe())) for meter in meters]
    living = tuple(meter for meter, channels in found if any(c.alive for c in channels))
    return Probed(living, tuple(channel for _, channels in found for channel in channels))


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
        self._meters = meters
        self._clock = clock
        self._root = root
        self._base = ""
        self._numbers: dict[str, int] = {}
        self._started_s = time.monotonic()
        self.folder = Path()
        self.facts: dict[str, Any] = {}
        self.probed = Probed((), ())
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
            self._refuse_dead_meters()
        if compared_value not in ("", self.value):
            raise UsageError(
                f"the run to compare with holds {compared_value}, this one {self.value}: "
                f"give --energy-value {compared_value}"
            )
        self.folder = _new_folder(self.options.results, self._clock)
        self.facts = self._facts(repositories)
        self._journal = Journal(self.folder)
        self._journal.append("session-begin", self._now(), session=self.facts)
        write_json(self.folder / "session.json", self.facts)
        _point_latest(self.options.results, self.folder)

    def _refuse_dead_meters(self) -> None:
        """Every chosen meter must live, with every channel of hardware that is there."""
        living = {channel.meter for channel in self.probed.channels if channel.alive}
        wrong = [c for c in self.probed.dead if c.meter not in living or is_missed(c.id, c.reason)]
        if wrong:
            listed = "; ".join(f"{c.meter} {c.id}: {c.reason}, {c.fix or c.detail}" for c in wrong)
            raise UsageError(f"--energy-strict: {listed}")

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
            "catalogue": {name: self.catalog.repositories[name].entry() for name in sorted(repositories)},
            "complete": False,
            "done": 0,
        }

    def _carried(self) -> dict[str, str]:
        """What was set, with folders as absolute paths."""
        folders = {"data": self.options.data, "weights": self.options.weights}
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

    def key(self, case: Case) -> str:
        """The content hash of a case in this session."""
        sources = {
            p.repository: self.catalog.repositories[p.repository].sources + self._weights.digest(p)
            for p in case.programs
        }
        return case.key(sources=sources, base=self._base, executor=self._executor.name)

    def _attempt(self, case: Case, number: int, key: str, cooldown: Cooldown) -> Record:
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
            if isinstance(meter, Selecting):
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
        )
        try:
            record = attempt(case, number, self._executor, self.probed.living, self._clock, folder, setting)
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
        """Rest only where something can tell that the machine has cooled."""
        if not self.options.cooldown:
            return Cooldown(seconds=0.0, reason="--energy-cooldown 0")
        if not self._rests():
            return Cooldown(seconds=0.0, reason="no temperature or power channel lives here")
        if not self.done:
            return Cooldown(seconds=0.0, reason="first case")
        self._clock.sleep(self.options.cooldown)
        return Cooldown(seconds=self.options.cooldown, reason="fixed rest")

    def _rests(self) -> bool:
        """Whether anything here can tell that the machine has cooled."""
        return any(channel.id.startswith(("gpu:", "mains:")) for channel in self.probed.direct)

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
        rest_s = self.options.cooldown * len(cases) if self._rests() else 0.0
        return rest_s + scale * sum(mean if guess is None else guess for guess in guesses)

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
        end = {
            "complete": complete,
            "done": self.cases_done,
            "exit_code": exit_code,
            "ended_utc": self._now(),
        }
        self._journal.append("session-end", self._now(), **end)
        self._journal.close()
        write_json(self.folder / "session.json", {**self.facts, **end})
        write_summary(self.folder, records(self.folder))

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


def _new_folder(results: Path, clock: Clock) -> Path:
    """A fresh ``run_YYYYmmdd_HHMMSS`` below *results*; a second in the same second gets a suffix."""
    stamp = clock.utc().strftime("run_%Y%m%d_%H%M%S")
    for suffix in ("", *(f"_{n}" for n in range(2, 100))):
        folder = results / f"{stamp}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not results.is_dir():
                raise ResultsError(f"{results}: is not a folder; choose another --energy-results") from None
            continue
        except OSError as error:
            raise ResultsError(f"{folder}: {error.strerror}; choose another --energy-results") from error
        return folder
    raise ResultsError(f"{results}: no free folder name for {stamp}")


def _point_latest(results: Path, folder: Path) -> None:
    """``results/latest`` → the newest session, replaced in one step."""
    temporary = results / f".latest-{os.getpid()}"
    try:
        temporary.symlink_to(folder.name)
        os.replace(temporary, results / "latest")
    except OSError:
        temporary.unlink(missing_ok=True)  # a file system without links: the folder's name is printed anyway
