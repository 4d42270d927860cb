"""Question 3: through which state of the hardware does a setting change energy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import regression
from causal_report.findings.mediation import Mediation, MediationPath
from causal_report.mediation import (
    block,
    intervals,
    judgement,
    modes,
    paths,
    plain,
    rows,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal_report.findings import Graph, Response
    from causal_report.mediation.block import Block, Resampled
    from causal_report.mediation.fit import Slope
    from causal_report.mediation.paths import Wanted
    from causal_report.mediation.rows import Group, Sample
    from causal_report.table import Table
    from causal_report.text import Text

Z = 1.959963984540054
DURATION = "duration_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A wanted path with its group and rows."""

    group: Group
    wanted: Wanted
    sample: Sample


def estimate(
    table: Table,
    response: Response,
    graphs: Mapping[str, Graph],
    text: Text,
    *,
    declared: Sequence[tuple[str, str, str]] = (),
    seed: int = 0,
) -> Mediation:
    """Every path of every repository, and how paths differ between modes.

    Args:
        table: usable rows.
        response: the energy that is analysed.
        graphs: causal graphs by repository, for the discovered paths.
        text: language of the sentences.
        declared: further paths (cause, mediator, outcome) by column or role; ``energy`` is the response.
        seed: of the resamples.
    """
    known = paths.columns(table, response)
    groups = rows.groups(table, response, known)
    asked = [
        Question(group=group, wanted=wanted, sample=rows.sample(group, wanted.names))
        for group in groups
        for wanted in paths.wanted(group, table, response, graphs.get(group.name), declared)
    ]
    possible = sum(not (q.wanted.reason or q.sample.reason) for q in asked)
    draws = block.draws(possible)
    found = [path for group in groups for path in _group(group, asked, text, seed, draws)]
    q_values = regression.benjamini_hochberg([path.p for path in found])
    found = [replace(path, q=q) for path, q in zip(found, q_values, strict=True)]
    taken = {q.wanted.names for q in asked}
    found += [_refused(names, reason) for names, reason in paths.refused(declared, table, response, taken)]
    apart = modes.differences(groups, [q.wanted for q in asked], [q.group.name for q in asked], seed=seed)
    reason = _none(table, asked)
    return Mediation(
        sentences=words.sentences(text, found, apart, reason=reason),
        paths=tuple(found),
        differences=apart,
        method=text("mediation.method", draws=f"{draws:,}", rows=f"{block.MOST_ROWS:,}"),
        reason=reason,
    )


def _none(table: Table, asked: Sequence[Question]) -> str:
    """Why there are no paths at all; empty where there are."""
    if asked:
        return ""
    if not len(table.frame):
        return "there are no usable rows"
    if not any(c.name not in paths.PARTS_OF_ENERGY for c in table.of("mediator")):
        return "no state of the hardware (utilisation, temperature, busy cores) was recorded"
    return "nothing that was set varies within a model"


def _group(group: Group, asked: Sequence[Question], text: Text, seed: int, draws: int) -> list[MediationPath]:
    mine = [q for q in asked if q.group is group]
    needed = [
        (q.sample.rows, (*q.wanted.names, *(c.name for c in q.sample.controls)))
        for q in mine
        if not (q.wanted.reason or q.sample.reason)
    ]
    shared = block.blocks(group, needed, seed=seed, draws=draws)
    return [_path(q, shared.get(q.sample.rows.tobytes()), text) for q in mine]


def _path(question: Question, shared: Block | None, text: Text) -> MediationPath:
    blank = _blank(question)
    reason = question.wanted.reason or question.sample.reason
    if reason or shared is None:
        return replace(blank, reason=reason)
    controls = [c.name for c in question.sample.controls]
    fitted, df = shared.path(controls, question.wanted.names)
    sobel = fitted.sobel
    if sobel is None:
        return replace(blank, reason="a single row decides it; no interval can be given")
    path = replace(
        blank,
        step=plain.step(question.group.values[question.wanted.cause.name][shared.rows], blank.log_cause),
        a=fitted.a.estimate,
        a_p=fitted.a.p,
        b=fitted.b.estimate,
        b_p=fitted.b.p,
        indirect=fitted.a.estimate * fitted.b.estimate,
        sobel_z=sobel[1],
        sobel_p=sobel[2],
        direct=fitted.direct.estimate,
        direct_p=fitted.direct.p,
        total=fitted.total.estimate,
        total_se=fitted.total.se,
        total_p=fitted.total.p,
        top2=fitted.top2,
        exploratory=shared.n < rows.EXPLORATORY_N,
    )
    resampled = None if shared.large else shared.resampled(controls, question.wanted.names)
    path = _normal(path, sobel[0]) if resampled is None else _bootstrapped(path, resampled)
    if path.lo is None:
        return replace(blank, reason="too few resamples could tell the columns apart")
    path = judgement.judged(judgement.sensitive(path, fitted.rho, df, text), text)
    others = _other_ways(path, controls, question.group, shared, text)
    return judgement.instrumental(path, fitted, others, resampled, text)


def _blank(question: Question) -> MediationPath:
    wanted, sample = question.wanted, question.sample
    cause, mediator, outcome = wanted.cause, wanted.mediator, wanted.outcome
    levels = "model level" if len(np.unique(question.group.strata)) == 1 else "model (and session) levels"
    return MediationPath(
        group=question.group.name,
        cause=cause.name,
        mediator=mediator.name,
        outcome=outcome.name,
        cause_label=cause.label,
        mediator_label=mediator.label,
        outcome_label=outcome.label,
        origin=wanted.origin,
        n=int(sample.rows.sum()),
        method=f"least squares within {levels}, HC3",
        controls=tuple(c.label for c in sample.controls),
        unknown=tuple(c.label for c in sample.unknown),
        log_cause=cause.log,
        log_outcome=outcome.log,
    )


def _refused(names: tuple[str, str, str], reason: str) -> MediationPath:
    return MediationPath(
        group="",
        cause=names[0],
        mediator=names[1],
        outcome=names[2],
        cause_label=names[0],
        mediator_label=names[1],
        outcome_label=names[2],
        origin="declared",
        reason=reason,
    )


def _normal(path: MediationPath, error: float) -> MediationPath:
    """Sobel's interval where there are too many rows to resample."""
    centre = path.indirect or 0.0
    return _in_plain(replace(path, lo=centre - Z * error, hi=centre + Z * error, p=path.sobel_p))


def _bootstrapped(path: MediationPath, resampled: Resampled) -> MediationPath:
    found, left_out = resampled.draws.indirect, resampled.jackknife.indirect
    total = len(resampled.draws.usable)
    if len(found) < total / 2 or len(left_out) < 2:
        return path
    low, high = intervals.percentile(found)
    bca = intervals.bca(found, path.indirect or 0.0, left_out)
    return _in_plain(
        replace(
            path,
            lo=low,
            hi=high,
            bca_lo=bca[0],
            bca_hi=bca[1],
            p=intervals.probability(found),
            draws=total,
            dropped=total - len(found),
        )
    )


def _in_plain(path: MediationPath) -> MediationPath:
    """The indirect effect per doubling or step, in per cent where the outcome is a logarithm."""
    shown = [plain.change(path, value) for value in (path.indirect, path.lo, path.hi)]
    return replace(path, plain=shown[0], plain_lo=shown[1], plain_hi=shown[2])


def _other_ways(
    path: MediationPath, controls: Sequence[str], group: Group, shared: Block, text: Text
) -> dict[str, Slope]:
    """What else the cause changes that joules are made of: the duration."""
    if not path.outcome.endswith("_joules") or DURATION not in group.values:
        return {}
    slope = shared.slope(controls, path.cause, DURATION)
    return {text("mediation.duration"): slope} if slope else {}
