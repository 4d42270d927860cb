"""Whether joules came from simulated meters. Such joules are shown, and never called measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from causal_report.sources.source import Source


def of(source: Source) -> str:
    """What stood in for the meters of a session, by its own word or by its rows; empty for real ones."""
    said = str(source.facts.get("simulated") or "")
    return said or ", ".join(sorted(set(_column(source.frame)) - {""}))


def label(sources: Sequence[Source]) -> str:
    """The same over all sources; one simulated session marks the whole page."""
    return ", ".join(dict.fromkeys(filter(None, map(of, sources))))


def runs(sources: Sequence[Source], frame: pd.DataFrame) -> int:
    """How many of the usable rows had simulated meters, by their session or by their own mark."""
    whole = {source.name for source in sources if source.facts.get("simulated")}
    sessions = frame["session"].astype(str)
    marks = _column(frame)
    return sum(session in whole or bool(mark) for session, mark in zip(sessions, marks, strict=True))


def _column(frame: pd.DataFrame) -> list[str]:
    if "simulated" not in frame:
        return [""] * len(frame)
    return [mark if isinstance(mark, str) else "" for mark in frame["simulated"]]
