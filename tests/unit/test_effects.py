"""Total effects: the truth is recovered, nulls stay null, impossible questions get a reason."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from causal_report import effects, regression, response, table
from tests.report import tables

if TYPE_CHECKING:
    from causal_report.findings import Effect

ENERGY = table.Column(name="total_energy_joules", label="energy", part="energy", log=True)


def _effects(frame: pd.DataFrame, *outcomes: table.Column) -> dict[tuple[str, str], Effect]:
    built = table.build([tables.source(frame)])
    found = effects.estimate(built.frame, built.of("design"), outcomes or (ENERGY,))
    return {(e.scope, e.factor.removeprefix("design_")): e for e in found}


def test_the_elasticity_of_epochs_is_recovered_with_its_interval() -> None:
    found = _effects(tables.rows(60))
    for scope in ("all models", "examples/mnist", "examples/mnist_rnn"):
        effect = found[scope, "epochs"]
        assert effect.lo is not None
        assert effect.hi is not None
        assert effect.lo < tables.ELASTICITY < effect.hi
        assert effect.hi - effect.lo < 0.15
        assert effect.q is not None
        assert effect.q < 0.001
    assert found["all models", "epochs"].plain == pytest.approx(100 * (2**0.9 - 1), abs=5)


def test_hyperparameters_without_effect_are_not_significant_after_correction() -> None:
    found = _effects(tables.rows(60))
    null = [e for (_, factor), e in found.items() if factor != "epochs"]
    assert {e.factor for e in null} == {"design_batch_size", "design_learning_rate", "design_dropout"}
    assert all(e.q is not None and e.q > 0.05 for e in null)


def test_intervals_cover_the_truth_at_their_rate() -> None:
    """HC3 on 40 rows of unequal noise: between 88 and 100 of 100 tables cover."""
    covered = 0
    for seed in range(100):
        effect = _effects(tables.rows(40, seed=seed, models=["mnist"], noise=0.2))["examples/mnist", "epochs"]
        covered += (effect.lo or 9.0) < tables.ELASTICITY < (effect.hi or -9.0)
    assert covered >= 88


def test_nothing_post_treatment_is_adjusted_for() -> None:
    """With duration on the right-hand side the slope of epochs would vanish; it must not."""
    frame = tables.rows(60)
    frame["energy_gpu_util_avg_percent"] = np.log(frame["duration_seconds"])  # a perfect mediator
    effect = _effects(frame)["all models", "epochs"]
    assert effect.estimate == pytest.approx(tables.ELASTICITY, abs=0.05)


def test_models_with_levels_of_their_own_do_not_bias_the_pooled_slope() -> None:
    """The dear model also trains longer: without model effects the slope would be far above the truth."""
    frame = tables.rows(60)
    dear = frame["model"] == "mnist_rnn"
    for name in ("total_energy_joules", "duration_seconds"):
        frame.loc[dear, name] *= 4**tables.ELASTICITY
    frame.loc[dear, "hyperparam_epochs"] *= 4
    assert _effects(frame)["all models", "epochs"].estimate == pytest.approx(tables.ELASTICITY, abs=0.05)


def test_a_seed_is_never_a_dose() -> None:
    assert not any(factor == "seed" for _, factor in _effects(tables.rows(30)))


def test_factors_that_only_move_together_get_a_reason_not_a_number() -> None:
    frame = tables.rows(40)
    frame["hyperparam_batch_size"] = frame["hyperparam_epochs"] * 8
    found = _effects(frame)
    twin = found["all models", "batch_size"]
    assert twin.estimate is None
    assert "together with other factors" in twin.reason


def test_too_few_rows_give_a_reason_not_a_number() -> None:
    found = _effects(tables.rows(6, models=["mnist"]))
    assert all(e.estimate is None and "too few" in e.reason for e in found.values())


def test_under_twenty_rows_is_exploratory() -> None:
    assert all(e.exploratory for e in _effects(tables.rows(16, models=["mnist"])).values())
    assert not any(e.exploratory for e in _effects(tables.rows(24, models=["mnist"])).values())


def test_a_hyperparameter_one_model_lacks_is_pooled_over_the_others() -> None:
    frame = tables.rows(90, models=["mnist", "mnist_rnn", "siamese"])
    frame.loc[frame["model"] == "mnist_rnn", "hyperparam_dropout"] = np.nan
    found = _effects(frame)
    assert found["all models", "dropout"].n == 60
    assert found["all models", "epochs"].n == 90
    assert ("examples/mnist_rnn", "dropout") not in found


@pytest.mark.parametrize("elsewhere", [np.nan, 0.25])
def test_a_factor_that_one_model_varies_rests_on_that_models_own_rows(elsewhere: float) -> None:
    frame = tables.rows(60)
    frame.loc[(frame["model"] == "mnist_rnn") | (frame.index > 23), "hyperparam_dropout"] = elsewhere
    frame = frame[(frame["model"] == "mnist_rnn") | (frame.index < 24)]
    found = _effects(frame)
    assert ("all models", "dropout") not in found
    own = found["examples/mnist", "dropout"]
    assert own.n == 12
    assert own.df <= 12 - 1 - 4
    assert found["all models", "epochs"].n == 42


def _two_sessions(n: int, gain: float) -> pd.DataFrame:
    """The second session trained four times as long on a machine that draws *gain* times as much."""
    parts = []
    for number, (epochs, factor) in enumerate([(1, 1.0), (4, gain)]):
        part = tables.rows(n, seed=number, models=["mnist"]).assign(session=f"run_{number}")
        part["experiment_id"] += f"_{number}"
        part["hyperparam_epochs"] *= epochs
        part["total_energy_joules"] *= factor * epochs**tables.ELASTICITY
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def test_a_second_machine_does_not_enter_the_slope() -> None:
    for frame in (_two_sessions(20, 10.0), _two_sessions(20, 10.0).assign(block=np.nan)):
        effect = _effects(frame)["examples/mnist", "epochs"]
        assert effect.estimate == pytest.approx(tables.ELASTICITY, abs=0.05)
        assert "session" in effect.method


def test_few_rows_lose_their_blocks_but_never_their_session() -> None:
    effect = _effects(_two_sessions(7, 10.0))["examples/mnist", "epochs"]
    assert "block" not in effect.method
    assert effect.estimate == pytest.approx(tables.ELASTICITY, abs=0.1)


def test_each_model_has_its_own_level_in_each_session() -> None:
    frame = pd.concat([_two_sessions(20, 10.0), _two_sessions(20, 0.2).assign(model="mnist_rnn")])
    effect = _effects(frame.reset_index(drop=True))["all models", "epochs"]
    assert effect.estimate == pytest.approx(tables.ELASTICITY, abs=0.05)
    assert "model × session" in effect.method


def test_what_only_differs_between_sessions_has_no_effect() -> None:
    frame = _two_sessions(20, 10.0)
    frame["hyperparam_batch_size"] = np.where(frame["session"] == "run_0", 16.0, 64.0)
    effect = _effects(frame)["examples/mnist", "batch_size"]
    assert effect.estimate is None
    assert "sessions" in effect.reason


def test_a_session_of_a_single_run_takes_no_interval_away() -> None:
    frame = tables.rows(30, models=["mnist"])
    frame.loc[0, "session"] = "run_other"
    effect = _effects(frame)["examples/mnist", "epochs"]
    assert effect.n == 29
    assert effect.lo is not None


def test_an_effect_on_two_rows_is_known_as_such() -> None:
    frame = tables.rows(40, models=["mnist"])
    frame["hyperparam_batch_size"] = 32.0
    frame.loc[[3, 20], "hyperparam_batch_size"] = [4096.0, 5000.0]
    top2 = _effects(frame)["examples/mnist", "batch_size"].top2
    assert top2 is not None
    assert top2 > 0.8


def test_an_empty_table_has_no_effects() -> None:
    assert _effects(tables.rows(60).iloc[:0]) == {}


def test_benjamini_hochberg_matches_the_textbook() -> None:
    assert regression.benjamini_hochberg([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.04, 0.04])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_q_is_never_below_p_and_keeps_its_order(p: list[float]) -> None:
    q = [value if value is not None else -1.0 for value in regression.benjamini_hochberg(p)]
    assert all(b >= a - 1e-12 and b <= 1 for a, b in zip(p, q, strict=True))
    order = np.argsort(p, kind="stable")
    assert all(q[i] <= q[j] + 1e-12 for i, j in pairwise(order))


def _status(frame: pd.DataFrame, status: str, reason: str = "") -> pd.DataFrame:
    return frame.assign(total_energy_status=status, total_energy_reason=reason)


def test_measured_joules_are_the_response_where_they_exist() -> None:
    chosen = response.choose(tables.rows(10))
    assert (chosen.column, chosen.status, chosen.n) == ("total_energy_joules", "measured", 10)


def test_partial_joules_are_the_response_only_for_one_common_reason() -> None:
    frame = _status(tables.rows(10), "partial", "cpu:dram:0 no-permission")
    assert response.choose(frame).status == "partial"
    frame["total_energy_reason"] = [f"reason {i}" for i in range(10)]
    assert response.choose(frame).status == "estimated"


def test_without_meters_the_estimate_keeps_its_own_name() -> None:
    frame = _status(tables.rows(10), "unavailable", "no-permission").assign(total_energy_joules=np.nan)
    chosen = response.choose(frame)
    assert (chosen.column, chosen.status) == ("estimate_codecarbon_joules", "estimated")
    assert chosen.label == "energy estimated by codecarbon"
    assert chosen.reason == "no-permission"


def test_other_estimators_are_taken_after_the_known_ones_and_never_in_part() -> None:
    frame = _status(tables.rows(10), "unavailable", "no-permission").assign(total_energy_joules=np.nan)
    frame = frame.assign(estimate_acme_joules=5.0, estimate_acme_status="estimated")
    assert response.choose(frame).estimator == "codecarbon"
    frame = frame.drop(columns="estimate_codecarbon_joules")
    chosen = response.choose(frame)
    assert (chosen.column, chosen.label) == ("estimate_acme_joules", "energy estimated by acme")
    frame.loc[frame.index[:3], "estimate_acme_status"] = "partial"
    assert response.rows(frame, chosen).sum() == response.choose(frame).n == 7
    assert response.choose(frame.assign(estimate_acme_status="partial")).status == "unavailable"


def test_without_any_joules_there_is_no_response() -> None:
    frame = _status(tables.rows(10), "unavailable", "no meter").assign(total_energy_joules=np.nan)
    chosen = response.choose(frame.drop(columns="estimate_codecarbon_joules"))
    assert (chosen.column, chosen.status) == ("", "unavailable")
    assert response.column(chosen) is None


def test_joules_with_a_status_but_no_reason_are_a_response() -> None:
    frame = _status(tables.rows(10), "partial").drop(columns="total_energy_reason")
    chosen = response.choose(frame)
    assert (chosen.status, chosen.reason, chosen.n) == ("partial", "", 10)
    assert response.rows(frame, chosen).all()


def test_a_reason_that_one_of_two_tables_lacks_is_empty() -> None:
    frame = _status(tables.rows(10), "unavailable").assign(total_energy_joules=np.nan)
    frame["total_energy_reason"] = np.nan
    assert response.choose(frame).reason == "no direct meter was recorded"


def test_models_are_said_to_differ_no_more_often_than_chance_allows() -> None:
    """Eleven models with one slope: the intervals of the extremes part in one table of nine."""
    rng = np.random.default_rng(0)
    blank = next(iter(_effects(tables.rows(30, models=["mnist"])).values()))
    t = float(student.ppf(0.975, 20))

    def drawn(shift: float) -> bool:
        spread = rng.uniform(0.5, 2.0, 11)
        found = spread * rng.normal(size=11) + shift * np.arange(11)
        error = spread * np.sqrt(rng.chisquare(20, 11) / 20)
        each = [
            replace(blank, estimate=float(b), lo=float(b - t * s), hi=float(b + t * s), df=20)
            for b, s in zip(found, error, strict=True)
        ]
        return effects.apart(each) is not None

    assert np.mean([drawn(0.0) for _ in range(200)]) <= 0.05
    assert np.mean([drawn(2.0) for _ in range(50)]) >= 0.95
