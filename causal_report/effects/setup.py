"""What a fit stands on: its rows, what is asked, what is adjusted for, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import absorption, regression

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from causal_report.absorption import Absorption
    from causal_report.effects.sheet import Sheet
    from causal_report.regression import Design
    from causal_report.table import Column

    Vector = NDArray[np.float64]
    Codes = NDArray[np.intp]
    Mask = NDArray[np.bool_]

MISSING = 0.4
"""A factor unknown in more of the rows is estimated by itself, on the rows where it is known."""
LEAST_DF = 4
BLOCK_DF = 8
"""Blocks, and what else is only good to have, are adjusted for while so many degrees of freedom remain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One right-hand side; every outcome known on its rows can be fitted to it.

    Attributes:
        scope: a model, all models of a repository, or all models.
        rows: positions in the sheet.
        factors: what is asked about; with a ``reason`` nothing can be said of them.
        columns: theirs and those of factors that are only adjusted for but moved on equal terms.
        present: for each factor the rows that tell of its slope.
    """

    scope: str
    rows: Codes
    factors: tuple[Column, ...]
    columns: Mapping[str, Vector]
    controls: Mapping[str, Vector]
    present: Mapping[str, Mask]
    stratum: Codes
    block: Codes | None
    method: str
    absorbed: Absorption
    reason: str = ""

    def design(self, keep: Mask | None = None, extra: Mapping[str, Vector] | None = None) -> Design:
        """The regression, on some of the rows; with *extra*, their slopes are asked for instead.

        A stratum of a single row stays in: its level takes the row up, and it moves no slope.
        """
        rows = slice(None) if keep is None else keep
        columns = {name: column[rows] for name, column in self.columns.items()}
        controls = {name: column[rows] for name, column in self.controls.items()}
        block = None if self.block is None else self.block[rows]
        absorbed = absorption.absorb(self.stratum[rows], block) if keep is not None else self.absorbed
        if extra is None:
            return regression.design(columns, controls, absorbed)
        return regression.design({n: c[rows] for n, c in extra.items()}, {**controls, **columns}, absorbed)


def setups(sheet: Sheet, scope: str, rows: Codes, factors: Sequence[Column]) -> Iterator[Setup]:
    """The fits that answer for *factors* within *scope*.

    Factors known in most rows are fitted together on the rows where all of them are known. One that
    is often unknown is fitted by itself where it is known: a run that did not record it does not
    enter, and so the rest stands on more rows.

    A model that does not have a hyperparameter says nothing about it: there it is set to a constant,
    which the model's own level absorbs, and its rows do not count towards the effect's n. A factor
    that varies in one model only has no pooled effect: its model's own fit has the degrees of
    freedom that really stand behind it.
    """
    moving = sheet.moving(rows, factors)
    absent = {f.name: sheet.absent(rows, f) for f in moving}
    unknown = {f.name: np.isnan(sheet.logs[f.name][rows]) & ~absent[f.name] for f in moving}
    gaps = {f.name: float(unknown[f.name][~absent[f.name]].mean()) for f in moving}
    whole = [f for f in moving if gaps[f.name] <= MISSING]
    if whole:
        complete = ~np.logical_or.reduce([unknown[f.name] for f in whole])
        yield _joint(sheet, scope, rows, complete, whole, absent)
    for factor in moving:
        if factor not in whole:
            yield from _single(sheet, scope, rows, factor, moving, absent, unknown)


def _joint(
    sheet: Sheet, scope: str, rows: Codes, complete: Mask, whole: Sequence[Column], absent: Mapping[str, Mask]
) -> Setup:
    kept = np.flatnonzero(complete)
    kept = kept[_accompanied(sheet.stratum[rows[kept]])]
    columns = {f.name: np.where(absent[f.name][kept], 0.0, sheet.logs[f.name][rows[kept]]) for f in whole}
    asked = tuple(f for f in whole if not _lonely(sheet, scope, rows[kept], f))
    return _finished(
        sheet,
        Setup(
            scope=scope,
            rows=rows[kept],
            factors=asked,
            columns=columns,
            controls={},
            present={f.name: sheet.dosed(rows[kept], f) for f in asked},
            stratum=sheet.stratum[rows[kept]],
            block=None,
            method="",
            absorbed=absorption.none(0),
        ),
        "",
    )


def _single(
    sheet: Sheet,
    scope: str,
    rows: Codes,
    factor: Column,
    moving: Sequence[Column],
    absent: Mapping[str, Mask],
    unknown: Mapping[str, Mask],
) -> Iterator[Setup]:
    """One factor where it is known; the others by their value where that is known, else by a mark.

    Of a hyperparameter that is recorded only where it was changed, *not recorded* is a level of its
    own: an indicator takes up whatever it stands for (Cohen and Cohen 1975). The factor itself was
    drawn without looking at it, so its slope keeps its meaning.
    """
    has = ~absent[factor.name]
    known = np.flatnonzero(has & ~unknown[factor.name])
    known = known[_accompanied(sheet.stratum[rows[known]])]
    at = rows[known]
    if factor not in sheet.moving(at, [factor]) or _lonely(sheet, scope, at, factor):
        return
    others = [g for g in moving if g is not factor]
    slopes: dict[str, Vector] = {}
    marks: dict[str, Vector] = {}
    for other in others:
        gap = unknown[other.name][known]
        gone = gap | absent[other.name][known]
        if bool(gap.any()) and not bool(gap.all()):
            marks[f"unknown {other.name}"] = gap.astype(np.float64)
        if float(gap.mean()) <= MISSING and not bool(gone.all()):
            values = sheet.logs[other.name][at]
            slopes[other.name] = np.where(gone, values[~gone].mean(), values)
    of = int(has.sum())
    words = [f"on the {len(at)} of {of} runs where it is known"]
    spare = len(at) - len(np.unique(sheet.stratum[at])) - 1
    if spare - len(slopes) - len(marks) < BLOCK_DF:
        slopes = {}
    if spare - len(slopes) - len(marks) < BLOCK_DF:
        marks = {}
    labels = {g.name: g.label for g in others}
    if slopes:
        words.append(f"adjusted for {', '.join(labels[name] for name in slopes)}")
    if marks:
        named = ", ".join(labels[name.removeprefix("unknown ")] for name in marks)
        words.append(f"an indicator where a run did not record {named}")
    if others and not slopes and not marks:
        words.append("not adjusted for the other factors")
    yield _finished(
        sheet,
        Setup(
            scope=scope,
            rows=at,
            factors=(factor,),
            columns={factor.name: sheet.logs[factor.name][at]},
            controls={**marks, **slopes},
            present={factor.name: sheet.dosed(at, factor)},
            stratum=sheet.stratum[at],
            block=None,
            method="",
            absorbed=absorption.none(0),
        ),
        "; ".join(words),
    )


def _finished(sheet: Sheet, setup: Setup, words: str) -> Setup:
    """The setup with its blocks, its method in words, and the reason where the rows are too few."""
    rows, used = setup.rows, len(setup.columns) + len(setup.controls)
    spare = len(rows) - len(np.unique(setup.stratum)) - used
    said = ["OLS"]
    sets = [("model", sheet.model), ("session", sheet.session)]
    names = [name for name, codes in sets if len(np.unique(codes[rows])) > 1]
    said += [" × ".join(names)] if names else []
    stratum, block, absorbed = _levels(setup.stratum, _blocks(sheet, rows), len(rows) - used)
    if stratum is not setup.stratum:
        said.append("model × block")
    elif block is not None:
        said.append("block")
    method = " + ".join(said)
    filled = [f"{n} of {f.label}" for f in setup.factors if (n := _filled(sheet, setup, f))]
    if filled:
        words = "; ".join(
            [*filter(None, [words]), f"filled from the catalogue's defaults: {', '.join(filled)}"]
        )
    many = "1 factor" if used == 1 else f"{used} factors"
    reason = f"{len(rows)} rows are too few for {many}" if spare < LEAST_DF else ""
    return replace(
        setup,
        stratum=stratum,
        block=block,
        absorbed=absorbed,
        method=f"{method}; {words}" if words else method,
        reason=reason,
    )


def _levels(stratum: Codes, block: Codes | None, spare: int) -> tuple[Codes, Codes | None, Absorption]:
    """Blocks beside the strata where the rows suffice; within them where there are very many blocks."""
    plain = absorption.absorb(stratum)
    if block is None:
        return stratum, None, plain
    if len(np.unique(block[block >= 0])) > absorption.MOST_SECOND:
        crossed = absorption.absorb(stratum * (int(block.max()) + 2) + block + 1)
        enough = spare - crossed.rank >= BLOCK_DF
        return (crossed.first, None, crossed) if enough else (stratum, None, plain)
    both = absorption.absorb(stratum, block)
    return (stratum, block, both) if spare - both.rank >= BLOCK_DF else (stratum, None, plain)


def _filled(sheet: Sheet, setup: Setup, factor: Column) -> int:
    return int(sheet.filled[factor.name][setup.rows][setup.present[factor.name]].sum())


def _blocks(sheet: Sheet, rows: Codes) -> Codes | None:
    """Blocks of the sessions in which every row has one; None where there are none to adjust for.

    A block of a single row would take that row away, so then there are none either.
    """
    block, session = sheet.block[rows], sheet.session[rows]
    gaps = np.bincount(session, block < 0)
    if not len(rows) or int((block >= 0).sum()) == 0:
        return None
    sizes = np.bincount(block[block >= 0])
    if bool((sizes == 1).any()):
        return None
    usable = np.where(gaps[session] > 0, -1, block)
    several = len(np.unique(usable[usable >= 0])) > len(np.unique(session[usable >= 0]))
    return usable if several else None


def _accompanied(stratum: Codes) -> Mask:
    """Rows that are not their model's only one in their session: alone, a row has nothing to differ from."""
    _, codes, sizes = np.unique(stratum, return_inverse=True, return_counts=True)
    return np.asarray(sizes[codes] > 1, dtype=np.bool_)


def _lonely(sheet: Sheet, scope: str, rows: Codes, factor: Column) -> bool:
    """Whether the scope pools models but only one of them varies *factor*."""
    return scope not in sheet.models and sheet.models_with(rows, factor) == 1
