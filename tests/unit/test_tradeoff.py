"""Question 2: verdicts on known truth, fronts that hold, exchange rates, convergence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal_report import regression, response, table, tradeoff
from causal_report.figures import pareto as drawn
from causal_report.text import Text
from causal_report.tradeoff import factors, metric, pareto
from tests.report import section, tables

if TYPE_CHECKING:
    import pandas as pd

    from causal_report.findings.tradeoff import FactorVerdict, Tradeoff


def _built(frame: pd.DataFrame, better: str = "higher") -> table.Table:
    built = table.build([tables.source(frame)])
    columns = [replace(c, better=better) if c.part == "performance" else c for c in built.columns]
    return replace(built, columns=tuple(columns))


def _found(frame: pd.DataFrame, better: str = "higher", seed: int = 0) -> Tradeoff:
    built = _built(frame, better)
    return tradeoff.estimate(built, response.choose(built.frame), Text("en"), seed=seed)


def _four(n: int = 120, seed: int = 1) -> pd.DataFrame:
    """Epochs move both, batch size energy, learning rate performance, dropout neither."""
    rng = np.random.default_rng(seed)
    frame = tables.rows(n, seed=seed, models=["mnist"])
    logs = {name: np.log(frame[f"hyperparam_{name}"]) for name in ("epochs", "batch_size", "learning_rate")}
    energy = np.exp(0.9 * logs["epochs"] - 0.5 * logs["batch_size"] + 0.02 * rng.normal(size=n))
    frame["total_energy_joules"] = 100 * energy
    quality = 0.6 + 0.05 * logs["epochs"] + 0.04 * logs["learning_rate"] + 0.005 * rng.normal(size=n)
    frame["perf_test_accuracy"] = quality
    return frame


def _verdicts(found: Tradeoff, scope: str = "examples/mnist") -> dict[str, FactorVerdict]:
    return {v.factor.removeprefix("design_"): v for v in found.verdicts if v.scope == scope}


def test_each_kind_of_factor_gets_its_verdict() -> None:
    found = _verdicts(_found(_four()))
    assert {name: v.verdict for name, v in found.items()} == {
        "epochs": "trade-off",
        "batch_size": "energy only",
        "learning_rate": "performance only",
        "dropout": "neither",
    }


def test_only_what_leaves_every_metric_within_its_margin_is_said_to() -> None:
    frame = _four()
    said = {s.key: s.text for s in _found(frame).sentences}
    assert "doubling batch size in examples/mnist (test accuracy)" in said["energy_only"]
    assert "0.1 more of dropout in examples/mnist (test accuracy)" in said["neither"]
    frame["perf_map"] = 0.5 + 0.2 * np.random.default_rng(3).normal(size=len(frame))
    found = _found(frame)
    assert {v.verdict for v in found.verdicts if v.factor == "design_batch_size"} == {"energy only", "open"}
    assert "energy_only" not in {s.key for s in found.sentences}


def test_combinations_that_cannot_be_tested_are_counted() -> None:
    frame = _four()
    frame["perf_map"] = np.where(np.arange(len(frame)) < 3, 0.5, np.nan)
    found = _found(frame)
    untested = sum(v.energy is None for v in found.verdicts)
    assert untested > 0
    assert any(
        s.text.startswith(f"{untested} more combinations could not be tested") for s in found.sentences
    )


def test_where_lower_is_better_the_same_numbers_are_a_win() -> None:
    assert _verdicts(_found(_four(), better="lower"))["epochs"].verdict == "win-win"


def test_few_noisy_rows_leave_it_open_instead_of_calling_it_nothing() -> None:
    frame = _four(24)
    frame["total_energy_joules"] *= np.exp(np.random.default_rng(2).normal(size=24))
    found = _verdicts(_found(frame))
    assert found["dropout"].verdict == "open"
    assert found["dropout"].energy is not None
    assert found["dropout"].energy.state == "open"


def test_a_certain_effect_within_the_margin_is_bounded() -> None:
    frame = _four(400)
    frame["total_energy_joules"] *= frame["hyperparam_learning_rate"] ** 0.02  # 1.4 % for a doubling
    energy = _verdicts(_found(frame))["learning_rate"].energy
    assert energy is not None
    assert energy.p_zero < 0.001
    assert energy.state == "bounded"


def test_an_effect_at_the_margin_is_rarely_called_bounded() -> None:
    """The two one-sided tests hold their 5 % where the truth lies on the margin."""
    called = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=40)
        y = 0.05 * x + 0.1 * rng.normal(size=40)
        fit = regression.ols(y, {"x": x}, {})
        called += factors._test(fit, "x", 1.0, 0.05).p_bound < 0.05
    assert called <= 20


def test_what_a_factor_buys_for_more_energy_has_the_truth_in_its_interval() -> None:
    covered = 0
    for seed in range(40):
        exchange = _verdicts(_found(_four(60, seed)))["epochs"].exchange
        assert exchange is not None
        assert exchange.lo is not None
        assert exchange.hi is not None
        covered += exchange.lo < np.log(1.1) * 0.05 / 0.9 < exchange.hi
    assert covered >= 35


def test_a_ratio_over_something_that_may_be_zero_has_no_finite_interval() -> None:
    assert factors.fieller(1.0, 0.1, 0.01, 0.01, 0.0, 2.0) is None
    lo, hi = factors.fieller(1.0, 2.0, 0.01, 0.0, 0.0, 2.0) or (0.0, 0.0)
    assert (lo, hi) == pytest.approx((0.4, 0.6))


@pytest.mark.parametrize(
    ("name", "better", "rate"),
    [
        ("perf_eval_loss", "lower", False),
        ("perf_top5_accuracy", "higher", False),
        ("perf_rank1", "higher", False),
        ("perf_map", "higher", False),
        ("perf_error_rate", "lower", False),
        ("perf_eval_samples_per_second", "", True),
        ("perf_quux", "", False),
    ],
)
def test_a_direction_is_guessed_from_the_name_and_said_to_be(name: str, better: str, rate: bool) -> None:
    frame = tables.rows(20).rename(columns={"perf_test_accuracy": name})
    (_, known), *_ = metric.metrics(table.build([tables.source(frame)]))
    assert (known.better, known.rate) == (better, rate)
    assert known.guessed == (better != "")


def test_the_catalogues_direction_goes_before_the_name() -> None:
    ((_, known),) = metric.metrics(_built(tables.rows(20), better="lower"))
    assert (known.better, known.guessed) == ("lower", False)


def test_a_rate_gets_no_verdict() -> None:
    frame = tables.rows(40).rename(columns={"perf_test_accuracy": "perf_samples_per_second"})
    built = table.build([tables.source(frame)])
    found = tradeoff.estimate(built, response.choose(built.frame), Text("en"))
    assert found.verdicts == ()
    assert {s.key for s in found.sentences} == {"none", "rates"}


def _settings(noise: float = 0.01, replicates: int = 3, seed: int = 0) -> pd.DataFrame:
    """Four settings: cheap, good, both in between on the line, and one that is beaten by far."""
    rng = np.random.default_rng(seed)
    truth = {2.0: (100.0, 0.80), 4.0: (200.0, 0.88), 8.0: (400.0, 0.93), 16.0: (800.0, 0.85)}
    frame = tables.rows(4 * replicates, seed=seed, models=["mnist"])
    epochs = np.repeat(list(truth), replicates)
    frame = frame.assign(hyperparam_epochs=epochs, hyperparam_batch_size=32.0, hyperparam_dropout=0.1)
    frame["hyperparam_learning_rate"] = 0.1
    frame["total_energy_joules"] = [truth[e][0] * np.exp(noise * rng.normal()) for e in epochs]
    frame["perf_test_accuracy"] = [truth[e][1] + noise * rng.normal() for e in epochs]
    return frame


def test_the_front_is_what_nothing_beats() -> None:
    (front,) = _found(_settings()).fronts
    assert front.of == 4
    assert [s.words for s in front.settings if s.front] == ["epochs 2", "epochs 4", "epochs 8"]
    by = {s.words: s for s in front.settings}
    assert by["epochs 2"].probability > 0.99
    assert by["epochs 16"].probability < 0.01
    assert by["epochs 4"].energy_per_metric == pytest.approx(200 / 0.88, rel=0.05)
    assert "equal runs (8 d.f.)" in front.noise


def test_noise_as_large_as_the_differences_leaves_the_front_unsure() -> None:
    (front,) = _found(_settings(noise=0.5)).fronts
    assert all(0.02 < s.probability < 0.98 for s in front.settings)


def test_intervals_of_settings_hold_the_truth_at_their_rate() -> None:
    inside = 0
    for seed in range(100):
        (front,) = _found(_settings(noise=0.05, seed=seed)).fronts
        best = next(s for s in front.settings if s.words == "epochs 4")
        inside += best.energy_lo < 200.0 < best.energy_hi
    assert 88 <= inside <= 100


def test_settings_seen_once_take_their_noise_from_what_the_factors_leave() -> None:
    (front,) = _found(_four(40)).fronts
    assert front.of == 40
    assert "factors leave unexplained" in front.noise
    assert any(s.front for s in front.settings)


def test_a_front_equals_the_naive_search() -> None:
    rng = np.random.default_rng(3)
    energy, quality = rng.integers(0, 9, (2, 5, 30)).astype(float)
    found = pareto.undominated(energy, quality)
    for row in range(5):
        for i in range(30):
            e, q = energy[row], quality[row]
            beaten = (e <= e[i]) & (q >= q[i]) & ((e < e[i]) | (q > q[i]))
            twin = np.flatnonzero((e == e[i]) & (q == q[i]))[0] < i  # of equals one is kept
            assert found[row, i] == (not beaten.any() and not twin)


def test_two_settings_are_no_front() -> None:
    frame = _settings()
    (front,) = _found(frame[frame["hyperparam_epochs"] < 8]).fronts
    assert front.settings == ()
    assert "too few" in front.reason


def _learning(n: int, top: float) -> pd.DataFrame:
    """Accuracy rises with the logarithm of epochs up to *top* and not a bit more."""
    rng = np.random.default_rng(5)
    frame = tables.rows(n, seed=5, models=["mnist"])
    frame["hyperparam_epochs"] = np.round(np.exp(rng.uniform(np.log(4), np.log(64), n)))
    reached = np.log2(np.minimum(frame["hyperparam_epochs"], top))
    frame["perf_test_accuracy"] = 0.5 + 0.08 * reached + 0.005 * rng.normal(size=n)
    return frame


def test_saturation_is_found_after_the_curve_has_flattened_and_not_before() -> None:
    (flat,) = _found(_learning(120, top=16.0)).convergence
    assert flat.state == "saturated"
    assert flat.saturated_from is not None
    assert 16 <= flat.saturated_from <= 64
    assert flat.saturated_from == int(flat.saturated_from)
    (rising,) = _found(_learning(120, top=1000.0)).convergence
    assert rising.state == "gaining"
    assert rising.gain_most is not None
    assert rising.gain_most[1] < 0.08 < rising.gain_most[2]


def test_iterations_are_not_called_epochs() -> None:
    frame = _learning(120, top=4.0).rename(columns={"hyperparam_epochs": "hyperparam_max_iter"})
    found = _found(frame)
    (flat,) = found.convergence
    assert (flat.factor, flat.saturated_from) == ("design_max_iter", 4.0)
    (said,) = [s.text for s in found.sentences if s.key == "saturated"]
    assert "max iter from 4 on (examples/mnist)" in said
    assert "epochs" not in said


def test_epochs_after_convergence_are_counted() -> None:
    frame = _learning(60, top=16.0)
    frame["convergence_epoch"] = (frame["hyperparam_epochs"] / 2).clip(lower=1)
    (item,) = _found(frame).convergence
    assert item.share_after == pytest.approx(0.5)
    assert item.converged == 60


def test_the_same_seed_gives_the_same_findings_whatever_the_order_of_rows() -> None:
    frame = _four(40)
    one, two = _found(frame), _found(frame.iloc[::-1].reset_index(drop=True))
    assert _found(frame) == one
    shares = [{s.words: round(s.probability, 9) for s in found.fronts[0].settings} for found in (one, two)]
    assert shares[0] == shares[1]


@pytest.mark.parametrize("n", [0, 3])
def test_hardly_any_rows_give_no_verdict(n: int) -> None:
    found = _found(_four(40).iloc[:n])
    assert not any(v.energy for v in found.verdicts)
    assert found.sentences


def test_without_joules_duration_stands_in() -> None:
    frame = _four(40).drop(columns="estimate_codecarbon_joules")
    frame = frame.assign(total_energy_status="unavailable", total_energy_joules=np.nan)
    assert _found(frame).energy == "duration_seconds"


def test_marks_lie_in_the_plane_and_the_line_joins_the_front() -> None:
    found = _found(_settings())
    (plane,) = drawn.planes(found.fronts)
    assert all(plane.left <= mark.left <= mark.x <= mark.right <= plane.right for mark in plane.marks)
    assert plane.path.count("H") == 2
    assert [mark.kind for mark in plane.marks].count("beaten") == 1
    assert drawn.planes(()) == ()


@pytest.mark.parametrize("n", [120, 0])
def test_the_section_renders_with_everything_and_with_nothing(n: int) -> None:
    found = _found(_four().iloc[:n])
    page = section.render("tradeoff", found, tradeoff=drawn.planes(found.fronts))
    assert "Energy against performance" in page
    assert page.count("<svg") == len(drawn.planes(found.fronts))
