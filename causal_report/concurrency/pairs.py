"""Finds the runs of pairs in the table and the runs alone to compare them with."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from causal_report import response as responses
from causal_report.concurrency import windows
from causal_report.concurrency.run import Cell, Pairing, PairRun, Run, Setting
from causal_report.table import OFF

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from causal_report.concurrency.run import Condition
    from causal_report.findings import Response
    from causal_report.sources.source import Source
    from causal_report.table import Table

    Key = tuple[str, Setting, Setting, Condition, Condition]
    """Machine, settings and conditions of a and b."""

NOT_SETTINGS = {"design_seed", "design_background"}
"""A random seed is a label, not a setting; and no background runs beside a pair."""
CONDITIONS = ("row_limit", "device", "executor", "gpu_power_limit_watts")
"""Columns in which a run alone must equal the run in the pair to be its counterpart."""
HOST = ("cpu_model", "cpus", "memory_bytes", "gpus")
"""Facts that make two sessions' machines one kind, so that runs alone may come from either."""
NUMBERS = (
    *("duration_seconds", "barrier_wait_seconds", "cpu_time_seconds"),
    *("idle_power_watts", "energy_gpu_util_avg_percent", "memory_peak_bytes", "gpu_memory_peak"),
    *("shared_duration_seconds", "shared_overlap_seconds", "shared_cpu_joules", "shared_gpu_joules"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Pairs in the order of their names, what was left out and how often, and what must be said."""

    pairs: tuple[Pairing, ...]
    left_out: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]


def find(table: Table, response: Response, sources: Sequence[Source]) -> Found:
    """Every pair of models that ran together, setting by setting, with its runs alone.

    Args:
        table: usable rows of all modes.
        response: the energy to compare; a joint energy counts only with the same status and reason.
        sources: where the rows come from: they tell failed pairs, hosts, and windows of programs.
    """
    frame = table.frame
    if not len(frame) or not bool((frame["mode"] == "pair").any()):
        return Found(pairs=(), left_out=(), notes=())
    together = frame[frame["mode"] == "pair"]
    models = set(together["model_id"])
    alone = frame[(frame["mode"] == "alone") & frame["model_id"].isin(models)]
    reader = _Reader(table, response)
    hosts = {source.name: _host(source) for source in sources}
    out: Counter[str] = Counter()
    attempts = _attempts(reader, together, sources, out)
    solos: dict[tuple[str, str, Setting, Condition], list[Run]] = defaultdict(list)
    for run in reader.runs(alone):
        solos[hosts.get(run.session, run.session), run.model, run.setting, run.conditions].append(run)
    groups: dict[tuple[str, str], dict[Key, list[PairRun]]] = defaultdict(lambda: defaultdict(list))
    for attempt in attempts:
        host = hosts.get(attempt.a.session, attempt.a.session)
        key = (host, attempt.a.setting, attempt.b.setting, attempt.a.conditions, attempt.b.conditions)
        groups[attempt.a.model, attempt.b.model][key].append(attempt)
    pairs = tuple(
        Pairing(a=a, b=b, cells=tuple(_cell(runs, key, a, b, solos) for key, runs in _ordered(cells)))
        for (a, b), cells in sorted(groups.items())
    )
    out += _failed(sources, together)
    return Found(pairs=pairs, left_out=tuple(sorted(out.items())), notes=_notes(pairs, attempts))


def _ordered(
    cells: Mapping[Key, list[PairRun]],
) -> list[tuple[Key, list[PairRun]]]:
    return sorted(cells.items(), key=lambda item: (item[0][0], item[0][1].values, item[0][2].values))


def _cell(
    runs: list[PairRun],
    key: Key,
    a: str,
    b: str,
    solos: Mapping[tuple[str, str, Setting, Condition], list[Run]],
) -> Cell:
    host, set_a, set_b, conditions_a, conditions_b = key
    sessions = {run.a.session for run in runs}
    return Cell(
        a=set_a,
        b=set_b,
        together=tuple(runs),
        alone_a=_nearest(solos.get((host, a, set_a, conditions_a), []), sessions),
        alone_b=_nearest(solos.get((host, b, set_b, conditions_b), []), sessions),
    )


def _nearest(runs: list[Run], sessions: set[str]) -> tuple[Run, ...]:
    """Those of the pair's own sessions; of another session on the same machine only if there are none."""
    own = [run for run in runs if run.session in sessions]
    return tuple(own or runs)


class _Reader:
    """Rows of the table as runs."""

    def __init__(self, table: Table, response: Response) -> None:
        self.table, self.response = table, response
        frame = table.frame
        settings = [c for c in map(str, frame) if c.startswith("design_") and not c.endswith(OFF)]
        self.design = [c for c in settings if c not in NOT_SETTINGS]
        self.metrics = [c.name for c in table.of("performance") if c.name in frame]
        self.energy = responses.rows(frame, response) if response.column else None
        self.varying = self._varying(frame)

    def _varying(self, frame: pd.DataFrame) -> Mapping[str, tuple[str, ...]]:
        """The hyperparameters that vary within each model."""
        found: dict[str, tuple[str, ...]] = {}
        for model, rows in frame.groupby("model_id"):
            found[str(model)] = tuple(name for name in self.design if rows[name].nunique() > 1)
        return found

    def runs(self, frame: pd.DataFrame) -> list[Run]:
        """One run a row; a row without a duration is none."""
        rows = frame.to_dict("records")
        known = self.energy.loc[frame.index] if self.energy is not None else [False] * len(rows)
        return [
            self.run(row, bool(has))
            for row, has in zip(rows, known, strict=True)
            if _positive(row.get("duration_seconds"))
        ]

    def run(self, row: Mapping[Any, Any], has_energy: bool) -> Run:
        number = {name: _number(row.get(name)) for name in NUMBERS}
        model, mode = str(row["model_id"]), row["mode"]
        waited = number["barrier_wait_seconds"] or 0.0 if mode == "pair" else 0.0
        duration = number["duration_seconds"] or 0.0
        return Run(
            session=str(row["session"]),
            model=model,
            setting=self.setting(row, model),
            conditions=tuple((name, _word(row.get(name))) for name in CONDITIONS),
            repeat=_repeat(row),
            span_s=duration,
            duration_s=duration - waited if 0 < waited < duration else duration,
            cpu_s=number["cpu_time_seconds"],
            energy_j=_number(row.get(self.response.column)) if has_energy else None,
            idle_w=None if self.response.estimator else number["idle_power_watts"],
            gpu_percent=number["energy_gpu_util_avg_percent"],
            memory_bytes=number["memory_peak_bytes"],
            gpu_memory_bytes=number["gpu_memory_peak"],
            performance=tuple(
                (name, value) for name in self.metrics if (value := _number(row.get(name))) is not None
            ),
        )

    def setting(self, row: Mapping[Any, Any], model: str) -> Setting:
        """All known hyperparameters; the label names what the design varied, else what varies at all."""
        values = tuple(
            (name.removeprefix("design_"), value)
            for name in self.design
            if (value := _number(row.get(name))) is not None
        )
        varied = row.get("mutated_param")
        if isinstance(varied, str) or (varied is not None and "mutated_param" in row):
            names = [name for name in str(varied).split("+") if isinstance(varied, str) and name]
            shown = [(name, _number(row.get(f"hyperparam_{name}"))) for name in names]
        else:
            moving = self.varying.get(model, ())
            shown = [(name.removeprefix("design_"), _number(row.get(name))) for name in moving]
        words = [f"{name.replace('_', ' ')} {value:g}" for name, value in shown if value is not None]
        return Setting(values=values, label=", ".join(words) or "defaults")


def _attempts(
    reader: _Reader, frame: pd.DataFrame, sources: Sequence[Source], out: Counter[str]
) -> list[PairRun]:
    """Both rows of one attempt as one; what cannot be one is counted under its reason."""
    column = _joint_column(reader.response)
    readings = windows.of(sources)
    found = []
    for (session, experiment, _), rows in frame.groupby(["session", "experiment_id", "timestamp"], sort=True):
        both = {str(row["role"]): row for row in rows.to_dict("records")}
        if set(both) != {"a", "b"}:
            out["only one side is usable"] += 1
            continue
        first = both["a"]
        joint = {name: _number(first.get(name)) for name in NUMBERS}
        if not joint["shared_duration_seconds"] or not all(
            _positive(row["duration_seconds"]) for row in both.values()
        ):
            out["no duration"] += 1
            continue
        a, b = (reader.run(both[role], has_energy=False) for role in ("a", "b"))
        joules = _number(first.get(column)) if _comparable(first, reader.response) else None
        found.append(
            PairRun(
                experiment_id=str(experiment),
                a=a,
                b=b,
                joint_s=joint["shared_duration_seconds"],
                overlap_s=joint["shared_overlap_seconds"] or 0.0,
                energy_j=joules,
                cpu_j=joint["shared_cpu_joules"],
                gpu_j=joint["shared_gpu_joules"],
                **windows.own(readings.get((str(session), str(experiment)), ()), reader.response, joules),
            )
        )
    return found


def _joint_column(response: Response) -> str:
    return f"shared_estimate_{response.estimator}_joules" if response.estimator else "shared_energy_joules"


def _comparable(row: Mapping[Any, Any], response: Response) -> bool:
    """Whether the joint joules of a row hold what those of runs alone hold."""
    if not response.column:
        return False
    if response.estimator:
        return row.get(f"shared_estimate_{response.estimator}_status") != "partial"
    if row.get("shared_energy_status") != response.status:
        return False
    return response.status != "partial" or _word(row.get("shared_energy_reason")) == response.reason


def _failed(sources: Sequence[Source], usable: pd.DataFrame) -> Counter[str]:
    """Pair runs of which no side is usable: they are in the sources and not in the table."""
    seen = _keys(usable)
    missing = 0
    for source in sources:
        if "mode" in source.frame:
            missing += len(_keys(source.frame[source.frame["mode"] == "pair"]) - seen)
    return Counter({"both sides failed or are flagged": missing} if missing else {})


def _keys(frame: pd.DataFrame) -> set[tuple[str, ...]]:
    columns = (frame[name].astype(str) for name in ("session", "experiment_id", "timestamp"))
    return set(zip(*columns, strict=True))


def _host(source: Source) -> str:
    """Sessions with equal facts were run on one kind of machine; one without facts is its own."""
    facts = source.facts.get("host", {})
    known = {name: facts[name] for name in HOST if name in facts}
    return repr(sorted(known.items())) if known.get("cpu_model") else source.name


def _notes(pairs: Iterable[Pairing], attempts: Sequence[PairRun]) -> tuple[str, ...]:
    borrowed = sorted(
        {
            pair.name
            for pair in pairs
            for cell in pair.cells
            for role in ("a", "b")
            if (runs := cell.alone(role))
            and not {run.session for run in runs} & {run.a.session for run in cell.together}
        }
    )
    notes = []
    if borrowed:
        notes.append(f"runs alone come from another session on an equal machine: {', '.join(borrowed)}")
    without = sorted({p.name for p in pairs for c in p.cells if not (c.alone_a and c.alone_b)})
    if without:
        notes.append(f"some settings of these pairs were never run alone: {', '.join(without)}")
    if any(run.energy_j is None for run in attempts):
        n = sum(run.energy_j is None for run in attempts)
        notes.append(
            f"{n} of {len(attempts)} pair runs have no joint energy comparable with that of runs alone"
        )
    return tuple(notes)


def _number(value: object) -> float | None:
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _positive(value: object) -> bool:
    found = _number(value)
    return found is not None and found > 0


def _word(value: object) -> str:
    """A condition as text, missing as empty; 1 and 1.0 are one."""
    number = _number(value)
    if number is not None:
        return f"{number:g}"
    return "" if value is None or value is pd.NA or isinstance(value, float) else str(value)


def _repeat(row: Mapping[Any, Any]) -> str:
    """Replicates of cases run in one block belong together; without blocks there is only the number."""
    return f"{row['session']}:{_word(row.get('replicate'))}"
