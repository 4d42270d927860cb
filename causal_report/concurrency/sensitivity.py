"""Per cent of an outcome per per cent of a hyperparameter: alone, together, and across to the partner.

The slopes are log-log, by least squares over settings with the other hyperparameters held fixed. At
equal settings alone and together the same weights serve both, so that a bend of the curve is no
difference; intervals come from the scatter between replicates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report.concurrency import attribution, contrast, ratio
from causal_report.concurrency.contrast import Group
from causal_report.findings.concurrency import PairCross, PairEstimate, PairSensitivity

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from causal_report.concurrency.attribution import Method
    from causal_report.concurrency.run import Cell, Pairing, PairRun, Run, Setting
    from causal_report.table import Column

    Value = Callable[[PairRun, Cell], float | None]

LEAST_SETTINGS = 8
"""So many settings without replicates let their scatter about the line stand for noise..."""
SPARE = 4
"""...with so many degrees of freedom left."""
ALONE, TOGETHER = "alone", "together"
METHOD = "log-log slope over settings, interval from replicates"
SCATTERED = "log-log slope over settings, interval from the scatter about the line"
NOT_ALONE = "its settings alone do not vary this hyperparameter apart from the others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Something of one program: read alone and in a pair."""

    name: str
    alone: Callable[[Run], float | None]
    together: Value
    attributed: str = ""


def outcomes(role: str, metrics: Sequence[Column], method: Method = "shapley") -> list[Outcome]:
    """Every metric, duration, and the energy that *method* gives the program."""
    found = [_metric(role, column) for column in metrics]
    found.append(
        Outcome(
            name="duration",
            alone=lambda run: run.duration_s,
            together=lambda run, _: run.side(role).duration_s,
        )
    )
    return [*found, _energy(role, method)]


def _metric(role: str, column: Column) -> Outcome:
    return Outcome(
        name=column.label,
        alone=lambda run: run.metric(column.name),
        together=lambda run, _: run.side(role).metric(column.name),
    )


def _energy(role: str, method: Method) -> Outcome:
    return Outcome(
        name="energy",
        alone=lambda run: run.energy_j,
        together=lambda run, cell: attribution.of_role(run, cell, method, role),
        attributed=method,
    )


def sensitivities(pairing: Pairing, metrics: Sequence[Column]) -> list[PairSensitivity]:
    """Of each outcome to the program's own hyperparameters, alone against together."""
    return [
        one
        for role in ratio.ROLES
        for factor in varied(cell.setting(role) for cell in pairing.cells)
        for outcome in outcomes(role, metrics)
        if (one := _sensitivity(pairing, role, factor, outcome)) is not None
    ]


def crossings(pairing: Pairing, metrics: Sequence[Column]) -> list[PairCross]:
    """Of each outcome to the partner's hyperparameters; energy by each method of attribution."""
    found = []
    for role, other in (("a", "b"), ("b", "a")):
        wanted = outcomes(role, metrics, attribution.METHODS[0])
        wanted += [_energy(role, method) for method in attribution.METHODS[1:]]
        for factor in varied(cell.setting(other) for cell in pairing.cells):
            for outcome in wanted:
                groups, cells = _together(pairing, outcome)
                slope = _slope(groups, _columns(cells, f"{other} {factor}"), TOGETHER)
                if slope is None:
                    continue
                found.append(
                    PairCross(
                        pair=pairing.name,
                        role=role,
                        model=pairing.model(role),
                        partner=pairing.model(other),
                        factor=factor,
                        outcome=outcome.name,
                        levels=_levels(cells, other, factor),
                        slope=slope[0],
                        attributed=outcome.attributed,
                    )
                )
    return found


def varied(settings: object) -> list[str]:
    """Hyperparameters with more than one value above zero among settings."""
    seen: dict[str, set[float]] = {}
    for setting in settings:  # type: ignore[attr-defined]
        for name, value in setting.values:
            seen.setdefault(name, set()).add(value)
    return [name for name, values in seen.items() if len(values) > 1 and min(values) > 0]


def _sensitivity(pairing: Pairing, role: str, factor: str, outcome: Outcome) -> PairSensitivity | None:
    together, cells = _together(pairing, outcome)
    alone, settings = _alone(pairing, role, outcome)
    if not together:
        return None
    both = [key for key, cell in cells.items() if (ALONE, cell.setting(role)) in alone]
    kept = {key: cells[key] for key in both} if len(both) > 1 else cells
    columns = _columns(kept, f"{role} {factor}")
    first = _slope({**together, **alone}, columns, TOGETHER)
    if first is None:
        return None
    mapped: dict[Hashable, dict[str, float]] = {
        (ALONE, setting): {f"{role} {n}": v for n, v in setting.values}
        for setting in dict.fromkeys(cell.setting(role) for cell in kept.values())
        if (ALONE, setting) in alone
    }
    second = _slope(
        {**together, **alone}, _columns_of(mapped or _plain(settings, role), f"{role} {factor}"), ALONE
    )
    found, slope = first
    missing = PairEstimate(value=None, reason=NOT_ALONE)
    change = missing
    if second is not None:
        weights = {**slope, **{key: -weight for key, weight in second[1].items()}}
        change = _interval({**together, **alone}, weights, (found, second[0]))
    return PairSensitivity(
        pair=pairing.name,
        role=role,
        model=pairing.model(role),
        factor=factor,
        outcome=outcome.name,
        levels=_levels(kept, role, factor),
        alone=second[0] if second else missing,
        together=found,
        change=change,
        method=METHOD if contrast.scatter(together) else SCATTERED,
        estimated=bool(outcome.attributed),
    )


def _together(pairing: Pairing, outcome: Outcome) -> tuple[dict[Hashable, Group], dict[Hashable, Cell]]:
    """Logs of the outcome by cell, and the cells that have any."""
    groups: dict[Hashable, Group] = {}
    cells: dict[Hashable, Cell] = {}
    for index, cell in enumerate(pairing.cells):
        values = _logs(outcome.together(run, cell) for run in cell.together)
        if values:
            groups[TOGETHER, index] = Group(kind=TOGETHER, values=values, together=True)
            cells[TOGETHER, index] = cell
    return groups, cells


def _alone(pairing: Pairing, role: str, outcome: Outcome) -> tuple[dict[Hashable, Group], list[Setting]]:
    """Logs of the outcome alone by setting."""
    found: dict[Setting, list[float]] = {}
    for run in pairing.alone(role):
        found.setdefault(run.setting, []).extend(_logs([outcome.alone(run)]))
    known = {setting: tuple(values) for setting, values in found.items() if values}
    groups: dict[Hashable, Group] = {
        (ALONE, setting): Group(kind=ALONE, values=values) for setting, values in known.items()
    }
    return groups, list(known)


def _logs(values: object) -> tuple[float, ...]:
    return tuple(math.log(v) for v in values if v is not None and v > 0)  # type: ignore[attr-defined]


def _plain(settings: Sequence[Setting], role: str) -> dict[Hashable, dict[str, float]]:
    return {(ALONE, s): {f"{role} {n}": v for n, v in s.values} for s in settings}


def _columns(cells: Mapping[Hashable, Cell], wanted: str) -> tuple[list[Hashable], np.ndarray, int]:
    """Settings of both programs of each cell."""
    rows: dict[Hashable, dict[str, float]] = {
        key: {f"{role} {name}": value for role in ratio.ROLES for name, value in cell.setting(role).values}
        for key, cell in cells.items()
    }
    return _columns_of(rows, wanted)


def _columns_of(
    rows: Mapping[Hashable, Mapping[str, float]], wanted: str
) -> tuple[list[Hashable], np.ndarray, int]:
    """Logs of what varies (as it is where it is not above zero), one row a group, and which is wanted."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    columns, kept = [], []
    for name in names:
        values = [row.get(name) for row in rows.values()]
        known = [value for value in values if value is not None]
        if len(known) < len(values) or len(set(known)) < 2:
            continue
        positive = min(known) > 0
        columns.append([math.log(value) if positive else value for value in known])
        kept.append(name)
    at = kept.index(wanted) if wanted in kept else -1
    return list(rows), np.array(columns, dtype=np.float64).reshape(len(kept), len(rows)).T, at


def _slope(
    groups: Mapping[Hashable, Group], where: tuple[list[Hashable], np.ndarray, int], kind: str
) -> tuple[PairEstimate, dict[Hashable, float]] | None:
    """The slope and the weights that give it; None where the settings cannot tell it."""
    keys, columns, at = where
    if at < 0 or len(keys) <= columns.shape[1]:
        return None
    weights = contrast.slopes(columns, at)
    if weights is None:
        return None
    given: dict[Hashable, float] = dict(zip(keys, map(float, weights), strict=True))
    of_kind = {key: group for key, group in groups.items() if group.kind == kind}
    found = contrast.estimate(given, of_kind)
    if found.reason == contrast.ONE_RUN:
        found = _about_line(found, of_kind, keys, columns, at)
    return found, given


def _about_line(
    found: PairEstimate,
    groups: Mapping[Hashable, Group],
    keys: Sequence[Hashable],
    columns: np.ndarray,
    at: int,
) -> PairEstimate:
    """Without replicates: many settings lend their scatter about the line, few tell nothing."""
    if len(keys) < LEAST_SETTINGS or len(keys) - 1 - columns.shape[1] < SPARE:
        return found
    from causal_report import regression

    y = np.array([groups[key].mean for key in keys])
    others = {str(i): columns[:, i] for i in range(columns.shape[1]) if i != at}
    fit = regression.ols(y, {"wanted": columns[:, at]}, others)
    if "wanted" not in fit.coefficients:
        return found
    slope = fit.coefficients["wanted"]
    return replace(found, lo=slope.lo, hi=slope.hi, p=slope.p, df=float(fit.df), reason="")


def _interval(
    groups: Mapping[Hashable, Group],
    weights: Mapping[Hashable, float],
    parts: tuple[PairEstimate, PairEstimate],
) -> PairEstimate:
    """Of the difference of two slopes; of slopes about lines by their own standard errors (Welch)."""
    found = contrast.estimate(weights, groups)
    if found.reason != contrast.ONE_RUN or any(part.lo is None or part.df <= 0 for part in parts):
        return found
    from scipy.special import stdtr, stdtrit

    halves = [((part.hi or 0.0) - (part.lo or 0.0)) / 2 for part in parts]
    variances = [(half / float(stdtrit(p.df, 0.975))) ** 2 for half, p in zip(halves, parts, strict=True)]
    variance = math.fsum(variances)
    if variance <= 0 or found.value is None:
        return found
    df = variance**2 / math.fsum(v**2 / part.df for v, part in zip(variances, parts, strict=True))
    half = float(stdtrit(df, 0.975)) * math.sqrt(variance)
    p = 2 * float(stdtr(df, -abs(found.value) / math.sqrt(variance)))
    return replace(found, lo=found.value - half, hi=found.value + half, df=df, p=p, reason="")


def _levels(cells: Mapping[Hashable, Cell], role: str, factor: str) -> int:
    return len({dict(cell.setting(role).values).get(factor) for cell in cells.values()})
