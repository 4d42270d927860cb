"""The findings of the checks: rows with their evidence, counts, and sentences."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report import number
from causal_report.findings.quality import Bound, Check, CheckFacts, Day, FlaggedRow, Quality
from causal_report.findings.sentence import Sentence
from causal_report.quality import default, order, work
from causal_report.quality.checks import CHECKS, DOUBTFUL, EXCLUDING
from causal_report.quality.comparable import neighbours
from causal_report.quality.examination import NOTED
from causal_report.quality.thresholds import TABLE
from causal_report.quality.view import see

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from causal_report.findings import Flag
    from causal_report.quality.view import View
    from causal_report.sources.source import Source
    from causal_report.table import Table
    from causal_report.text import Text

ASKED = 50_000
"""Rows drawn of a large table for what is said of the table rather than of a row."""


def account(flags: Sequence[Flag], table: Table, text: Text, sources: Sequence[Source] = ()) -> Quality:
    """Everything that *flags* say of *table*."""
    rows = [_row(key, list(group)) for key, group in groupby(flags, _key)]
    flagged = tuple(row for row in rows if any(check.name in EXCLUDING for check in row.checks))
    noted = tuple(row for row in rows if not any(check.name in EXCLUDING for check in row.checks))
    counts = Counter(name for row in rows for name in {check.name for check in row.checks})
    return Quality(
        sentences=tuple(_sentences(flagged, noted, counts, table, text, sources)),
        flagged=flagged,
        noted=noted,
        checks=tuple(_facts(counts, text)),
        days=tuple(_days(flagged, table)),
        notes=tuple(_notes(counts, text)),
    )


def _key(flag: Flag) -> tuple[str, str, str]:
    return flag.experiment_id, flag.timestamp, flag.role


def _row(key: tuple[str, str, str], flags: list[Flag]) -> FlaggedRow:
    experiment_id, timestamp, role = key
    return FlaggedRow(
        experiment_id=experiment_id,
        timestamp=timestamp,
        role=role,
        excluded=any(flag.excluded for flag in flags),
        checks=tuple(Check(name=flag.code, evidence=flag.evidence) for flag in flags),
    )


def _sentences(
    flagged: Sequence[FlaggedRow],
    noted: Sequence[FlaggedRow],
    counts: Mapping[str, int],
    table: Table,
    text: Text,
    sources: Sequence[Source],
) -> Iterator[Sentence]:
    runs = len(table.frame)
    flagged = [row for row in flagged if any(check.name in DOUBTFUL for check in row.checks)]

    def say(key: str, **values: object) -> Sentence:
        return Sentence(key=key, text=text(f"quality.{key}", **values))

    if not flagged:
        succeeded = int(table.frame["training_success"].sum()) if runs else 0
        yield say("clean", runs=f"{succeeded:,}")
    else:
        several = sum(len({c.name for c in row.checks} & DOUBTFUL) > 1 for row in flagged)
        stay = text("quality.out" if any(row.excluded for row in flagged) else "quality.kept")
        share = number.unsigned(100 * len(flagged) / runs)
        yield say(
            "false_rows", n=f"{len(flagged):,}", runs=f"{runs:,}", share=share, stay=stay, m=f"{several:,}"
        )
        found = [(n, name) for name, n in counts.items() if name in DOUBTFUL]
        most = sorted(found, key=lambda pair: (-pair[0], pair[1]))[:4]
        named = [text("quality.one", name=text(f"quality.check.{name}"), n=f"{n:,}") for n, name in most]
        yield say("most", checks=", ".join(named))
    if noted:
        yield say("noted", n=f"{len(noted):,}")
    treatments, drifts = _of_table(flagged, table, sources)
    for one in treatments:
        yield say(
            "hidden",
            name=one.name.replace("_", " "),
            model=one.model,
            change=number.percent(100 * one.change),
            n=one.n,
        )
    for drift in drifts:
        yield say(
            "drift",
            model=drift.model,
            change=number.percent(100 * drift.change),
            session=drift.session,
            n=drift.n,
            p=number.probability(drift.p),
        )


def _of_table(
    flagged: Sequence[FlaggedRow], table: Table, sources: Sequence[Source]
) -> tuple[tuple[default.Treatment, ...], tuple[order.Drift, ...]]:
    """Hidden treatments and drift among the rows that are not false."""
    good = ~_false(flagged, table)
    if not good.any():
        return (), ()
    at = np.flatnonzero(good)
    if len(at) > ASKED:
        at = np.sort(np.random.default_rng(len(at)).choice(at, ASKED, replace=False))
    rows = np.zeros(len(good), bool)
    rows[at] = True
    view: View = see(table.where(pd.Series(rows, index=table.frame.index, dtype=bool)), sources)
    every = view.success
    return default.hidden(view, every), order.drift(
        view, every, work.expected(view, neighbours(view), every, every)
    )


def _false(flagged: Sequence[FlaggedRow], table: Table) -> NDArray[np.bool_]:
    out = np.zeros(len(table.frame), bool)
    keys = {(row.experiment_id, row.timestamp, row.role) for row in flagged}
    names = table.frame["experiment_id"].astype(str)
    maybe = np.flatnonzero(names.isin({key[0] for key in keys}).to_numpy())
    some = table.frame.iloc[maybe][["experiment_id", "timestamp", "role"]].astype(str)
    out[maybe] = [key in keys for key in some.itertuples(index=False, name=None)]
    return out


def _facts(counts: Mapping[str, int], text: Text) -> Iterator[CheckFacts]:
    for check in CHECKS:
        yield CheckFacts(
            name=check.name,
            title=text(f"quality.check.{check.name}"),
            looks=text(f"quality.looks.{check.name}"),
            bounds=tuple(_bound(name) for name in check.limits),
            excludes=check.excludes,
            rows=counts.get(check.name, 0),
        )


def _bound(name: str) -> Bound:
    one = TABLE[name]
    return Bound(name=name, value=one.value, unit=one.unit, what=one.what, reason=one.reason)


def _days(flagged: Sequence[FlaggedRow], table: Table) -> Iterator[Day]:
    if not flagged:
        return
    frame = pd.DataFrame(
        {
            "model": table.frame["model_id"].astype(str),
            "day": table.frame["timestamp"].astype(str).str[:10],
            "false": _false(flagged, table),
        }
    )
    bad = frame[frame["model"].isin(frame.loc[frame["false"], "model"].unique())]
    sums = bad.groupby(["model", "day"])["false"].agg(["size", "sum"])
    for (model, day), row in zip(sums.index, sums.to_numpy(), strict=True):
        yield Day(model=str(model), day=str(day), rows=int(row[0]), false=int(row[1]))


def _notes(counts: Mapping[str, int], text: Text) -> Iterator[str]:
    for check in CHECKS:
        if not check.excludes and counts.get(check.name, 0) >= NOTED:
            yield text("quality.cut", check=text(f"quality.check.{check.name}"), n=NOTED)
