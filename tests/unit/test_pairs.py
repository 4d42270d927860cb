"""Pairs of models: the published study's counts come out, and each sampling keeps its promise."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.declare.pairs import METHODS, Pair, feasible, measured_percent, pair_of, sample
from energy_plugin.errors import UnknownNameError, UsageError

CATALOG = load_catalog()
STUDIED = [model for model in CATALOG.models() if model.name not in ("resnet110", "resnet1202")]
PAIRS = feasible(STUDIED, 9 * 1024, "study")


def named(a: str, b: str) -> Pair:
    return pair_of(CATALOG.model(a), CATALOG.model(b), "study")


def test_published_models_make_120_feasible_pairs_in_the_published_classes() -> None:
    assert len(STUDIED) == 16
    assert len(PAIRS) == 120
    assert Counter(pair.memory_class for pair in PAIRS) == {
        "low+low": 55,
        "low+medium": 44,
        "low+high": 11,
        "medium+medium": 6,
        "medium+high": 4,
    }
    assert max(pair.memory_mib for pair in PAIRS) == 5550


def test_memory_budget_rules_pairs_out() -> None:
    assert all(pair.memory_mib <= 2000 for pair in feasible(STUDIED, 2000, "study"))
    assert 0 < len(feasible(STUDIED, 2000, "study")) < 120
    assert feasible(STUDIED, 10, "study") == []


def test_own_figures_are_not_the_published_ones() -> None:
    assert len(feasible(STUDIED, 9 * 1024)) < 120


def test_load_class_follows_measured_utilisation_only() -> None:
    assert named("mnist", "densenet121").load_class == "complementary"
    assert named("densenet121", "MRT-OAST/default").load_class == "competing"
    assert measured_percent(CATALOG.model("resnet44")) is None
    assert named("mnist", "resnet44").load_class == "unknown"


@pytest.mark.parametrize("method", METHODS)
@given(n=st.integers(1, 130), seed=st.integers(0, 1000))
def test_sample_is_repeatable_without_repeats_and_of_the_size_asked(method: str, n: int, seed: int) -> None:
    chosen = sample(PAIRS, method, n, seed)
    assert [pair.paths for pair in chosen] == [pair.paths for pair in sample(PAIRS, method, n, seed)]
    assert len({pair.paths for pair in chosen}) == len(chosen) == min(n, 120)


@given(n=st.integers(5, 60), seed=st.integers(0, 1000))
def test_stratified_sample_has_every_class_in_proportion(n: int, seed: int) -> None:
    counts = Counter(pair.memory_class for pair in sample(PAIRS, "stratified", n, seed))
    sizes = Counter(pair.memory_class for pair in PAIRS)
    assert set(counts) == set(sizes)
    for name, size in sizes.items():
        # One each comes first, so a large class may lack what small ones were given.
        assert abs(counts[name] - size / 120 * n) <= 3, (name, counts)


def test_balanced_sample_uses_models_more_evenly_than_chance() -> None:
    def spread(method: str, seed: int) -> int:
        used = Counter(path for pair in sample(PAIRS, method, 24, seed) for path in pair.paths)
        return max(used.values()) - min(used.get(model.path, 0) for model in STUDIED)

    assert sum(spread("orthogonal", seed) for seed in range(20)) < sum(
        spread("random", seed) for seed in range(20)
    )


def test_practical_sample_is_of_measured_complementary_pairs_smallest_first() -> None:
    chosen = sample(PAIRS, "practical", 12)
    assert all(pair.load_class == "complementary" for pair in chosen)
    assert [pair.memory_mib for pair in chosen] == sorted(pair.memory_mib for pair in chosen)


def test_recommended_sample_is_half_practical_half_stratified() -> None:
    chosen = sample(PAIRS, "recommended", 12, seed=3)
    assert chosen[:6] == sample(PAIRS, "practical", 6)
    assert {pair.memory_class for pair in chosen[6:]} == {pair.memory_class for pair in PAIRS}


def test_representative_sample_takes_each_class_before_a_second_of_one() -> None:
    classes = {(pair.memory_class, pair.load_class) for pair in PAIRS}
    chosen = sample(PAIRS, "representative", len(classes))
    assert {(pair.memory_class, pair.load_class) for pair in chosen} == classes


def test_unknown_method_and_empty_sample_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'stratified'"):
        sample(PAIRS, "stratifed", 3)
    with pytest.raises(UsageError, match="n = 0"):
        sample(PAIRS, "random", 0)
