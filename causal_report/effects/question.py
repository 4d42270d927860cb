"""Question 1 in one call: the parts beside the table of total effects, and the answer in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report import number, outcomes, response
from causal_report.effects import sheet as sheets
from causal_report.effects.decomposition import decompose
from causal_report.effects.influence import influence
from causal_report.effects.interaction import interactions
from causal_report.effects.raw import raw
from causal_report.effects.setup import setups
from causal_report.effects.sheet import POOLED
from causal_report.effects.total import estimate, in_plain, widest
from causal_report.findings.effects import DesignFacts, Question1
from causal_report.findings.sentence import Sentence
from causal_report.regression import significant
from causal_report.table import OFF, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from causal_report.effects.sheet import Sheet
    from causal_report.findings import Effect, Response
    from causal_report.findings.effects import (
        Decomposition,
        FactorInteraction,
        LeaveOneOut,
        RawEffect,
    )
    from causal_report.table import Column
    from causal_report.text import Text

    Say = Callable[..., Sentence]

MOST_SAID = 4
INFLATED = 5.0
"""A variance inflation from which factors can hardly be told apart (Kutner and others 2004 say 10)."""
ONE_AT_A_TIME = 0.8


def comparable(table: Table, chosen: Response) -> Table:
    """The table with the response's joules only where they have the response's status and reason."""
    if not chosen.column:
        return table
    kept = table.frame[chosen.column].where(response.rows(table.frame, chosen))
    return Table(frame=table.frame.assign(**{chosen.column: kept}), columns=table.columns)


def asked(table: Table, chosen: Response) -> list[Column]:
    """Every outcome of question 1: energies, mean power, duration, the metrics."""
    powers = [column for column in outcomes.powers(table) if "avg" in column.name]
    return [*outcomes.energies(table, chosen), *powers, outcomes.DURATION, *outcomes.performance(table)]


def question1(
    table: Table, chosen: Response, text: Text, *, found: Sequence[Effect] | None = None
) -> Question1:
    """What the design did to energy, in plain units, by power and time, jointly, and row by row.

    Args:
        table: usable rows, runs of pairs left out.
        chosen: the energy that is analysed.
        text: language of the sentences.
        found: total effects over :func:`asked`; estimated here where not given.
    """
    table = comparable(table, chosen)
    frame, factors = table.frame, table.of("design")
    energies = outcomes.energies(table, chosen)
    effects = estimate(frame, factors, asked(table, chosen)) if found is None else tuple(found)
    main = [*energies[:1], outcomes.DURATION]
    known = [c for c in asked(table, chosen) if any(e.outcome == c.name for e in effects)]
    parts = decompose(frame, factors, energies)
    plain = raw(frame, factors, [*energies, outcomes.DURATION])
    crossed = interactions(frame, factors, main)
    left = influence(frame, factors, known, effects)
    designs = facts(frame, factors, main[0])

    def say(key: str, **values: object) -> Sentence:
        return Sentence(key=key, text=text(f"question1.{key}", **values))

    first = main[0].name
    sentences = [
        *_answer(say, main[0].label, [e for e in effects if e.outcome == first], parts),
        *_priced(say, plain, first),
        *_crossed(say, [c for c in crossed if c.outcome == first]),
        *_left(say, left),
        *_designed(say, designs),
    ]
    return Question1(
        sentences=tuple(sentences),
        parts=parts,
        raw=plain,
        interactions=crossed,
        influence=left,
        designs=designs,
    )


def facts(frame: pd.DataFrame, factors: Sequence[Column], outcome: Column) -> tuple[DesignFacts, ...]:
    """How each scope's factors were varied, and how far they can be told apart."""
    sheet = sheets.of(frame, factors)
    doses = [factor for factor in factors if factor.name in sheet.doses]
    labels = {factor.name: factor.label for factor in doses}
    found = []
    known = np.asarray(frame[outcome.name].notna())
    for scope, rows in sheet.scopes(known):
        inflation: dict[str, float] = {}
        for setup in setups(sheet, scope, rows, doses):
            if not setup.reason:
                design = setup.design()
                inflation |= {labels[f.name]: v for f in setup.factors if (v := design.inflation.get(f.name))}
        found.append(
            DesignFacts(
                scope=scope,
                n=len(rows),
                one_at_a_time=_one_at_a_time(sheet, rows, doses),
                inflation=inflation,
            )
        )
    return tuple(found)


def _one_at_a_time(sheet: Sheet, rows: sheets.Codes, factors: Sequence[Column]) -> float:
    """Share of rows in which at most one factor is away from its model's commonest known value."""
    away = np.zeros(len(rows))
    for model in np.unique(sheet.model[rows]):
        mine = sheet.model[rows] == model
        for factor in factors:
            doses = sheet.doses[factor.name][rows][mine]
            values, counts = np.unique(doses[~np.isnan(doses)], return_counts=True)
            if len(values) > 1 and factor.name != "design_background" and not factor.off:
                away[mine] += ~np.isnan(doses) & (doses != values[np.argmax(counts)])
    return float((away <= 1).mean()) if len(rows) else 0.0


def _answer(
    say: Say, label: str, effects: Sequence[Effect], parts: Sequence[Decomposition]
) -> Iterator[Sentence]:
    clear = [e for e in widest([e for e in effects if e.p is not None]) if significant(e.q)]
    clear.sort(key=lambda e: (e.exploratory, e.factor == "design_background", -abs(e.plain or 0.0)))
    firm = [e for e in clear if not e.exploratory]
    if not clear:
        yield say("none", outcome=label)
    split = {(p.outcome, p.scope, p.factor): p for p in parts}
    for effect in (firm or clear)[:MOST_SAID]:
        part = split.get((effect.outcome, effect.scope, effect.factor))
        change = number.percent(effect.plain)
        bounds = number.span(effect.plain_lo, effect.plain_hi, number.percent)
        words = "" if effect.scope == POOLED else f" ({effect.scope})"
        values = {"factor": effect.factor_label, "where": words, "change": change, "bounds": bounds}
        kind = "doubling" if effect.scale == "elasticity" else "step"
        if effect.factor == "design_background":
            kind = "load"
        elif effect.factor.endswith(OFF):
            kind = "off"
        values["step"] = number.significant(effect.step, 1)
        yield say(f"effect_{kind}", outcome=label, n=effect.n, **values)
        if part and part.power and part.time:
            yield say(
                "split",
                factor=effect.factor_label,
                time=_plainly(part, "time"),
                power=_plainly(part, "power"),
            )


def _plainly(part: Decomposition, name: str) -> str:
    slope = getattr(part, name)
    change, lo, hi = (in_plain(part.scale, part.step, v) for v in (slope.estimate, slope.lo, slope.hi))
    return f"{number.percent(change)} ({number.span(lo, hi, number.percent)})"


def _priced(say: Say, effects: Sequence[RawEffect], outcome: str) -> Iterator[Sentence]:
    """The price of one more unit of the factor that is clear in most models."""
    clear = [e for e in effects if e.outcome == outcome and e.slope and significant(e.slope.q)]
    names = [e.factor for e in clear if e.factor != "design_background" and not e.factor.endswith(OFF)]
    if not names:
        return
    top = max(dict.fromkeys(names), key=names.count)
    mine = sorted((e for e in clear if e.factor == top), key=lambda e: e.slope.estimate if e.slope else 0.0)
    show = number.energy if mine[0].unit == "J" else number.duration
    for at, key in ((mine[0], "priced"), (mine[-1], "priced_most"))[: min(2, len(mine))]:
        assert at.slope is not None
        yield say(
            key,
            factor=at.factor_label,
            per=number.significant(at.per, 1),
            model=at.scope,
            cost=show(at.slope.estimate),
            bounds=number.span(at.slope.lo, at.slope.hi, show),
            n=at.n,
        )


def _crossed(say: Say, found: Sequence[FactorInteraction]) -> Iterator[Sentence]:
    tested = [item for item in found if item.slope]
    clear = [item for item in tested if item.slope and significant(item.slope.q)]
    for item in clear[:MOST_SAID]:
        assert item.slope is not None
        yield say(
            "interaction",
            first=item.first_label,
            second=item.second_label,
            scope=item.scope,
            change=number.signed(item.slope.estimate, 2),
            bounds=number.span(item.slope.lo, item.slope.hi, lambda v: number.signed(v, 2)),
            n=item.n,
        )
    if tested and not clear:
        yield say("interactions_open", n=len(tested))
    if not tested:
        yield say("interactions_none")


def _left(say: Say, left: Sequence[LeaveOneOut]) -> Iterator[Sentence]:
    weak = [item for item in left if not item.survives]
    if left and not weak:
        yield say("robust", n=len(left))
    if weak:
        named = [f"{i.factor_label} → {i.outcome_label} ({i.scope}; {i.experiment_id})" for i in weak]
        more = f" and {len(named) - MOST_SAID} more" if len(named) > MOST_SAID else ""
        yield say("fragile", n=len(weak), of=len(left), names=", ".join(named[:MOST_SAID]) + more)


def _designed(say: Say, designs: Sequence[DesignFacts]) -> Iterator[Sentence]:
    alone = [d for d in designs if d.one_at_a_time >= ONE_AT_A_TIME]
    if alone:
        yield say("one_at_a_time", n=len(alone), of=len(designs))
    inflated = [
        f"{name} ({d.scope}: {number.fixed(v, 1)})"
        for d in designs
        for name, v in d.inflation.items()
        if v > INFLATED
    ]
    if inflated:
        yield say("inflated", names=", ".join(inflated[:MOST_SAID]))
