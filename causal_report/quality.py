"""Rows that are not what they say: flagged with their evidence, shown, left out unless asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.findings import Flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from causal_report.sources.source import Source
    from causal_report.table import Table

Row = tuple[object, str]
"""Index of a row and the evidence against it."""
MISMATCH = 0.15
"""Energy may differ from mean power times duration by this share..."""
LEAST_S = 10.0
"""...in runs of at least so many seconds: shorter ones have too few power samples to average."""
BUSY = 0.5
"""Load per core before a run above which somebody else was using the machine..."""
OTHERS = 0.5
"""...by at least half a core more than usual: a session's own trainings leave an even load behind."""


def check(table: Table, sources: Sequence[Source], *, keep_flagged: bool) -> tuple[Flag, ...]:
    """Every flag on every row, in row order. Failed runs are left out even when flagged rows are kept."""
    frame = table.frame
    found: list[tuple[object, str, str]] = []
    for code, rows in (
        ("failed", _failed(frame)),
        ("no-metric", _without_metric(table)),
        ("energy-mismatch", _mismatch(frame)),
        ("load-before", _load_before(frame, sources)),
        ("shared", _shared(frame)),
    ):
        found += [(index, code, evidence) for index, evidence in rows]
    order = {index: position for position, index in enumerate(frame.index)}
    return tuple(
        Flag(
            experiment_id=str(frame.at[index, "experiment_id"]),
            timestamp=str(frame.at[index, "timestamp"]),
            role=str(frame.at[index, "role"]),
            code=code,
            evidence=evidence,
            excluded=code == "failed" or not keep_flagged,
        )
        for index, code, evidence in sorted(found, key=lambda item: order[item[0]])
    )


def usable(table: Table, flags: Sequence[Flag]) -> pd.Series[bool]:
    """Rows that no excluding flag is on."""
    out = {(flag.experiment_id, flag.timestamp, flag.role) for flag in flags if flag.excluded}
    frame = table.frame
    keys = zip(frame["experiment_id"].astype(str), frame["timestamp"].astype(str), frame["role"], strict=True)
    return pd.Series([key not in out for key in keys], index=frame.index, dtype=bool)


def _failed(frame: pd.DataFrame) -> Iterator[Row]:
    for index, row in frame[~frame["training_success"]].iterrows():
        why = row.get("error_message")
        yield index, str(why) if isinstance(why, str) and why else "the training did not succeed"


def _without_metric(table: Table) -> Iterator[Row]:
    """A run called a success that has none of the metrics its model has elsewhere."""
    metrics = [column.name for column in table.of("performance")]
    frame = table.frame
    if not metrics:
        return
    has = frame[metrics].notna().any(axis=1)
    expected = has.groupby(frame["model_id"]).transform("any")
    for index in frame.index[frame["training_success"] & ~has & expected]:
        yield index, "called a success, but it has none of the metrics its model reports elsewhere"


def _mismatch(frame: pd.DataFrame) -> Iterator[Row]:
    needed = ("energy_gpu_total_joules", "energy_gpu_avg_watts")
    if any(name not in frame for name in needed):
        return
    joules, watts = (frame[name] for name in needed)
    product = watts * frame["duration_seconds"]
    off = joules / product.where((product > 0) & (frame["duration_seconds"] >= LEAST_S)) - 1
    for index in frame.index[off.abs() > MISMATCH]:
        yield (
            index,
            f"GPU energy {joules[index]:,.0f} J, but mean power × duration is {product[index]:,.0f} J "
            f"({off[index]:+.0%})",
        )


def _shared(frame: pd.DataFrame) -> Iterator[Row]:
    """Runs during which another measured run went on: the counters saw both."""
    if "shared_with" not in frame:
        return
    for index, others in frame["shared_with"].items():
        if isinstance(others, str) and others:
            yield index, f"measured at the same time on this host: {others}"


def _load_before(frame: pd.DataFrame, sources: Sequence[Source]) -> Iterator[Row]:
    """Load far above what the session is used to: a run's own predecessor leaves load behind too."""
    if "cpu_load_before" not in frame:
        return
    for source in sources:
        cpus = source.facts.get("host", {}).get("cpus")
        rows = frame[frame["session"] == source.name]
        load = rows["cpu_load_before"].astype(float)
        if not cpus or not bool(load.notna().any()):
            continue
        middle = float(load.median())
        spread = 1.4826 * float(np.nanmedian((load - middle).abs()))
        limit = max(BUSY * cpus, middle + max(4 * spread, OTHERS))
        for index in rows.index[load > limit]:
            yield (
                index,
                f"load {load[index]:.1f} on {cpus} cores before it began; usual here: {middle:.1f}",
            )
