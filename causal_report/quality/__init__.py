"""Rows that are not what they say: flagged with their evidence, shown, left out unless asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.findings import Flag
from causal_report.quality.account import account
from causal_report.quality.checks import DOUBTFUL, EXCLUDING
from causal_report.quality.examination import examine
from causal_report.quality.view import see

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.quality import Quality
    from causal_report.sources.source import Source
    from causal_report.table import Table
    from causal_report.text import Text

__all__ = ["DOUBTFUL", "EXCLUDING", "check", "findings", "usable"]


def findings(flags: Sequence[Flag], table: Table, text: Text, sources: Sequence[Source] = ()) -> Quality:
    """What the page and report.json say of *flags* on *table*."""
    return account(flags, table, text, sources)


def check(table: Table, sources: Sequence[Source], *, keep_flagged: bool) -> tuple[Flag, ...]:
    """Every flag on every row, in row order. Failed runs are left out even when flagged rows are kept."""
    if table.frame.empty:
        return ()
    found = examine(see(table, sources), sources)
    frame = table.frame
    keys = [
        np.asarray(frame[name].astype(str), dtype=object) for name in ("experiment_id", "timestamp", "role")
    ]
    return tuple(
        Flag(
            experiment_id=str(keys[0][hit.at]),
            timestamp=str(keys[1][hit.at]),
            role=str(keys[2][hit.at]),
            code=hit.check,
            evidence=hit.evidence,
            excluded=hit.check == "failed" or (hit.check in EXCLUDING and not keep_flagged),
        )
        for hit in found
    )


def usable(table: Table, flags: Sequence[Flag]) -> pd.Series[bool]:
    """Rows that no excluding flag is on."""
    frame = table.frame
    out = {(flag.experiment_id, flag.timestamp, flag.role) for flag in flags if flag.excluded}
    if not out:
        return pd.Series(True, index=frame.index, dtype=bool)
    names = frame["experiment_id"].astype(str)
    maybe = np.flatnonzero(names.isin({key[0] for key in out}).to_numpy())
    keys = frame.iloc[maybe][["experiment_id", "timestamp", "role"]].astype(str)
    gone = [key in out for key in keys.itertuples(index=False, name=None)]
    keep = np.ones(len(frame), bool)
    keep[maybe[np.asarray(gone, dtype=bool)]] = False
    return pd.Series(keep, index=frame.index, dtype=bool)
