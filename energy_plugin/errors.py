"""Everything this package raises on purpose.

EnergyError
├── UsageError          a wrong option, name or selection; nothing has run
│   └── UnknownNameError    names the valid choices
├── FileError           a file we read is wrong: file, key, value and the mend
├── ResultsError        the results folder cannot take what was measured
└── ExecutorError       infrastructure failed before the measured window opened
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class EnergyError(Exception):
    """Root of all errors of this package; its text is meant for the user."""


class UsageError(EnergyError):
    """An option, a name or a selection cannot be used. Nothing has run yet."""


class UnknownNameError(UsageError):
    """A name that is not among the valid ones."""

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        """Say which *kind* of thing *name* is not, what is valid, and the nearest guess."""
        choices = sorted(valid)
        near = difflib.get_close_matches(name, choices, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(choices) if choices else "none"
        super().__init__(f"unknown {kind} {name!r}.{guess} Valid: {listed}")


class FileError(EnergyError):
    """A file has a wrong key or value."""

    def __init__(self, file: Path | str, key: str, value: object, mend: str) -> None:
        """Name the *file*, the *key*, the *value* found there and the *mend*."""
        super().__init__(f"{file}: {key} = {value!r}: {mend}")


class ResultsError(EnergyError):
    """The results folder is not writable or the disk is full."""


class ExecutorError(EnergyError):
    """A program could not be started, before anything was measured."""
