"""Groups with few runs in a mode: merged, excluded or resampled, the answers beside each other."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import regression
from causal_report.findings.modes import ModeStrategy
from causal_report.modes import interaction, rows, rules
from causal_report.table import strata, values, vector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from causal_report.findings import Response
    from causal_report.regression import Vector
    from causal_report.table import Column, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One coefficient of one regression: the change with the mode of a level or of a slope."""

    frame: pd.DataFrame
    y: Vector
    wanted: Vector
    controls: Mapping[str, Vector]


def strategies(table: Table, response: Response, *, seed: int) -> tuple[ModeStrategy, ...]:
    """All strategies on every group with fewer than 40 runs in a mode, and which one is used.

    Two quantities: the change of level of the first outcome (energy, else duration), and the change of
    the slope of the factor that most of the runs know.
    """
    frame = rows.single(table)
    outcome = rows.costs(table, response)[0]
    have = rows.known(frame, outcome, response)
    doses = rows.factors(table)
    groups = {group: have[have["repository"] == group] for group in sorted(have["repository"].unique())}
    least = {group: min(rows.counts(part)) for group, part in groups.items()}
    small = [group for group, n in least.items() if n < rules.SMALL]
    if not small:
        return ()
    merged = have[have["repository"].isin(small)]
    kept = have[~have["repository"].isin(small)]
    factor = _most_known(have, doses)
    found: list[ModeStrategy] = []
    for wanted in (None, factor) if factor else (None,):
        rest = [f for f in doses if f is not wanted]
        name = f"level of {outcome.label}"
        if wanted is not None:
            name = f"slope of {wanted.label} on {outcome.label}"
        together = _fit("merge", name, merged, outcome, wanted, rest)
        without = _fit("exclude", name, kept, outcome, wanted, rest)
        for group in small:
            own = _fit("own", name, groups[group], outcome, wanted, rest)
            again = _resampled(name, groups[group], outcome, wanted, rest, seed=seed, group=group)
            speaks = min(rows.counts(_asked(groups[group], wanted))) >= 2
            found += _chosen(group, own, together, without, again, speaks=speaks)
    return tuple(found)


def _most_known(frame: pd.DataFrame, doses: Sequence[Column]) -> Column | None:
    known = {dose.name: int(values(frame, dose).notna().sum()) for dose in doses}
    return max(doses, key=lambda dose: known[dose.name], default=None)


def _asked(frame: pd.DataFrame, factor: Column | None) -> pd.DataFrame:
    """The runs that can answer: all of them on a level; on a slope, those where it varied."""
    if factor is None or not len(frame):
        return frame
    known = frame[values(frame, factor).notna()]
    return interaction.varying(known, factor) if len(known) else known


def _question(
    frame: pd.DataFrame, outcome: Column, factor: Column | None, others: Sequence[Column]
) -> Question | str:
    """The regression, or why there is none."""
    frame = _asked(frame, factor)
    alone, loaded = rows.counts(frame)
    if min(alone, loaded) < rules.LEAST:
        return f"{alone} runs alone and {loaded} with a load: at least {rules.LEAST} of each"
    mode = rows.is_background(frame)
    wanted = mode
    labels = strata(frame) if factor is None else rows.cells(frame)
    controls = rows.indicators(labels, "cell")
    if factor is not None:
        x = rows.vector_within(values(frame, factor), strata(frame))
        for name in sorted(strata(frame).unique()):
            controls[f"slope in {name}"] = x * np.asarray(strata(frame) == name, dtype=np.float64)
        wanted = x * mode
    more, _ = rows.adjustment(frame, others, len(controls) + 1)
    return Question(frame=frame, y=vector(frame, outcome), wanted=wanted, controls={**controls, **more})


def _fit(
    strategy: str,
    quantity: str,
    frame: pd.DataFrame,
    outcome: Column,
    factor: Column | None,
    others: Sequence[Column],
) -> ModeStrategy:
    blank = _blank(strategy, quantity, frame)
    question = _question(frame, outcome, factor, others)
    if isinstance(question, str):
        return replace(blank, reason=question)
    blank = _blank(strategy, quantity, question.frame)
    if float(np.ptp(question.y)) == 0.0:
        return replace(blank, reason="the outcome is the same in every run")
    fit = regression.ols(question.y, {"mode": question.wanted}, question.controls)
    found = fit.coefficients.get("mode")
    if found is None or not all(map(math.isfinite, (found.estimate, found.lo, found.hi))):
        return replace(blank, reason="the mode moved only together with something else")
    return replace(blank, estimate=found.estimate, lo=found.lo, hi=found.hi)


def _blank(strategy: str, quantity: str, frame: pd.DataFrame) -> ModeStrategy:
    alone, loaded = rows.counts(frame)
    return ModeStrategy(
        group="",
        quantity=quantity,
        strategy=strategy,  # type: ignore[arg-type]
        n_alone=alone,
        n_background=loaded,
        groups=int(frame["repository"].nunique()),
    )


def _resampled(
    quantity: str,
    frame: pd.DataFrame,
    outcome: Column,
    factor: Column | None,
    others: Sequence[Column],
    *,
    seed: int,
    group: str,
) -> ModeStrategy:
    """Runs drawn with replacement within model, session and mode; percentiles (Efron 1979)."""
    blank = _blank("bootstrap", quantity, frame)
    question = _question(frame, outcome, factor, others)
    if isinstance(question, str):
        return replace(blank, reason=question)
    blank = _blank("bootstrap", quantity, question.frame)
    rng = np.random.default_rng([seed, zlib.crc32(f"{group} {quantity}".encode())])
    design = np.column_stack([np.ones(len(question.y)), *question.controls.values(), question.wanted])
    labels = rows.cells(question.frame)
    cells = [np.flatnonzero(labels == cell) for cell in sorted(labels.unique())]
    point = float(np.linalg.lstsq(design, question.y, rcond=None)[0][-1])
    drawn = np.empty(rules.RESAMPLES)
    for i in range(rules.RESAMPLES):
        take = np.concatenate([cell[rng.integers(0, len(cell), len(cell))] for cell in cells])
        drawn[i] = np.linalg.lstsq(design[take], question.y[take], rcond=None)[0][-1]
    lo, hi = np.quantile(drawn, (rules.ALPHA / 2, 1 - rules.ALPHA / 2))
    same = float(np.mean(np.sign(drawn) == np.sign(point)))
    return replace(blank, estimate=point, lo=float(lo), hi=float(hi), same_sign=same)


def _chosen(
    group: str,
    own: ModeStrategy,
    merged: ModeStrategy,
    kept: ModeStrategy,
    again: ModeStrategy,
    *,
    speaks: bool,
) -> list[ModeStrategy]:
    """The group's own answer where it can be resampled, else the merged one, else none.

    Merged only where the group has at least two runs in each mode: else the answer is the others'.
    """
    used = "exclude"
    if again.estimate is not None:
        used = "bootstrap"
    elif speaks and merged.estimate is not None:
        used = "merge"
    return [replace(item, group=group, used=item.strategy == used) for item in (own, merged, kept, again)]
