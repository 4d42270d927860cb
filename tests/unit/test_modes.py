"""Alone against with a load: each scenario is told from the others, and nothing stays nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd
import pytest

from causal_report import modes
from causal_report.findings.mediation import ModeDifference, ModeIndirect
from causal_report.modes import interaction, main, rows, rules, scenario, small
from causal_report.response import choose
from causal_report.sources import published
from causal_report.table import build
from causal_report.text import Text
from tests.report import moded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from causal_report.findings.modes import ModeEffect, Modes

TEXT = Text("en")
PUBLISHED = Path(__file__).resolve().parents[3] / "shared/data/training-energy/experiments.csv"


@pytest.fixture(autouse=True, scope="module")
def _few_draws() -> Iterator[None]:
    """Permutations have a test file of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "DRAWS", 19)
        yield


def _compared(frame: pd.DataFrame, differences: tuple[ModeDifference, ...] = ()) -> Modes:
    table, response, graphs = moded.built(frame)
    return modes.compare(table, response, graphs, differences, TEXT)


@cache
def _of(truth: moded.Truth) -> Modes:
    return _compared(moded.rows(truth))


def _effect(found: Modes, metric: str, model: str = "") -> ModeEffect:
    return next(e for e in found.effects if (e.metric, e.model) == (metric, model))


@pytest.mark.parametrize("truth", get_args(moded.Truth))
def test_each_scenario_of_the_plan_is_told_from_the_others(truth: moded.Truth) -> None:
    verdict = _of(truth).verdicts[0]
    assert verdict.name == truth
    assert verdict.scenario == get_args(moded.Truth).index(truth) + 1
    assert "made" in verdict.sentence.text


@pytest.mark.slow
def test_tables_without_an_effect_of_the_mode_raise_few_alarms() -> None:
    """Four questions at 0.05 in all: of 60 tables, noise in one mode tripled, at most 7 (p < 0.03) alarm."""
    alarms = []
    for seed in range(60):
        frame = moded.rows("no effect", 96, seed=seed, louder=1.0 if seed % 2 else 3.0)
        verdict = _compared(frame).verdicts[0]
        if verdict.scenario not in (1, None):
            alarms.append((seed, verdict.name))
    print(f"{len(alarms)} alarms of 60: {alarms}")
    assert len(alarms) <= 7


def test_the_ratio_within_models_is_recovered_where_the_pooled_test_sees_nothing() -> None:
    found = _of("main effect only")
    whole = _effect(found, "total_energy_joules")
    assert whole.lo is not None
    assert whole.hi is not None
    assert whole.lo < moded.RISE < whole.hi
    assert whole.hi - whole.lo < 0.1
    assert whole.welch_p is not None
    assert whole.welch_p > 0.05
    assert whole.hidden
    assert any("Pooling hides it" in s.text for s in found.sentences)
    assert "metered for the whole machine" in " ".join(s.text for s in found.sentences)


def test_intervals_of_the_ratio_cover_the_truth_at_their_rate() -> None:
    covered = 0
    for seed in range(60):
        table, response, _ = moded.built_without_graphs(
            moded.rows("main effect only", 60, seed=seed, louder=2)
        )
        frame, energy = rows.single(table), rows.costs(table, response)[0]
        parts = [part for _, part in frame.groupby("model_id")]
        found = main.combine([r for r, _ in (main.ratio(p, energy, rows.factors(table)) for p in parts) if r])
        assert found is not None
        lo, hi, _ = found.interval
        covered += lo < moded.RISE < hi
    assert covered >= 52


def test_the_first_sentence_answers_with_interval_and_n() -> None:
    first = _of("main effect only").sentences[0].text
    assert first.startswith("With a background load, energy is higher by +")
    assert "95 % interval" in first
    assert "60 runs alone, 60 with a load" in first


def test_metered_values_of_background_runs_are_said_to_hold_the_load() -> None:
    found = _of("no effect")
    assert _effect(found, "total_energy_joules").metered == "whole machine"
    assert _effect(found, "energy_gpu_util_avg_percent").metered == "whole machine"
    assert _effect(found, "duration_seconds").metered == "program"
    assert _effect(found, "perf_test_accuracy").metered == "program"


def test_raw_tests_and_effect_sizes_are_those_of_the_plan() -> None:
    from scipy import stats

    frame = moded.rows("main effect only", models=("only",))
    effect = _effect(_compared(frame), "duration_seconds")
    loaded, alone = (
        frame.loc[frame["mode"] == mode, "duration_seconds"].to_numpy() for mode in ("background", "alone")
    )
    assert effect.t_p == pytest.approx(stats.ttest_ind(loaded, alone).pvalue)
    assert effect.welch_p == pytest.approx(stats.ttest_ind(loaded, alone, equal_var=False).pvalue)
    spread = np.sqrt((loaded.var(ddof=1) + alone.var(ddof=1)) / 2)  # equal n
    assert effect.cohen_d == pytest.approx((loaded.mean() - alone.mean()) / spread)
    assert effect.hedges_g is not None
    assert effect.cohen_d is not None
    assert 0.98 < effect.hedges_g / effect.cohen_d < 1


def test_nothing_is_called_an_effect_without_being_bounded() -> None:
    """Few and noisy runs leave the question open: absence of evidence is no scenario 1."""
    verdict = _compared(moded.rows("no effect", 40, noise=0.5)).verdicts[0]
    assert verdict.scenario is None
    assert "left open" in verdict.sentence.text
    assert verdict.bound_pct is not None
    assert verdict.bound_pct > 10


def test_the_mode_is_adjusted_for_factors_recorded_only_where_changed() -> None:
    """Unrecorded values are one default a model: its level is found, and the interval stays narrow."""
    frame = moded.rows("main effect only", 120)
    default = np.arange(120) % 3 == 0
    change = (8 / frame["hyperparam_epochs"]) ** 0.8
    for name in ("duration_seconds", "total_energy_joules"):
        frame.loc[default, name] *= change[default]
    frame.loc[default, "hyperparam_epochs"] = np.nan
    effect = _effect(_compared(frame), "duration_seconds")
    assert effect.lo is not None
    assert effect.hi is not None
    assert effect.lo < moded.RISE < effect.hi
    assert effect.hi - effect.lo < 0.1


def test_models_that_differ_in_their_ratio_are_said_to() -> None:
    frame = moded.rows("main effect only")
    changed = (frame["model"] == "large") & (frame["mode"] == "background")
    frame.loc[changed, ["duration_seconds", "total_energy_joules"]] *= np.exp(-2 * moded.RISE)
    effect = _effect(_compared(frame), "duration_seconds")
    assert effect.apart_p is not None
    assert effect.apart_p < 0.001
    assert effect.verdict != "clear"
    assert _compared(frame).verdicts[0].scenario == 2  # its models' own ratios say so


def test_a_slope_that_changes_is_measured_with_what_it_adds() -> None:
    found = next(
        i
        for i in _of("interaction").interactions
        if not i.model and (i.factor, i.outcome) == ("design_epochs", "total_energy_joules")
    )
    assert found.lo is not None
    assert found.hi is not None
    assert found.lo < -0.5 < found.hi
    assert [s.mode for s in found.slopes] == ["alone", "background"]
    assert found.slopes[0].lo < 0.9 < found.slopes[0].hi
    assert found.slopes[1].lo < 0.4 < found.slopes[1].hi
    assert found.r2_gain is not None
    assert 0.0 < found.r2_gain < 0.2
    assert found.verdict == "clear"
    assert not found.switched


def test_the_interaction_is_the_regression_with_a_product() -> None:
    import statsmodels.formula.api as smf

    frame = moded.rows("interaction", models=("only",))
    table, response, _ = moded.built(frame)
    found = next(
        i
        for i in interaction.interactions(table, response)
        if (i.factor, i.outcome) == ("design_epochs", "duration_seconds")
    )
    made = pd.DataFrame(
        {
            "y": np.log(frame["duration_seconds"]),
            "x": np.log(frame["hyperparam_epochs"]),
            "m": (frame["mode"] == "background").astype(float),
            "b": np.log(frame["hyperparam_batch_size"]),
            "r": np.log(frame["hyperparam_learning_rate"]),
        }
    )
    fit = smf.ols("y ~ x * m + b + r", made).fit(cov_type="HC3", use_t=True)
    without = smf.ols("y ~ x + m + b + r", made).fit()
    assert found.estimate == pytest.approx(fit.params["x:m"])
    assert found.p == pytest.approx(fit.pvalues["x:m"], abs=1e-12)
    assert found.r2_gain == pytest.approx(fit.rsquared - without.rsquared)


def test_a_model_with_a_steep_slope_and_many_loads_is_no_interaction() -> None:
    """Slopes differ between models, and models differ in their share of loads; no slope changes by mode."""
    steep = moded.rows("no effect", 160, seed=3, models=("steep",))
    flat = moded.rows("no effect", 160, seed=4, models=("flat",))
    lift = np.log(steep["hyperparam_epochs"] / 8)
    for name in ("duration_seconds", "total_energy_joules"):
        steep[name] *= np.exp(0.8 * lift)
    few = [i for i in range(160) if steep["mode"].iloc[i] == "background" or i % 8 == 0]
    many = [i for i in range(160) if flat["mode"].iloc[i] == "alone" or i % 8 == 1]
    flat["experiment_id"] = "flat_" + flat["experiment_id"]
    found = _compared(pd.concat([steep.iloc[few], flat.iloc[many]], ignore_index=True))
    pooled = [i for i in found.interactions if not i.model and i.factor == "design_epochs"]
    assert all(i.verdict != "clear" for i in pooled)


def test_factors_are_listed_by_what_they_move_in_each_mode() -> None:
    alone, loaded = _of("structure changes").drivers
    assert (alone.mode, loaded.mode) == ("alone", "background")
    assert alone.energy == ("epochs",)
    assert loaded.energy == ("batch size",)
    assert "batch size" in alone.bounded
    assert alone.shared == ("epochs",)
    assert loaded.shared == ()
    assert "epochs" in loaded.performance


@pytest.mark.parametrize("truth", ["interaction", "structure changes"])
def test_advice_is_given_by_mode_where_the_modes_differ(truth: moded.Truth) -> None:
    found = _of(truth)
    epochs = [a for a in found.advice if (a.factor, a.outcome) == ("design_epochs", "total_energy_joules")]
    assert [(a.mode, a.changes) for a in epochs] == [("alone", True), ("background", True)]
    rate = [a for a in found.advice if a.factor == "design_learning_rate"]
    assert not any(a.changes for a in rate)
    assert not any("learning rate ×2" in s.text for s in found.sentences)
    assert epochs[0].lo < 100 * (2**0.9 - 1) < epochs[0].hi
    assert any(re.search("epochs ×2 changes energy by .* choose it by mode", s.text) for s in found.sentences)


@pytest.mark.parametrize("truth", ["no effect", "main effect only"])
def test_one_piece_of_advice_serves_both_modes_otherwise(truth: moded.Truth) -> None:
    assert _of(truth).advice == ()


def test_one_mode_alone_is_a_reason_not_a_comparison() -> None:
    frame = moded.rows("no effect")
    found = _compared(frame[frame["mode"] == "alone"])
    assert found.reason == "Modes cannot be compared: none of the 60 usable runs is with a background load."
    assert found.verdicts == ()
    assert found.sentences[0].text == found.reason


def test_without_joules_duration_answers() -> None:
    frame = moded.rows("main effect only")
    frame["total_energy_joules"] = np.nan
    frame["total_energy_status"] = "unavailable"
    table, response, _ = moded.built_without_graphs(frame)
    found = modes.compare(table, response, {}, (), TEXT)
    assert found.sentences[0].text.startswith("With a background load, duration is higher")
    assert found.verdicts[0].scenario == 2
    assert found.structures[0].reason == "there is no graph of the runs alone"


def test_a_group_with_a_handful_of_loads_is_only_described() -> None:
    frame = moded.rows("main effect only")
    few = frame[(frame["mode"] == "alone") | (np.arange(120) < 12)]
    verdict = _compared(few).verdicts[0]
    assert verdict.n_background < rules.LEAST
    assert verdict.scenario is None
    assert verdict.sentence.key == "modes.scenario_few"


def test_modes_in_sessions_of_their_own_are_said_to_be() -> None:
    frame = moded.rows("main effect only", models=("only",))
    frame["session"] = np.where(frame["mode"] == "alone", "monday", "friday")
    effect = _effect(_compared(frame), "duration_seconds")
    assert "each mode in sessions of its own" in effect.method


def test_the_order_of_rows_and_groups_does_not_matter() -> None:
    frame = pd.concat(
        [
            moded.rows("interaction", 96, repository="b", seed=1),
            moded.rows("main effect only", 48, repository="a", seed=2),
        ],
        ignore_index=True,
    )
    table, response, graphs = moded.built(frame)
    found = modes.compare(table, response, graphs, (), TEXT)
    shuffled = frame.sample(frac=1, random_state=7).reset_index(drop=True)
    table, response, _ = moded.built(shuffled)
    again = modes.compare(table, response, dict(reversed(graphs.items())), (), TEXT)
    assert again == found
    assert [v.group for v in found.verdicts] == ["a", "b"]


def test_a_verdict_does_not_depend_on_what_other_groups_show() -> None:
    alone = _compared(moded.rows("no effect", repository="a", seed=5)).verdicts[0]
    both = pd.concat(
        [
            moded.rows("no effect", repository="a", seed=5),
            moded.rows("structure changes", repository="b", seed=6),
        ],
        ignore_index=True,
    )
    assert _compared(both).verdicts[0] == alone


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
    found = _compared(frame)
    epochs = next(
        i
        for i in found.interactions
        if not i.model and (i.factor, i.outcome) == ("design_epochs", "duration_seconds")
    )
    assert epochs.verdict == "clear"
    assert found.verdicts[0].scenario == 2


def test_indirect_effects_that_differ_make_an_interaction() -> None:
    found = _compared(moded.rows("main effect only"), (_difference(0.001),))
    assert found.verdicts[0].scenario == 3
    assert found.verdicts[0].path_p == 0.001
    assert "indirect effects" in found.verdicts[0].sentence.text
    alone, loaded = found.drivers
    assert alone.paths == ("epochs → GPU utilisation, mean → energy",)
    assert loaded.paths == ()
    assert _compared(moded.rows("main effect only"), (_difference(0.5),)).verdicts[0].scenario == 2


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
