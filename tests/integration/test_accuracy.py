"""The accuracy benchmark in small: on the simulated GPU our meter keeps the figures of docs/accuracy.md."""

from __future__ import annotations

import sys

import pytest

from tests.benchmarks.accuracy import LIMITS, Cell, judge, percent, run_tool, schedule

pytestmark = [pytest.mark.compiler, pytest.mark.slow]


@pytest.mark.parametrize("load", ["constant", "bursts"])
def test_short_windows_at_random_phases_are_within_the_wanted_error_and_their_own_bounds(load: str) -> None:
    cells = [Cell("integrating", load, seconds) for seconds in (0.2, 1.0)]
    answers = run_tool("wattwhy", sys.executable, "integrating", schedule(cells, phases=8, seed=11))
    for cell in cells:
        mine = [answer for answer in answers if answer["duration_s"] == cell.duration_s]
        judged = judge(mine)
        shown = [(answer["joules"], answer["truth"], percent(answer)) for answer in mine]
        assert judged.n == 8, shown
        assert judged.p95 <= LIMITS[cell.duration_s], shown
        assert judged.inside == 1.0, shown
        assert all(answer["status"] == "measured" for answer in mine)
