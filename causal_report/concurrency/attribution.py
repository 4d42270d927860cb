"""Shares the joint energy of a pair out to its programs: three ways, none of them a measurement.

No device counter tells whose a joule is. All three give sums equal to the joint measurement, and stay
within what is known: each has at least what was taken while only it was there.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from causal_report.findings.concurrency import PairAttribution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from causal_report.concurrency.run import Cell, Pairing, PairRun, Run

    Method = Literal["segments", "usage", "shapley"]

METHODS: tuple[Method, ...] = ("segments", "usage", "shapley")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The part of ``a`` in one run's joint energy, with its bounds."""

    joint_j: float
    a_j: float
    a_lo_j: float
    a_hi_j: float
    basis: str


def attribute(pairing: Pairing) -> tuple[PairAttribution, ...]:
    """Every setting by every method, means over its runs."""
    return tuple(
        found for cell in pairing.cells for method in METHODS if (found := _mean_of(cell, method)) is not None
    )


def spread(found: Iterable[PairAttribution]) -> float | None:
    """Mean over settings of the distance between the methods' shares of ``a``."""
    shares: dict[tuple[str, str], list[float]] = {}
    for one in found:
        shares.setdefault((one.setting_a, one.setting_b), []).append(one.a_share)
    widths = [max(group) - min(group) for group in shares.values() if len(group) > 1]
    return statistics.fmean(widths) if widths else None


def share(run: PairRun, cell: Cell, method: Method) -> Share | None:
    """One run's split; None where the method lacks what it needs.

    Own time is own in all three. ``shapley`` splits the overlap by the mean of what each adds if it
    comes first and if it comes second (Shapley 1953), where a program by itself draws its mean power
    alone and a machine at rest its idle power: half of (joint + (power of a - power of b) x time), in
    which idle goes to both in halves.
    """
    if run.energy_j is None or run.energy_j <= 0:
        return None
    own_a, own_b, how = _own(run, cell)
    if method == "segments":
        found, basis = own_a + (run.energy_j - own_a - own_b) / 2, f"overlap in halves; own time {how}"
    elif method == "usage":
        part, what = _use(run, cell)
        found, basis = own_a + part * (run.energy_j - own_a - own_b), f"overlap by {what}; own time {how}"
    else:
        powers = [_power(cell.alone(role)) for role in ("a", "b")]
        if powers[0] is None or powers[1] is None:
            return None
        overlap = run.energy_j - own_a - own_b
        part = (overlap + (powers[0] - powers[1]) * run.overlap_s) / 2
        found = own_a + min(max(part, 0.0), overlap)
        basis = f"overlap by powers alone; own time {how}"
    least_a, least_b = _least(run, cell)
    return Share(
        joint_j=run.energy_j,
        a_j=min(max(found, least_a), run.energy_j - least_b),
        a_lo_j=least_a,
        a_hi_j=run.energy_j - least_b,
        basis=basis,
    )


def of_role(run: PairRun, cell: Cell, method: Method, role: str) -> float | None:
    """The joules of the program in that role."""
    found = share(run, cell, method)
    if found is None:
        return None
    return found.a_j if role == "a" else found.joint_j - found.a_j


def _mean_of(cell: Cell, method: Method) -> PairAttribution | None:
    shares = [found for run in cell.together if (found := share(run, cell, method)) is not None]
    if not shares:
        return None
    joint, a, low, high = (
        statistics.fmean(getattr(one, name) for one in shares)
        for name in ("joint_j", "a_j", "a_lo_j", "a_hi_j")
    )
    return PairAttribution(
        setting_a=cell.a.label,
        setting_b=cell.b.label,
        method=method,
        joint_j=joint,
        a_j=a,
        b_j=joint - a,
        a_lo_j=low,
        a_hi_j=high,
        n=len(shares),
        basis="; ".join(dict.fromkeys(one.basis for one in shares)),
    )


def _own(run: PairRun, cell: Cell) -> tuple[float, float, str]:
    """Joules while only one was there: as its windows say, else its seconds at its mean power alone."""
    whole = run.energy_j or 0.0
    if run.own_a_j is not None and run.own_b_j is not None:
        own, how = [run.own_a_j, run.own_b_j], "as its windows say"
    else:
        powers = [_power(cell.alone(role)) for role in ("a", "b")]
        own = [
            power * _own_s(run, role) if power is not None else whole * _own_s(run, role) / run.joint_s
            for role, power in zip(("a", "b"), powers, strict=True)
        ]
        how = "at its power alone" if None not in powers else "at the mean power"
    fits = min(1.0, whole / sum(own)) if sum(own) > 0 else 1.0
    return own[0] * fits, own[1] * fits, how


def _least(run: PairRun, cell: Cell) -> tuple[float, float]:
    """Joules that must be the one's own: by the hard bounds of its windows, else idle power in its time."""
    whole = run.energy_j or 0.0
    if run.own_a_j is not None:
        found = [run.own_a_lo_j, run.own_b_lo_j]
    else:
        idle = _average(cell.alone_a + cell.alone_b, lambda one: one.idle_w) or 0.0
        found = [idle * _own_s(run, role) for role in ("a", "b")]
    fits = min(1.0, whole / sum(found)) if sum(found) > 0 else 1.0
    return found[0] * fits, found[1] * fits


def _own_s(run: PairRun, role: str) -> float:
    return max(0.0, run.side(role).span_s - run.overlap_s)


def _use(run: PairRun, cell: Cell) -> tuple[float, str]:
    """Share of ``a`` in what both use while both are there, and by what it was told.

    Processors by the processor time of this run, a GPU by the busy time of each alone (the same work),
    weighted by the joules of each device.
    """
    parts: list[tuple[float, float, str]] = []
    cpu = [_rate(run.side(role).cpu_s, run.side(role)) for role in ("a", "b")]
    gpu = [_rate(_gpu_busy_s(cell.alone(role)), run.side(role)) for role in ("a", "b")]
    for rates, joules, words in ((cpu, run.cpu_j, "processor time"), (gpu, run.gpu_j, "GPU time alone")):
        known = [rate for rate in rates if rate is not None]
        if len(known) == 2 and sum(known) > 0:
            parts.append((known[0] / sum(known), joules or 0.0, words))
    if not parts:
        return 0.5, "halves, since no use was recorded"
    if not any(weight for _, weight, _ in parts):
        parts = [parts[-1]] if len(parts) > 1 and _busy(cell) else [parts[0]]
        return parts[0][0], parts[0][2]
    parts = [part for part in parts if part[1] > 0]
    weight = math.fsum(part[1] for part in parts)
    return math.fsum(part[0] * part[1] for part in parts) / weight, " and ".join(part[2] for part in parts)


def _busy(cell: Cell) -> bool:
    """Whether the GPU does the work of either program."""
    return any((_average(cell.alone(role), lambda one: one.gpu_percent) or 0.0) > 5 for role in ("a", "b"))


def _rate(amount: float | None, run: Run) -> float | None:
    return None if amount is None else amount / run.span_s


def _gpu_busy_s(runs: tuple[Run, ...]) -> float | None:
    return _average(
        runs, lambda one: None if one.gpu_percent is None else one.gpu_percent / 100 * one.duration_s
    )


def _power(runs: tuple[Run, ...]) -> float | None:
    return _average(runs, lambda one: None if one.energy_j is None else one.energy_j / one.duration_s)


def _average(runs: Iterable[Run], measure: Callable[[Run], float | None]) -> float | None:
    known = [value for run in runs if (value := measure(run)) is not None]
    return statistics.fmean(known) if known else None
