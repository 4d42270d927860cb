"""What is said of a run right after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from energy_plugin.receipt import line, table
from energy_plugin.record.journal import records
from energy_plugin.record.trace import Reading, Window

if TYPE_CHECKING:
    from energy_plugin.record.record import Record

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "run_20261121_190000"
WINDOW = Window(program="a", name="process", t0_ns=0, t1_ns=10**6)


def record(joules: float, lo_j: float, hi_j: float) -> Record:
    reading = Reading(
        meter="nvml", channel="gpu:a", window=WINDOW, status="measured", joules=joules, lo_j=lo_j, hi_j=hi_j
    )
    return replace(records(GOLDEN)[0], readings=(reading,))


def test_a_window_too_short_for_its_counter_is_told_with_its_bounds() -> None:
    short = record(0.0, 0.0, 8.2)
    assert "0 J measured (between 0 J and 8.2 J);" in line(short, GOLDEN)
    assert "total: 0 J measured (between 0 J and 8.2 J)" in list(table(short, GOLDEN))


@pytest.mark.parametrize(("lo_j", "hi_j"), [(95.5, 104.5), (100.0, 100.0)])
def test_close_bounds_are_not_told_in_the_line(lo_j: float, hi_j: float) -> None:
    assert "100 J measured;" in line(record(100.0, lo_j, hi_j), GOLDEN)
