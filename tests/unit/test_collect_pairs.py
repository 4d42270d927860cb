"""Pairs and backgrounds declared in Python and in design files become the cases one would write by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.declare.collect import (
    Background,
    Declaration,
    Defaults,
    Sampling,
    expand,
)
from energy_plugin.declare.design import Design, defaults, one_at_a_time
from energy_plugin.declare.designtoml import read_design_file
from energy_plugin.declare.programs import ENDLESS_EPOCHS
from energy_plugin.errors import EnergyError, FileError, UsageError

if TYPE_CHECKING:
    from energy_plugin.declare.case import Case

CATALOG = load_catalog()
NONE = Defaults(seed=0, limit=None, mutate=(), runs=1)
DESIGNS = Path(__file__).resolve().parents[2] / "benchmarks" / "designs"
PROTOCOL = one_at_a_time("learning_rate", "epochs", levels=2, ranges="concurrency")


def cases_of(name: str) -> list[Case]:
    return [c for d in read_design_file(DESIGNS / name).values() for c in expand(d, CATALOG, NONE)]


def test_published_pairs_are_exactly_107_distinct_cases_a_replicate() -> None:
    cases = [case for case in cases_of("pairs.toml") if case.replicate == 1]
    assert len({case.full_id for case in cases}) == len(cases) == 107
    assert Counter(case.mode for case in cases) == {"pair": 60, "alone": 47}


def test_each_pair_has_eleven_runs_when_nothing_is_shared() -> None:
    declared = Declaration(pairs=(("mnist", "densenet121"),), design=PROTOCOL)
    assert Counter(case.mode for case in expand(declared, CATALOG, NONE)) == {"pair": 5, "alone": 6}


def test_of_a_pair_only_the_second_program_is_varied() -> None:
    for case in cases_of("pairs.toml"):
        if case.mode == "pair":
            a, b = case.programs
            assert (a.role, b.role) == ("a", "b")
            assert a.varied == ()
            assert len(b.varied) <= 1


def test_roles_name_the_varied_hyperparameters_where_a_model_calls_them_otherwise() -> None:
    declared = Declaration(pairs=(("mnist", "bug-localization-by-dnn-and-rvsm/default"),), design=PROTOCOL)
    varied = {case.programs[1].varied for case in expand(declared, CATALOG, NONE) if case.mode == "pair"}
    assert varied == {(), ("alpha",), ("max_iter",)}


def test_ends_of_the_concurrency_range_are_the_studys_factors() -> None:
    declared = Declaration(pairs=(("mnist", "densenet121"),), design=PROTOCOL)
    values = [c.programs[1].values for c in expand(declared, CATALOG, NONE) if c.mode == "pair"]
    assert {v["epochs"] for v in values} == {30, 60, 90}
    assert {v["learning_rate"] for v in values} == {0.01, 0.05, 0.25}


def test_base_is_given_to_every_model_of_a_pair_that_knows_it() -> None:
    design = one_at_a_time("epochs", levels=1, base={"epochs": 2, "dropout": 0.5})
    declared = Declaration(pairs=(("mnist", "densenet121"),), design=design)
    a, b = next(c for c in expand(declared, CATALOG, NONE) if c.mode == "pair").programs
    assert a.passed == {"epochs"}
    assert b.passed == {"epochs", "dropout"}
    wrong = Declaration(pairs=(("mnist", "densenet121"),), design=defaults_with(droput=0.5))
    with pytest.raises(UsageError, match="droput"):
        expand(wrong, CATALOG, NONE)


def defaults_with(**base: float) -> Design:
    return replace(defaults(), base=base)


def test_pairs_can_be_sampled_from_the_catalogue() -> None:
    sampling = Sampling(n=12, without=("resnet110", "resnet1202"), figures="study")
    declared = Declaration(pairs=sampling, design=defaults(), alone=False)
    cases = expand(declared, CATALOG, NONE)
    assert len(cases) == 12
    assert all(case.mode == "pair" for case in cases)
    small = Declaration(pairs=Sampling(n=2, budget_gib=0.1), design=defaults())
    with pytest.raises(UsageError, match="no pair"):
        expand(small, CATALOG, NONE)


def test_background_runs_each_treatment_alone_and_under_load() -> None:
    load = Background(model="mnist", values={"batch_size": 64})
    declared = Declaration(
        select=("resnet20",), background=load, design=one_at_a_time("epochs", levels=2), replicates=2
    )
    cases = expand(declared, CATALOG, NONE)
    assert Counter(case.mode for case in cases) == {"alone": 6, "background": 6}
    program = next(case for case in cases if case.mode == "background").programs[1]
    assert (program.role, program.loop, program.values["batch_size"]) == ("load", "restart", 64)
    assert program.passed == {"batch_size"}


def test_endless_background_is_told_more_epochs_than_it_can_reach() -> None:
    load = Background(model="bug-localization-by-dnn-and-rvsm/default", loop="endless")
    (case,) = expand(
        Declaration(select=("mnist",), background=load, design=defaults(), alone=False), CATALOG, NONE
    )
    assert case.programs[1].values["max_iter"] == ENDLESS_EPOCHS


def test_loop_and_load_are_part_of_the_key() -> None:
    loads = [
        Background(model="mnist"),
        Background(model="mnist", loop="endless"),
        Background(model="mnist", values={"batch_size": 64}),
    ]
    declared = [
        Declaration(select=("resnet20",), background=load, design=defaults(), alone=False) for load in loads
    ]
    sources = dict.fromkeys(CATALOG.repositories, "x")
    keys = {
        case.key(sources=sources, base="b", executor="local")
        for d in declared
        for case in expand(d, CATALOG, NONE)
    }
    assert len(keys) == 3


@pytest.mark.parametrize("file", sorted(DESIGNS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_preset_is_read_and_has_cases_with_unique_names(file: Path) -> None:
    cases = cases_of(file.name)
    assert cases
    first = [case.full_id for case in cases if case.replicate == 1]
    assert len(set(first)) == len(first)


BLOCK = "[[experiments]]\nselect = 'mnist'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[experiments]]\npairs = []", "experiments[1].pairs = []: must be a list of [a, b]"),
        ("[[experiments]]\npairs = [['mnist']]", "pairs[1] = ['mnist']: must be two models"),
        (BLOCK + "pairs = [['mnist', 'siamese']]", "give either pairs or select"),
        ("[[experiments]]\npairs = { n = 2, smaple = 'random' }", "Did you mean 'sample'"),
        ("[[experiments]]\npairs = { sample = 'random' }", "pairs.n = None: say how many pairs"),
        (BLOCK + "background = 'mnist'", "background = 'mnist': must be a table"),
        (BLOCK + "background = { model = 'mnist', loop = 'forever' }", "loop of a background"),
        (BLOCK + "background = { model = 'mnist', values = { epochs = 'x' } }", "must be numbers by name"),
        ("[[experiments]]\npairs = { n = 2, sample = ['random'] }", "sample = ['random']: unknown sample"),
        (BLOCK + "background = { model = 'mnist', loop = 3 }", "unknown loop of a background 3"),
        (BLOCK + "design = { kind = 'explicit', runs = 3 }", "runs = 3: must be a list of tables"),
        (BLOCK + "alone = 'yes'", "alone = 'yes': must be true or false"),
        (BLOCK + "design = { kind = 'explicit' }", "needs at least one table"),
        (BLOCK + "design = { kind = 'explicit', runs = [{ epochs = 'x' }] }", "runs[1].epochs = 'x'"),
    ],
)
def test_wrong_key_names_file_key_value_and_mend(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(FileError) as caught:
        read_design_file(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


def test_unknown_sampling_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(EnergyError, match="Did you mean 'practical'"):
        expand(Declaration(pairs=Sampling(n=2, sample="practicle"), design=defaults()), CATALOG, NONE)
