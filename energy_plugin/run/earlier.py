"""What ran before, in earlier sessions and in published tables, so that it is not run again.

Two runs are the same when repository, model, mode, changed values, row limit, GPU power limit and
background are. Values count as changed when they differ from the program's default, whole numbers as
whole numbers and others to six significant figures: a table that was written with six decimals holds
``10.000000`` epochs, which are 10. That the sources are other ones by now makes no difference here: it
does for ``--energy-resume``.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import EnergyError, FileError
from energy_plugin.record.finished import finished
from energy_plugin.record.journal import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from energy_plugin.declare.case import Case, Program
    from energy_plugin.declare.catalog import Catalog, Model

MODES = {"parallel": "background", "concurrent": "pair"}
"""The published study's words for ours."""
UNKNOWN, NO_METRIC = "the catalogue has no such model or value", "a success that left no metric is none"
"""Why a run is passed over."""
NEEDED = ("repository", "model", "training_success")
Changed = tuple[tuple[str, float], ...]
Part = tuple[str, Changed, int | None]
"""A program: path, changed values, row limit."""


@dataclass(frozen=True, slots=True)
class Run:
    """What makes two runs the same.

    Attributes:
        load: path of the background, empty for none and where a table does not tell.
        load_part: the background in full; None where a table does not tell its values.
    """

    parts: tuple[Part, ...]
    power_limit_w: float | None = None
    mode: str = "alone"
    load: str = ""
    load_part: tuple[Part, str] | None = None

    def known_as(self) -> tuple[Run, ...]:
        """This run as sources tell it that know less and less of its background."""
        if self.mode != "background":
            return (self,)
        coarse = Run(self.parts, self.power_limit_w, self.mode, self.load)
        return self, coarse, Run(self.parts, self.power_limit_w, self.mode)


@dataclass(slots=True)
class EarlierRuns:
    """How often each run succeeded in which place, and which replicates of it.

    Attributes:
        passed_over: how many runs of which place do not count, and why.
    """

    catalog: Catalog
    _counts: dict[Run, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _replicates: dict[Run, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    _seen: set[object] = field(default_factory=set)
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    _changed: dict[object, Changed] = field(default_factory=dict)

    def read(self, path: Path) -> None:
        """Add a session's folder, a folder of sessions, or a table.

        Raises:
            FileError: the table is none of ours and none of the published study.
        """
        if path.is_dir():
            sessions = (
                [path] if (path / NAME).is_file() else [p.parent for p in sorted(path.glob(f"*/{NAME}"))]
            )
            if not sessions:
                raise FileError(
                    path, "--energy-earlier", path.name, f"neither a session nor a folder of them: no {NAME}"
                )
            for folder in sessions:
                self._session(folder.resolve())
        elif path.name == NAME or (path.name == "summary.csv" and (path.parent / NAME).is_file()):
            self._session(path.parent.resolve())
        else:
            self._table(path)

    def places(self, cases: Sequence[Case]) -> list[str]:
        """For each case where it ran before, empty where it is still to be run.

        Replicate n ran before if that very replicate did, or if its treatment ran n times, whatever
        the numbers were; one earlier run stands for one replicate only.
        """
        runs = [self.run_of(case) for case in cases]
        wanted: dict[Run, set[int]] = defaultdict(set)
        for run, case in zip(runs, cases, strict=True):
            wanted[run].add(case.replicate)
        found = {run: self._ran(run, numbers) for run, numbers in wanted.items()}
        return [found[run].get(case.replicate, "") for run, case in zip(runs, cases, strict=True)]

    def _ran(self, run: Run, numbers: set[int]) -> dict[int, str]:
        """Of these replicates those that ran before, with the place."""
        pool: Counter[str] = Counter()
        for known in run.known_as():
            pool.update(self._counts.get(known, {}))
        total = pool.total()
        found = {n: place for n, place in self._replicates.get(run, {}).items() if n in numbers}
        pool.subtract(found.values())
        for number in sorted(numbers - set(found)):
            place, left = max(pool.items(), key=lambda item: item[1], default=("", 0))
            if left < 1 or total < number:
                break
            found[number] = place
            pool[place] -= 1
        return found

    def run_of(self, case: Case) -> Run:
        """What is compared of a case."""
        load = next((p for p in case.programs if p.role == "load"), None)
        return Run(
            parts=tuple(self._part(program) for program in case.measured),
            power_limit_w=case.power_limit_w,
            mode=case.mode,
            load=load.path if load else "",
            load_part=(self._part(load), load.loop) if load else None,
        )

    # --- sessions ---

    def _session(self, folder: Path) -> None:
        if folder in self._seen:
            return
        self._seen.add(folder)
        for case in finished(folder):
            try:
                run = self.run_of(case)
            except EnergyError:  # a model that the catalogue has no more
                self.passed_over[str(folder), UNKNOWN] += 1
                continue
            self._counts[run][str(folder)] += 1
            self._replicates[run].setdefault(case.replicate, str(folder))

    def _part(self, program: Program) -> Part:
        key = (program.repository, program.model, tuple(program.values.items()))
        if key not in self._changed:
            self._changed[key] = changed(self.catalog.model(program.path), program.values)
        return program.path, self._changed[key], program.limit

    # --- tables ---

    def _table(self, path: Path) -> None:
        grouped: dict[object, dict[str, dict[str, str]]] = defaultdict(dict)
        for number, row in enumerate(_rows(path)):
            names = row.get("experiment_id"), row.get("timestamp")
            grouped[names if all(names) else (str(path), number)][row.get("role", "")] = row
        for stamp, by_role in grouped.items():
            rows = [by_role[role] for role in sorted(by_role)]
            if stamp in self._seen:
                continue
            self._seen.add(stamp)
            if not all(_true(row.get("training_success")) for row in rows):
                continue
            if not all(map(_has_metric, rows)):
                self.passed_over[str(path), NO_METRIC] += 1
                continue
            try:
                run = self._run_of(rows)
            except (EnergyError, ValueError):  # a model or a value that the catalogue does not know
                self.passed_over[str(path), UNKNOWN] += 1
                continue
            self._counts[run][str(path)] += 1

    def _run_of(self, rows: Sequence[Mapping[str, str]]) -> Run:
        first = rows[0]
        load = "/".join(filter(None, (first.get("bg_repository", ""), first.get("bg_model", ""))))
        mode = _mode(first)
        watts = _number(first, "gpu_power_limit_watts")
        return Run(
            parts=tuple(self._told(row) for row in rows),
            power_limit_w=watts,
            mode=mode,
            load=self.catalog.model(load).path if mode == "background" and load else "",
        )

    def _told(self, row: Mapping[str, str]) -> Part:
        model = self.catalog.model(f"{row['repository']}/{row['model']}")
        # The published table names the one value that was changed; the others in such a row were filled
        # in later, partly with wrong ones.
        named = "" if "case_id" in row else row.get("mutated_param", "")
        told = {
            name: _number(row, f"hyperparam_{name}") for name in ([named] if named else model.hyperparameters)
        }
        if named and told[named] is None:
            raise ValueError(f"{named} was changed, but its value is missing")
        values = {name: value for name, value in told.items() if value is not None}
        limit = _number(row, "row_limit")
        return model.path, changed(model, values), None if limit is None else int(limit)


def changed(model: Model, values: Mapping[str, Any]) -> Changed:
    """The values that differ from the program's default, in a form that compares.

    Raises:
        UnknownNameError: the model has no such hyperparameter.
    """
    found = []
    for name, value in values.items():
        hyperparameter = model.hyperparameters.get(name)
        if hyperparameter is None:
            from energy_plugin.declare.levels import known

            hyperparameter = known(model, name)
        whole = hyperparameter.type == "int"
        if (plain := _plain(value, whole=whole)) != _plain(hyperparameter.default, whole=whole):
            found.append((name, plain))
    return tuple(sorted(found))


def _plain(value: Any, *, whole: bool) -> float:
    """Whole numbers as such, others to six significant figures."""
    return round(float(value)) if whole else float(f"{float(value):.6g}")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows, with the ``fg_*`` copies of the study's raw table in place of what they are copies of."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise FileError(path, "columns", missing, "missing: no summary.csv and no table of the study")
            for row in reader:
                yield _merged({name: _text(value) for name, value in row.items() if name})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(path, "file", path.name, f"cannot be read as CSV: {error}") from None


def _merged(row: dict[str, str]) -> dict[str, str]:
    for name in [name for name in row if name.startswith("fg_")]:
        if row[name] and not row.get(name[3:]):
            row[name[3:]] = row[name]
    return row


def _text(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    return "" if text.lower() == "nan" else text


def _mode(row: Mapping[str, str]) -> str:
    parallel = _true(row.get("is_parallel")) or row.get("experiment_id", "").endswith("_parallel")
    mode = row.get("mode", "")
    return MODES.get(mode, mode) or ("background" if parallel else "alone")


def _has_metric(row: Mapping[str, str]) -> bool:
    """Whether a success left any metric, where the table has any: the study called crashed runs successes."""
    metrics = [value for name, value in row.items() if name.startswith("perf_")]
    return not metrics or any(metrics)


def _true(text: str | None) -> bool:
    return (text or "").lower() in ("true", "1", "1.0")


def _number(row: Mapping[str, str], name: str) -> float | None:
    text = row.get(name, "")
    return float(text) if text else None
