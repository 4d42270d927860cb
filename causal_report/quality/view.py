"""The table as the checks see it: cells of model and mode, what was set, time order, signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.sources.source import FILLED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from causal_report.sources.source import Source
    from causal_report.table import Table

    Vector = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Codes = NDArray[np.int64]

PREFIX = "hyperparam_"
LABELS_ONLY = {"seed"}
"""Values that name a run and cannot have a dose."""
MACHINE = ("cpu_model", "cpus", "memory_bytes", "gpus")
"""Facts of a host that runs must share to be comparable."""
CONDITIONS = (
    *("device", "executor", "row_limit", "gpu_power_limit_watts"),
    *("data_source", "data_digest", "weights"),
)
"""Columns of a row that they must share, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One hyperparameter over all rows.

    Attributes:
        value: as recorded, NaN where not.
        dose: its logarithm where all are positive, else the value; shape (n,).
        passed: rows in which it was handed to the program, as far as the table says.
        filled: rows that record a value which was not handed over.
        unsure: rows among ``passed`` of which the table says nothing.
    """

    name: str
    value: Vector
    dose: Vector
    passed: Mask
    filled: Mask
    unsure: Mask
    log: bool
    label_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Arrays of one entry a row, in the frame's order.

    Attributes:
        cell: number of the row's model and mode, ``model`` of the model alone; where a model was run on
            several machines or under several conditions, of each of them.
        alone: rows of one program by itself; ``background`` rows have a load beside them.
        when: seconds since the epoch, NaN where the timestamp is none.
        session: number of the row's session.
        partner: number of the model of the background, or of the other of a pair, where recorded, else -1.
        signals: power of CPU, memory and GPU (log W), GPU utilisation (%).
        log_s: logarithm of the duration.
        metric: whether any metric is there; all False where the table has none.
        metrics: names of the performance columns.
    """

    frame: pd.DataFrame
    cell: Codes
    model: Codes
    alone: Mask
    background: Mask
    success: Mask
    when: Vector
    session: Codes
    partner: Codes
    seconds: Vector
    log_s: Vector
    signals: Mapping[str, Vector]
    settings: tuple[Setting, ...]
    metric: Mask
    metrics: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.frame)

    def column(self, name: str) -> Vector:
        """A column as numbers; all NaN where the table has none."""
        return numbers(self.frame, name)

    def text(self, name: str) -> NDArray[np.object_]:
        """A column as objects of text."""
        return np.asarray(self.frame[name].astype(str), dtype=object)


def numbers(frame: pd.DataFrame, name: str) -> Vector:
    """A column of *frame* as floats; all NaN where there is none."""
    if name not in frame:
        return np.full(len(frame), np.nan)
    return np.asarray(pd.to_numeric(frame[name], errors="coerce"), dtype=np.float64)


def positive_log(values: Vector) -> Vector:
    """Natural logarithm; NaN where not positive."""
    out = np.full(values.shape, np.nan)
    np.log(values, out=out, where=values > 0)
    return out


def codes(values: pd.Series[str]) -> Codes:
    """A number for each distinct value, -1 for none."""
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def see(table: Table, sources: Sequence[Source] = ()) -> View:
    """The view of *table*; *sources* tell the machines."""
    frame = table.frame
    mode = frame["mode"].astype(str)
    model = codes(_kinds(frame, sources))
    kinds = codes(mode)
    seconds = numbers(frame, "duration_seconds")
    when = pd.to_datetime(frame["timestamp"], format="ISO8601", utc=True, errors="coerce")
    stamp = np.asarray(when.dt.as_unit("us").astype("int64"), dtype=np.float64) / 1e6
    metrics = tuple(column.name for column in table.of("performance"))
    return View(
        frame=frame,
        cell=model * (int(kinds.max(initial=0)) + 1) + kinds,
        model=model,
        alone=np.asarray(mode == "alone"),
        background=np.asarray(mode == "background"),
        success=np.asarray(frame["training_success"], dtype=bool),
        when=np.where(np.asarray(when.isna()), np.nan, stamp),
        session=codes(frame["session"].astype(str)),
        partner=codes(_partner(frame)),
        seconds=seconds,
        log_s=positive_log(seconds),
        signals=_signals(frame, seconds),
        settings=tuple(_settings(frame)),
        metric=np.asarray(frame[list(metrics)].notna().any(axis=1))
        if metrics
        else np.zeros(len(frame), bool),
        metrics=metrics,
    )


def _partner(frame: pd.DataFrame) -> pd.Series[str]:
    known = [frame[name].replace("", None) for name in ("bg_model", "partner_model") if name in frame]
    found = pd.Series(None, index=frame.index, dtype=object)
    for values in known:
        found = found.where(found.notna(), values)
    return found


def _kinds(frame: pd.DataFrame, sources: Sequence[Source]) -> pd.Series[str]:
    """Model, machine and conditions of each row in one word."""
    kind = frame["model_id"].astype(str)
    hosts = {source.name: _machine(source) for source in sources}
    known = {"machine": frame["session"].astype(str).map(hosts)}
    known |= {name: frame[name] for name in CONDITIONS if name in frame}
    for values in known.values():
        if values.nunique() > 1:
            words = values.astype(object).where(values.notna(), None).replace("", None)
            usual = words.groupby(kind).transform(lambda some: some.mode().iloc[0] if some.count() else "")
            kind = kind + " " + words.fillna(usual).astype(str)
    return kind


def _machine(source: Source) -> str:
    facts = source.facts.get("host", {})
    return repr([facts.get(name) for name in MACHINE])


def _signals(frame: pd.DataFrame, seconds: Vector) -> dict[str, Vector]:
    found = {
        "cpu-power": _power(frame, "energy_cpu_total_joules", seconds),
        "memory-power": _power(frame, "energy_cpu_ram_joules", seconds),
        "gpu-power": positive_log(numbers(frame, "energy_gpu_avg_watts")),
        "gpu-use": numbers(frame, "energy_gpu_util_avg_percent"),
    }
    return {name: values for name, values in found.items() if bool(np.isfinite(values).any())}


def _power(frame: pd.DataFrame, name: str, seconds: Vector) -> Vector:
    watts = np.full(len(frame), np.nan)
    np.divide(numbers(frame, name), seconds, out=watts, where=seconds > 0)
    return positive_log(watts)


def _settings(frame: pd.DataFrame) -> list[Setting]:
    names = [str(n) for n in frame if str(n).startswith(PREFIX) and bool(frame[n].notna().any())]
    handed, known = _handed(frame, [n.removeprefix(PREFIX) for n in names])
    found = []
    for name in names:
        bare = name.removeprefix(PREFIX)
        value = numbers(frame, name)
        recorded = np.isfinite(value)
        mark = f"{FILLED}{name}"
        filled = np.asarray(frame[mark].eq(True)) if mark in frame else np.zeros(len(frame), bool)
        filled = recorded & (filled | (known & ~handed[bare]))
        unsure = recorded & ~filled & _nothing_changed(frame)
        log = bool((value[recorded] > 0).all())
        found.append(
            Setting(
                name=bare,
                value=value,
                dose=positive_log(value) if log else value,
                passed=recorded & ~filled,
                filled=filled,
                unsure=unsure,
                log=log,
                label_only=bare in LABELS_ONLY,
            )
        )
    return found


def _handed(frame: pd.DataFrame, names: list[str]) -> tuple[dict[str, Mask], Mask]:
    """Which hyperparameters were handed over, and the rows that say so.

    A row says so by ``hyperparams_passed``, or by exactly one ``mutated_param`` of one.
    """
    n = len(frame)
    handed = {name: np.zeros(n, bool) for name in names}
    known = np.zeros(n, bool)
    if "hyperparams_passed" in frame:
        listed = frame["hyperparams_passed"].astype(object).fillna("").astype(str)
        known |= np.asarray(listed != "")
        padded = "+" + listed + "+"
        for name in names:
            handed[name] |= np.asarray(padded.str.contains(f"+{name}+", regex=False)) & known
    if "mutated_param" in frame:
        one = numbers(frame, "num_mutated_params") == 1
        changed = frame["mutated_param"].astype(object).fillna("").astype(str)
        said = one & np.asarray(changed.isin(names)) & ~known
        for name in names:
            handed[name] |= said & np.asarray(changed == name)
        known |= said
    return handed, known


def _nothing_changed(frame: pd.DataFrame) -> Mask:
    """Rows that say nothing was changed: whether their values were handed over, nobody knows."""
    if "hyperparams_passed" in frame or "num_mutated_params" not in frame:
        return np.zeros(len(frame), bool)
    return np.asarray(numbers(frame, "num_mutated_params") == 0)
