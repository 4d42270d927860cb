"""Designs, orders and keys: seeded, unique, and independent of what else is declared."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from energy_plugin.declare.case import Case, Program
from energy_plugin.declare.catalog import Catalog, load_catalog
from energy_plugin.declare.collect import (
    Background,
    Declaration,
    Defaults,
    Sampling,
    expand,
    experiments,
)
from energy_plugin.declare.design import defaults, from_options, joint, one_at_a_time
from energy_plugin.declare.designtoml import read_design_file
from energy_plugin.declare.order import block_of, blocks
from energy_plugin.errors import FileError, UsageError

CATALOG: Catalog = load_catalog()
MNIST = CATALOG.model("examples/mnist")
JOINT = "[[experiments]]\nselect = 'mnist'\n[experiments.design]\nkind = 'joint'\n"
NONE = Defaults(seed=0, limit=None, mutate=(), runs=1)


def test_levels_are_even_steps_of_the_range_or_of_its_logarithm() -> None:
    design = one_at_a_time("epochs", "learning_rate", levels=3, default=False)
    values = design.treatments(MNIST, 0)
    assert [t["epochs"] for t in values if "epochs" in t] == [5, 10, 15]
    rates = [t["learning_rate"] for t in values if "learning_rate" in t]
    assert rates == pytest.approx([0.005, math.sqrt(0.005 * 0.02), 0.02])


def test_seed_is_varied_only_when_asked_for() -> None:
    assert not any("seed" in t for t in one_at_a_time(levels=2).treatments(MNIST, 0))
    assert any("seed" in t for t in one_at_a_time("all", levels=2).treatments(MNIST, 0))


@given(seed=st.integers(0, 10**6), n=st.integers(1, 6))
def test_draws_are_unique_inside_the_range_and_never_the_default(seed: int, n: int) -> None:
    drawn = [t["epochs"] for t in one_at_a_time("epochs", n=n, default=False).treatments(MNIST, seed)]
    assert len(set(drawn)) == len(drawn) == n
    assert all(5 <= value <= 15 for value in drawn if isinstance(value, int))
    assert MNIST.hyperparameters["epochs"].default not in drawn


@given(seed=st.integers(0, 10**6))
@example(seed=198335)  # draws one rate twice: alone it is drawn again, beside other epochs it may stay
def test_another_hyperparameter_changes_no_draw(seed: int) -> None:
    few = [t["learning_rate"] for t in joint("learning_rate", n=3).treatments(MNIST, seed)]
    more = [t["learning_rate"] for t in joint("learning_rate", "epochs", n=3).treatments(MNIST, seed)]
    distinct = list(dict.fromkeys(more))
    assert distinct == few[: len(distinct)]


def test_drawn_floats_are_read_back_exactly_from_their_id() -> None:
    (treatment,) = joint("learning_rate", n=1).treatments(MNIST, 5)
    rate = treatment["learning_rate"]
    assert float(f"{rate:.4g}") == rate


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ("concurency", "Did you mean 'concurrency'"),
        ({"epoch": [1, 2]}, "Did you mean 'epochs'"),
        ({"learning_rate": [0, 1]}, "log-uniform needs low > 0"),
    ],
)
def test_range_that_is_not_known_or_possible_is_refused(ranges: Any, message: str) -> None:
    design = one_at_a_time("epochs", "learning_rate", levels=2, ranges=ranges)
    with pytest.raises(UsageError, match=message):
        design.treatments(MNIST, 0)


def test_base_may_name_a_role() -> None:
    bug = CATALOG.model("bug-localization-by-dnn-and-rvsm/default")
    design = defaults()
    (case,) = expand(
        Declaration(select=(bug.path,), design=replace(design, base={"learning_rate": 1e-5})), CATALOG, NONE
    )
    assert case.programs[0].passed == {"alpha"}


def test_role_names_a_hyperparameter_too() -> None:
    assert one_at_a_time("learning_rate", levels=2, default=False).treatments(MNIST, 0)


@pytest.mark.parametrize("wrong", [{"levels": 2, "n": 2}, {"levels": 0}, {"n": 0}])
def test_impossible_numbers_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        one_at_a_time("epochs", **wrong)  # type: ignore[arg-type]


def test_aliases_name_the_same_model() -> None:
    assert CATALOG.model("mnist_cnn") is MNIST
    assert CATALOG.model("examples/mnist_forward_forward").name == "mnist_ff"


def test_all_values_are_recorded_with_which_were_passed() -> None:
    declaration = Declaration(
        select=("mnist",), design=one_at_a_time("epochs", levels=1, base={"batch_size": 64})
    )
    base, varied = expand(declaration, CATALOG, NONE)
    assert base.programs[0].passed == {"batch_size"}
    assert varied.programs[0].passed == {"batch_size", "epochs"}
    assert varied.programs[0].varied == ("epochs",)
    assert set(varied.programs[0].values) == set(MNIST.hyperparameters)


def test_demo_is_at_least_48_runs_of_two_models() -> None:
    file = Path(__file__).resolve().parents[2] / "benchmarks" / "designs" / "demo.toml"
    cases = [c for d in read_design_file(file).values() for c in expand(d, CATALOG, NONE)]
    assert len(cases) >= 48
    assert len({case.id for case in cases}) == len(cases)
    assert {case.programs[0].model for case in cases} == {"mnist", "mnist_rnn"}


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9)), unique=True), st.integers())
def test_order_is_a_permutation_in_complete_blocks(pairs: list[tuple[int, int]], seed: int) -> None:
    program = Program(repository="examples", model="mnist", values={"epochs": 1}, varied=("epochs",))
    cases = [
        Case(programs=(replace(program, values={"epochs": epochs}),), replicate=replicate)
        for replicate, epochs in pairs
    ]
    order = blocks(cases, seed)
    assert sorted(order) == list(range(len(cases)))
    replicates = [cases[index].replicate for index in order]
    assert replicates == sorted(replicates)


def test_further_replicates_of_the_base_are_dealt_over_the_blocks_of_what_they_are_compared_with() -> None:
    design = one_at_a_time("epochs", levels=3, base_replicates=7)
    declared = Declaration(select=("mnist", "siamese"), design=design, replicates=2)
    cases = expand(declared, CATALOG, NONE)
    numbers = block_of(cases)
    assert set(numbers) == {1, 2}
    for model in ("mnist", "siamese"):
        mine = [b for c, b in zip(cases, numbers, strict=True) if c.programs[0].model == model]
        assert sorted(Counter(mine).values()) == [3 + 3, 3 + 4]
    in_order = [numbers[index] for index in blocks(cases, 0)]
    assert in_order == sorted(in_order)
    alone = expand(Declaration(select=("mnist",), design=defaults(), replicates=3), CATALOG, NONE)
    assert block_of(alone) == [1, 2, 3]


@pytest.mark.parametrize(
    ("slip", "message"),
    [
        (lambda: experiments(["mnist", "siamese"]), "write each as a text"),  # type: ignore[arg-type]
        (lambda: experiments("mnist", design="joint"), "must be a design, such as"),  # type: ignore[arg-type]
        (lambda: experiments("mnist", replicates=0), "replicates = 0: must be a whole number of at least 1"),
        (lambda: experiments("mnist", replicates="3"), "replicates = '3'"),  # type: ignore[arg-type]
        (lambda: experiments("mnist", limit=-1), "limit = -1"),
        (lambda: Sampling(n=6, models="examples/*"), "models = 'examples/*': must be several names"),  # type: ignore[arg-type]
        (lambda: Sampling(n=0), "n = 0: must be a whole number of at least 1"),
        (lambda: Sampling(n=2, budget_gib=float("nan")), "budget_gib = nan: must be a number above 0"),
        (lambda: Background(model=3), "model = 3: must be a text"),  # type: ignore[arg-type]
        (lambda: experiments(pairs=[("mnist",)]), "must be two models"),  # type: ignore[list-item]
        (lambda: experiments(pairs=[("mnist", "siamese", "word_lm")]), "must be two models"),  # type: ignore[list-item]
    ],
)
def test_a_slip_in_a_test_module_is_refused_where_it_is_made(slip: Any, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        slip()


def test_of_many_models_those_are_changed_that_have_what_the_command_line_names() -> None:
    asked = Defaults(seed=0, limit=None, mutate=("dropout", "epochs"), runs=2)
    told: list[str] = []
    cases = expand(Declaration(select=("*",), design=from_options()), CATALOG, asked, told.append)
    have = {m.path for m in CATALOG.models() if m.by_role("dropout") and m.by_role("epochs")}
    assert {case.programs[0].path for case in cases} == have
    assert len(told) == 1
    assert told[0].startswith("--energy-mutate dropout,epochs: not of ")
    wrong = Defaults(seed=0, limit=None, mutate=("droput",), runs=2)
    with pytest.raises(UsageError, match="Did you mean 'dropout'"):
        expand(Declaration(select=("*",), design=from_options()), CATALOG, wrong)


def test_a_model_is_guessed_from_its_short_name_too() -> None:
    with pytest.raises(UsageError, match="Did you mean 'examples/mnist_rnn'"):
        CATALOG.model("mnist_rn")


def test_key_changes_with_what_is_run_and_not_with_its_name() -> None:
    (case,) = expand(Declaration(select=("mnist",), design=defaults()), CATALOG, NONE)

    def key(of: Case, sources: str = "abc", base: str = "python", executor: str = "local") -> str:
        return of.key(sources={"examples": sources}, base=base, executor=executor)

    program = case.programs[0]
    assert key(replace(case, design="other")) == key(case)
    changed = [
        replace(case, replicate=2),
        replace(case, programs=(replace(program, limit=10),)),
        replace(case, programs=(replace(program, values={**program.values, "epochs": 3}),)),
        replace(case, programs=(replace(program, passed=frozenset({"epochs"})),)),
    ]
    keys = [key(case), *(key(other) for other in changed)]
    keys += [key(case, sources="x"), key(case, base="x"), key(case, executor="x")]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experiment = 1", "experiment = 1: unknown key 'experiment'. Did you mean 'experiments'?"),
        ("[[experiments]]\nselect = 3", "select = 3: must be a model or a list of models"),
        (
            "[[experiments]]\nselect = 'mnist'\n[experiments.design]\nkind = 'all'",
            "kind = 'all': unknown kind of design 'all'. Valid: defaults",
        ),
        ("[[experiments]]\nselect = 'mnist'\nreplicates = 0", "replicates = 0: must be a whole number"),
        ("experiments = []", "write at least one"),
        ("experiments = ['a']", "experiments[1] = 'a': write it as [[experiments]]"),
        ("[[experiments]]\nselect = 'mnist'\nlimit = -4", "limit = -4: must be a whole number"),
        ("[[experiments]]\nselect = 'mnist'\nreplicates = true", "replicates = True: must be a whole number"),
        ("[[experiments]]\nselect = 'mnist'\ndesign = 'joint'", "must be a table such as"),
        (JOINT + "levels = 2", "a design of kind joint takes n"),
        (JOINT + "n = '2'", "n = '2': must be a whole number"),
        (JOINT + "base = { epochs = 'x' }", "base.epochs = 'x': must be a number"),
        (JOINT + "ranges = { epochs = [1] }", "ranges.epochs = [1]: must be [low, high]"),
        (JOINT + "n = 2\nnames = []", "names = []: name hyperparameters"),
        ("[[experiments]]\nselect = []", "select = []: must be a model or a list of models"),
        ("[[experiments]]\nselect = 'mnist'\nname = ['a']", "name = ['a']: must be a word"),
        ("[[experiments]]\nselect = 'mnist'\nname = true", "name = True: must be a word"),
        ("select = 'mnist'\n" + JOINT, "select is told of a block: write it below [[experiments]]"),
        ("[[experiments]]\nselect = 'mnist'\nlevels = 2", "levels is told of a design"),
        ("[[experiments]]\nselect = 'mnist'\nseed = 2", "write it above the first [[experiments]]"),
        ("[[experiments", "not valid TOML"),
    ],
)
def test_broken_design_file_names_file_key_value_and_mend(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(text)
    with pytest.raises(FileError) as caught:
        read_design_file(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


def test_a_mark_in_front_that_windows_editors_write_is_no_part_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "marked.toml"
    file.write_text("[[experiments]]\nselect = 'mnist'\n", encoding="utf-8-sig")
    assert list(read_design_file(file)) == ["block_1"]
    file.write_bytes("[[experiments]]\nselect = 'mnist'\n".encode("utf-16"))
    with pytest.raises(FileError, match="not valid TOML"):
        read_design_file(file)
