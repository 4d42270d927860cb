"""Everything this package raises on purpose.

EnergyError
├── UsageError          a wrong option, name or selection; nothing has run
│   ├── UnknownNameError    names the valid choices
│   └── HostTakenError      another session measures on this host
├── FileError           a file we read is wrong: file, key, value and the mend
├── ResultsError        the results folder cannot take what was measured
├── ExecutorError       infrastructure failed before the measured window opened
├── BackgroundError     a background training died before the measured window opened
├── DisturbedError      something on the host would be in a run's numbers, and --energy-strict forbids it
└── GivenUpError        a case failed for good in the session that is resumed; it was not run again
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

    def __init__(self, kind: str, name: object, valid: Iterable[str], near: str = "") -> None:
        """Say which *kind* of thing *name* is not, what is valid, and the nearest guess.

        Args:
            kind: such as ``model``.
            name: what was given; a value of another type has no nearest guess.
            valid: all that would do.
            near: what was probably meant; the valid one that is spelt most alike when empty.
        """
        choices = sorted(valid)
        found = difflib.get_close_matches(name, choices, n=1) if isinstance(name, str) and not near else []
        near = near or "".join(found)
        guess = f" Did you mean {near!r}?" if near else ""
        listed = ", ".join(choices) if choices else "none"
        super().__init__(f"unknown {kind} {name!r}.{guess} Valid: {listed}")


class HostTakenError(UsageError):
    """Another session measures on this host.

    Attributes:
        holder: that session, for a record or a message.
    """

    def __init__(self, holder: str, mend: str) -> None:
        """Name the *holder* and the *mend*."""
        self.holder = holder
        super().__init__(
            f"another measuring session runs on this host ({holder}): two at once falsify both. {mend}"
        )


class FileError(EnergyError):
    """A file has a wrong key or value."""

    def __init__(self, file: Path | str, key: str, value: object, mend: str) -> None:
        """Name the *file*, the *key*, the *value* found there and the *mend*."""
        super().__init__(f"{file}: {key} = {value!r}: {mend}")


class ResultsError(EnergyError):
    """The results folder is not writable or the disk is full."""


class ExecutorError(EnergyError):
    """A program could not be started, before anything was measured."""


class BackgroundError(EnergyError):
    """A background training died, or was never ready, before anything was measured."""


class DisturbedError(EnergyError):
    """The host is not fit for the next run, which did not take place."""


class GivenUpError(EnergyError):
    """A case failed for good in an earlier part of the session, and was not run again."""
