"""The seed study's JSON files become the runs that study would have made of them, less its silent skips."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.declare.collect import Defaults, expand
from energy_plugin.declare.settings import Settings, read_settings
from energy_plugin.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.declare.case import Case

CATALOG = load_catalog()
NONE = Defaults(seed=0, limit=None, mutate=(), runs=1)
PAIR = {
    "experiment_name": "concurrent_hp_study_pair1",
    "concurrent_mode": True,
    "model_pairs": [
        {
            "model_a": {"repo": "examples", "model": "mnist", "hp": "default"},
            "model_b": {"repo": "Person_reID", "model": "densenet121", "hp": "default"},
        }
    ],
}
MUTATION: dict[str, Any] = {
    "experiment_name": "mutations",
    "governor": "performance",
    "runs_per_config": 3,
    "max_retries": 1,
    "mode": "mutation",
    "experiments": [
        {"repo": "pytorch_resnet_cifar10", "model": "resnet20", "mutate": ["epochs", "learning_rate"]},
        {"repo": "examples", "model": "mnist", "mutate": ["all"], "runs_per_config": 2},
    ],
}
PARALLEL: dict[str, Any] = {
    "experiment_name": "parallel",
    "runs_per_config": 4,
    "experiments": [
        {
            "repo": "placeholder",
            "model": "placeholder",
            "mode": "parallel",
            "foreground": {
                "repo": "examples",
                "model": "siamese",
                "mode": "mutation",
                "mutate": ["epochs"],
                "runs_per_config": 2,
            },
            "background": {"repo": "VulBERTa", "model": "mlp", "hyperparameters": {"epochs": 1}},
        }
    ],
}


def read(tmp_path: Path, table: object) -> Settings:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(table))
    return read_settings(file, CATALOG)


def cases_of(settings: Settings) -> list[Case]:
    return [case for d in settings.declarations.values() for case in expand(d, CATALOG, NONE)]


def test_mutations_change_all_named_hyperparameters_at_once_in_each_run(tmp_path: Path) -> None:
    settings = read(tmp_path, MUTATION)
    cases = cases_of(settings)
    assert Counter(case.programs[0].model for case in cases) == {"resnet20": 3, "mnist": 2}
    assert {case.programs[0].varied for case in cases if case.programs[0].model == "resnet20"} == {
        ("epochs", "learning_rate")
    }
    every = next(case for case in cases if case.programs[0].model == "mnist").programs[0]
    assert set(every.varied) == {"epochs", "batch_size", "learning_rate", "seed"}
    assert settings.wishes == {"governor": "performance", "retries": 1}


def test_defaults_with_values_pass_these_and_nothing_else(tmp_path: Path) -> None:
    table = {
        "mode": "default",
        "runs_per_config": 2,
        "experiments": [
            {"repo": "examples", "model": "mnist"},
            {"repo": "examples", "model": "siamese", "hyperparameters": {"epochs": 3}},
        ],
    }
    cases = cases_of(read(tmp_path, table))
    assert len(cases) == 4
    assert {(c.programs[0].model, tuple(c.programs[0].passed)) for c in cases} == {
        ("mnist", ()),
        ("siamese", ("epochs",)),
    }


def test_parallel_is_a_foreground_beside_a_restarted_background(tmp_path: Path) -> None:
    cases = cases_of(read(tmp_path, PARALLEL))
    assert len(cases) == 2
    for case in cases:
        front, load = case.programs
        assert case.mode == "background"
        assert front.varied == ("epochs",)
        assert (load.path, load.loop, load.values["epochs"]) == ("VulBERTa/mlp", "restart", 1)


def test_number_of_runs_goes_by_experiment_then_foreground_then_file(tmp_path: Path) -> None:
    entry = PARALLEL["experiments"][0]
    own = {**PARALLEL, "experiments": [{**entry, "runs_per_config": 3}]}
    assert len(cases_of(read(tmp_path, own))) == 3
    front = {k: v for k, v in entry["foreground"].items() if k != "runs_per_config"}
    assert len(cases_of(read(tmp_path, {**PARALLEL, "experiments": [{**entry, "foreground": front}]}))) == 4


def test_concurrency_file_is_its_pairs_with_short_names_resolved(tmp_path: Path) -> None:
    (case,) = cases_of(read(tmp_path, PAIR))
    a, b = case.programs
    assert (a.path, b.path) == ("examples/mnist", "Person_reID_baseline_pytorch/densenet121")
    assert (a.passed, b.passed) == (frozenset(), frozenset())


def test_each_model_of_a_pair_has_its_own_values(tmp_path: Path) -> None:
    pair = PAIR["model_pairs"][0]  # type: ignore[index]
    given = {
        "model_a": {**pair["model_a"], "hp": {"epochs": 2, "batch_size": 64}},
        "model_b": {**pair["model_b"], "hp": {"epochs": 1}},
    }
    (case,) = cases_of(read(tmp_path, {**PAIR, "model_pairs": [given]}))
    assert [program.passed for program in case.programs] == [{"epochs", "batch_size"}, {"epochs"}]


def test_history_is_read_only_where_deduplication_is_on(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("repository,model\n")
    table = {**MUTATION, "historical_csvs": ["old.csv"]}
    assert read(tmp_path, table).earlier == ()
    assert read(tmp_path, {**table, "use_deduplication": True}).earlier == (tmp_path / "old.csv",)


def test_history_is_looked_for_beside_the_file_and_where_pytest_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study's files are in settings/ and name their tables from the folder above."""
    (tmp_path / "results").mkdir()
    (tmp_path / "settings").mkdir()
    (tmp_path / "results" / "old.csv").write_text("repository,model\n")
    monkeypatch.chdir(tmp_path)
    table = {**MUTATION, "historical_csvs": ["results/old.csv"], "use_deduplication": True}
    assert read(tmp_path / "settings", table).earlier == (tmp_path / "results" / "old.csv",)
    with pytest.raises(FileError, match=r"no such file in .*settings or"):
        read(tmp_path / "settings", {**table, "historical_csvs": ["old.csv"]})


def test_all_may_stand_alone(tmp_path: Path) -> None:
    listed, alone = (
        cases_of(read(tmp_path, changed("experiments.0.mutate", value))) for value in (["all"], "all")
    )
    assert [case.id for case in alone] == [case.id for case in listed]


def test_a_field_given_twice_is_refused_where_json_would_take_the_last(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"experiments": [], "runs_per_config": 1, "runs_per_config": 3}')
    with pytest.raises(FileError, match="runs_per_config is given twice in one object, as 1 and 3"):
        read_settings(file, CATALOG)
    file.write_text(json.dumps(MUTATION), encoding="utf-8-sig")
    assert read_settings(file, CATALOG).declarations


def changed(path: str, value: object, base: dict[str, Any] = MUTATION) -> Any:
    """A copy of *base* with one key, ``a.0.b``, set."""
    table = json.loads(json.dumps(base))
    *way, last = path.split(".")
    place = table
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            changed("run_per_config", 2),
            "run_per_config = 2: unknown field 'run_per_config'. Did you mean 'run",
        ),
        (
            changed("experiments.0.mutats", []),
            "experiments[1].mutats = []: unknown field 'mutats'. Did you mean",
        ),
        (changed("experiments.0.mutate", ["epoch"]), "Did you mean 'epochs'"),
        (changed("experiments.0.mutate", "epochs"), 'must be a list of hyperparameters, or ["all"]'),
        (changed("experiments.0.model", "resnet21"), "experiments[1].model = 'resnet21'"),
        (
            changed("experiments.0.repo", "p"),
            "could be Person_reID_baseline_pytorch or pytorch_resnet_cifar10",
        ),
        (changed("experiments.0.repo", "keras"), "unknown repository 'keras'"),
        (changed("experiments.0.mode", "mutations"), "Did you mean 'mutation'"),
        (changed("runs_per_config", 0), "runs_per_config = 0: must be a whole number of at least 1"),
        (changed("experiments.0.runs_per_config", "2"), "experiments[1].runs_per_config = '2'"),
        (changed("experiment_name", 3), "experiment_name = 3: must be a text"),
        (changed("mode", "mutaton"), "mode = 'mutaton': unknown mode 'mutaton'. Did you mean 'mutation'"),
        (changed("experiments.0.mutate", ["all"], PARALLEL), "mutate = ['all']: write it into foreground"),
        (changed("experiments.0.hyperparameters", {"epochs": None}), "hyperparameters.epochs = None: must"),
        (changed("historical_csvs", "old.csv"), "historical_csvs = 'old.csv': must be a list of files"),
        (changed("experiments", []), "experiments = []: must be a list with at least one entry"),
        (changed("experiments.0.background", {}), 'only with "mode": "parallel"'),
        (changed("experiments.0.foreground", {}, PARALLEL), "foreground.repo = None"),
        (changed("experiments.0.background.hyperparameters", {"epochs": "x"}, PARALLEL), "must be a number"),
        (changed("model_pairs.0.model_a.hp", "defaults", PAIR), 'must be "default" or an object'),
        (changed("model_pairs.0.model_a.hps", {}, PAIR), "Did you mean 'hp'"),
        (changed("concurrent_mode", False, PAIR), "concurrent_mode = False"),
        ([], "must be an object"),
    ],
)
def test_wrong_field_names_file_key_value_and_mend(tmp_path: Path, table: object, message: str) -> None:
    with pytest.raises(FileError) as caught:
        read(tmp_path, table)
    assert str(tmp_path / "settings.json") in str(caught.value)
    assert message in str(caught.value)


def test_text_that_is_no_json_is_said(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text("{")
    with pytest.raises(FileError, match="not valid JSON"):
        read_settings(file, CATALOG)
