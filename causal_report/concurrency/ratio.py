"""Together against alone: log ratios of one program, and of the pair against the sum of both alone."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from causal_report.concurrency import contrast
from causal_report.concurrency.contrast import Group
from causal_report.findings.concurrency import PairEstimate

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from causal_report.concurrency.run import Cell, Pairing, PairRun, Run

    Measure = Callable[[Run], float | None]
    Joint = Callable[[PairRun], float | None]
    Term = tuple[float, Mapping[Hashable, float]]
    """A number of one cell and its slopes with respect to the group means."""

ROLES = ("a", "b")
TOGETHER = "together"


def of_program(pairing: Pairing, role: str, measure: Measure) -> tuple[PairEstimate, list[PairEstimate]]:
    """Log ratio of one program's measure, over all settings and setting by setting.

    Over settings it is the mean of the log ratios, so that each setting counts the same.
    """
    groups = program_groups(pairing, role, measure)
    terms = [_program_term(cell, index, role, groups) for index, cell in enumerate(pairing.cells)]
    return _summed(terms, groups)


def of_pair(pairing: Pairing, joint: Joint, measure: Measure) -> tuple[PairEstimate, list[PairEstimate]]:
    """Log ratio of a joint measure to the sum of both programs' alone; the interval by the delta method."""
    groups = {**joint_groups(pairing, joint), **alone_groups(pairing, ROLES, measure)}
    terms = [_pair_term(cell, index, groups) for index, cell in enumerate(pairing.cells)]
    return _summed(terms, groups)


def program_groups(pairing: Pairing, role: str, measure: Measure) -> dict[Hashable, Group]:
    """Logs of one program's measure: a group for each cell together and each setting alone."""
    found = alone_groups(pairing, (role,), measure)
    for index, cell in enumerate(pairing.cells):
        _put(found, (TOGETHER, index), TOGETHER, (measure(run.side(role)) for run in cell.together), True)
    return found


def joint_groups(pairing: Pairing, joint: Joint) -> dict[Hashable, Group]:
    """Logs of a joint measure by cell."""
    found: dict[Hashable, Group] = {}
    for index, cell in enumerate(pairing.cells):
        _put(found, (TOGETHER, index), TOGETHER, map(joint, cell.together), True)
    return found


def alone_groups(pairing: Pairing, roles: Iterable[str], measure: Measure) -> dict[Hashable, Group]:
    """Logs of a measure of the runs alone, each set of runs once though several cells share it."""
    found: dict[Hashable, Group] = {}
    for role in roles:
        for cell in pairing.cells:
            _put(found, alone_key(cell, role), f"alone {role}", map(measure, cell.alone(role)), False)
    return found


def alone_key(cell: Cell, role: str) -> Hashable:
    """The group of a cell's runs alone."""
    return ("alone", role, tuple(id(run) for run in cell.alone(role)))


def _put(
    found: dict[Hashable, Group], key: Hashable, kind: str, values: Iterable[float | None], together: bool
) -> None:
    logs = tuple(math.log(value) for value in values if value is not None and value > 0)
    if logs:
        found[key] = Group(kind=kind, values=logs, together=together)


def _program_term(cell: Cell, index: int, role: str, groups: Mapping[Hashable, Group]) -> Term | None:
    together, alone = (TOGETHER, index), alone_key(cell, role)
    if together not in groups or alone not in groups:
        return None
    return groups[together].mean - groups[alone].mean, {together: 1.0, alone: -1.0}


def _pair_term(cell: Cell, index: int, groups: Mapping[Hashable, Group]) -> Term | None:
    together, a, b = (TOGETHER, index), alone_key(cell, "a"), alone_key(cell, "b")
    if any(key not in groups for key in (together, a, b)):
        return None
    one, other = math.exp(groups[a].mean), math.exp(groups[b].mean)
    whole = one + other
    value = groups[together].mean - math.log(whole)
    return value, {together: 1.0, a: -one / whole, b: -other / whole}


def _summed(
    terms: list[Term | None], groups: Mapping[Hashable, Group]
) -> tuple[PairEstimate, list[PairEstimate]]:
    known = [term for term in terms if term is not None]
    missing = PairEstimate(value=None, reason=contrast.MISSING)
    each = [contrast.estimate(t[1], groups, value=t[0]) if t else missing for t in terms]
    if not known:
        return missing, each
    weights: dict[Hashable, float] = defaultdict(float)
    for _, slopes in known:
        for key, slope in slopes.items():
            weights[key] += slope / len(known)
    value = math.fsum(term[0] for term in known) / len(known)
    return contrast.estimate(weights, groups, value=value), each
