"""Expected durations: runs of the same kind first, medians, and what is known of nothing is said so."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.declare.collect import Background, Declaration, Defaults, expand
from energy_plugin.declare.design import defaults, explicit
from energy_plugin.run.expect import EARLIER, GUESS, OTHERS, SAME, UNKNOWN, Expectation, guess_s, loads
from energy_plugin.run.past import bytes_each, name_of, past_runs

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.declare.case import Case
    from energy_plugin.declare.catalog import Catalog

CATALOG = load_catalog()
NONE = Defaults(seed=0, limit=None, mutate=(), runs=1)


def case(model: str = "examples/mnist", epochs: int = 14, load: str = "") -> Case:
    declared = Declaration(
        select=(model,),
        design=explicit({"epochs": epochs}),
        background=Background(model=load) if load else None,
        alone=not load,
    )
    return expand(declared, CATALOG, NONE)[0]


def guessed(of: Case) -> float:
    guess = guess_s(CATALOG, of)
    assert guess is not None
    return guess


def without_cost(catalog: Catalog, name: str) -> Catalog:
    repository, model = name.split("/")
    found = catalog.repositories[repository]
    models = {**found.models, model: replace(found.models[model], cost={})}
    return replace(catalog, repositories={**catalog.repositories, repository: replace(found, models=models)})


def test_without_any_run_the_catalogue_speaks() -> None:
    (one,) = Expectation().by_name(loads(CATALOG, [case(), case()]))
    assert (one.seconds, one.source) == (2 * guessed(case()), GUESS)


def test_runs_of_the_same_models_and_mode_scale_the_guess() -> None:
    expectation = Expectation()
    expectation.learn(CATALOG, case(epochs=2), 3 * guessed(case(epochs=2)))
    (one,) = expectation.by_name(loads(CATALOG, [case(epochs=8)]))
    assert one.seconds == pytest.approx(3 * guessed(case(epochs=8)))
    assert (one.source, one.runs) == (SAME, 1)


def test_one_run_that_hung_moves_nothing() -> None:
    expectation = Expectation()
    for times in (2, 2, 2, 2, 1000):
        expectation.learn(CATALOG, case(), times * guessed(case()))
    assert expectation.seconds(CATALOG, [case()], 0.0) == pytest.approx(2 * guessed(case()))


def test_other_models_say_how_fast_the_machine_is_each_model_once() -> None:
    expectation = Expectation()
    for _ in range(50):
        expectation.learn(CATALOG, case("examples/mnist_rnn"), 9 * guessed(case("examples/mnist_rnn")))
    for model, times in {"examples/siamese": 2, "examples/mnist_ff": 3}.items():
        expectation.learn(CATALOG, case(model), times * guessed(case(model)))
    (one,) = expectation.by_name(loads(CATALOG, [case()]))
    assert one.seconds == pytest.approx(3 * guessed(case()))
    assert one.source == OTHERS


def test_modes_are_expected_each_by_its_own_runs_and_warm_up() -> None:
    expectation = Expectation(warmup_s=30.0)
    loaded = case(load="examples/siamese")
    expectation.learn(CATALOG, case(), guessed(case()))
    expectation.learn(CATALOG, loaded, 4 * guessed(loaded))
    alone, background = expectation.by_name(loads(CATALOG, [case(), loaded]))
    assert alone.seconds == pytest.approx(guessed(case()))
    assert background.seconds == pytest.approx(4 * guessed(loaded) + 30)


def test_of_a_model_without_a_cost_its_own_runs_are_known_or_nothing_is() -> None:
    catalog = without_cost(CATALOG, "examples/mnist")
    expectation = Expectation()
    (one,) = expectation.by_name(loads(catalog, [case()]))
    assert (one.seconds, one.source) == (None, UNKNOWN)
    assert expectation.seconds(catalog, [case()], 5.0) is None
    for seconds in (10, 12, 500):
        expectation.learn(catalog, case(), seconds)
    assert expectation.seconds(catalog, [case(), case()], 5.0) == pytest.approx(2 * (12 + 5))


def test_what_is_unknown_is_taken_for_the_mean_of_the_others() -> None:
    catalog = without_cost(CATALOG, "examples/mnist")
    known = case("examples/siamese")
    total = Expectation().seconds(catalog, [case(), known, known], 0.0)
    assert total == pytest.approx(3 * guessed(known))


def test_rests_are_those_seen_before_the_longest() -> None:
    expectation = Expectation()
    assert expectation.beside_s(60.0) == 60
    for seconds in (4, 5, 60):
        expectation.rested(seconds)
    assert expectation.beside_s(60.0) == 5


def test_no_case_takes_no_time() -> None:
    assert Expectation().seconds(CATALOG, [], 60.0) == 0


# --- past sessions ---------------------------------------------------------------------------------


def summary(session: Path, *rows: dict[str, object]) -> None:
    session.mkdir(parents=True)
    base = {
        "timestamp": "t",
        "role": "a",
        "repository": "examples",
        "model": "mnist",
        "mode": "alone",
        "training_success": "True",
        "executor": "local",
        "simulated": "",
        "hyperparam_epochs": 14,
        "hyperparam_alpha": "",
        "row_limit": "",
        "order_index": 1,
    }
    full = [
        {**base, "experiment_id": f"x_{n}", "case_id": f"examples-mnist-alone-default-r{n}", **row}
        for n, row in enumerate(rows, start=1)
    ]
    with (session / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in full for name in row)))
        writer.writeheader()
        writer.writerows(full)


def test_past_sessions_of_the_same_place_are_learnt_from(tmp_path: Path) -> None:
    guess = guessed(case())
    summary(
        tmp_path / "run_1",
        {"duration_seconds": 2 * guess, "cooldown_seconds": 12.0},
        {"duration_seconds": 50 * guess, "executor": "docker"},
        {"duration_seconds": 50 * guess, "simulated": "gpu"},
        {"duration_seconds": 50 * guess, "training_success": "False"},
        {"duration_seconds": guess, "repository": "gone"},
    )
    past = past_runs(tmp_path, executor="local")
    assert len(past) == 2
    expectation = Expectation()
    expectation.learn_past(CATALOG, past)
    (one,) = expectation.by_name(loads(CATALOG, [case()]))
    assert one.seconds == pytest.approx(2 * guess)
    assert (one.source, one.runs) == (EARLIER, 1)
    assert expectation.beside_s(60.0) == 12
    assert len(past_runs(tmp_path, simulated="gpu")) == 1


def test_a_past_pair_is_one_run_of_both_its_models(tmp_path: Path) -> None:
    pair = {
        "experiment_id": "p",
        "mode": "pair",
        "case_id": "examples-mnist+examples-siamese-pair-default-r1",
    }
    summary(
        tmp_path / "run_1",
        {**pair, "duration_seconds": 10.0, "shared_energy_joules": 500.0},
        {**pair, "duration_seconds": 14.0, "shared_energy_joules": 500.0, "model": "siamese", "role": "b"},
    )
    (run,) = past_runs(tmp_path)
    assert run.name == "examples/mnist+examples/siamese pair"
    assert run.duration_s == 14
    assert run.numbers["shared_energy_joules"] == 500
    declared = Declaration(pairs=(("examples/mnist", "examples/siamese"),), design=defaults(), alone=False)
    assert name_of(expand(declared, CATALOG, NONE)[0]) == run.name


def test_sessions_without_a_readable_table_teach_nothing(tmp_path: Path) -> None:
    (tmp_path / "run_1").mkdir()
    (tmp_path / "run_2").mkdir()
    (tmp_path / "run_2" / "summary.csv").write_bytes(b"\xff\xfe\x00bad")
    assert past_runs(tmp_path) == []
    assert past_runs(tmp_path / "nowhere") == []


def test_disk_of_a_case_is_the_median_of_what_is_there(tmp_path: Path) -> None:
    assert bytes_each(tmp_path) is None
    for number, size in enumerate((8192, 16384, 1 << 20), start=1):
        folder = tmp_path / "run_1" / f"examples_mnist_{number:03d}" / "energy"
        folder.mkdir(parents=True)
        (folder / "trace.csv").write_bytes(b"x" * size)
    found = bytes_each(tmp_path)
    assert found is not None
    assert found[0] == pytest.approx(16384, abs=4096)
    assert found[1] == 3
