"""A dose of 0 among doses that multiply: a level of its own, and the others keep their logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal_report import dose, effects, response, table
from causal_report.advice import unit
from causal_report.discovery import groups
from causal_report.text import Text
from causal_report.tradeoff import convergence
from causal_report.tradeoff.metric import metrics
from tests.report import tables

if TYPE_CHECKING:
    import pandas as pd

    from causal_report.findings import Effect
    from causal_report.table import Table

SLOPE, OFF = 0.1, 0.3
"""Truth: energy ∝ weight decay^0.1, and 35 % more than at a weight decay of one where it is 0."""
DECAY, SWITCH = "design_weight_decay", "design_weight_decay=0"


def _frame(n: int = 80, *, seed: int = 1) -> pd.DataFrame:
    """A third of the runs without weight decay; the second model was given doses a hundred times as large."""
    frame = tables.rows(n, seed=seed)
    rng = np.random.default_rng(seed)
    dose = np.exp(rng.uniform(-14, -9, n)) * np.where(frame["model"] == tables.MODELS[0], 1.0, 100.0)
    dose[rng.random(n) < 0.35] = 0.0
    frame["hyperparam_weight_decay"] = dose
    gain = np.exp(np.where(dose > 0, SLOPE * np.log(np.where(dose > 0, dose, 1.0)), OFF))
    for name in ("total_energy_joules", "duration_seconds", "cpu_time_seconds"):
        frame[name] *= gain
    return frame


def _built(frame: pd.DataFrame) -> Table:
    return table.build([tables.source(frame)])


def _effects(frame: pd.DataFrame) -> dict[str, Effect]:
    built = _built(frame)
    energy = response.column(response.choose(built.frame))
    assert energy is not None
    found = effects.estimate(built.frame, built.of("design"), [energy])
    return {e.factor: e for e in found if e.scope == effects.POOLED}


def test_the_elasticity_is_that_of_the_doses_above_zero() -> None:
    frame = _frame()
    found = _effects(frame)
    slope = found[DECAY]
    assert slope.scale == "elasticity"
    assert slope.estimate == pytest.approx(SLOPE, abs=0.01)
    assert slope.n == int((frame["hyperparam_weight_decay"] > 0).sum())
    others = _effects(frame.drop(columns="hyperparam_weight_decay"))
    assert found["design_epochs"].n == others["design_epochs"].n  # no run is lost


def test_being_off_is_an_effect_of_its_own_against_the_middle_of_the_others() -> None:
    frame = _frame()
    dose = frame["hyperparam_weight_decay"]
    middle = np.log(dose.where(dose > 0)).groupby(frame["model"]).mean().mean()
    switch = _effects(frame)[SWITCH]
    assert switch.factor_label == "weight decay off"
    assert switch.estimate == pytest.approx(OFF - SLOPE * middle, abs=0.05)


def test_zeros_of_one_model_do_not_take_the_scale_of_another() -> None:
    frame = _frame()
    first = frame["model"] == tables.MODELS[0]
    frame.loc[first, "hyperparam_weight_decay"] = 0.0
    frame.loc[~first & (frame["hyperparam_weight_decay"] == 0), "hyperparam_weight_decay"] = 1e-4
    built = _built(frame)
    decay = next(c for c in built.of("design") if c.name == DECAY)
    assert decay.log
    assert not any(table.values(built.frame, decay).isna())


def test_zero_and_one_other_dose_are_two_levels_on_the_plain_scale() -> None:
    frame = tables.rows(24)
    frame["hyperparam_weight_decay"] = np.where(np.arange(24) % 3, 0.0, 1e-3)
    columns = {c.name: c for c in _built(frame).of("design")}
    assert not columns[DECAY].log
    assert SWITCH not in columns


@pytest.mark.parametrize("only", [5e-4, 0.02, 7.0, 200.0])
def test_a_model_with_one_dose_beside_zero_has_no_elasticity_of_its_own(only: float) -> None:
    """Its zeros stand exactly at that dose: a place that rounding moved would look like another level."""
    for n in range(60, 100, 4):
        frame = _frame(n)
        one = frame["model"] == tables.MODELS[0]
        frame.loc[one & (frame["hyperparam_weight_decay"] > 0), "hyperparam_weight_decay"] = only
        built = _built(frame)
        column = next(c for c in built.columns if c.name == DECAY)
        rows = built.frame[built.frame["model"] == tables.MODELS[0]]
        assert table.values(rows, column).nunique() == 1


def test_where_a_default_was_filled_in_is_known_of_both_columns() -> None:
    frame = _frame(24)
    frame["filled_hyperparam_weight_decay"] = np.arange(24) < 5
    built = _built(frame)
    for column in built.of("design"):
        if column.name in (DECAY, SWITCH):
            assert table.filled(built.frame, column).sum() == 5


def test_the_two_columns_of_one_dose_are_no_pair_varied_together() -> None:
    built = _built(_frame())
    energy = response.column(response.choose(built.frame))
    assert energy is not None
    pairs = {(i.first, i.second) for i in effects.interactions(built.frame, built.of("design"), [energy])}
    assert (DECAY, SWITCH) not in pairs
    assert ("design_epochs", SWITCH) in pairs


def test_the_answer_says_turning_off_and_not_one_more_of() -> None:
    built = _built(_frame())
    said = effects.question1(built, response.choose(built.frame), Text("en")).sentences
    texts = [s.text for s in said if s.key == "effect_off"]
    assert texts
    assert texts[0].startswith("Turning weight decay off changes energy by")
    assert not any("more of weight decay off" in s.text for s in said)


def test_the_graph_has_both_and_finds_both() -> None:
    built = _built(_frame())
    found = groups.explore(built, response.choose(built.frame), engine="exact", text=Text("en"))["examples"]
    verdicts = {e.cause: e.verdict for e in found.edges if e.effect == "total_energy_joules"}
    assert verdicts["hyperparam_weight_decay"] == "validated"
    assert verdicts["hyperparam_weight_decay=0"] == "validated"


def test_advice_reads_the_dose_as_it_is_set() -> None:
    built = _built(_frame())
    for found in unit.units(built, response.choose(built.frame)):
        factors = {f.column.name: f.column.log for f in found.factors}
        assert factors[DECAY] is False
        assert factors["design_epochs"] is True
        assert SWITCH not in factors


def test_a_figure_and_a_curve_on_a_log_axis_leave_zeros_out() -> None:
    frame = tables.rows(80)
    frame.loc[3, "hyperparam_epochs"] = 0.0
    built = _built(frame)
    energy = response.column(response.choose(built.frame))
    assert energy is not None
    found = effects.estimate(built.frame, built.of("design"), [energy])
    shown = dose.choose(built, energy, [e for e in found if e.factor == "design_epochs"])
    assert shown is not None
    assert shown.log_x
    assert min(point.x for point in shown.points) > 0
    column, metric = metrics(built)[0]
    curves = convergence.convergence(built, [("examples/mnist", column, metric)])
    assert curves[0].least > 0
