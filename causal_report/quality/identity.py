"""Measurements that belong to another run: repeated rows, energies joined by an id that is not unique."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.quality.comparable import cells
from causal_report.quality.energy import misfit
from causal_report.quality.hit import Hit, hits
from causal_report.quality.thresholds import limit
from causal_report.quality.view import positive_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from causal_report.quality.energy import Misfit
    from causal_report.quality.order import Timeline
    from causal_report.quality.view import Codes, Mask, Vector, View

MEASURED = (
    "energy_cpu_pkg_joules",
    "energy_cpu_ram_joules",
    "energy_gpu_total_joules",
    "energy_wall_joules",
    "energy_gpu_avg_watts",
    "duration_seconds",
    "total_energy_joules",
)
ENERGIES = ("energy_cpu_total_joules", "energy_gpu_total_joules")
SAME_WAY = 0.9
"""Share of later copies among the pairs that can be told apart, above which it is taken so in all."""
LARGEST = 20
"""Rows of one id beyond which the id says nothing."""


def twins(view: View) -> list[list[int]]:
    """Groups of rows with the very same measurements: two columns at least, to the last digit."""
    own = view.frame.duplicated(["experiment_id", "timestamp"], keep="first").to_numpy()
    values = {name: view.column(name) for name in MEASURED}
    values = {name: x for name, x in values.items() if np.isfinite(x).any()}
    if {"energy_cpu_pkg_joules", "energy_gpu_total_joules"} & set(values):
        values.pop("total_energy_joules", None)
    groups: dict[int, set[int]] = {}
    for first, second in combinations(values, 2):
        if "joules" not in first + second:
            continue
        one, two = values[first], values[second]
        able = np.flatnonzero(~own & (one > 0) & (two > 0) & (one != np.round(one)) & (two != np.round(two)))
        pairs = pd.DataFrame({"one": one[able], "two": two[able]})
        again = pairs[pairs.duplicated(keep=False).to_numpy()]
        for rows in again.groupby(["one", "two"]).groups.values():
            _join(groups, able[np.asarray(rows)].tolist())
    unique = {id(group): group for group in groups.values()}
    return sorted(sorted(group, key=lambda at: (view.when[at], at)) for group in unique.values())


def _join(groups: dict[int, set[int]], rows: list[int]) -> None:
    merged = set(rows).union(*(groups.get(row, set()) for row in rows))
    for row in merged:
        groups[row] = merged


def repeated(view: View, found: Timeline, groups: list[list[int]]) -> Iterator[Hit]:
    """The copies among *groups* of twins; all of a group where nothing tells which is the copy."""
    odd = _odd(view, found, groups)
    power = misfit(view, view.success)
    first = [_original(view, odd, power, group) for group in groups]
    told = [(group, one) for group, one in zip(groups, first, strict=True) if one is not None]
    later = [one[0] == group[0] for group, one in told]
    way = len(later) >= 3 and float(np.mean(later)) >= SAME_WAY
    for group, one in zip(groups, first, strict=True):
        original, why = (
            one
            if one is not None
            else (group[0], "as in the pairs that can be told apart")
            if way
            else (None, "")
        )
        for at in group:
            if at != original:
                others = ", ".join(_name(view, x) for x in group if x != at)
                reason = why if original is not None else "nothing tells which of them is the copy"
                yield Hit(at, "repeated", f"the very measurements of {others}; {reason}")


def _name(view: View, at: int) -> str:
    row = view.frame.iloc[at]
    return f"{row['experiment_id']} of {row['timestamp']}"


def _odd(view: View, found: Timeline, groups: list[list[int]]) -> dict[int, float]:
    """How far the pause before each row of the groups is off that of the nearest rows of no group."""
    asked = {at for group in groups for at in group}
    free = np.isfinite(found.pause)
    free[list(asked)] = False
    out: dict[int, float] = {}
    for at in asked:
        here = np.flatnonzero(free & (view.session == view.session[at]))
        if not np.isfinite(found.pause[at]) or not len(here):
            continue
        near = here[np.argsort(np.abs(view.when[here] - view.when[at]), kind="stable")[: 2 * AROUND]]
        out[at] = float(np.abs(found.pause[near] - found.pause[at]).min())
    return out


AROUND = 7
"""Pauses before, and as many after, that are usual where a run stands."""


def _original(
    view: View, odd_of: dict[int, float], power: Misfit, group: list[int]
) -> tuple[int, str] | None:
    """The row that fits the clock or its own duration, or that holds no settings of the others."""
    odd = np.array([odd_of.get(at, np.nan) for at in group])
    if np.isfinite(odd).all():
        best = int(np.argmin(odd))
        rest = np.delete(odd, best)
        if float(rest.min()) > max(limit("pause-s"), 5 * odd[best]):
            return group[best], "this duration does not fit the time between this run and the one before it"
    away = power.away[group]
    if np.isfinite(away).all():
        best = int(np.argmin(away))
        if float(np.delete(away, best).min()) > max(limit("z") * power.spread[group[best]], 5 * away[best]):
            return group[best], "this energy does not fit this power and duration"
    known = [{s.name: float(s.value[at]) for s in view.settings if np.isfinite(s.value[at])} for at in group]
    for number, at in enumerate(group):
        others = [known[i] for i in range(len(group)) if i != number]
        if known[number] and all(known[number].items() < other.items() for other in others):
            return at, "it holds the settings of that run beside its own"
    return None


def borrowed(view: View, rows: Mask) -> Iterator[Hit]:
    """Runs whose energy fits the duration of another run with their id better than their own.

    Asked of whole stretches of runs: over six or more, power from their own durations scatters
    several times as much as power from the durations of the runs that share their ids.
    """
    chosen = np.flatnonzero(rows & np.isfinite(view.log_s))
    table = pd.DataFrame(
        {"at": chosen, "id": view.text("experiment_id")[chosen], "model": view.model[chosen]}
    )
    count = table.groupby(["id", "model"])["at"].transform("size")
    table = table[(count > 1) & (count <= LARGEST)]
    if table.empty:
        return
    pairs = table.merge(table, on=["id", "model"], suffixes=("", "_other"))
    pairs = pairs[pairs["at"] != pairs["at_other"]]
    stretch = _stretches(view)
    pairs["mine"], pairs["theirs"] = stretch[pairs["at"]], stretch[pairs["at_other"]]
    for _, block in pairs.groupby(["mine", "theirs"]):
        for name in ENERGIES:
            joules = positive_log(view.column(name))
            one = block[np.isfinite(joules[block["at"]])]
            at, other = one["at"].to_numpy(), one["at_other"].to_numpy()
            if len(at) < FEWEST:
                continue
            own, with_other = joules[at] - view.log_s[at], joules[at] - view.log_s[other]
            size = _scatter(with_other)
            if _scatter(own) > max(limit("sum-spread") * size, LEAST_SCATTER):
                fit = np.abs(with_other - np.median(with_other)) <= limit("z") * size
                yield from (
                    Hit(int(i), "energy-of-another", _fits(view, int(i), int(j), int(fit.sum()) - 1))
                    for i, j in zip(at[fit], other[fit], strict=True)
                )
                break


FEWEST = 6
"""Runs whose energies must fit others' durations before it is no accident."""
LEAST_SCATTER, ROUNDING = 0.002, 1e-4
"""Scatter of log power that runs of equal power have anyway, and that no power is without."""
BREAK_S = 2 * 3600.0
"""A pause after which another stretch of runs begins."""


def _fits(view: View, at: int, other: int, around: int) -> str:
    return (
        f"its energy fits the {view.seconds[other]:,.0f} s of {_name(view, other)}, not its own "
        f"{view.seconds[at]:,.0f} s, and so do those of {around} runs around it"
    )


def _scatter(values: Vector) -> float:
    """Distance from the median that three in four keep: some pairs may share an id by accident."""
    return max(float(np.quantile(np.abs(values - np.median(values)), 0.75)), ROUNDING)


def _stretches(view: View) -> Codes:
    """Number of each run's stretch: model, mode, and its part of the session between long breaks."""
    out = np.full(view.n, -1, dtype=np.int64)
    number = 0
    for at in cells(view.session, np.isfinite(view.when)):
        order = at[np.argsort(view.when[at], kind="stable")]
        long = np.diff(view.when[order]) > BREAK_S + np.nan_to_num(view.seconds[order][1:])
        out[order] = number + np.concatenate([[0], np.cumsum(long)])
        number = int(out[order].max()) + 1
    return np.where(out >= 0, out * (int(view.cell.max(initial=0)) + 1) + view.cell, -1)


def reused(view: View) -> Iterator[Hit]:
    """Ids that stand for several runs."""
    frame = view.frame
    rows = frame.drop_duplicates(["experiment_id", "timestamp"]).duplicated("experiment_id", keep=False)
    again = np.zeros(view.n, bool)
    again[frame.index.get_indexer(rows.index[rows])] = True
    yield from hits(
        "id-reused", again, lambda at: "other runs have this id too; only with its timestamp it is one"
    )
