"""Pretrained weights of the user's: one file a model, ``DIR/<repository>/<model>.pt``."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from energy_plugin.declare.case import Program


class Weights:
    """Finds the file a program starts from; models without one start from random weights."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def file(self, program: Program) -> Path | None:
        """The program's file, None where there is none."""
        if self._folder is None:
            return None
        path = self._path(program)
        return path if path.is_file() else None

    def _path(self, program: Program) -> Path:
        return (self._folder or Path()) / program.repository / f"{program.model}.pt"

    def digest(self, program: Program) -> str:
        """SHA-256 of the file, empty where there is none: part of what the program is made of."""
        path = self.file(program)
        return _digest(path, path.stat().st_mtime_ns) if path else ""

    def check(self, programs: Iterable[Program]) -> None:
        """Refuse a folder that holds a file for none of these programs.

        Raises:
            UsageError: with the paths that were expected.
        """
        if self._folder is None:
            return
        wanted = sorted({str(self._path(program)) for program in programs})
        if not any(Path(path).is_file() for path in wanted):
            raise UsageError(
                f"--energy-weights {self._folder}: none of these files is there: {', '.join(wanted)}"
            )


@cache
def _digest(path: Path, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
