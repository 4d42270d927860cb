"""Prints where the report of ``tox -e bench`` is, after tox's own last lines."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import TYPE_CHECKING

from tox.plugin import impl

if TYPE_CHECKING:
    from tox.tox_env.api import ToxEnv


@impl
def tox_after_run_commands(tox_env: ToxEnv, exit_code: int, outcomes: list[object]) -> None:
    """Register the path only where this run has left a report."""
    report = Path(tox_env.core["tox_root"]) / "results" / "latest" / "report.html"
    if tox_env.name == "bench" and report.exists():
        atexit.register(print, report)
