"""Indirect effects alone and with a background load, and whether they differ."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from causal_report import regression
from causal_report.findings.mediation import ModeDifference, ModeIndirect
from causal_report.mediation import block, intervals, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from causal_report.mediation.paths import Wanted
    from causal_report.mediation.rows import Group, Sample

Z = 1.959963984540054
MODES = ("alone", "background")
BACKGROUND = "design_background"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A path in one mode: its resamples, or where there are too many rows its error alone."""

    effect: ModeIndirect
    error: float = 0.0
    drawn: NDArray[np.float64] | None = None


def differences(
    groups: Sequence[Group], wanted: Sequence[Wanted], names: Sequence[str], *, seed: int
) -> tuple[ModeDifference, ...]:
    """Background less alone for every path whose cause is not the load itself.

    Each mode has its own rows, its own controls and its own resamples; the difference of the two
    vectors of indirect effects is the bootstrap of their difference.

    Args:
        groups: repositories; those run in one mode only have no differences.
        wanted: paths, each with the name of its group in *names*.
        names: as long as *wanted*.
        seed: of the resamples.
    """
    asked = [
        (group, path, [rows.sample(group, path.names, mode) for mode in MODES])
        for group in groups
        if set(MODES) <= set(group.modes)
        for path, name in zip(wanted, names, strict=True)
        if name == group.name and path.cause.name != BACKGROUND and not path.reason
    ]
    possible = sum(not any(s.reason for s in samples) for _, _, samples in asked)
    draws = block.draws(possible)
    found: list[ModeDifference] = []
    for group in groups:
        mine = [(path, samples) for g, path, samples in asked if g is group]
        needed = [
            (s.rows, (*path.names, *(c.name for c in s.controls)))
            for path, samples in mine
            for s in samples
            if not s.reason
        ]
        shared = block.blocks(group, needed, seed=seed, draws=draws)
        found += [_difference(group, path, samples, shared) for path, samples in mine]
    q = regression.benjamini_hochberg([d.p for d in found])
    return tuple(replace(d, q=value) for d, value in zip(found, q, strict=True))


def _difference(
    group: Group, path: Wanted, samples: Sequence[Sample], shared: dict[bytes, block.Block]
) -> ModeDifference:
    sides = [
        _side(mode, path, sample, None if sample.reason else shared[sample.rows.tobytes()])
        for mode, sample in zip(MODES, samples, strict=True)
    ]
    blank = ModeDifference(
        group=group.name,
        cause=path.cause.name,
        mediator=path.mediator.name,
        outcome=path.outcome.name,
        cause_label=path.cause.label,
        mediator_label=path.mediator.label,
        outcome_label=path.outcome.label,
        alone=sides[0].effect,
        background=sides[1].effect,
        reason="; ".join(f"{m}: {s.reason}" for m, s in zip(MODES, samples, strict=True) if s.reason),
        exploratory=min(side.effect.n for side in sides) < rows.EXPLORATORY_N,
    )
    if blank.reason or None in (sides[0].effect.lo, sides[1].effect.lo):
        return replace(blank, reason=blank.reason or "too few resamples could tell the columns apart")
    estimate = (sides[1].effect.indirect or 0.0) - (sides[0].effect.indirect or 0.0)
    if sides[0].drawn is None or sides[1].drawn is None:
        error = math.hypot(sides[0].error, sides[1].error)
        p = math.erfc(abs(estimate / error) / math.sqrt(2))
        low, high = estimate - Z * error, estimate + Z * error
        return replace(blank, difference=estimate, lo=low, hi=high, p=p)
    shorter = min(len(sides[0].drawn), len(sides[1].drawn))
    apart = sides[1].drawn[:shorter] - sides[0].drawn[:shorter]
    low, high = intervals.percentile(apart)
    p = intervals.probability(apart)
    return replace(blank, difference=estimate, lo=low, hi=high, p=p, draws=shorter)


def _side(mode: str, path: Wanted, sample: Sample, shared: block.Block | None) -> Side:
    blank = ModeIndirect(mode=mode, n=int(sample.rows.sum()))
    if shared is None:
        return Side(effect=blank)
    controls = [c.name for c in sample.controls]
    fitted, _ = shared.path(controls, path.names)
    if fitted.sobel is None:
        return Side(effect=blank)
    error, _, p = fitted.sobel
    effect = replace(blank, indirect=fitted.a.estimate * fitted.b.estimate)
    if shared.large:
        centre = effect.indirect or 0.0
        return Side(effect=replace(effect, lo=centre - Z * error, hi=centre + Z * error, p=p), error=error)
    drawn = shared.resampled(controls, path.names).draws
    found = drawn.indirect
    if len(found) < len(drawn.usable) / 2:
        return Side(effect=blank)
    low, high = intervals.percentile(found)
    p = intervals.probability(found)
    effect = replace(effect, lo=low, hi=high, p=p, dropped=len(drawn.usable) - len(found))
    return Side(effect=effect, error=error, drawn=found)
