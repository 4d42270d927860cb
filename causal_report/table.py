"""The typed table: rows of all sources with the part each column plays."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from causal_report.sources.source import FILLED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from causal_report.sources.source import Source

Part = Literal["design", "mediator", "energy", "performance"]
ORDER = ("timestamp", "session", "experiment_id", "role")
"""Rows are brought into this order: which of two equal runs is named must not depend on the file's."""
LOGGED = {"epochs", "batch_size", "learning_rate", "weight_decay", "max_iter", "alpha"}
"""Roles whose doses multiply: they enter on a log scale, where a dose of 0 has a level of its own."""
OFF = "=0"
"""Ends the name of the column that says that a dose is 0."""
LABELS = {"background": "background load", "seed": "random seed"}
MEDIATORS = {
    "energy_gpu_avg_watts": ("GPU power", "W"),
    "energy_gpu_util_avg_percent": ("GPU utilisation, mean", "%"),
    "energy_gpu_util_max_percent": ("GPU utilisation, highest", "%"),
    "energy_gpu_temp_avg_celsius": ("GPU temperature, mean", "°C"),
    "energy_gpu_temp_max_celsius": ("GPU temperature, highest", "°C"),
    "cpu_cores_busy": ("CPU cores busy", "cores"),
    "duration_seconds": ("duration", "s"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that can enter an analysis.

    Attributes:
        name: its name in the frame.
        label: for people, unit not included.
        part: ``design`` was set, ``mediator`` came of it during training, the rest came out.
        log: analysed as its natural logarithm.
        better: ``higher`` or ``lower`` for performance metrics.
        zeros: (model, dose) of a logarithm that has runs with 0: where the model's are placed.
    """

    name: str
    label: str
    part: Part
    unit: str = ""
    log: bool = False
    better: str = ""
    zeros: tuple[tuple[str, float], ...] = ()

    @property
    def off(self) -> bool:
        """Whether it says of another column that its dose is 0."""
        return self.name.endswith(OFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All rows with ``model_id``, ``block_id``, one column a hyperparameter role, and typed columns."""

    frame: pd.DataFrame
    columns: tuple[Column, ...]

    def of(self, *parts: Part) -> tuple[Column, ...]:
        """The columns that play one of *parts*, in their order."""
        return tuple(column for column in self.columns if column.part in parts)

    def where(self, rows: pd.Series[bool]) -> Table:
        """The same columns over fewer rows."""
        return Table(frame=self.frame.loc[rows], columns=self.columns)


def build(sources: Sequence[Source]) -> Table:
    """One table of all sources.

    Hyperparameters that are one thing under two names meet in one column, named by their role in
    the catalogue; a bare table has none, and each hyperparameter is its own role. The rows' order in
    the files, and that of the files, does not matter.
    """
    frames = [_prepared(source) for source in sources]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if len(frame):
        frame = frame.sort_values([*ORDER], kind="stable", ignore_index=True)
    for name in [str(name) for name in frame if str(name).startswith(FILLED)]:
        frame[name] = frame[name].eq(True)  # a source that nobody filled has no such column
    design, switches = _design(frame)
    frame = pd.concat([frame, pd.DataFrame(switches, index=frame.index)], axis=1)
    return Table(frame=frame, columns=(*design, *_mediators(frame), *_performance(frame, sources)))


def _prepared(source: Source) -> pd.DataFrame:
    frame = source.frame.copy(deep=False)
    frame["model_id"] = frame["repository"].astype(str) + "/" + frame["model"].astype(str)
    frame["block_id"] = _blocks(frame)
    if "mode" not in frame:
        frame["mode"] = "alone"
    frame["design_background"] = (frame["mode"] == "background").astype(float)  # 0 or 1
    if "cpu_time_seconds" in frame:
        busy = pd.to_numeric(frame["cpu_time_seconds"]) / frame["duration_seconds"]
        frame["cpu_cores_busy"] = busy.where(np.isfinite(busy))
    return _by_role(frame, _roles(source))


def _blocks(frame: pd.DataFrame) -> pd.Series[str]:
    """Session and block in one word, None where no block was recorded."""
    if "block" not in frame or not bool(frame["block"].notna().any()):
        return pd.Series(None, index=frame.index, dtype=object)
    block = frame["block"]
    named = frame["session"].astype(str) + ":" + block.map(_name, na_action="ignore").astype(str)
    return named.where(block.notna(), None)


def _by_role(frame: pd.DataFrame, roles: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """One ``design_<role>`` a role, and ``filled_<role>`` where any of its values was not recorded."""
    models = {model for model, _ in roles}
    rows = {model: np.flatnonzero((frame["model_id"] == model).to_numpy()) for model in models}
    doses: dict[str, NDArray[np.float64]] = {}
    marks: dict[str, NDArray[np.bool_]] = {}
    for (model, name), role in roles.items():
        at = rows[model]
        dose = doses.setdefault(role, np.full(len(frame), np.nan))
        dose[at] = frame[f"hyperparam_{name}"].to_numpy(dtype=float)[at]
        recorded = f"{FILLED}hyperparam_{name}"
        if recorded in frame:
            mark = marks.setdefault(role, np.zeros(len(frame), dtype=bool))
            mark[at] = frame[recorded].to_numpy(dtype=bool)[at]
    design = {f"design_{role}": dose for role, dose in doses.items()}
    filled_in = {f"{FILLED}{role}": mark for role, mark in marks.items()}
    more = [pd.DataFrame(columns, index=frame.index) for columns in (design, filled_in)]
    return pd.concat([frame, *more], axis=1)


def _name(block: object) -> str:
    """A block as text: 1 and 1.0 are one block, and a block may be called ``A``."""
    return f"{float(block):g}" if isinstance(block, Real) else str(block)


def _roles(source: Source) -> dict[tuple[str, str], str]:
    """(model, hyperparameter) to role; a role named twice in one model is given to the first only."""
    columns = [str(name) for name in source.frame if str(name).startswith("hyperparam_")]
    given = [name.removeprefix("hyperparam_") for name in columns]
    found: dict[tuple[str, str], str] = {}
    pairs = source.frame[["repository", "model"]].drop_duplicates().astype(str)
    for repository, model in pairs.itertuples(index=False):
        known = _entry(source.facts, repository, model).get("hyperparameters", {})
        taken: set[str] = set()
        for name in given:
            role = str(known.get(name, {}).get("role") or name)
            role = name if role in taken else role
            taken.add(role)
            found[f"{repository}/{model}", name] = role
    return found


def _entry(facts: Mapping[str, Any], repository: str, model: str) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = facts.get("catalogue", {}).get(repository, {}).get("models", {}).get(model, {})
    return entry


def _design(frame: pd.DataFrame) -> tuple[list[Column], dict[str, pd.Series[Any]]]:
    """What was set, and the columns to add for doses of 0."""
    names = [n for n in map(str, frame) if n.startswith("design_") and bool(frame[n].notna().any())]
    columns = []
    switches: dict[str, pd.Series[Any]] = {}
    for name in names:
        role = name.removeprefix("design_")
        if role == "background" and frame[name].nunique() < 2:
            continue  # one mode only: nothing was set
        label = LABELS.get(role, role.replace("_", " "))
        positive = bool((frame[name].dropna() > 0).all())
        zeros = () if positive or role not in LOGGED else _zeros(frame, name)
        log = role in LOGGED and (positive or bool(zeros))
        columns.append(Column(name=name, label=label, part="design", log=log, zeros=zeros))
        if zeros:
            columns.append(Column(name=f"{name}{OFF}", label=f"{label} off", part="design"))
            switches |= _switch(frame, name)
    return columns, switches


def _zeros(frame: pd.DataFrame, name: str) -> tuple[tuple[str, float], ...]:
    """Where each model's doses of 0 are placed on the log scale; empty where a plain scale says as much.

    0 has no place there: how far it is below the smallest dose nobody knows. It stands at the middle
    of its model's others, and a column of its own takes up the difference, so that no slope depends on
    the place (Battese 1997). That needs two doses above 0 in some model, and none below.
    """
    doses = frame[name].astype(float)
    above = doses.where(doses > 0)
    models = frame["model_id"].astype(str)
    if bool((doses < 0).any()) or not bool((above.groupby(models).nunique() > 1).any()):
        return ()
    grouped = above.groupby(models)
    only = grouped.first().where(grouped.nunique() == 1)  # as it is: rounded, it would seem to vary
    logs = pd.Series(np.log(above), dtype=float).groupby(models).mean()
    middles = only.fillna(logs.map(np.exp)).fillna(1.0)
    return tuple((str(model), float(middle)) for model, middle in middles.items())


def _switch(frame: pd.DataFrame, name: str) -> dict[str, pd.Series[Any]]:
    """1 where the dose is 0, and whether that was recorded."""
    doses = frame[name].astype(float)
    mark = name.replace("design_", FILLED, 1)
    found: dict[str, pd.Series[Any]] = {f"{name}{OFF}": doses.eq(0.0).astype(float).where(doses.notna())}
    return found | ({f"{mark}{OFF}": frame[mark]} if mark in frame else {})


def _mediators(frame: pd.DataFrame) -> list[Column]:
    return [
        Column(name=name, label=label, part="mediator", unit=unit, log=name == "duration_seconds")
        for name, (label, unit) in MEDIATORS.items()
        if name in frame and bool(frame[name].notna().any())
    ]


def _performance(frame: pd.DataFrame, sources: Sequence[Source]) -> list[Column]:
    """Metrics in the catalogue's order, then those it does not know."""
    known: dict[str, Mapping[str, Any]] = {}
    for source in sources:
        for repository in source.facts.get("catalogue", {}).values():
            known |= repository.get("metrics", {})
    present = [n for n in map(str, frame) if n.startswith("perf_") and bool(frame[n].notna().any())]
    order = {f"perf_{name}": index for index, name in enumerate(known)}
    columns = []
    for name in sorted(present, key=lambda n: (order.get(n, len(order)), n)):
        bare = name.removeprefix("perf_")
        entry = known.get(bare, {})
        columns.append(
            Column(
                name=name,
                label=bare.replace("_", " "),
                part="performance",
                unit=str(entry.get("unit", "")),
                better=str(entry.get("better", "")),
            )
        )
    return columns


def sample(table: Table, most: int, seed: int) -> Table:
    """At most so many rows, drawn at random by their keys, in the table's own order."""
    if len(table.frame) <= most:
        return table
    ordered = table.frame.sort_values(["experiment_id", "timestamp", "role"], kind="stable")
    drawn = ordered.sample(n=most, random_state=seed).index
    return table.where(pd.Series(table.frame.index.isin(drawn), index=table.frame.index))


def strata(frame: pd.DataFrame) -> pd.Series[str]:
    """What rows may be compared within: their model and, where there are several, their session."""
    model = frame["model_id"].astype(str)
    sessions = frame["session"].astype(str)
    return model + " in " + sessions if sessions.nunique() > 1 else model


def filled(frame: pd.DataFrame, column: Column) -> pd.Series[bool]:
    """Rows whose value of a design column was not recorded but filled with a default."""
    mark = column.name.replace("design_", FILLED, 1)
    return frame[mark].eq(True) if mark in frame else pd.Series(False, index=frame.index)


def values(frame: pd.DataFrame, column: Column) -> pd.Series[float]:
    """As it is analysed: the logarithm where ``log``; 0 stands where ``zeros`` says, else it is missing."""
    raw = pd.to_numeric(frame[column.name], errors="coerce").astype(float)
    if column.zeros and column.log:
        raw = raw.mask(raw == 0, frame["model_id"].astype(str).map(dict(column.zeros)).astype(float))
    return pd.Series(np.log(raw.where(raw > 0)), index=raw.index, dtype=float) if column.log else raw


def vector(frame: pd.DataFrame, column: Column) -> NDArray[np.float64]:
    """:func:`values` as an array of shape (n,)."""
    return np.asarray(values(frame, column), dtype=np.float64)
