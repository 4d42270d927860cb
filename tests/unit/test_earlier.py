"""What ran before is recognised in our sessions and in published tables, and nothing else is."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.declare.collect import Background, Declaration, Defaults, expand
from energy_plugin.declare.design import explicit, joint, one_at_a_time
from energy_plugin.errors import FileError
from energy_plugin.record.journal import Journal
from energy_plugin.run.earlier import NO_METRIC, UNKNOWN, EarlierRuns
from tests.unit.records import record_of

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.declare.case import Case
    from energy_plugin.declare.design import Design

CATALOG = load_catalog()
NONE = Defaults(seed=0, limit=None, mutate=(), runs=1)
Row = dict[str, Any]
T = "2025-12-01T00:00:00"


def cases(design: Design, model: str = "examples/mnist", **more: Any) -> list[Case]:
    declared: dict[str, Any] = {"select": (model,), "design": design, "replicates": 1, **more}
    return expand(Declaration(**declared), CATALOG, NONE)


def table(folder: Path, *rows: Row, name: str = "data.csv") -> Path:
    path = folder / name
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(number: int = 1, model: str = "mnist", **more: object) -> Row:
    return {
        "experiment_id": f"examples_{model}_{number:03d}",
        "timestamp": T,
        "repository": "examples",
        "model": model,
        "training_success": "True",
        "is_parallel": "False",
        **more,
    }


def session(folder: Path, *done: Case, success: bool = True) -> Path:
    folder.mkdir(parents=True)
    journal = Journal(folder)
    for number, case in enumerate(done, start=1):
        journal.end(T, record_of(case, number, success=success), "" if success else "digest")
    journal.close()
    return folder


def places(earlier: Path, wanted: list[Case]) -> list[bool]:
    found = EarlierRuns(CATALOG)
    found.read(earlier)
    return [bool(place) for place in found.places(wanted)]


def test_whole_numbers_written_as_decimals_are_whole_numbers(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 10}, {"epochs": 11}, {"epochs": 10, "batch_size": 64}))
    assert places(table(tmp_path, row(hyperparam_epochs="10.000000", mutated_param="epochs")), wanted) == [
        True,
        False,
        False,
    ]


def test_other_numbers_are_the_same_to_six_figures(tmp_path: Path) -> None:
    wanted = cases(explicit({"learning_rate": 0.0123456}, {"learning_rate": 0.0123466}))
    rows = [row(hyperparam_learning_rate="0.01234561", mutated_param="learning_rate")]
    assert places(table(tmp_path, *rows), wanted) == [True, False]
    assert places(table(tmp_path, row(hyperparam_learning_rate="1.23456e-02")), wanted) == [True, False]


def test_of_a_row_with_one_named_change_the_filled_in_rest_is_not_believed(tmp_path: Path) -> None:
    filled = row(hyperparam_epochs=10, hyperparam_batch_size=16, mutated_param="epochs")
    wanted = cases(explicit({"epochs": 10}, {"epochs": 10, "batch_size": 16}))
    assert places(table(tmp_path, filled), wanted) == [True, False]
    assert places(table(tmp_path, {**filled, "mutated_param": ""}), wanted) == [False, True]


def test_a_change_whose_value_is_missing_is_passed_over_and_counted(tmp_path: Path) -> None:
    found = EarlierRuns(CATALOG)
    path = table(tmp_path, row(mutated_param="epochs", hyperparam_epochs=""), row(2, model="unheard_of"))
    found.read(path)
    assert found.passed_over == {(str(path), UNKNOWN): 2}
    assert found.places(cases(joint(n=1, default=True)))[0] == ""


def test_defaults_told_or_not_are_defaults(tmp_path: Path) -> None:
    (base,) = cases(one_at_a_time("epochs", values={"epochs": [14]}))
    assert places(table(tmp_path, row()), [base]) == [True]
    assert places(table(tmp_path, row(hyperparam_epochs=14, hyperparam_batch_size=32)), [base]) == [True]
    assert places(table(tmp_path, row(hyperparam_epochs=13)), [base]) == [False]


def test_modes_are_told_apart_by_our_words_and_the_studys(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 9}), background=Background(model="examples/siamese"))
    assert [case.mode for case in wanted] == ["alone", "background"]
    one: Row = {"hyperparam_epochs": 9, "mutated_param": "epochs"}
    assert places(table(tmp_path, row(**one)), wanted) == [True, False]
    assert places(table(tmp_path, row(**one, mode="parallel")), wanted) == [False, True]
    assert places(table(tmp_path, {**row(**one), "is_parallel": "True"}), wanted) == [False, True]
    suffixed = {**row(**one), "experiment_id": "examples_mnist_001_parallel", "is_parallel": ""}
    assert places(table(tmp_path, suffixed), wanted) == [False, True]


def test_a_background_that_a_table_names_must_be_the_same(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 9}), background=Background(model="examples/siamese"), alone=False)
    one: Row = {"hyperparam_epochs": 9, "mode": "parallel", "bg_repository": "examples"}
    assert places(table(tmp_path, row(**one, bg_model="siamese")), wanted) == [True]
    assert places(table(tmp_path, row(**one, bg_model="mnist")), wanted) == [False]


def test_foreground_copies_of_the_raw_table_are_read(tmp_path: Path) -> None:
    raw: Row = {
        "experiment_id": "examples_mnist_001_parallel",
        "timestamp": T,
        "training_success": "",
        "repository": "",
        "model": "",
        "mode": "parallel",
        "fg_repository": "examples",
        "fg_model": "mnist",
        "fg_training_success": "True",
        "fg_hyperparam_epochs": "9.0",
    }
    wanted = cases(explicit({"epochs": 9}), background=Background(model="examples/siamese"), alone=False)
    assert places(table(tmp_path, raw), wanted) == [True]


def test_failed_runs_and_other_row_limits_do_not_count(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 9}))
    assert places(table(tmp_path, {**row(hyperparam_epochs=9), "training_success": "False"}), wanted) == [
        False
    ]
    assert places(table(tmp_path, row(hyperparam_epochs=9, row_limit=100)), wanted) == [False]
    limited = cases(explicit({"epochs": 9}), limit=100)
    assert places(table(tmp_path, row(hyperparam_epochs=9, row_limit="100.0")), limited) == [True]


def test_a_success_without_any_metric_is_none(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 9}))
    crashed = row(hyperparam_epochs=9, perf_accuracy="", perf_loss="nan")
    found = EarlierRuns(CATALOG)
    found.read(table(tmp_path, crashed))
    assert found.places(wanted) == [""]
    assert [why for _, why in found.passed_over] == [NO_METRIC]
    assert places(table(tmp_path, {**crashed, "perf_accuracy": 0.1}), wanted) == [True]


def test_replicates_are_counted_each_earlier_run_once(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 9}), replicates=4)
    rows = [row(n, hyperparam_epochs=9) for n in (1, 2)]
    assert places(table(tmp_path, *rows), wanted) == [True, True, False, False]
    assert places(table(tmp_path, *rows, *rows), wanted) == [True, True, False, False], "the same rows again"
    assert places(table(tmp_path, *rows), wanted[2:]) == [False, False]


def test_a_session_counts_by_its_own_replicates_first(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 9}), replicates=4)
    folder = session(tmp_path / "run_20260101_000000", wanted[2])
    assert places(folder, wanted) == [False, False, True, False]
    assert places(folder, wanted[2:3]) == [True]


def test_failed_attempts_of_a_session_do_not_count(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 9}))
    assert places(session(tmp_path / "run_1", *wanted, success=False), wanted) == [False]


def test_a_session_tells_pairs_loads_and_limits_exactly(tmp_path: Path) -> None:
    load = Background(model="examples/siamese", values={"epochs": 3})
    mine = cases(explicit({"epochs": 9}), background=load, alone=False)
    pair = expand(
        Declaration(
            pairs=(("examples/mnist", "examples/siamese"),), design=explicit({"epochs": 3}), alone=False
        ),
        CATALOG,
        NONE,
    )
    hot = [replace(case, power_limit_w=200.0) for case in cases(explicit({"epochs": 9}))]
    done = [*mine, *pair, *hot]
    folder = session(tmp_path / "run_1", *done)
    assert places(folder, done) == [True] * len(done)
    other = cases(explicit({"epochs": 9}), background=replace(load, values={"epochs": 4}), alone=False)
    endless = cases(explicit({"epochs": 9}), background=replace(load, loop="endless"), alone=False)
    assert places(folder, [*other, *endless, *cases(explicit({"epochs": 9}))]) == [False] * 3
    assert places(folder, [replace(case, power_limit_w=250.0) for case in hot]) == [False]


def test_a_results_folder_its_sessions_and_their_tables_are_one_thing(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 9}), replicates=2)
    folder = session(tmp_path / "results" / "run_1", wanted[0])
    (tmp_path / "results" / "latest").symlink_to("run_1")
    summary = table(folder, row(hyperparam_epochs=9, case_id="x"), name="summary.csv")
    found = EarlierRuns(CATALOG)
    for path in (tmp_path / "results", folder, tmp_path / "results" / "latest", summary):
        found.read(path)
    assert [bool(place) for place in found.places(wanted)] == [True, False]


def test_our_table_without_its_session_is_read_with_pairs_in_two_rows(tmp_path: Path) -> None:
    pair = expand(
        Declaration(
            pairs=(("examples/mnist", "examples/siamese"),), design=explicit({"epochs": 3}), alone=False
        ),
        CATALOG,
        NONE,
    )
    two = [
        row(mode="pair", case_id="x", role="a", hyperparam_epochs=14),
        {**row(mode="pair", case_id="x", role="b", hyperparam_epochs=3), "model": "siamese"},
    ]
    assert places(table(tmp_path, *two), pair) == [True]
    assert places(table(tmp_path, *two[:1]), pair) == [False]
    failed = [two[0], {**two[1], "training_success": "False"}]
    assert places(table(tmp_path, *failed), pair) == [False]


def test_damaged_and_torn_lines_of_a_journal_are_passed_over(tmp_path: Path) -> None:
    wanted = cases(explicit({"epochs": 9}, {"epochs": 8}))
    folder = session(tmp_path / "run_1", *wanted)
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(lines[0][:-200] + b"\n" + lines[1])
    assert places(folder, wanted) == [False, True]
    (folder / "journal.jsonl").write_bytes(lines[0] + lines[1][:-9])
    assert places(folder, wanted) == [True, False]


def test_what_is_no_table_of_runs_is_refused_with_the_columns_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="repository"):
        EarlierRuns(CATALOG).read(table(tmp_path, {"a": 1}))
    with pytest.raises(FileError, match=r"no journal\.jsonl"):
        EarlierRuns(CATALOG).read(tmp_path)
