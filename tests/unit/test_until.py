"""Only the runs that began before a moment."""

from __future__ import annotations

import pytest

from causal_report.errors import InputError
from causal_report.until import before
from tests.report import tables


def test_runs_from_the_moment_on_are_left_out_and_said_to_be() -> None:
    source = tables.source(tables.rows(40))  # one a minute from 2026-11-21T00:00 UTC on
    (cut,) = before([source], "2026-11-21T00:10")
    assert len(cut.frame) == 10
    assert "30 runs" in cut.notes[-1]
    assert before([source], "2026-11-21T02:10+02:00")[0].frame.equals(cut.frame)


def test_without_a_moment_nothing_changes() -> None:
    source = tables.source(tables.rows(10))
    assert before([source], "") == (source,)


@pytest.mark.parametrize(("time", "words"), [("soon", "not a time"), ("2020-01-01", "no run began before")])
def test_a_time_that_leaves_nothing_to_say_is_refused(time: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        before([tables.source(tables.rows(10))], time)
