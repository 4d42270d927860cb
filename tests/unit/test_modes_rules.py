"""The rule of the scenarios, and what is done where a mode has few runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causal_report.findings.mediation import ModeDifference, ModeIndirect
from causal_report.findings.modes import ModeEdge, ModeStructure
from causal_report.modes import main, rows, scenario, small
from causal_report.response import choose
from causal_report.sources import published
from causal_report.table import build
from causal_report.text import Text
from tests.report import moded

pytestmark = pytest.mark.usefixtures("few_draws")
TEXT = Text("en")
PUBLISHED = Path(__file__).resolve().parents[3] / "shared/data/training-energy/experiments.csv"


def test_small_groups_are_answered_by_every_strategy_and_one_is_used() -> None:
    frame = pd.concat(
        [
            moded.rows("main effect only", 32, repository="tiny", seed=1),
            moded.rows("main effect only", 32, repository="mini", seed=2),
            moded.rows("main effect only", 160, repository="big", seed=3),
        ],
        ignore_index=True,
    )
    table, response, _ = moded.built(frame)
    found = [s for s in small.strategies(table, response, seed=0) if s.quantity == "level of energy"]
    assert {s.group for s in found} == {"tiny", "mini"}
    by = {s.strategy: s for s in found if s.group == "tiny"}
    assert set(by) == {"own", "merge", "exclude", "bootstrap"}
    assert [s.strategy for s in by.values() if s.used] == ["bootstrap"]
    for one in by.values():
        assert one.lo is not None
        assert one.hi is not None
        assert one.lo < moded.RISE < one.hi
    assert (by["merge"].n_alone, by["exclude"].n_alone) == (32, 80)
    assert by["bootstrap"].same_sign == 1.0
    assert by["bootstrap"].estimate == pytest.approx(by["own"].estimate)


def test_a_group_that_cannot_be_resampled_is_merged_and_one_without_loads_left_out() -> None:
    few = moded.rows("main effect only", 32, repository="few", seed=1)
    few = few[(few["mode"] == "alone") | (np.arange(32) < 8)]
    none = moded.rows("main effect only", 32, repository="none", seed=2)
    none = none[none["mode"] == "alone"]
    frame = pd.concat([few, none, moded.rows("main effect only", 60, seed=3)], ignore_index=True)
    table, response, _ = moded.built_without_graphs(frame)
    used = {
        s.group: s.strategy
        for s in small.strategies(table, response, seed=0)
        if s.used and s.quantity == "level of energy"
    }
    assert used == {"few": "merge", "none": "exclude", "made": "bootstrap"}


def _difference(p: float) -> ModeDifference:
    return ModeDifference(
        group="made",
        cause="design_epochs",
        mediator="energy_gpu_util_avg_percent",
        outcome="total_energy_joules",
        cause_label="epochs",
        mediator_label="GPU utilisation, mean",
        outcome_label="energy",
        alone=ModeIndirect(mode="alone", n=60, indirect=0.3, lo=0.2, hi=0.4, p=0.001),
        background=ModeIndirect(mode="background", n=60, indirect=0.0, lo=-0.1, hi=0.1, p=0.9),
        difference=-0.3,
        lo=-0.45,
        hi=-0.15,
        p=p,
        q=p,
    )


def test_a_change_of_slope_within_the_margin_is_not_made_into_an_interaction() -> None:
    """Clear, but so small that pooling misleads nobody: a doubling differs by 2 %."""
    frame = moded.rows("main effect only", 400, noise=0.01)
    loaded = frame["mode"] == "background"
    tilt = np.exp(0.03 * np.log(frame["hyperparam_epochs"] / 8)).where(loaded, 1.0)
    for name in ("duration_seconds", "total_energy_joules"):
        frame[name] *= tilt
    found = moded.compared(frame)
    epochs = next(
        i
        for i in found.interactions
        if not i.model and (i.factor, i.outcome) == ("design_epochs", "duration_seconds")
    )
    assert epochs.verdict == "clear"
    assert found.verdicts[0].scenario == 2


def test_indirect_effects_that_differ_make_an_interaction() -> None:
    found = moded.compared(moded.rows("main effect only"), (_difference(0.001),))
    assert found.verdicts[0].scenario == 3
    assert found.verdicts[0].path_p == 0.001
    assert "indirect effects" in found.verdicts[0].sentence.text
    alone, loaded = found.drivers
    assert alone.paths == ("epochs → GPU utilisation, mean → energy",)
    assert loaded.paths == ()
    assert moded.compared(moded.rows("main effect only"), (_difference(0.5),)).verdicts[0].scenario == 2


def test_several_questions_are_corrected_as_the_textbooks_do() -> None:
    from statsmodels.stats.multitest import multipletests

    p = [0.03, 0.001, 0.2, 0.04]
    assert scenario.holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))
    assert scenario.holm([None, 0.04, None]) == [None, 0.04, None]
    assert scenario.simes([0.01, 0.02, 0.9]) == pytest.approx(0.03)
    assert scenario.simes([None]) is None


def test_the_mean_over_models_counts_each_model_once() -> None:
    one = main.Ratio(estimate=0.2, se=0.1, df=20)
    other = main.Ratio(estimate=0.4, se=0.3, df=10)
    both = main.combine([one, other])
    assert both is not None
    assert both.estimate == pytest.approx(0.3)
    assert both.se == pytest.approx(np.hypot(0.1, 0.3) / 2)
    assert 10 < both.df < 20
    assert main.combine([]) is None
    assert main.apart([one]) is None


def test_a_small_group_whose_change_does_not_survive_resampling_is_left_open() -> None:
    table, response, _ = moded.built(moded.rows("main effect only", 60))
    effects = main.effects(table, response)
    again = next(s for s in small.strategies(table, response, seed=0) if s.strategy == "bootstrap")
    evidence = scenario.Evidence(
        group="made",
        n_alone=30,
        n_background=30,
        effects=effects,
        interactions=(),
        structure=None,
        paths=(),
        costs=frozenset(c.name for c in rows.costs(table, response)),
        energy="total_energy_joules",
        strategy=again,
    )
    assert scenario.judge(evidence, TEXT).scenario == 2
    shaky = replace(evidence, strategy=replace(again, same_sign=0.8))
    assert scenario.judge(shaky, TEXT).scenario is None


@pytest.mark.data
def test_on_the_published_table_the_load_costs_energy_mostly_through_time() -> None:
    if not PUBLISHED.exists():
        pytest.skip("the published table is not beside the checkout")
    table = build([published.read(PUBLISHED)])
    table = table.where(table.frame["training_success"])
    response = choose(table.frame)
    effects = main.effects(table, response)
    energy, duration = (
        next(e for e in effects if (e.group, e.metric) == (main.EVERYWHERE, metric))
        for metric in ("total_energy_joules", "duration_seconds")
    )
    assert energy.welch_p is not None
    assert energy.welch_p > 0.05  # pooled, nothing is seen
    assert energy.hidden
    assert energy.lo is not None
    assert energy.lo > 0
    assert duration.lo is not None
    assert duration.lo > 0
    groups = [e for e in effects if not e.model and e.metric == "duration_seconds"]
    assert len({e.group for e in groups}) == 7


@pytest.mark.parametrize(("rise", "expected"), [(0.3, "could not be asked"), (0.0, "within the margin")])
def test_where_no_factor_is_known_nothing_is_said_of_what_factors_do(rise: float, expected: str) -> None:
    frame = moded.rows("main effect only")
    frame = frame.drop(columns=[name for name in map(str, frame) if name.startswith("hyperparam_")])
    level = rise * (frame["mode"] == "background") + 0.05 * np.random.default_rng(0).normal(size=len(frame))
    frame["duration_seconds"] = 100 * np.exp(level)
    for name in [n for n in map(str, frame) if n.endswith("_joules")]:
        frame[name] = 5000 * np.exp(level)
    verdict = moded.compared(frame).verdicts[0]
    assert verdict.scenario == (2 if rise else None)
    assert expected in verdict.sentence.text
    assert "serves both modes." not in verdict.meaning.text


def test_only_what_was_set_can_change_the_structure() -> None:
    """A temperature that goes with energy in one mode is no strategy to choose by mode."""
    edge = ModeEdge(
        parent="energy_gpu_temp_avg_celsius",
        parent_label="GPU temperature",
        child="total_energy_joules",
        child_label="energy",
        where="alone only",
        exact_alone=0.99,
        exact_background=0.01,
        difference=-0.98,
        difference_p=0.01,
        dibs_alone=None,
        dibs_background=None,
        ols_alone=0.8,
        ols_background=0.0,
        strength=-0.8,
        strength_p=0.001,
        strength_q=0.001,
        changed=True,
    )
    structure = ModeStructure(group="made", edges=(edge, replace(edge, parent="design_epochs")))
    evidence = scenario.Evidence(
        group="made",
        n_alone=30,
        n_background=30,
        effects=(),
        interactions=(),
        structure=structure,
        paths=(),
        costs=frozenset({"total_energy_joules"}),
        energy="total_energy_joules",
        strategy=None,
    )
    assert [e.parent for e in scenario.one_mode_edges(evidence)] == ["design_epochs"]


def test_a_table_without_any_duration_is_compared_in_the_rest() -> None:
    frame = moded.rows("main effect only", repository="a")
    other = moded.rows("main effect only", repository="b", seed=2)
    both = pd.concat([frame, other], ignore_index=True).assign(duration_seconds=np.nan)
    found = moded.compared(both)
    assert {e.metric for e in found.effects} >= {"total_energy_joules"}
    assert "duration_seconds" not in {e.metric for e in found.effects}
