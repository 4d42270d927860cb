"""Question 1 beyond the slopes: power and time, plain units, interactions, single rows, unknown values."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from causal_report import effects, outcomes, response, table
from causal_report.figures import decomposition
from causal_report.text import Text
from tests.report import section, tables

if TYPE_CHECKING:
    from causal_report.findings.effects import Question1

ENERGY = table.Column(name="total_energy_joules", label="energy", part="energy", unit="J", log=True)


def _built(frame: pd.DataFrame) -> table.Table:
    return table.build([tables.source(frame)])


def _question1(frame: pd.DataFrame) -> Question1:
    built = _built(frame)
    return effects.question1(built, response.choose(built.frame), Text("en"))


def _powered(n: int, seed: int, *, power: float = 0.3) -> pd.DataFrame:
    """Duration ∝ epochs^0.9, mean power ∝ batch size^power: energy has both."""
    frame = tables.rows(n, seed=seed, models=["mnist"])
    gain = (frame["hyperparam_batch_size"] / 16) ** power
    frame["total_energy_joules"] *= gain
    frame["energy_gpu_total_joules"] *= gain
    return frame


def test_power_and_time_add_up_to_energy_exactly() -> None:
    built = _built(_powered(60, 1))
    for part in effects.decompose(built.frame, built.of("design"), [ENERGY]):
        assert part.energy is not None
        assert part.power is not None
        assert part.time is not None
        assert part.energy.estimate == pytest.approx(part.power.estimate + part.time.estimate, abs=1e-12)


def test_what_acts_through_time_and_what_through_power_is_told_apart() -> None:
    built = _built(_powered(80, 2))
    found = {p.factor: p for p in effects.decompose(built.frame, built.of("design"), [ENERGY])}
    epochs, batch = found["design_epochs"], found["design_batch_size"]
    assert epochs.time is not None
    assert epochs.time.lo < tables.ELASTICITY < epochs.time.hi
    assert abs(epochs.power.estimate if epochs.power else 1.0) < 0.02
    assert batch.power is not None
    assert batch.power.lo < 0.3 < batch.power.hi
    assert batch.power_share is None or batch.power_share > 0.9


def test_intervals_of_both_parts_cover_the_truth_at_their_rate() -> None:
    covered = {"power": 0, "time": 0}
    for seed in range(60):
        built = _built(_powered(36, seed))
        found = {p.factor: p for p in effects.decompose(built.frame, built.of("design"), [ENERGY])}
        for name, factor, truth in (("power", "batch_size", 0.3), ("time", "epochs", tables.ELASTICITY)):
            slope = getattr(found[f"design_{factor}"], name)
            covered[name] += slope.lo < truth < slope.hi
    assert all(52 <= count <= 60 for count in covered.values()), covered


def test_joules_per_epoch_are_those_of_the_model() -> None:
    frame = tables.rows(60, seed=3)
    price = np.where(frame["model"] == "mnist", 50.0, 700.0)
    rng = np.random.default_rng(0)
    frame["total_energy_joules"] = 100 + price * frame["hyperparam_epochs"] + rng.normal(size=60)
    built = _built(frame)
    found = effects.raw(built.frame, built.of("design"), [ENERGY])
    slopes = {e.scope: e.slope for e in found if e.factor == "design_epochs"}
    assert set(slopes) == {"examples/mnist", "examples/mnist_rnn"}
    for scope, truth in (("examples/mnist", 50.0), ("examples/mnist_rnn", 700.0)):
        slope = slopes[scope]
        assert slope is not None
        assert slope.lo < truth < slope.hi
        assert slope.hi - slope.lo < 2
    assert {e.per for e in found if e.factor == "design_dropout"} == {0.1}


def test_an_interaction_is_found_where_factors_were_varied_at_once() -> None:
    frame = tables.rows(80, seed=4, models=["mnist"])
    x, z = np.log(frame["hyperparam_epochs"]), np.log(frame["hyperparam_batch_size"])
    frame["total_energy_joules"] *= np.exp(0.4 * (x - x.mean()) * (z - z.mean()))
    built = _built(frame)
    found = effects.interactions(built.frame, built.of("design"), [ENERGY])
    clear = {(i.first, i.second): i.slope for i in found if i.slope and (i.slope.q or 1) < 0.05}
    assert list(clear) == [("design_epochs", "design_batch_size")]
    slope = clear["design_epochs", "design_batch_size"]
    assert slope is not None
    assert slope.lo < 0.4 < slope.hi


def _one_at_a_time(n: int = 48, *, recorded: bool = True) -> pd.DataFrame:
    """Each run changes one of three; the others keep their default, recorded or not."""
    frame = tables.rows(n, seed=6, models=["mnist"])
    names = ["hyperparam_epochs", "hyperparam_batch_size", "hyperparam_learning_rate"]
    defaults = dict(zip(names, (8.0, 32.0, 0.1), strict=True))
    epochs = frame["hyperparam_epochs"].copy()
    for place, name in enumerate(names):
        others = frame.index % 3 != place
        epochs = epochs.mask(others, 8.0) if name == names[0] else epochs
        frame.loc[others, name] = defaults[name] if recorded else np.nan
    frame["hyperparam_dropout"] = 0.1
    frame["total_energy_joules"] = 100 * epochs**0.9 * np.exp(0.01 * np.random.default_rng(1).normal(size=n))
    return frame


def test_factors_varied_one_at_a_time_have_no_interaction_and_it_is_said() -> None:
    found = _question1(_one_at_a_time())
    assert all(item.slope is None and "never varied together" in item.reason for item in found.interactions)
    assert "interactions_none" in {s.key for s in found.sentences}
    assert found.designs[0].one_at_a_time == 1.0
    assert all(1.0 <= value < 2.0 for value in found.designs[0].inflation.values())


def test_a_factor_that_is_recorded_only_where_it_was_changed_is_estimated_there() -> None:
    built = _built(_one_at_a_time(recorded=False))
    found = {e.factor: e for e in effects.estimate(built.frame, built.of("design"), [ENERGY])}
    epochs = found["design_epochs"]
    assert epochs.n == 16
    assert epochs.lo is not None
    assert epochs.hi is not None
    assert epochs.lo < 0.9 < epochs.hi
    assert "on the 16 of 48 runs where it is known" in epochs.method


def test_unknown_others_are_taken_up_by_an_indicator() -> None:
    frame = tables.rows(60, seed=7, models=["mnist"])
    default = np.arange(60) % 2 == 0  # half the runs did not record the batch size: a cheap default
    frame.loc[default, ["hyperparam_batch_size"]] = np.nan
    frame.loc[default, "total_energy_joules"] *= 0.1
    frame.loc[np.arange(60) % 5 < 3, "hyperparam_epochs"] = np.nan
    built = _built(frame)
    epochs = {e.factor: e for e in effects.estimate(built.frame, built.of("design"), [ENERGY])}[
        "design_epochs"
    ]
    assert epochs.n == 24
    assert epochs.lo is not None
    assert epochs.hi is not None
    assert epochs.lo < tables.ELASTICITY < epochs.hi
    assert epochs.hi - epochs.lo < 0.2
    assert "did not record batch size" in epochs.method


def test_values_filled_from_a_catalogue_are_counted() -> None:
    built = _built(tables.rows(40, models=["mnist"]))
    frame = built.frame.assign(filled_epochs=np.arange(40) < 13)
    found = effects.estimate(frame, built.of("design"), [ENERGY])
    assert "13 of epochs" in found[0].method


def test_each_repository_with_several_models_has_its_own_pooled_slope() -> None:
    parts = []
    for name, slope in (("examples", 0.9), ("others", 0.3)):
        part = tables.rows(60, seed=8).assign(repository=name)
        part["total_energy_joules"] *= part["hyperparam_epochs"] ** (slope - tables.ELASTICITY)
        part["experiment_id"] += name
        parts.append(part)
    built = _built(pd.concat(parts, ignore_index=True))
    found = {e.scope: e for e in effects.estimate(built.frame, built.of("design")[:1], [ENERGY])}
    assert found[effects.pooled_over("examples")].estimate == pytest.approx(0.9, abs=0.05)
    assert found[effects.pooled_over("others")].estimate == pytest.approx(0.3, abs=0.05)
    assert found[effects.POOLED].estimate == pytest.approx(0.6, abs=0.1)


def test_the_row_that_makes_an_effect_is_named_and_the_effect_does_not_stand() -> None:
    frame = tables.rows(30, seed=9, models=["mnist"])
    frame["hyperparam_batch_size"] = 32.0
    frame.loc[[3, 11], "hyperparam_batch_size"] = [16.0, 4096.0]
    frame["total_energy_joules"] *= np.where(frame.index == 11, 3.0, 1.0)
    built = _built(frame)
    found = [replace(e, q=0.01) for e in effects.estimate(built.frame, built.of("design"), [ENERGY])]
    left = {i.factor: i for i in effects.influence(built.frame, built.of("design"), [ENERGY], found)}
    batch = left.get("design_batch_size")
    assert batch is not None
    assert batch.experiment_id == frame.loc[11, "experiment_id"]
    assert not batch.survives
    assert left["design_epochs"].survives
    assert left["design_epochs"].block.startswith("run_made:")


def test_leaving_the_worst_row_out_by_hand_gives_the_estimate_that_is_told() -> None:
    built = _built(tables.rows(30, seed=10, models=["mnist"]))
    factors = built.of("design")
    found = effects.estimate(built.frame, factors, [ENERGY])
    (epochs,) = (
        i for i in effects.influence(built.frame, factors, [ENERGY], found) if i.factor == "design_epochs"
    )
    kept = built.frame[built.frame["experiment_id"] != epochs.experiment_id]
    again = {e.factor: e for e in effects.estimate(kept, factors, [ENERGY])}["design_epochs"]
    assert epochs.without_row == pytest.approx(again.estimate, abs=1e-9)


def test_the_answer_is_the_first_sentence_with_interval_and_runs() -> None:
    first = _question1(tables.rows(60)).sentences[0]
    assert first.key == "effect_doubling"
    assert "epochs" in first.text
    assert "95 % interval" in first.text
    assert "60 runs" in first.text


def test_an_effect_whose_p_is_too_small_for_a_float_is_the_clearest() -> None:
    frame = tables.rows(60)
    frame["total_energy_joules"] = 100 * frame["hyperparam_epochs"]
    found = _question1(frame)
    mine = [p for p in found.parts if (p.factor, p.outcome) == ("design_epochs", ENERGY.name)]
    assert {p.energy.q if p.energy else None for p in mine} == {0.0}
    assert found.sentences[0].key == "effect_doubling"
    assert any(s.key == "priced" for s in found.sentences)


@pytest.mark.parametrize("n", [0, 3])
def test_too_few_rows_give_an_answer_without_numbers(n: int) -> None:
    found = _question1(tables.rows(60).iloc[:n])
    assert found.sentences[0].key == "none"
    assert not any(part.energy for part in found.parts)


def test_without_joules_the_question_is_answered_for_duration() -> None:
    frame = tables.rows(60).drop(columns="estimate_codecarbon_joules")
    frame["total_energy_status"] = "unavailable"
    frame["total_energy_joules"] = np.nan
    found = _question1(frame)
    assert "duration" in found.sentences[0].text
    assert found.parts == ()


def test_the_order_of_rows_does_not_matter() -> None:
    frame = tables.rows(60)
    one, two = _question1(frame), _question1(frame.iloc[::-1].reset_index(drop=True))
    assert [s.text for s in one.sentences] == [s.text for s in two.sentences]


def test_bars_of_time_and_power_end_where_the_whole_is() -> None:
    found = _question1(_powered(80, 2))
    figure = decomposition.decomposition(found.parts)
    assert figure is not None
    row = next(r for r in figure.rows if "epochs" in r.words)
    assert row.time.x == pytest.approx(figure.zero, abs=0.2)
    signed = [bar.width if bar.x >= figure.zero - 0.2 else -bar.width for bar in (row.time, row.power)]
    assert figure.zero + sum(signed) == pytest.approx(row.x, abs=0.5)
    assert row.lo <= row.x <= row.hi
    assert decomposition.decomposition(()) is None


def test_the_section_renders_with_everything_and_with_nothing() -> None:
    for frame in (tables.rows(60), tables.rows(60).iloc[:0]):
        found = _question1(frame)
        page = _render(found)
        assert page.count("<section") == page.count("</section>") == 1
        assert Text("en")("question1.title") in page


def _render(found: Question1) -> str:
    return section.render("question1", found, question1=decomposition.decomposition(found.parts))


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_answered_with_one_fit_a_scope() -> None:
    frame = pd.concat([tables.rows(1000, seed=s) for s in range(100)], ignore_index=True)
    frame["session"] = "run_" + (frame.index // 10_000).astype(str)
    found = _question1(frame)
    epochs = next(p for p in found.parts if p.factor == "design_epochs" and p.scope == effects.POOLED)
    assert epochs.energy is not None
    assert epochs.energy.estimate == pytest.approx(tables.ELASTICITY, abs=0.005)
    assert math.isclose(epochs.energy.hi - epochs.energy.lo, 0.0, abs_tol=0.01)
    assert len(outcomes.performance(_built(frame.iloc[:10]))) == 1
