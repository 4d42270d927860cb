"""What the flagged rows would change: the same effects with and without them."""

from __future__ import annotations

import numpy as np

from causal_report.analysis import analyse
from causal_report.options import Options
from causal_report.text import Text
from tests.report import tables


def test_a_false_row_that_turns_an_answer_is_named() -> None:
    """Learning rate does nothing, but runs beside somebody else's load had the high ones."""
    frame = tables.rows(60)
    high = frame["hyperparam_learning_rate"] > frame["hyperparam_learning_rate"].quantile(0.8)
    frame.loc[high, "cpu_load_before"] = 9.0
    for name in ("total_energy_joules", "duration_seconds"):
        frame.loc[high, name] *= 3
    found = analyse([tables.source(frame)], Text("en"), Options(engine="exact")).keeping
    assert found.flagged == int(high.sum())
    turned = {c.factor for c in found.changes if c.turned and c.outcome == "total_energy_joules"}
    assert turned == {"design_learning_rate"}
    assert "learning rate on energy" in found.sentences[0].text


def test_without_false_rows_there_is_nothing_to_compare() -> None:
    found = analyse([tables.source(tables.rows(40))], Text("en"), Options(engine="exact")).keeping
    assert (found.flagged, found.changes) == (0, ())


def test_the_answers_without_the_rows_are_the_same_whether_they_are_kept_or_not() -> None:
    frame = tables.rows(60)
    frame.loc[frame.index[5:9], "cpu_load_before"] = 9.0
    out, kept = (
        analyse([tables.source(frame)], Text("en"), Options(engine="exact", keep_flagged=keep)).keeping
        for keep in (False, True)
    )
    assert out == kept
    assert all(c.n < c.kept_n for c in out.changes)
    assert np.isfinite([c.plain for c in out.changes if c.plain is not None]).all()
