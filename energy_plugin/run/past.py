"""Past runs of a results folder, from the tables of its sessions: what plans and expectations learn from."""

from __future__ import annotations

import csv
import itertools
import os
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from energy_plugin.declare.case import Case, Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from energy_plugin.declare.case import Role

MOST_RUNS = 5000
"""The newest ones say enough."""
MOST_FOLDERS = 60
"""So many attempts' folders are weighed for the disk space of one."""
ENERGIES = ("total_energy_joules", "shared_energy_joules", "estimate_codecarbon_joules", "duration_seconds")
"""What noise is taken from, best first."""
HYPERPARAMETER = "hyperparam_"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One successful attempt of an earlier session.

    Attributes:
        name: models and mode, as :func:`name_of` spells them.
        case: as far as the table tells it: programs without what was passed.
        treatment: what replicates of it share.
        numbers: ``duration_seconds`` of the whole attempt, and energies, where they are above 0.
        cooldown_s: rest before it.
    """

    session: str
    name: str
    case: Case
    treatment: tuple[str, ...]
    numbers: Mapping[str, float] = field(default_factory=dict)
    cooldown_s: float | None = None

    @property
    def duration_s(self) -> float | None:
        """Seconds of the longest of its programs."""
        return self.numbers.get("duration_seconds")


def name_of(case: Case) -> str:
    """What runs of one kind share: ``repository/model`` of each measured program, and the mode."""
    return f"{'+'.join(program.path for program in case.measured)} {case.mode}"


def past_runs(results: Path, *, executor: str = "", simulated: str = "") -> list[PastRun]:
    """The newest runs of all sessions in *results*, newest session first.

    Args:
        results: a folder of sessions; nothing comes of one that does not exist.
        executor: only runs in this place, in any when empty: a container takes its own time.
        simulated: only runs on this simulated hardware; on real one when empty.
    """
    found: list[PastRun] = []
    for session in sorted(results.glob("run_*"), reverse=True) if results.is_dir() else ():
        if len(found) >= MOST_RUNS:
            break
        found += session_runs(session, executor=executor, simulated=simulated)
    return found[:MOST_RUNS]


def session_runs(session: Path, *, executor: str = "", simulated: str = "") -> Iterator[PastRun]:
    """The successful attempts in a session's ``summary.csv``, if it has one that can be read."""
    try:
        with (session / "summary.csv").open(newline="", encoding="utf-8") as file:
            rows = [
                row
                for row in csv.DictReader(file, restval="")
                if row.get("case_id")
                and (not executor or row.get("executor") == executor)
                and row.get("simulated", "") == simulated
            ]
    except (OSError, UnicodeDecodeError, csv.Error):
        return
    for _, group in itertools.groupby(rows, key=lambda row: (row.get("experiment_id"), row.get("timestamp"))):
        programs = list(group)
        if all(row.get("training_success") == "True" for row in programs):
            yield _run(session.name, programs)


def _run(session: str, rows: Sequence[Mapping[str, str]]) -> PastRun:
    first = rows[0]
    programs = [_program(row) for row in rows]
    if first.get("mode") == "background":
        load = (first.get("bg_repository", ""), first.get("bg_model", ""))
        programs.append(Program(role="load", repository=load[0], model=load[1], values={}))
    case = Case(programs=tuple(programs), design=first.get("experiment_source", ""))
    numbers = {name: number for name in ENERGIES if (number := _positive(first.get(name))) is not None}
    seconds = [number for row in rows if (number := _positive(row.get("duration_seconds"))) is not None]
    told = [f"{name}={row[name]}" for row in rows for name in row if name.startswith(HYPERPARAMETER)]
    return PastRun(
        session=session,
        name=name_of(case),
        case=case,
        treatment=(session, first["case_id"].rpartition("-r")[0], first.get("row_limit", ""), *told),
        numbers=numbers | ({"duration_seconds": max(seconds)} if seconds else {}),
        cooldown_s=_number(first.get("cooldown_seconds")) if first.get("order_index") != "0" else None,
    )


def _program(row: Mapping[str, str]) -> Program:
    role: Role = "b" if row.get("role") == "b" else "a"
    names = (name for name in row if name.startswith(HYPERPARAMETER))
    values = {name.removeprefix(HYPERPARAMETER): _number(row[name]) for name in names}
    limit = _number(row.get("row_limit"))
    return Program(
        role=role,
        repository=row.get("repository", ""),
        model=row.get("model", ""),
        values={name: value for name, value in values.items() if value is not None},
        limit=None if limit is None else int(limit),
    )


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _positive(text: str | None) -> float | None:
    number = _number(text)
    return number if number is not None and 0 < number < float("inf") else None


def bytes_each(results: Path) -> tuple[float, int] | None:
    """Median bytes that an attempt's folder takes, and of how many; None where there is none."""
    sizes: list[int] = []
    for session in sorted(results.glob("run_*"), reverse=True) if results.is_dir() else ():
        for folder in sorted(path for path in session.iterdir() if path.is_dir()):
            if len(sizes) >= MOST_FOLDERS:
                break
            sizes.append(_bytes(folder))
    return (statistics.median(sizes), len(sizes)) if sizes else None


def _bytes(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with_stat = os.path.join(where, name)
            if not os.path.islink(with_stat):
                total += os.stat(with_stat).st_blocks * 512
    return total
