"""Double machine learning and causal forest: truth is found, few runs are refused, econml is optional."""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from causal_report import heterogeneity, response, table
from causal_report.figures import heterogeneity as drawing
from causal_report.text import Text
from tests.report import section, tables

if TYPE_CHECKING:
    import pandas as pd

    from causal_report.findings.heterogeneity import Heterogeneity, LearnedEffect

TEXT = Text("en")


@pytest.fixture(autouse=True)
def without_econml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no econml, whether or not this environment has it."""
    monkeypatch.setattr(heterogeneity, "_econml", lambda: None)


def estimated(rows: pd.DataFrame, seed: int = 0) -> Heterogeneity:
    built = table.build([tables.source(rows)])
    return heterogeneity.estimate(built, response.choose(built.frame), TEXT, seed=seed)


def effect(found: Heterogeneity, factor: str) -> LearnedEffect:
    return next(e for e in found.effects if e.factor == f"design_{factor}")


def test_the_true_elasticity_lies_within_the_interval_and_nulls_hold_nought() -> None:
    found = estimated(tables.rows(160))
    epochs, rate = effect(found, "epochs"), effect(found, "learning_rate")
    assert epochs.dml.lo is not None
    assert epochs.dml.hi is not None
    assert epochs.dml.lo < tables.ELASTICITY < epochs.dml.hi
    assert epochs.dml.estimate == pytest.approx(tables.ELASTICITY, abs=0.03)
    assert epochs.agrees
    assert rate.dml.q is not None
    assert rate.dml.q > 0.01


def test_confounding_by_another_factor_is_learnt_away_where_a_straight_line_fails() -> None:
    """The treatment follows the square of a feature that energy follows too."""
    rows = tables.rows(400, models=("mnist",))
    rng = np.random.default_rng(8)
    rows["hyperparam_dropout"] = rng.uniform(-1, 1, 400)
    bend = rows["hyperparam_dropout"] ** 2
    rows["hyperparam_epochs"] = np.exp(bend + 0.2 * rng.normal(size=400))
    energy = 0.5 * np.log(rows["hyperparam_epochs"]) + 2 * bend + 0.05 * rng.normal(size=400)
    rows["total_energy_joules"] = np.exp(energy)
    epochs = effect(estimated(rows), "epochs")
    assert epochs.dml.estimate == pytest.approx(0.5, abs=0.05)
    assert epochs.ols.estimate is not None
    assert epochs.ols.estimate > 1.0
    assert epochs.agrees is False


def test_an_effect_that_differs_between_models_is_seen_to_differ() -> None:
    rows = tables.rows(200)
    second = rows["model"] == tables.MODELS[1]
    rows.loc[second, "total_energy_joules"] *= rows.loc[second, "hyperparam_epochs"] ** -0.6
    epochs = effect(estimated(rows), "epochs")
    assert epochs.differ is not None
    assert epochs.differ < 1e-6
    slopes = {part.model: part.estimate for part in epochs.parts}
    assert slopes["examples/mnist"] - slopes["examples/mnist_rnn"] == pytest.approx(0.6, abs=0.06)
    alike = effect(estimated(tables.rows(200)), "epochs")
    assert alike.differ is not None
    assert alike.differ > 0.001


@pytest.mark.slow
def test_the_interval_holds_the_truth_in_nine_tables_of_ten_at_least() -> None:
    held = 0
    for seed in range(60):
        dml = effect(estimated(tables.rows(120, seed=seed), seed), "epochs").dml
        assert dml.lo is not None
        assert dml.hi is not None
        held += dml.lo <= tables.ELASTICITY <= dml.hi
    assert held >= 54


def test_few_runs_are_refused_with_the_number_needed() -> None:
    found = estimated(tables.rows(80))
    epochs = effect(found, "epochs")
    assert epochs.dml.estimate is None
    assert "at least 100" in epochs.dml.reason
    assert "at least 200" in epochs.forest.reason
    assert epochs.ols.estimate is not None
    assert found.sentences[0].key == "few_all"


def test_without_econml_the_forest_says_what_to_install() -> None:
    epochs = effect(estimated(tables.rows(220)), "epochs")
    assert epochs.forest.estimate is None
    assert "wattwhy[more]" in epochs.forest.reason
    assert "wattwhy[more]" in epochs.linear.reason
    assert epochs.dml.estimate is not None


def test_same_seed_same_numbers_and_no_number_hangs_on_the_order_of_rows() -> None:
    rows = tables.rows(120)
    assert estimated(rows) == estimated(rows)
    one, two = effect(estimated(rows), "epochs"), effect(estimated(rows.iloc[::-1]), "epochs")
    assert one.dml.estimate == pytest.approx(two.dml.estimate, rel=1e-9)


def test_without_joules_or_rows_it_says_so() -> None:
    rows = tables.rows(40).drop(columns=["estimate_codecarbon_joules"])
    rows["total_energy_joules"], rows["total_energy_status"] = np.nan, "unavailable"
    for found in (estimated(rows), estimated(rows.iloc[:0])):
        assert found.reason == "no joules exist for these runs"
        assert not found.effects
        assert "not tried" in render(found)


def test_a_factor_that_is_often_unknown_is_not_used() -> None:
    rows = tables.rows(160)
    rows.loc[rows.index % 4 < 2, "hyperparam_dropout"] = np.nan
    assert {e.factor for e in estimated(rows).effects} == {
        "design_epochs",
        "design_batch_size",
        "design_learning_rate",
    }


class Learner:
    """Stands in for econml's estimators: remembers what it was given, answers the slope of y on t."""

    made: list[Learner]

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.made.append(self)

    def fit(self, y: Any, t: Any, *, X: Any) -> None:
        self.y, self.t, self.x = y, t, X

    def ate_inference(self, *, X: Any, T0: float, T1: float) -> Any:
        slope = float(np.cov(self.t, self.y)[0, 1] / np.var(self.t, ddof=1)) * (T1 - T0)
        interval = (np.array([slope - 0.2]), np.array([slope + 0.2]))
        return SimpleNamespace(
            mean_point=np.array([slope]), stderr_mean=np.array([0.1]), conf_int_mean=lambda alpha: interval
        )

    def const_marginal_effect(self, x: Any) -> Any:
        return np.linspace(0.0, 1.0, len(x))[:, None]


def test_econml_is_given_what_came_before_training_and_its_answers_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Learner.made = []
    module = ModuleType("econml.dml")
    module.LinearDML = module.CausalForestDML = Learner  # type: ignore[attr-defined]
    monkeypatch.setattr(heterogeneity, "_econml", lambda: module)
    package = ModuleType("econml")
    package.__version__ = "0.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(importlib.sys.modules, "econml", package)  # type: ignore[attr-defined]
    found = estimated(tables.rows(220, models=("mnist",)), seed=3)
    epochs = effect(found, "epochs")
    assert found.econml == "0.0"
    assert epochs.linear.estimate == pytest.approx(tables.ELASTICITY, abs=0.05)
    assert epochs.forest.low == pytest.approx(0.1)
    assert epochs.forest.high == pytest.approx(0.9)
    assert {learner.options["random_state"] for learner in Learner.made} == {3}
    assert Learner.made[0].x.shape == (220, 3)
    assert np.abs(Learner.made[0].x.mean(axis=0)).max() < 1e-9
    fewer = effect(estimated(tables.rows(150)), "epochs")
    assert fewer.linear.estimate is not None
    assert fewer.forest.estimate is None


def render(found: Heterogeneity) -> str:
    return section.render("heterogeneity", found, heterogeneity=drawing.learning(found))


def test_the_page_shows_every_estimator_and_why_one_is_missing() -> None:
    found = estimated(tables.rows(220))
    page = render(found)
    assert '<section id="heterogeneity"' in page
    assert "econml is not installed" in page
    assert "examples/mnist_rnn" in page
    assert "0.9" in page


def test_the_figure_has_two_marks_a_line_inside_the_plot() -> None:
    found = estimated(tables.rows(120))
    figure = drawing.learning(found)
    assert figure is not None
    assert len(figure.lines) == sum(e.scale == "elasticity" for e in found.effects)
    for line in figure.lines:
        assert [mark.clear for mark in line.marks] == [True, False]
        assert all(figure.left <= m.lo <= m.x <= m.hi <= figure.width for m in line.marks)
    assert drawing.learning(replace(found, effects=())) is None


def test_an_interval_that_runs_on_beyond_the_plot_is_marked_as_cut() -> None:
    found = estimated(tables.rows(120))
    known = next(e for e in found.effects if e.scale == "elasticity")
    wide = replace(
        known, dml=replace(known.dml, lo=-9.0, hi=9.0), ols=replace(known.ols, estimate=7.0, hi=9.0)
    )
    figure = drawing.learning(replace(found, effects=(wide,)))
    assert figure is not None
    learned, least_squares = figure.lines[0].marks
    assert (learned.cut_lo, learned.cut_hi, learned.outside) == (True, True, False)
    assert (least_squares.cut_hi, least_squares.outside) == (True, True)
    page = section.render("heterogeneity", replace(found, effects=(wide,)), heterogeneity=figure)
    assert page.count('<path class="bar"') == 3
    assert page.count('<circle class="dot"') == 1
