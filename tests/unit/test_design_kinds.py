"""Factorials, orthogonal arrays, latin hypercubes and explicit runs: what each promises, on any numbers."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_plugin.declare.arrays import PRIMES, factorial, latin_hypercube, orthogonal
from energy_plugin.declare.catalog import Catalog, load_catalog
from energy_plugin.declare.collect import Declaration, Defaults, expand
from energy_plugin.declare.design import (
    Design,
    explicit,
    joint,
    one_at_a_time,
)
from energy_plugin.declare.design import factorial as factorial_design
from energy_plugin.declare.design import latin_hypercube as hypercube_design
from energy_plugin.declare.design import orthogonal as orthogonal_design
from energy_plugin.errors import UsageError

CATALOG: Catalog = load_catalog()
MNIST = CATALOG.model("examples/mnist")
MODELS = st.sampled_from([model for model in CATALOG.models() if len(model.hyperparameters) >= 3])
NONE = Defaults(seed=0, limit=None, mutate=(), runs=1)


@given(factors=st.integers(1, 9), levels=st.sampled_from(PRIMES[:4]))
def test_orthogonal_array_holds_every_pair_of_levels_equally_often(factors: int, levels: int) -> None:
    rows = orthogonal(factors, levels)
    for i, j in itertools.combinations(range(factors), 2):
        seen = Counter((row[i], row[j]) for row in rows)
        assert len(seen) == levels**2
        assert len(set(seen.values())) == 1


def test_orthogonal_array_is_the_smallest_of_its_family() -> None:
    assert [len(orthogonal(n, 2)) for n in (2, 3, 4, 7, 8)] == [4, 4, 8, 8, 16]
    assert [len(orthogonal(n, 3)) for n in (2, 4, 5, 13)] == [9, 9, 27, 27]


@given(n=st.integers(1, 40), factors=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_latin_hypercube_has_one_point_in_every_slice_of_every_axis(n: int, factors: int, seed: int) -> None:
    points = latin_hypercube(n, factors, seed)
    assert points == latin_hypercube(n, factors, seed)
    for axis in zip(*points, strict=True):
        assert sorted(int(x * n) for x in axis) == list(range(n))


def test_factorial_is_every_combination_once() -> None:
    treatments = factorial_design(values={"epochs": [1, 2], "batch_size": [16, 32, 64]}).treatments(MNIST, 0)
    assert {(t["epochs"], t["batch_size"]) for t in treatments} == set(
        itertools.product((1, 2), (16, 32, 64))
    )
    assert len(treatments) == len(factorial([2, 3])) == 6


@given(model=MODELS, seed=st.integers(0, 10**6), n=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_every_kind_keeps_to_the_ranges_is_unique_and_repeatable(model: Any, seed: int, n: int) -> None:
    designs: list[Design] = [
        one_at_a_time(n=n, default=False),
        joint(n=n),
        hypercube_design(n=n),
        factorial_design(),
        orthogonal_design(),
    ]
    for design in designs:
        treatments = design.treatments(model, seed)
        assert treatments == design.treatments(model, seed)
        assert treatments
        assert all(treatments.count(t) == 1 for t in treatments)
        for name, value in (item for t in treatments for item in t.items()):
            span = model.hyperparameters[name].ranges["default"]
            assert span.low <= float(value) <= span.high, (design.kind, name, value)


@given(seed=st.integers(0, 10**6))
def test_drawn_designs_never_repeat_the_default(seed: int) -> None:
    for design in (one_at_a_time(n=8, default=False), joint(n=8), hypercube_design(n=8)):
        for treatment in design.treatments(MNIST, seed):
            assert any(MNIST.hyperparameters[name].default != value for name, value in treatment.items())


@given(seed=st.integers(0, 10**6))
def test_a_model_more_changes_no_draw_of_another(seed: int) -> None:
    given_ = Defaults(seed=seed, limit=None, mutate=(), runs=1)
    alone = expand(Declaration(select=("mnist",), design=joint(n=3)), CATALOG, given_)
    among = expand(Declaration(select=("mnist", "resnet20"), design=joint(n=3)), CATALOG, given_)
    assert [case.id for case in among if case.programs[0].model == "mnist"] == [case.id for case in alone]


def test_whole_numbers_are_drawn_with_the_ends_as_likely_as_the_middle() -> None:
    seen = Counter(joint("epochs", n=1).treatments(MNIST, seed)[0]["epochs"] for seed in range(4000))
    expected = 4000 * len(seen) / 10 / len(seen)  # 5..15 without the default 14
    assert set(seen) == set(range(5, 16)) - {14}
    # 10 cells of 400 expected (the redraw after a 14 spreads evenly): five standard deviations
    assert all(abs(count - expected) < 5 * 20 for count in seen.values()), seen


def test_named_ranges_of_the_concurrency_study_are_factors_of_the_default() -> None:
    design = one_at_a_time("epochs", "learning_rate", levels=2, ranges="concurrency", default=False)
    treatments = design.treatments(MNIST, 0)
    assert [t["epochs"] for t in treatments if "epochs" in t] == [7, 21]
    assert [t["learning_rate"] for t in treatments if "learning_rate" in t] == pytest.approx([0.2, 5.0])


def test_all_takes_in_what_only_the_design_gives_a_range() -> None:
    model = CATALOG.model("pytorch_resnet_cifar10/resnet20")
    assert not model.hyperparameters["batch_size"].ranges
    drawn = joint("all", n=3, ranges={"batch_size": [16, 128]}).treatments(model, 0)
    assert all(16 <= float(t["batch_size"]) <= 128 and "seed" in t for t in drawn)


def test_explicit_runs_are_taken_as_given_by_name_or_role() -> None:
    design = explicit({"epochs": 3}, {"epochs": 3, "learning_rate": 0.5}, {"epochs": 3})
    assert design.treatments(MNIST, 0) == [{"epochs": 3}, {"epochs": 3, "learning_rate": 0.5}]


def test_whole_numbers_of_a_log_range_have_ends_as_likely_as_their_neighbours() -> None:
    design = joint("epochs", n=1, ranges="concurrency")  # 7 to 21 around 14
    seen = Counter(design.treatments(MNIST, seed)[0]["epochs"] for seed in range(4000))
    total = math.log(21.5 / 6.5) - math.log(14.5 / 13.5)
    for value in set(range(7, 22)) - {14}:
        expected = 4000 * math.log((value + 0.5) / (value - 0.5)) / total
        assert abs(seen[value] - expected) < 5 * math.sqrt(expected), (value, seen[value], expected)
    assert set(seen) == set(range(7, 22)) - {14}


@given(low=st.floats(1, 40), width=st.floats(0.01, 9), levels=st.integers(1, 12), seed=st.integers(0, 999))
def test_whole_numbers_stay_inside_of_ends_that_are_none(
    low: float, width: float, levels: int, seed: int
) -> None:
    high = low + width
    designs = [one_at_a_time("epochs", default=False, ranges={"epochs": [low, high]}, levels=levels)]
    designs += [joint("epochs", n=3, ranges={"epochs": [low, high]})]
    for design in designs:
        if math.ceil(low) > math.floor(high):
            with pytest.raises(UsageError, match="no whole number of epochs is in"):
                design.treatments(MNIST, seed)
        else:
            assert all(low <= float(one["epochs"]) <= high for one in design.treatments(MNIST, seed))


def test_a_range_with_too_few_values_is_told_and_gives_what_it_has() -> None:
    told: list[str] = []
    assert len(joint("epochs", n=50).treatments(MNIST, 0, told.append)) == 10
    assert len(one_at_a_time("epochs", n=50, default=False).treatments(MNIST, 0, told.append)) == 10
    assert len(hypercube_design("epochs", n=50).treatments(MNIST, 0, told.append)) == 10
    assert len(factorial_design("epochs", levels=50).treatments(MNIST, 0, told.append)) == 11
    assert told == [
        "examples/mnist: only 10 treatments beside the base for n = 50 (epochs)",
        "examples/mnist: epochs has only 10 values beside its base for n = 50",
        "examples/mnist: only 10 treatments beside the base for n = 50 (epochs)",
        "examples/mnist: epochs has only 11 whole numbers for 50 levels",
    ]
    told.clear()
    assert len(joint(n=2500).treatments(MNIST, 0, told.append)) == 2500
    assert not told


def test_own_levels_of_one_go_with_draws_of_the_others() -> None:
    design = one_at_a_time("epochs", "learning_rate", values={"epochs": [1, 2]}, n=3, default=False)
    made = design.treatments(MNIST, 0)
    assert [one["epochs"] for one in made if "epochs" in one] == [1, 2]
    assert len([one for one in made if "learning_rate" in one]) == 3


def test_a_hyperparameter_named_twice_is_one_factor() -> None:
    bug = CATALOG.model("bug-localization-by-dnn-and-rvsm/default")
    once = orthogonal_design("epochs", "alpha", levels=2).treatments(bug, 0)
    assert orthogonal_design("epochs", "max_iter", "alpha", levels=2).treatments(bug, 0) == once
    with pytest.raises(UsageError, match=r"values.max_iter = \[2\]: .* calls that max_iter, which"):
        factorial_design(values={"epochs": [1], "max_iter": [2]}).treatments(bug, 0)


def test_what_only_repeats_the_base_is_the_base() -> None:
    grid = factorial_design(values={"epochs": [7, 14], "batch_size": [16, 32]}, default=True)
    made = grid.treatments(MNIST, 0)
    assert made[0] == {}
    assert {"epochs": 14, "batch_size": 32} not in made
    assert len(made) == 4
    assert explicit({"epochs": 14}, {"epochs": 3}, default=True).treatments(MNIST, 0) == [{}, {"epochs": 3}]
    own = explicit({"epochs": 14}, {"epochs": 3}, default=True, base={"epochs": 3})
    assert own.treatments(MNIST, 0) == [{}, {"epochs": 14}]


def test_replicates_of_the_base_run_the_base() -> None:
    design = joint("epochs", n=2, base_replicates=4)
    cases = expand(Declaration(select=("mnist",), design=design), CATALOG, NONE)
    assert Counter(case.programs[0].label for case in cases)["default"] == 4


def test_default_can_be_replicated_more_than_the_treatments() -> None:
    design = one_at_a_time("epochs", levels=2, base_replicates=5)
    cases = expand(Declaration(select=("mnist",), design=design, replicates=2), CATALOG, NONE)
    assert Counter(case.programs[0].label for case in cases)["default"] == 5
    assert len(cases) == 5 + 2 * 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: orthogonal_design(levels=4), "prime number of levels"),
        (lambda: orthogonal_design(values={"epochs": [1, 2], "batch_size": [1, 2, 3]}), "as many levels"),
        (lambda: factorial_design("epochs", "batch_size", "learning_rate", levels=100), "combinations"),
        (lambda: hypercube_design(n=0), "n = 0"),
        (explicit, "at least one table"),
        (lambda: explicit({"epochs": "many"}), "must be a number"),
        (lambda: explicit({"epochs": 1.5}), "must be a whole number"),
        (lambda: explicit({"epoch": 1}), "Did you mean 'epochs'"),
        (lambda: factorial_design(values={"epochs": []}), "must be a list of numbers"),
        (lambda: explicit({"epochs": 0}), "epochs = 0: must be at least 1"),
        (lambda: explicit({"batch_size": -16}), "batch_size = -16: must be at least 1"),
        (lambda: joint("epochs", n=2, ranges={"epochs": [-4, 4]}), "takes 1 at least"),
        (lambda: joint("epochs", n=2, base_replicates=3, default=False), "the base is not run at all"),
        (lambda: joint("epochs", n=2, ranges={"batch_size": [1, 2]}), "batch_size is not changed by this"),
        (lambda: factorial_design("epochs", values={"batch_size": [1, 2]}), "add it to names"),
        (lambda: explicit({"epochs": 3}, ranges="concurrency"), "ranges = 'concurrency': a design of kind"),
        (lambda: explicit({"learning_rate": 10**400}), "must be a number"),
        (lambda: Design(kind="joint", values={"epochs": [1]}), ""),
    ],
)
def test_design_that_cannot_be_is_refused_with_its_reason(wrong: Any, message: str) -> None:
    if not message:
        from energy_plugin.declare.impossible import checked

        with pytest.raises(UsageError, match="kind joint takes n"):
            checked(wrong())
        return
    with pytest.raises(UsageError, match=message):
        wrong().treatments(MNIST, 0)
