"""Do pairs, and classes of pairs, differ? Analysis of variance with effect sizes."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from causal_report import regression
from causal_report.findings.concurrency import PairAnova

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from causal_report.concurrency.run import Cell, Pairing, PairRun, Run
    from causal_report.findings.concurrency import ConcurrentPair

    Score = Callable[[PairRun, tuple[Run, ...], tuple[Run, ...]], float | None]

UNREPLICATED = "one replicate: no test is possible, only a description"
BLOCKED = "two-way: pair + replicate, log ratios to the runs alone of the same replicate, type II"
BETWEEN = "one-way over pairs, a pair is one observation"


def analyse(pairings: Sequence[Pairing], pairs: Sequence[ConcurrentPair]) -> tuple[PairAnova, ...]:
    """Over pairs (replicates are blocks), and over classes (pairs are the observations)."""
    found = [_over_pairs(pairings, name, score) for name, score in SCORES.items()]
    found += [_over_classes(pairs, kind, name) for kind in ("memory", "load") for name in SCORES]
    q = regression.benjamini_hochberg([one.p for one in found])
    return tuple(replace(one, q=value) for one, value in zip(found, q, strict=True))


def _over_pairs(pairings: Sequence[Pairing], outcome: str, score: Score) -> PairAnova:
    """Each replicate of a pair is one observation: the mean over the settings all its replicates have.

    Runs alone that several pairs share move all their ratios of one replicate alike; the block takes
    that up.
    """
    rows = [(p.name, repeat, y) for p in pairings for repeat, y in _repeats(p, score).items()]
    blank = PairAnova(outcome=outcome, factor="pair", levels=len({r[0] for r in rows}), n=len(rows))
    if not rows:
        return replace(blank, reason="nothing to compare: no run has it together and alone")
    if blank.levels < 2:
        return replace(blank, reason="one pair only")
    repeats = {row[1] for row in rows}
    if blank.n - blank.levels - (len(repeats) - 1) < 2:
        return replace(blank, reason=UNREPLICATED)
    return _tested(blank, rows, "y ~ C(level) + C(block)" if len(repeats) > 1 else "y ~ C(level)", BLOCKED)


def _over_classes(pairs: Sequence[ConcurrentPair], kind: str, outcome: str) -> PairAnova:
    rows = []
    for pair in pairs:
        level = pair.traits.memory_class if kind == "memory" else pair.traits.load_class
        value = _pair_value(pair, outcome)
        if value is not None and level != "unknown":
            rows.append((level, "", value))
    sizes = Counter(level for level, _, _ in rows)
    blank = PairAnova(outcome=outcome, factor=f"{kind} class", levels=len(sizes), n=len(rows))
    if len(sizes) < 2:
        return replace(blank, reason="one class only" if sizes else "no pair has it")
    if max(sizes.values()) < 2 or len(rows) - len(sizes) < 2:
        return replace(blank, reason=f"{len(rows)} pairs in {len(sizes)} classes: too few for a test")
    return _tested(blank, rows, "y ~ C(level)", BETWEEN)


def _tested(blank: PairAnova, rows: Sequence[tuple[str, str, float]], formula: str, method: str) -> PairAnova:
    import pandas as pd
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    frame = pd.DataFrame(rows, columns=["level", "block", "y"])
    if float(frame["y"].var()) <= 1e-20:
        return replace(blank, reason="every run repeats the same value")
    fit = smf.ols(formula, frame).fit()
    if fit.ssr <= 1e-20 * fit.centered_tss:
        return replace(blank, reason="replicates repeat the same value: there is no scatter to test against")
    table = anova_lm(fit, typ=2)
    effect, rest = table.loc["C(level)"], table.loc["Residual"]
    error = float(rest["sum_sq"] / rest["df"])
    between, df1 = float(effect["sum_sq"]), float(effect["df"])
    # Partial omega squared, (SS - df MSE) / (SS + (N - df) MSE): Olejnik and Algina 2003.
    omega = (between - df1 * error) / (between + (len(rows) - df1) * error)
    return replace(
        blank,
        f=float(effect["F"]),
        df1=df1,
        df2=float(rest["df"]),
        p=float(effect["PR(>F)"]),
        eta2=between / (between + float(rest["sum_sq"])),
        omega2=max(0.0, omega),
        method=method,
    )


def _repeats(pairing: Pairing, score: Score) -> Mapping[str, float]:
    """One number a replicate."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for index, cell in enumerate(pairing.cells):
        for run in cell.together:
            a, b = (_same(cell, role, run.a.repeat) for role in ("a", "b"))
            y = score(run, a, b)
            if y is not None:
                found[run.a.repeat][index].append(y)
    common = set.intersection(*(set(cells) for cells in found.values())) if found else set()
    return {
        repeat: statistics.fmean(
            statistics.fmean(values) for index, values in cells.items() if index in common or not common
        )
        for repeat, cells in sorted(found.items())
    }


def _same(cell: Cell, role: str, repeat: str) -> tuple[Run, ...]:
    """Runs alone of the same replicate; all of them where there is none of it."""
    runs = cell.alone(role)
    return tuple(run for run in runs if run.repeat == repeat) or runs


def _mean(runs: Sequence[Run], measure: Callable[[Run], float | None]) -> float | None:
    known = [value for run in runs if (value := measure(run)) is not None and value > 0]
    return math.exp(statistics.fmean(map(math.log, known))) if known else None


def _log_ratio(top: float | None, parts: Sequence[float | None]) -> float | None:
    if top is None or top <= 0 or any(part is None for part in parts):
        return None
    return math.log(top / sum(part for part in parts if part is not None))


def _saved(run: PairRun, a: tuple[Run, ...], b: tuple[Run, ...]) -> float | None:
    return _log_ratio(run.energy_j, [_mean(runs, lambda one: one.energy_j) for runs in (a, b)])


def _made(run: PairRun, a: tuple[Run, ...], b: tuple[Run, ...]) -> float | None:
    return _log_ratio(run.joint_s, [_mean(runs, lambda one: one.duration_s) for runs in (a, b)])


def _slowed(run: PairRun, a: tuple[Run, ...], b: tuple[Run, ...]) -> float | None:
    sides = [
        _log_ratio(own.duration_s, [_mean(runs, lambda one: one.duration_s)])
        for own, runs in ((run.a, a), (run.b, b))
    ]
    known = [side for side in sides if side is not None]
    return statistics.fmean(known) if len(known) == 2 else None


SCORES: Mapping[str, Score] = {"energy saving": _saved, "makespan": _made, "slowdown": _slowed}


def _pair_value(pair: ConcurrentPair, outcome: str) -> float | None:
    if outcome == "slowdown":
        sides = [pair.slowdown_a.value, pair.slowdown_b.value]
        return None if None in sides else statistics.fmean(s for s in sides if s is not None)
    return pair.saving.value if outcome == "energy saving" else pair.makespan.value
