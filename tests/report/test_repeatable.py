"""The same input and seed give the same report.json, byte for byte, in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.report import tables

if TYPE_CHECKING:
    from pathlib import Path


def _json(table: Path, hashes: str, *options: str) -> bytes:
    """What the command writes, with Python's hashes of strings seeded by *hashes*."""
    command = [sys.executable, "-m", "causal_report", str(table), *options]
    environment = {**os.environ, "PYTHONHASHSEED": hashes}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return (table / "report.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["exact", "dibs"])
def test_two_processes_write_the_same_bytes(tmp_path: Path, engine: str) -> None:
    frame = tables.rows(96)
    background = frame.index % 3 == 0
    frame.loc[background, "mode"] = "background"
    frame.loc[background, "is_parallel"] = True
    session = tables.write(tmp_path / "made", frame)
    options = ("--engine", engine, "--recipe", "seed", "--seed", "11")
    assert _json(session, "1", *options) == _json(session, "2", *options)
