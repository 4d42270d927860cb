"""Whose the joint energy is, what one program's settings do to the other, and whether the best moves."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal_report import concurrency, response, table
from causal_report.concurrency import attribution, contrast
from causal_report.text import Text
from tests.report import paired

if TYPE_CHECKING:
    from causal_report.findings.concurrency import Concurrency, PairCross, PairSensitivity
    from causal_report.sources.source import Source

TEXT = Text("en")
BENT = replace(paired.COUPLES[0], bend=0.1)


def _analysed(source: Source) -> Concurrency:
    whole = table.build([source])
    chosen = response.choose(whole.frame[whole.frame["mode"] != "pair"])
    return concurrency.analyse(whole, chosen, [source], TEXT)


@cache
def _usual() -> Concurrency:
    return _analysed(paired.session())


@cache
def _exact() -> Concurrency:
    return _analysed(paired.session(noise=0.0, replicates=1))


@cache
def _bent() -> Concurrency:
    return _analysed(paired.session([BENT]))


def _sensitivity(found: Concurrency, factor: str, outcome: str) -> PairSensitivity:
    return next(
        one for one in found.sensitivities if (one.role, one.factor, one.outcome) == ("b", factor, outcome)
    )


def _cross(found: Concurrency, factor: str, outcome: str, method: str = "") -> PairCross:
    return next(
        one
        for one in found.crossings
        if (one.role, one.factor, one.outcome, one.attributed) == ("a", factor, outcome, method)
    )


@pytest.mark.parametrize("found", [_usual, _exact])
def test_every_method_sums_to_the_joint_measurement_and_keeps_to_its_bounds(found: object) -> None:
    shares = [one for pair in found().pairs for one in pair.attribution]  # type: ignore[operator]
    assert {one.method for one in shares} == set(attribution.METHODS)
    for one in shares:
        assert one.a_j + one.b_j == pytest.approx(one.joint_j, rel=1e-12)
        assert one.a_lo_j - 1e-6 <= one.a_j <= one.a_hi_j + 1e-6
        assert one.status == "estimated"


def test_the_true_share_lies_within_the_bounds_and_near_the_shapley_value() -> None:
    couples = sorted(paired.COUPLES, key=lambda couple: (couple.a.name, couple.b.name))
    for pair, couple in zip(_exact().pairs, couples, strict=True):
        true = paired.truth(couple, {})["a_j"]
        default = [one for one in pair.attribution if one.setting_b == "defaults"]
        for one in default:
            assert one.a_lo_j <= true <= one.a_hi_j
        shapley = next(one for one in default if one.method == "shapley")
        assert shapley.a_j == pytest.approx(true, rel=0.06)


def test_shapley_splits_evenly_what_equal_programs_take() -> None:
    twin = replace(paired.MNIST, name="twin")
    couple = paired.Couple(a=paired.MNIST, b=twin, slow_a=0.3, slow_b=0.3)
    found = _analysed(paired.session([couple], noise=0.0, replicates=1))
    equal = [one for one in found.pairs[0].attribution if one.setting_b == "defaults"]
    assert [one.a_share for one in equal] == pytest.approx([0.5] * 3)


def test_own_time_is_told_by_windows_and_guessed_without_them() -> None:
    source = paired.session(replicates=1)
    told = _analysed(source).pairs[1].attribution[0]
    guessed = _analysed(replace(source, readings=())).pairs[1].attribution[0]
    assert told.basis.endswith("as its windows say")
    assert guessed.basis.endswith("at its power alone")
    assert guessed.a_j == pytest.approx(told.a_j, rel=0.05)
    assert guessed.joint_j == told.joint_j


def test_windows_that_do_not_make_up_the_joint_are_not_used() -> None:
    source = paired.session(replicates=1)
    short = tuple({**r, "joules": r["joules"] / 2} for r in source.readings)
    one = _analysed(replace(source, readings=short)).pairs[0].attribution[0]
    assert one.basis.endswith("at its power alone")


def test_the_methods_disagreement_is_told() -> None:
    for pair in _usual().pairs:
        shares: dict[str, list[float]] = {}
        for one in pair.attribution:
            shares.setdefault(one.setting_b, []).append(one.a_share)
        assert pair.spread == pytest.approx(np.mean([max(s) - min(s) for s in shares.values()]))
        assert pair.spread


def test_without_joules_nothing_is_attributed() -> None:
    source = paired.session(replicates=2)
    frame = source.frame.copy()
    frame.loc[frame["mode"] == "pair", "shared_energy_joules"] = np.nan
    assert [pair.attribution for pair in _analysed(replace(source, frame=frame)).pairs] == [(), (), ()]


def test_sensitivity_alone_and_its_change_are_found() -> None:
    bent = _sensitivity(_bent(), "learning_rate", "test accuracy")
    assert bent.alone.value == pytest.approx(paired.DENSENET.by_rate, abs=0.01)
    assert bent.change.value == pytest.approx(0.1, abs=0.01)
    assert bent.change.lo is not None
    assert bent.change.hi is not None
    assert bent.change.lo <= 0.1 <= bent.change.hi
    assert bent.change.q is not None
    assert bent.change.q < 0.001
    other = _sensitivity(_bent(), "epochs", "test accuracy")
    assert other.alone.value == pytest.approx(paired.DENSENET.by_epochs, abs=0.02)
    assert other.change.q is not None
    assert other.change.q > 0.01
    assert any(s.key == "concurrency.sensitivity" for s in _bent().sentences)


def test_no_change_of_sensitivity_is_a_bound_in_words() -> None:
    words = next(s for s in _usual().sentences if s.key == "concurrency.sensitivity_none")
    assert "room for a change of ±" in words.text


def test_energy_of_one_program_in_a_pair_is_marked_as_estimated() -> None:
    assert all(one.estimated == (one.outcome == "energy") for one in _usual().sensitivities)
    assert {one.attributed for one in _usual().crossings if one.outcome == "energy"} == {
        "segments",
        "usage",
        "shapley",
    }


def test_the_partners_epochs_lengthen_a_competing_program_but_not_its_metric() -> None:
    found = _analysed(paired.session([paired.COUPLES[2]]))
    duration = _cross(found, "epochs", "duration")
    assert duration.slope.lo is not None
    assert duration.slope.lo > 0.1
    metric = _cross(found, "epochs", "test accuracy").slope
    assert metric.lo is not None
    assert metric.hi is not None
    assert metric.lo - 0.01 < 0 < metric.hi + 0.01
    assert _cross(found, "epochs", "energy", "shapley").slope.n == 15


def test_many_settings_run_once_are_tested_by_their_scatter() -> None:
    source = paired.session([paired.COUPLES[0]], replicates=4)
    frame = source.frame.copy()
    # each of the four replicates at a rate of its own: twenty settings, none of them twice
    spread = 1 + 0.1 * frame["replicate"].astype(float)
    late = (frame["role"] == "b") | (frame["model"] == "densenet121")
    frame.loc[late, "hyperparam_learning_rate"] *= spread[late]
    frame.loc[late, "hyperparam_epochs"] *= spread[late] ** 0.5
    found = _analysed(replace(source, frame=frame))
    one = _sensitivity(found, "learning_rate", "test accuracy")
    assert one.method.endswith("about the line")
    assert one.change.lo is not None
    assert one.change.df > 4


def test_the_best_setting_moves_where_the_slope_turns() -> None:
    by_outcome = {one.outcome: one for one in _bent().optima if one.role == "b"}
    accuracy = by_outcome["test accuracy"]
    assert (accuracy.alone, accuracy.together) == ("learning rate 0.02", "learning rate 0.5")
    assert accuracy.verdict == "moves"
    assert accuracy.gain.lo is not None
    assert accuracy.gain.lo > 0
    energy = by_outcome["energy"]
    assert (energy.alone, energy.verdict) == ("epochs 5", "same")
    assert energy.alone_support == 1.0


def test_of_settings_that_do_the_same_none_is_the_best() -> None:
    source = paired.session([paired.COUPLES[0]], replicates=2)
    frame = source.frame.copy()
    frame["perf_test_accuracy"] = 0.9
    found = _analysed(replace(source, frame=frame))
    assert {one.outcome for one in found.optima} == {"energy"}
    assert {one.signed.reason for one in found.pairs[0].interference} == {contrast.SAME}


def test_support_is_the_same_for_the_same_seed_only() -> None:
    source = paired.session(noise=0.3, replicates=2)
    whole = table.build([source])
    chosen = response.choose(whole.frame[whole.frame["mode"] != "pair"])
    supports = [
        [one.together_support for one in concurrency.analyse(whole, chosen, [source], TEXT, seed=seed).optima]
        for seed in (1, 1, 2)
    ]
    assert supports[0] == supports[1] != supports[2]
