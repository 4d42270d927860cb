"""Only the runs that began before a moment, as a study that was published then saw them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from causal_report.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.sources.source import Source


def before(sources: Sequence[Source], time: str) -> tuple[Source, ...]:
    """The sources without the runs that began at *time* or later; as they are where *time* is empty.

    A timestamp without a zone is read as UTC; a run whose timestamp cannot be read is left out.

    Raises:
        InputError: *time* is not a moment, or no run began before it.
    """
    if not time:
        return tuple(sources)
    try:
        moment = pd.Timestamp(time)
    except ValueError as error:
        raise InputError(
            f"--until {time}: not a time; write it like 2026-01-05 or 2026-01-05T12:00"
        ) from error
    moment = moment.tz_localize("UTC") if moment.tz is None else moment
    cut = tuple(_cut(source, moment) for source in sources)
    if sources and not any(len(source.frame) for source in cut):
        raise InputError(f"--until {time}: no run began before it")
    return cut


def _cut(source: Source, moment: pd.Timestamp) -> Source:
    begun = pd.to_datetime(source.frame["timestamp"], utc=True, format="ISO8601", errors="coerce")
    kept = source.frame[begun < moment]
    left = len(source.frame) - len(kept)
    note = (
        f"{source.name}: {left} runs that did not begin before {moment.isoformat()} are left out, as asked."
    )
    return replace(source, frame=kept, notes=(*source.notes, note))
