"""A sentence of the page: everything it says in words comes from the text file by a key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """Its key in the text file and the words."""

    key: str
    text: str
