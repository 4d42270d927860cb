"""Alone against with a load: each scenario is told from the others, and nothing stays nothing."""

from __future__ import annotations

import re
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from causal_report import modes
from causal_report.modes import interaction, main, rows, rules
from causal_report.text import Text
from tests.report import moded

pytestmark = pytest.mark.usefixtures("few_draws")
TEXT = Text("en")


@pytest.mark.parametrize("truth", get_args(moded.Truth))
def test_each_scenario_of_the_plan_is_told_from_the_others(truth: moded.Truth) -> None:
    verdict = moded.of(truth).verdicts[0]
    assert verdict.name == truth
    assert verdict.scenario == get_args(moded.Truth).index(truth) + 1
    assert "made" in verdict.sentence.text


@pytest.mark.slow
def test_tables_without_an_effect_of_the_mode_raise_few_alarms() -> None:
    """Four questions at 0.05 in all: of 60 tables, noise in one mode tripled, at most 7 (p < 0.03) alarm."""
    alarms = []
    for seed in range(60):
        frame = moded.rows("no effect", 96, seed=seed, louder=1.0 if seed % 2 else 3.0)
        verdict = moded.compared(frame).verdicts[0]
        if verdict.scenario not in (1, None):
            alarms.append((seed, verdict.name))
    print(f"{len(alarms)} alarms of 60: {alarms}")
    assert len(alarms) <= 7


def test_the_ratio_within_models_is_recovered_where_the_pooled_test_sees_nothing() -> None:
    found = moded.of("main effect only")
    whole = moded.effect(found, "total_energy_joules")
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
    first = moded.of("main effect only").sentences[0].text
    assert first.startswith("With a background load, energy is higher by ")
    assert "95 % interval" in first
    assert "60 runs alone, 60 with a load" in first
    assert "the load's own share included" in first


def test_metered_values_of_background_runs_are_said_to_hold_the_load() -> None:
    found = moded.of("no effect")
    assert moded.effect(found, "total_energy_joules").metered == "whole machine"
    assert moded.effect(found, "energy_gpu_util_avg_percent").metered == "whole machine"
    assert moded.effect(found, "duration_seconds").metered == "program"
    assert moded.effect(found, "perf_test_accuracy").metered == "program"


def test_raw_tests_and_effect_sizes_are_those_of_the_plan() -> None:
    from scipy import stats

    frame = moded.rows("main effect only", models=("only",))
    effect = moded.effect(moded.compared(frame), "duration_seconds")
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
    verdict = moded.compared(moded.rows("no effect", 40, noise=0.5)).verdicts[0]
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
    effect = moded.effect(moded.compared(frame), "duration_seconds")
    assert effect.lo is not None
    assert effect.hi is not None
    assert effect.lo < moded.RISE < effect.hi
    assert effect.hi - effect.lo < 0.1


def test_models_that_differ_in_their_ratio_are_said_to() -> None:
    frame = moded.rows("main effect only")
    changed = (frame["model"] == "large") & (frame["mode"] == "background")
    frame.loc[changed, ["duration_seconds", "total_energy_joules"]] *= np.exp(-2 * moded.RISE)
    effect = moded.effect(moded.compared(frame), "duration_seconds")
    assert effect.apart_p is not None
    assert effect.apart_p < 0.001
    assert effect.verdict != "clear"
    assert moded.compared(frame).verdicts[0].scenario == 2  # its models' own ratios say so


def test_a_slope_that_changes_is_measured_with_what_it_adds() -> None:
    found = next(
        i
        for i in moded.of("interaction").interactions
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
    fit = max(
        (smf.ols("y ~ x * m + b + r", made).fit(cov_type=kind, use_t=True) for kind in ("HC3", "nonrobust")),
        key=lambda each: each.bse["x:m"],
    )
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
    found = moded.compared(pd.concat([steep.iloc[few], flat.iloc[many]], ignore_index=True))
    pooled = [i for i in found.interactions if not i.model and i.factor == "design_epochs"]
    assert all(i.verdict != "clear" for i in pooled)


def test_factors_are_listed_by_what_they_move_in_each_mode() -> None:
    alone, loaded = moded.of("structure changes").drivers
    assert (alone.mode, loaded.mode) == ("alone", "background")
    assert alone.energy == ("epochs",)
    assert loaded.energy == ("batch size",)
    assert "batch size" in alone.bounded
    assert alone.shared == ("epochs",)
    assert loaded.shared == ()
    assert "epochs" in loaded.performance


@pytest.mark.parametrize("truth", ["interaction", "structure changes"])
def test_advice_is_given_by_mode_where_the_modes_differ(truth: moded.Truth) -> None:
    found = moded.of(truth)
    epochs = [a for a in found.advice if (a.factor, a.outcome) == ("design_epochs", "total_energy_joules")]
    assert [(a.mode, a.changes) for a in epochs] == [("alone", True), ("background", True)]
    rate = [a for a in found.advice if a.factor == "design_learning_rate"]
    assert not any(a.changes for a in rate)
    assert not any("learning rate ×2" in s.text for s in found.sentences)
    assert epochs[0].lo < 100 * (2**0.9 - 1) < epochs[0].hi
    assert any(re.search("epochs ×2 changes energy by .* choose it by mode", s.text) for s in found.sentences)


@pytest.mark.parametrize("truth", ["no effect", "main effect only"])
def test_one_piece_of_advice_serves_both_modes_otherwise(truth: moded.Truth) -> None:
    assert moded.of(truth).advice == ()


def test_one_mode_alone_is_a_reason_not_a_comparison() -> None:
    frame = moded.rows("no effect")
    found = moded.compared(frame[frame["mode"] == "alone"])
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
    verdict = moded.compared(few).verdicts[0]
    assert verdict.n_background < rules.LEAST
    assert verdict.scenario is None
    assert verdict.sentence.key == "modes.scenario_few"


def test_modes_in_sessions_of_their_own_are_said_to_be() -> None:
    frame = moded.rows("main effect only", models=("only",))
    frame["session"] = np.where(frame["mode"] == "alone", "monday", "friday")
    effect = moded.effect(moded.compared(frame), "duration_seconds")
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
    alone = moded.compared(moded.rows("no effect", repository="a", seed=5)).verdicts[0]
    both = pd.concat(
        [
            moded.rows("no effect", repository="a", seed=5),
            moded.rows("structure changes", repository="b", seed=6),
        ],
        ignore_index=True,
    )
    assert moded.compared(both).verdicts[0] == alone
