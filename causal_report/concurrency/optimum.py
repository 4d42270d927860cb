"""The best setting alone against the best beside another program: does it move?"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Literal

import numpy as np

from causal_report.concurrency import contrast
from causal_report.concurrency.contrast import Group, as_share
from causal_report.findings.concurrency import PairEstimate, PairOptimum

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from causal_report.concurrency.run import Pairing, PairRun, Run, Setting
    from causal_report.table import Column

    Groups = Mapping[Setting, Group]
    Verdict = Literal["same", "moves", "open"]

DRAWS = 2000
LEAST_SETTINGS = 2


def optima(pairing: Pairing, metrics: Sequence[Column], seed: int) -> list[PairOptimum]:
    """Of each program that was varied while its partner kept one setting: energy, and each metric.

    Energy together is the joint energy: with the partner unchanged, what differs is this program's.
    """
    found = []
    for role, other in (("a", "b"), ("b", "a")):
        partners = [cell.setting(other) for cell in pairing.cells]
        if not partners:
            continue
        fixed = max(dict.fromkeys(partners), key=partners.count)  # the first of the commonest
        wanted: list[tuple[str, bool, Callable[[Run], float | None], Callable[[PairRun], float | None]]] = [
            ("energy", True, lambda run: run.energy_j, lambda run: run.energy_j)
        ]
        for metric in metrics:
            if metric.better:
                alone, together = _readers(role, metric.name)
                wanted.append((metric.label, metric.better == "lower", alone, together))
        for name, lower, alone, together in wanted:
            groups = _groups(pairing, role, fixed, alone, together)
            one = _one(pairing, role, name, groups, lower, seed)
            if one is not None:
                found.append(one)
    return found


def _readers(role: str, name: str) -> tuple[Callable[[Run], float | None], Callable[[PairRun], float | None]]:
    return lambda run: run.metric(name), lambda run: run.side(role).metric(name)


def _groups(
    pairing: Pairing,
    role: str,
    fixed: Setting,
    alone: Callable[[Run], float | None],
    together: Callable[[PairRun], float | None],
) -> tuple[Groups, Groups]:
    """Logs by the program's setting, alone and together, of the settings that have both."""
    other = "b" if role == "a" else "a"
    first: dict[Setting, Group] = {}
    second: dict[Setting, Group] = {}
    for cell in pairing.cells:
        if cell.setting(other) != fixed:
            continue
        setting = cell.setting(role)
        one, two = _logs(map(alone, cell.alone(role))), _logs(map(together, cell.together))
        if one and two:
            first[setting] = Group(kind="alone", values=one)
            second[setting] = Group(kind="together", values=two, together=True)
    return first, second


def _logs(values: object) -> tuple[float, ...]:
    return tuple(math.log(v) for v in values if v is not None and v > 0)  # type: ignore[attr-defined]


def _one(
    pairing: Pairing, role: str, outcome: str, groups: tuple[Groups, Groups], lower: bool, seed: int
) -> PairOptimum | None:
    alone, together = groups
    if len(alone) < LEAST_SETTINGS:
        return None
    if any(_flat(found) for found in groups):
        return None
    best_alone, best_together = _best(alone, lower), _best(together, lower)
    gain = _gain(together, best_alone, best_together, lower)
    verdict: Verdict = "open"
    if best_alone == best_together:
        verdict = "same"
    elif gain.lo is not None and gain.lo > 0 and gain.reason != contrast.SAME:
        verdict = "moves"
    name = f"{pairing.name} {role} {outcome}"
    return PairOptimum(
        pair=pairing.name,
        role=role,
        model=pairing.model(role),
        outcome=outcome,
        settings=len(alone),
        alone=best_alone.label,
        alone_support=_support(alone, best_alone, lower, seed, f"{name} alone"),
        together=best_together.label,
        together_support=_support(together, best_together, lower, seed, f"{name} together"),
        gain=gain,
        verdict=verdict,
    )


def _flat(groups: Groups) -> bool:
    """Whether every setting does the same: then none is the best."""
    means = [group.mean for group in groups.values()]
    return max(means) - min(means) < 1e-12


def _best(groups: Groups, lower: bool) -> Setting:
    """The first of equally good ones, in the order of their values."""
    sign = 1 if lower else -1
    return min(sorted(groups, key=lambda s: s.values), key=lambda s: sign * groups[s].mean)


def _gain(groups: Groups, alone: Setting, together: Setting, lower: bool) -> PairEstimate:
    """Of the one best setting over the other, together; the level allows for every rival (Bonferroni)."""
    if alone == together:
        n = len(groups[alone].values)
        return PairEstimate(value=0.0, n=n, reason="the same setting")
    sign = 1.0 if lower else -1.0
    keyed: dict[Hashable, Group] = dict(groups.items())
    level = 1 - 0.05 / (len(groups) - 1)
    found = contrast.estimate({alone: sign, together: -sign}, keyed, level=level)
    return as_share(found)


def _support(groups: Groups, best: Setting, lower: bool, seed: int, name: str) -> float | None:
    """Share of simulated repetitions of the study in which it would be the best again."""
    keyed: dict[Hashable, Group] = dict(groups.items())
    spread = contrast.scatter(keyed)
    if not spread:
        return None
    (variance, df), settings = next(iter(spread.values())), list(groups)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    scale = np.sqrt(variance * df / rng.chisquare(df, DRAWS))
    errors = scale[:, None] * rng.standard_normal((DRAWS, len(settings)))
    sizes = np.sqrt([len(groups[s].values) for s in settings])
    means = np.array([groups[s].mean for s in settings]) + errors / sizes
    chosen = np.argmin(means, axis=1) if lower else np.argmax(means, axis=1)
    return float(np.mean(chosen == settings.index(best)))
