"""What a reader gives: rows, readings and facts of one session or one published table."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

Kind = Literal["session", "summary", "published"]
FILLED = "filled_"
"""Before the name of a column: True where its value was not recorded but filled with a default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows and facts as they were read, before any judgement.

    Attributes:
        kind: ``session`` (a folder written by the plugin), ``summary`` (its table alone) or
            ``published`` (a bare table of others).
        frame: one row a measured program; key (experiment_id, timestamp, role). Where defaults were
            filled in, ``filled_hyperparam_<name>`` is True.
        readings: flat readings with the ``experiment_id`` they belong to; empty for a bare table.
        facts: the content of session.json; empty for a bare table.
        baselines: the session's own measurements of the machine at rest, in order.
        complete: every planned case was run and the session ended by itself.
        planned: cases planned, None where nobody recorded it.
        sha256: digest of the table file.
        notes: what was mended, filled in or could not be read, one sentence each.
        unread: those of the notes that are about cells, rows or columns that could not be used.
    """

    kind: Kind
    path: Path
    name: str
    frame: pd.DataFrame
    sha256: str
    readings: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    baselines: tuple[Mapping[str, Any], ...] = ()
    complete: bool = True
    planned: int | None = None
    done: int = 0
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
