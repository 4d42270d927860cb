"""Pairs against their programs alone: the truth of made-up sessions is found, and nothing is made up."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal_report import concurrency, response, table
from causal_report.concurrency import contrast, overhead, pairs, saving
from causal_report.concurrency.contrast import Group
from causal_report.findings import Response
from causal_report.text import Text
from tests.report import paired, tables

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pandas as pd

    from causal_report.concurrency.pairs import Found
    from causal_report.findings.concurrency import Concurrency, ConcurrentPair
    from causal_report.sources.source import Source
    from causal_report.table import Table

TEXT = Text("en")
ORDERED = tuple(sorted(paired.COUPLES, key=lambda couple: (couple.a.name, couple.b.name)))
QUANTITIES = ("slowdown_a", "slowdown_b", "makespan", "saving")


def _read(source: Source) -> tuple[Table, Response]:
    whole = table.build([source])
    single = whole.frame[whole.frame["mode"] != "pair"]
    return whole, response.choose(single)


def _analysed(source: Source) -> Concurrency:
    whole, chosen = _read(source)
    return concurrency.analyse(whole, chosen, [source], TEXT)


def _found(source: Source) -> Found:
    return pairs.find(*_read(source), [source])


@cache
def _usual() -> Concurrency:
    return _analysed(paired.session())


@cache
def _single() -> Concurrency:
    return _analysed(paired.session(replicates=1))


def _pair(found: Concurrency, name: str) -> ConcurrentPair:
    return next(pair for pair in found.pairs if pair.name == name)


def _keys(found: Concurrency) -> list[str]:
    return [sentence.key for sentence in found.sentences]


def test_the_generator_writes_the_columns_of_the_plugin() -> None:
    frame = paired.session(replicates=1).frame
    extra = [c for c in frame if c not in paired.COLUMNS and not str(c).startswith(("hyperparam_", "perf_"))]
    assert extra == []
    assert set(paired.COLUMNS) <= set(frame)


@pytest.mark.parametrize("name", QUANTITIES)
def test_exact_rows_give_the_exact_truth(name: str) -> None:
    found = _analysed(paired.session(noise=0.0, replicates=1))
    for pair, couple in zip(found.pairs, ORDERED, strict=True):
        assert getattr(pair, name).value == pytest.approx(paired.over_settings(couple, name), rel=1e-9)
        for cell in pair.cells:
            treatment = _treatment(cell.setting_b)
            assert getattr(cell, name).value == pytest.approx(paired.truth(couple, treatment)[name], rel=1e-9)


def _treatment(label: str) -> dict[str, float]:
    if label == "defaults":
        return {}
    name, _, value = label.rpartition(" ")
    return {name.replace(" ", "_"): float(value)}


def test_both_definitions_of_overhead_are_given_and_differ() -> None:
    pair = _pair(_usual(), "mnist + densenet121")
    assert pair.slowdown_a.lo is not None
    assert pair.makespan.hi is not None
    assert pair.slowdown_a.lo > 0 > pair.makespan.hi


def test_joint_energy_is_not_summed_over_the_two_rows() -> None:
    source = paired.session(replicates=1)
    rows = source.frame[(source.frame["mode"] == "pair") & (source.frame["role"] == "a")]
    cells = [cell for pair in _single().pairs for cell in pair.cells]
    assert sum(cell.joint_j or 0.0 for cell in cells) == pytest.approx(rows["shared_energy_joules"].sum())


def test_runs_alone_that_pairs_share_count_once() -> None:
    pair = _pair(_usual(), "mnist + densenet121")
    assert (pair.slowdown_a.n, pair.slowdown_a.n_alone) == (15, 3)
    assert (pair.slowdown_b.n, pair.slowdown_b.n_alone) == (15, 15)


def test_the_wait_for_a_slow_loader_is_no_slowdown() -> None:
    source = paired.session(noise=0.0, replicates=1)
    frame = source.frame.copy()
    rows = (frame["mode"] == "pair") & (frame["role"] == "a")
    frame.loc[rows, "duration_seconds"] += 30.0
    frame.loc[rows, "barrier_wait_seconds"] = 30.0
    with_wait = _analysed(replace(source, frame=frame))
    for pair, couple in zip(with_wait.pairs, ORDERED, strict=True):
        assert pair.slowdown_a.value == pytest.approx(paired.over_settings(couple, "slowdown_a"))


def test_one_run_per_setting_gives_descriptions_and_says_so() -> None:
    found = _single()
    assert "concurrency.one_run" in _keys(found)
    for pair in found.pairs:
        for name in QUANTITIES:
            number = getattr(pair, name)
            assert number.value is not None
            assert (number.lo, number.hi, number.p, number.reason) == (None, None, None, contrast.ONE_RUN)
        assert pair.verdict == "open"
    assert all(one.change.p is None for one in found.sensitivities)
    assert {one.reason for one in found.anova if one.factor == "pair"} == {concurrency.anova.UNREPLICATED}


def test_a_table_without_pairs_is_told_so() -> None:
    source = tables.source(tables.rows())
    found = _analysed(source)
    assert found.reason == concurrency.NO_PAIRS
    assert _keys(found) == ["concurrency.none"]


def test_a_pair_with_one_usable_side_is_left_out_and_counted() -> None:
    source = paired.session(replicates=2)
    gone = (source.frame["mode"] == "pair") & (source.frame["role"] == "b") & (source.frame.index < 2)
    whole, chosen = _read(paired.without(source, gone))
    both = (source.frame["mode"] == "pair") & source.frame["experiment_id"].str.endswith("_004")
    usable = whole.where(~whole.frame["experiment_id"].isin(source.frame.loc[both, "experiment_id"]))
    found = concurrency.analyse(usable, chosen, [source], TEXT)
    assert dict(found.left_out) == {
        "only one side is usable": 1,
        "both sides failed or are flagged": int(both.sum()) // 2,
    }
    assert sum(pair.runs for pair in found.pairs) == 30 - 1 - int(both.sum()) // 2


def test_joules_that_hold_other_parts_than_those_alone_are_not_compared() -> None:
    source = paired.session(replicates=2)
    frame = source.frame.copy()
    frame.loc[frame["mode"] == "pair", "shared_energy_status"] = "partial"
    found = _analysed(replace(source, frame=frame))
    assert all(pair.saving.value is None for pair in found.pairs)
    assert all(pair.slowdown_a.value is not None for pair in found.pairs)
    assert _keys(found)[0] == "concurrency.no_energy"


def test_without_meters_the_estimator_is_compared_and_called_an_estimate() -> None:
    source = paired.session(replicates=2)
    frame = source.frame.copy()
    gone = [c for c in map(str, frame) if c.endswith("energy_joules") and not c.startswith("estimate")]
    frame[gone] = np.nan
    frame["total_energy_status"] = frame["shared_energy_status"] = "unavailable"
    found = _analysed(replace(source, frame=frame))
    assert found.energy == "estimated"
    assert "concurrency.estimated" in _keys(found)
    for pair, measured in zip(found.pairs, _analysed(source).pairs, strict=True):
        assert pair.saving.value == pytest.approx(measured.saving.value)


def test_runs_alone_come_from_an_equal_machine_only() -> None:
    source = paired.session(replicates=1)
    frame = source.frame.copy()
    alone = frame["mode"] == "alone"
    other = replace(source, name="run_alone", frame=frame[alone].assign(session="run_alone"))
    together = replace(source, frame=frame[~alone])
    whole = table.build([together, other])
    chosen = response.choose(whole.frame[whole.frame["mode"] != "pair"])
    found = concurrency.analyse(whole, chosen, [together, other], TEXT)
    assert found.pairs[0].saving.value is not None
    assert any("another session" in note for note in found.notes)
    host = {"host": {"cpus": 4, "cpu_model": "Other CPU"}}
    strange = replace(other, facts={**source.facts, **host})
    apart = concurrency.analyse(whole, chosen, [together, strange], TEXT)
    assert apart.pairs[0].saving.value is None
    assert apart.pairs[0].saving.reason == contrast.MISSING


def test_classes_follow_the_catalogue_then_what_was_measured_alone() -> None:
    traits = {pair.name: pair.traits for pair in _usual().pairs}
    assert traits["mnist + densenet121"].load_class == "complementary"
    assert traits["mnist + oast"].load_class == "competing"
    assert traits["mnist + densenet121"].memory_class == "low+high"
    source = paired.session(replicates=1)
    models = {name: {"memory": {"gpu_mib": 2000, "source": "guess"}} for name in ("mnist", "densenet121")}
    facts = {**source.facts, "catalogue": {"paired": {"models": models}}}
    found = _analysed(replace(source, facts=facts))
    known = _pair(found, "mnist + densenet121").traits
    assert (known.memory_class, known.memory_source) == ("medium+medium", "catalogue (guess)")
    assert _pair(found, "mnist + oast").traits.memory_source.startswith("peak GPU memory")


def test_pairs_are_judged_by_the_stated_rule() -> None:
    verdicts = {pair.name: pair.verdict for pair in _usual().pairs}
    assert verdicts == {
        "densenet121 + oast": "does not suit",
        "mnist + densenet121": "suits",
        "mnist + oast": "suits",
    }
    spoilt = replace(paired.COUPLES[0], shift=0.95)
    pair = _analysed(paired.session([spoilt])).pairs[0]
    assert pair.verdict == "does not suit"
    assert ("metrics within the margin", "no") in [(name, answer) for name, answer, _ in pair.rule]


def test_interference_finds_a_shifted_metric_and_no_other() -> None:
    spoilt = replace(paired.COUPLES[0], shift=0.97)
    found = _analysed(paired.session([spoilt]))
    first, second = found.pairs[0].interference
    assert (first.role, second.role) == ("a", "b")
    assert second.signed.value == pytest.approx(-0.03, abs=0.01)
    assert second.signed.q is not None
    assert second.signed.q < 0.01
    assert second.worse
    assert second.size == pytest.approx(0.03, abs=0.01)
    assert first.signed.lo is not None
    assert first.signed.hi is not None
    assert first.signed.lo < 0 < first.signed.hi


def test_anova_tells_pairs_apart_and_names_its_effect_size() -> None:
    tested = {one.outcome: one for one in _usual().anova if one.factor == "pair"}
    for one in tested.values():
        assert one.p is not None
        assert one.p < 0.001
        assert one.eta2 is not None
        assert one.omega2 is not None
        assert 0.9 < one.omega2 < one.eta2 <= 1
    assert all(one.reason for one in _usual().anova if one.factor == "load class")


def test_same_rows_give_the_same_findings_in_any_order() -> None:
    source = paired.session(replicates=2)
    shuffled = source.frame.sample(frac=1, random_state=3)
    assert asdict(_analysed(replace(source, frame=shuffled))) == asdict(_analysed(source))


def test_random_seeds_are_labels_and_no_settings() -> None:
    source = paired.session(replicates=2)
    frame = source.frame.copy()
    frame["hyperparam_seed"] = np.arange(len(frame), dtype=float)
    assert [len(pair.cells) for pair in _found(replace(source, frame=frame)).pairs] == [5, 5, 5]


def test_nothing_but_pairs_says_what_is_missing() -> None:
    source = paired.session(replicates=2)
    alone: pd.Series[bool] = source.frame["mode"] == "alone"
    whole = table.build([paired.without(source, alone)])
    none = Response(column="", label="", status="unavailable", reason="no meter", n=0, of=0)
    found = concurrency.analyse(whole, none, [source], TEXT)
    assert {pair.slowdown_a.reason for pair in found.pairs} == {contrast.MISSING}
    assert found.anova[0].reason


def test_a_contrast_is_welchs_interval() -> None:
    from scipy import stats

    one, two = (1.0, 2.0, 4.0), (3.0, 3.5, 5.0, 7.0)
    groups: dict[Hashable, Group] = {
        "x": Group(kind="x", values=one),
        "y": Group(kind="y", values=two, together=True),
    }
    found = contrast.estimate({"x": 1.0, "y": -1.0}, groups)
    test = stats.ttest_ind(one, two, equal_var=False)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.lo, found.hi) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert (found.n, found.n_alone) == (4, 3)


def test_replicates_without_scatter_are_not_tested() -> None:
    groups: dict[Hashable, Group] = {
        "x": Group(kind="x", values=(1.0, 1.0)),
        "y": Group(kind="y", values=(1.0, 1.0)),
    }
    found = contrast.estimate({"x": 1.0, "y": -1.0}, groups)
    assert (found.value, found.lo, found.hi, found.p, found.reason) == (0.0, 0.0, 0.0, None, contrast.SAME)


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """80 sessions of three pairs and three replicates; Monte-Carlo error of 240 draws: 1.4 points."""
    hits: dict[str, list[bool]] = {name: [] for name in QUANTITIES}
    for seed in range(80):
        for pairing, couple in zip(_found(paired.session(seed=100 + seed)).pairs, ORDERED, strict=True):
            numbers = (
                overhead.slowdown(pairing, "a")[0],
                overhead.slowdown(pairing, "b")[0],
                overhead.makespan(pairing)[0],
                saving.saving(pairing)[0],
            )
            for name, number in zip(QUANTITIES, numbers, strict=True):
                assert number.lo is not None
                assert number.hi is not None
                hits[name].append(number.lo <= paired.over_settings(couple, name) <= number.hi)
    coverage = {name: float(np.mean(found)) for name, found in hits.items()}
    print(coverage)
    assert all(0.89 <= share <= 0.99 for share in coverage.values()), coverage
