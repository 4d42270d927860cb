"""The folder of one session: a new one each time, and the link to the newest."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from energy_plugin.errors import ResultsError

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.clock import Clock

ENOUGH_BYTES = 32 * 2**20
"""A case is not started with less free space than this: its log and traces must fit."""


def new_folder(results: Path, clock: Clock) -> Path:
    """A fresh ``run_YYYYmmdd_HHMMSS`` below *results*; a second in the same second gets a suffix.

    Raises:
        ResultsError: none can be made there.
    """
    stamp = clock.utc().strftime("run_%Y%m%d_%H%M%S")
    for suffix in ("", *(f"_{n}" for n in range(2, 100))):
        folder = results / f"{stamp}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not results.is_dir():
                raise ResultsError(f"{results}: is not a folder; choose another --energy-results") from None
            continue
        except OSError as error:
            raise ResultsError(f"{folder}: {error.strerror}; choose another --energy-results") from error
        return folder
    raise ResultsError(f"{results}: no free folder name for {stamp}")


def remove_empty(folder: Path) -> None:
    """Remove a folder that holds nothing but folders; one with a file stays as it is."""
    try:
        if not any(path.is_file() for path in folder.rglob("*")):
            shutil.rmtree(folder)
    except OSError:
        return  # what cannot be removed stays: it holds nothing


def point_latest(results: Path, folder: Path) -> None:
    """``results/latest`` → the newest session, replaced in one step."""
    temporary = results / f".latest-{os.getpid()}"
    try:
        temporary.symlink_to(folder.name)
        os.replace(temporary, results / "latest")
    except OSError:
        temporary.unlink(missing_ok=True)  # a file system without links: the folder's name is printed anyway
