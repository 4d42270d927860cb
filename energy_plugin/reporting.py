"""Starts the analysis of a session as a process of its own: its memory and its faults stay outside."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN = (0, 4, 5)
"""Exit codes of ``python -m causal_report`` that leave a page: whole, without what could not be read, without
any usable run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """How it ended: ``page`` is None where none was written; ``said`` is the end of its standard error."""

    page: Path | None
    exit_code: int
    said: tuple[str, ...]


def analyse(folder: Path, engine: str) -> Analysis:
    """Write the page of the session in *folder*, out of reach of the terminal's Ctrl-C."""
    done = subprocess.run(
        [sys.executable, "-m", "causal_report", str(folder), "--engine", engine],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    written = done.returncode in WRITTEN
    return Analysis(
        page=folder / "report.html" if written else None,
        exit_code=done.returncode,
        said=tuple(done.stderr.strip().splitlines()[-5:]) if done.returncode else (),
    )
