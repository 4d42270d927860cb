"""Code that is in no catalogue, as cases: any command and any section, in the records of all others."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import numbers
import os
import re
import time
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.declare.case import Case, Program
from energy_plugin.declare.catalog import Catalog, Model, Repository
from energy_plugin.errors import HostTakenError, UsageError
from energy_plugin.record.files import write_table
from energy_plugin.record.journal import NAME as JOURNAL
from energy_plugin.record.journal import records, session_facts
from energy_plugin.run.host import host_facts
from energy_plugin.run.session import Session
from energy_plugin.run.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Value
    from energy_plugin.meters.protocols import Meter
    from energy_plugin.options import Options
    from energy_plugin.record.record import Record
    from energy_plugin.run.executors.protocols import Executor

REPOSITORY = "code"
LONGEST_NAME = 80
LONGEST_NAME_BYTES = 200
"""A folder's name takes 255 bytes, and has a prefix and a number beside the name."""
KEPT = frozenset("_.+-")
"""What a name keeps beside letters, digits and the marks on them, of any script."""
HASH_DIGITS = 8
MOST_INTEGER = 2**63
LARGEST_BYTES = 16 * 2**20
"""A larger file on a command line is data, not code."""
TABLE_SHARE = 0.05
"""The table is written anew after a case, unless that would take more than this share of the time."""


@dataclass(frozen=True, kw_only=True)
class CodeRepository(Repository):
    """Catalogue entry of code that has none: its models are the names that were given to it.

    Attributes:
        digest: SHA-256 of the code that was run last.
    """

    digest: str = ""

    @property
    def sources(self) -> str:
        """SHA-256 of the code, empty where it is not in files."""
        return self.digest


class CodeCases:
    """Runs code that is in no catalogue in a session that has begun.

    Args:
        session: of its own (:class:`CodeSession`), or a pytest session with other cases.
        earlier: records that the session's folder held already.
        rest: take baselines and cooldowns as the session's options say; without, none.
    """

    def __init__(self, session: Session, earlier: Sequence[Record] = (), *, rest: bool = True) -> None:
        self.session = session
        self._earlier = list(earlier)
        self._rest = rest
        self._written_s = self._took_s = 0.0
        self._models: dict[str, str] = {}
        self._seen: Counter[tuple[str, str]] = Counter()
        for record in self._earlier:
            self._count(record.case.programs[0])

    def run(
        self, name: str, values: Mapping[str, Value], executor: Executor, *, design: str, digest: str = ""
    ) -> Record:
        """Run and measure it once.

        Args:
            name: becomes the model; the same name with the same values is a replicate.
            values: hyperparameters, as :func:`sorted_values` gives them.
            executor: makes the one job.
            design: how it was asked for, such as ``wattwhy run``.
            digest: SHA-256 of the code.

        Raises:
            ResultsError: what was measured could not be kept.
        """
        model = clean_name(name)
        self._models[model] = name
        program = Program(
            repository=REPOSITORY,
            model=model,
            values=dict(values),
            passed=frozenset(values),
            varied=tuple(values),
        )
        case = Case(programs=(program,), replicate=self._count(program), design=design)
        self.session.admit(case, self._repository(digest))
        record = self.session.once(case, executor, rest=self._rest)
        self._keep()
        return record

    def _count(self, program: Program) -> int:
        """The number of this replicate, from 1."""
        self._models.setdefault(program.model, program.model)
        same = (program.model, json.dumps(dict(program.values), sort_keys=True))
        self._seen[same] += 1
        return self._seen[same]

    def _repository(self, digest: str) -> CodeRepository:
        here = Path.cwd()
        models = {
            model: Model(
                repository=REPOSITORY, name=model, title=title, aliases=(), hyperparameters={}, metrics=()
            )
            for model, title in self._models.items()
        }
        return CodeRepository(
            name=REPOSITORY,
            title="Code that is in no catalogue",
            folder=here,
            program=here,
            data=None,
            framework="",
            models=models,
            metrics={},
            digest=digest,
        )

    def _keep(self) -> None:
        """Write the table, so rarely that it takes little time however long it has become."""
        began_s = time.monotonic()
        if self._took_s and began_s - self._written_s < self._took_s / TABLE_SHARE:
            return
        write_table(self.session.folder, [*self._earlier, *self.session.done])
        self._written_s = time.monotonic()
        self._took_s = self._written_s - began_s


class CodeSession(Session):
    """A session of nothing but such code; its plan grows with it.

    Args:
        argv: the command line, for session.json.
        executor: one of the kind that will run the code.
        join: folder of an earlier such session, to be continued; None makes a new one.
        ending: this process is on its way out when the session ends: no last baseline is taken, and
            no library is loaded, so summary.parquet is left to ``wattwhy rebuild``.
    """

    def __init__(
        self,
        *,
        options: Options,
        executor: Executor,
        meters: Sequence[Meter],
        clock: Clock,
        argv: Sequence[str],
        join: Path | None = None,
        ending: bool = False,
    ) -> None:
        super().__init__(
            options=options,
            catalog=Catalog(folder=Path.cwd(), repositories={}),
            executor=executor,
            weights=Weights(None),
            meters=meters,
            clock=clock,
            plan=[],
            root=Path.cwd(),
        )
        self._argv = list(argv)
        self._join = join
        self._ending = ending
        self._lock = -1
        self.earlier: list[Record] = []

    def _place(self) -> Path:
        folder = self._join.resolve() if self._join else super()._place()
        if self._join:
            self._continue(folder)
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: another run is writing to this session; wait for its end") from None
        return folder

    def _continue(self, folder: Path) -> None:
        """Take up what the folder holds."""
        if not (folder / JOURNAL).is_file():
            raise UsageError(f"{folder}: no {JOURNAL} here; give a session folder such as results/latest")
        self.earlier = records(folder)
        foreign = {p.repository for r in self.earlier for p in r.case.programs} - {REPOSITORY}
        if foreign or any(len(r.case.programs) > 1 for r in self.earlier):
            raise UsageError(
                f"{folder}: holds cases of a catalogue; runs are joined to sessions of runs only"
            )
        self.plan = [record.case for record in self.earlier]
        self.cases_done = len(self.plan)
        for name in (path.name for path in folder.iterdir() if path.is_dir()):
            if found := re.fullmatch(r"(.+)_(\d{3,})", name):
                self._numbers[found[1]] = max(self._numbers.get(found[1], 0), int(found[2]))

    def _take(self) -> None:
        """A process that goes on by itself has the host only while a section of it is measured."""
        if not self._ending:
            super()._take()
        elif self.options.governor:
            raise UsageError("governor: pytest and wattwhy run set it, measure() does not")

    def once(self, case: Case, executor: Executor, *, rest: bool) -> Record:
        """As of every session; a section never fails for want of the host, but says who else has it."""
        if not self._ending:
            return super().once(case, executor, rest=rest)
        try:
            self._hold.take(self.folder)
            self._runner.beside = ""
        except HostTakenError as error:
            self._runner.beside = error.holder
        try:
            return super().once(case, executor, rest=rest)
        finally:
            self._hold.release()

    def _before(self) -> Mapping[str, Any]:
        if not self._join:
            return {}
        before = session_facts(self.folder)
        here = host_facts()
        for part in ("cpu_model", "kernel"):
            if before.get("host", {}).get(part) != here[part]:
                raise UsageError(f"{self.folder}: was measured on another host ({part} differs)")
        resumed = [*before.get("resumed_utc", ()), self._now()]
        return {"started_utc": before.get("started_utc", resumed[-1]), "resumed_utc": resumed}

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "argv": self._argv}

    def _idle_after(self, *, interrupted: bool) -> list[dict[str, Any]]:
        return super()._idle_after(interrupted=interrupted or self._ending)

    def _tabulate(self) -> None:
        if self._ending:
            write_table(self.folder, [*self.earlier, *self.done])
        else:
            super()._tabulate()

    def close(self) -> None:
        """Release meters, executor and the folder; safe at any time."""
        super().close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def clean_name(name: str) -> str:
    """The name as it may stand in a path and in a case id; two names never become one.

    Letters and digits of every script are kept. Where anything else was left out or cut off, a short
    hash of the whole name follows. Spellings that Unicode holds to be the same text are one name.

    Raises:
        UsageError: no letter or digit is in it.
    """
    text = unicodedata.normalize("NFC", name)
    parts = "".join(char if _is_kept(char) else " " for char in text).split()
    clean = _cut("-".join(parts).strip("-."), LONGEST_NAME)
    if not any(char.isalnum() or char == "_" for char in clean):
        raise UsageError(f"name {name!r}: must hold a letter or a digit")
    if clean == text:
        return clean
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]
    return f"{_cut(clean, LONGEST_NAME - HASH_DIGITS - 1)}-{digest}"


def _is_kept(char: str) -> bool:
    return char.isalnum() or char in KEPT or unicodedata.category(char).startswith("M")


def _cut(text: str, longest: int) -> str:
    """No more than so many characters, whole ones, and bytes."""
    most = LONGEST_NAME_BYTES - (LONGEST_NAME - longest)
    return text[:longest].encode()[:most].decode(errors="ignore").strip("-.")


def sorted_values(values: Mapping[str, object]) -> tuple[dict[str, Value], dict[str, str]]:
    """Numbers, which are hyperparameters of the table, and the rest as text, which the record keeps.

    Booleans become 0 and 1. What is no finite number (``nan``, an optimiser's name, a path) cannot be
    analysed as a dose; give it in the name where it is to tell runs apart.
    """
    found: dict[str, Value] = {}
    labels: dict[str, str] = {}
    for name, value in values.items():
        number = _number(value)
        if number is None:
            labels[str(name)] = str(value)
        else:
            found[clean_name(str(name))] = number
    return found, labels


def _number(value: object) -> int | float | None:
    if isinstance(value, numbers.Integral) and abs(int(value)) < MOST_INTEGER:
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return float(value) if math.isfinite(value) else None
    return None


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of those that are files; empty where none is."""
    digest, some = hashlib.sha256(), False
    for file in files:
        try:
            code = file.is_file() and file.stat().st_size <= LARGEST_BYTES
            content = file.read_bytes() if code else None
        except OSError:
            content = None
        if content is not None:
            digest.update(content + b"\0")
            some = True
    return digest.hexdigest() if some else ""
