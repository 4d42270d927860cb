"""What is said of a table while it is read: what was mended, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3
"""So many rows are named in one sentence; the rest is a count."""
LONGEST = 40
"""Characters of a cell that are shown."""


@dataclass(slots=True)
class Notes:
    """Sentences in the order they were found.

    Attributes:
        sentences: one for each thing mended, guessed, left out or not readable.
        unread: those of them about content that is lost to the analysis.
    """

    sentences: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def mended(self, sentence: str) -> None:
        """Nothing was lost; the reader should still know."""
        self.sentences.append(sentence)

    def lost(self, sentence: str) -> None:
        """Something in the table could not be used as it stands."""
        self.sentences.append(sentence)
        self.unread.append(sentence)


def named(frame: pd.DataFrame, bad: pd.Series[bool], values: pd.Series[Any] | None = None) -> str:
    """The first rows where *bad*, by number and id, with the value that stands there.

    A row's number is its own in a spreadsheet: the header is row 1.
    """
    rows = np.flatnonzero(bad.to_numpy(dtype=bool))
    numbers = row_numbers(frame)
    words = []
    for row in rows[:EXAMPLES]:
        run = f" ({frame['experiment_id'].iloc[row]})" if "experiment_id" in frame else ""
        value = "" if values is None else f": {_short(values.iloc[row])}"
        words.append(f"row {numbers[row]}{run}{value}")
    more = len(rows) - EXAMPLES
    return ", ".join(words) + (f" and {more:,} more" if more > 0 else "")


def row_numbers(frame: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Spreadsheet rows: the index counts data rows from 0, and survives rows that were left out."""
    return np.asarray(frame.index, dtype=np.int64) + 2


def _short(value: object) -> str:
    text = repr(str(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
