"""Defaults: every form of a catalogue, and values that stay marked as filled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from causal_report import table
from causal_report.errors import InputError
from causal_report.sources import defaults, load
from causal_report.sources.source import FILLED
from tests.report import tables

IMAGES = Path(__file__).resolve().parents[2] / "images"
SMALL = "[examples.mnist]\nepochs = 14\nlearning_rate = 1.0\n[examples.mnist_rnn]\nepochs = 10\n"


def _toml(folder: Path, content: str = SMALL) -> Path:
    path = folder / "defaults.toml"
    path.write_text(content)
    return path


def _unrecorded(folder: Path) -> Path:
    """A bare table in which only every second run has its epochs recorded."""
    frame = tables.rows(24).drop(columns=["session", "role"])
    frame.loc[::2, "hyperparam_epochs"] = np.nan
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    return path


def test_what_was_not_recorded_stays_unknown(tmp_path: Path) -> None:
    built = table.build(load([_unrecorded(tmp_path)]))
    assert list(built.frame["design_epochs"].isna()) == [True, False] * 12
    assert not [name for name in built.frame if str(name).startswith(FILLED)]
    column = next(c for c in built.columns if c.name == "design_epochs")
    assert not table.filled(built.frame, column).any()


def test_filled_values_are_marked_and_counted(tmp_path: Path) -> None:
    sources = load([_unrecorded(tmp_path)], defaults=_toml(tmp_path))
    built = table.build(sources)
    column = next(c for c in built.columns if c.name == "design_epochs")
    filled = table.filled(built.frame, column)
    assert list(filled) == [True, False] * 12
    assert filled.dtype == bool
    assert set(built.frame.loc[filled, "design_epochs"]) == {14.0}  # the models alternate: all are mnist
    assert "epochs = 14 in 12 of 12 runs of examples/mnist" in sources[0].notes[-1]
    assert not sources[0].unread


def test_a_model_without_defaults_is_named(tmp_path: Path) -> None:
    path = _toml(tmp_path, "[examples.siamese]\nepochs = 14\n")
    (source,) = load([_unrecorded(tmp_path)], defaults=path)
    assert "no defaults of examples/mnist, examples/mnist_rnn" in source.notes[-1]
    assert source.frame["hyperparam_epochs"].isna().sum() == 12


def test_hyperparameters_that_a_model_has_under_its_own_name_are_marked_by_role(tmp_path: Path) -> None:
    frame = tables.rows(12).rename(columns={"hyperparam_epochs": "hyperparam_max_iter"})
    frame.loc[::2, "hyperparam_max_iter"] = np.nan
    role = {"max_iter": {"role": "epochs"}}
    models = {model: {"hyperparameters": role} for model in tables.MODELS}
    source = tables.source(frame, catalogue={"examples": {"metrics": {}, "models": models}})
    given = defaults.read(_toml(tmp_path, "[examples.mnist]\nmax_iter = 7\n"))
    built = table.build([defaults.fill(source, given)])
    assert list(built.frame["filled_epochs"]) == [True, False] * 6
    assert set(built.frame.loc[::2, "design_epochs"]) == {7.0}


def test_the_source_that_was_given_is_left_as_it_was(tmp_path: Path) -> None:
    (source,) = load([_unrecorded(tmp_path)])
    before = source.frame.copy()
    defaults.fill(source, defaults.read(_toml(tmp_path)))
    assert source.frame.equals(before)


def test_only_one_of_two_tables_may_need_defaults(tmp_path: Path) -> None:
    paths = [_unrecorded(tmp_path), tables.GOLDEN]
    built = table.build(load(paths, defaults=_toml(tmp_path)))
    assert built.frame["filled_epochs"].sum() == 12
    assert built.frame["filled_epochs"].dtype == bool


def test_a_session_holds_a_catalogue(tmp_path: Path) -> None:
    for path in (tables.GOLDEN, tables.GOLDEN / "session.json"):
        found = defaults.read(path).values["examples", "mnist"]
        assert (found["epochs"], found["batch_size"], found["learning_rate"]) == (14.0, 32.0, 1.0)


def test_images_hold_a_catalogue_with_what_each_model_has_of_its_own() -> None:
    found = defaults.read(IMAGES).values
    assert found["examples", "mnist"]["learning_rate"] == 1.0
    assert found["examples", "mnist_rnn"]["learning_rate"] == 0.1
    assert found["examples", "mnist_cnn"] == found["examples", "mnist"]  # its other name
    assert (
        defaults.read(IMAGES / "examples" / "repository.toml").values["examples", "word_lm"]["epochs"] == 40
    )


def test_the_catalogue_is_read_as_the_plugin_reads_it() -> None:
    from energy_plugin.declare.catalog import load_catalog

    found = defaults.read(IMAGES).values
    for model in load_catalog(IMAGES).models():
        assert found[model.repository, model.name] == model.defaults()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epochs = 10\n", "not a table"),
        ("[examples]\nepochs = 10\n", "not a table"),
        ("[examples.mnist]\nepochs = 'many'\n", "examples.mnist.epochs is 'many'"),
        ("[examples.mnist]\nepochs = true\n", "a default is a number"),
        ("[examples.mnist]\n", "no defaults in it"),
        ("", "no defaults in it"),
        ("{", "not a TOML file"),
        ("hyperparameters = [1]\n[models.mnist]\n", r"hyperparameters of the file is \[1\], not a table"),
        (
            "models = [1]\n[hyperparameters.epochs]\ndefault = 3\n",
            r"models of the file is \[1\], not a table",
        ),
        ("[hyperparameters.epochs]\ndefault = 3\n[models]\nmnist = 4\n", "of mnist is 4, not a table"),
        (
            "[hyperparameters.epochs]\ndefault = 3\n[models.mnist]\nuses = 4\n",
            "uses of mnist is 4, not a list",
        ),
    ],
)
def test_a_file_that_is_no_catalogue_says_why(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        defaults.read(_toml(tmp_path, content))


def test_a_damaged_or_missing_catalogue_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder of defaults"):
        defaults.read(tmp_path / "missing.toml")
    with pytest.raises(InputError, match="no defaults in it"):
        defaults.read(tmp_path)
    for content in ("{broken", json.dumps([1])):
        (tmp_path / "session.json").write_text(content)
        with pytest.raises(InputError, match=r"not a session\.json"):
            defaults.read(tmp_path)


@pytest.mark.parametrize(
    ("catalogue", "words"),
    [
        ([], r"catalogue of session\.json is \[\], not a table"),
        ({"examples": 5}, "models of examples is 5, not a table"),
        ({"examples": {"models": [1]}}, r"models of examples is \[1\], not a table"),
        ({"examples": {"models": {"mnist": {"hyperparameters": [1]}}}}, r"of examples\.mnist is \[1\]"),
    ],
)
def test_a_catalogue_of_another_shape_says_where(tmp_path: Path, catalogue: object, words: str) -> None:
    (tmp_path / "session.json").write_text(json.dumps({"catalogue": catalogue}))
    with pytest.raises(InputError, match=words):
        defaults.read(tmp_path)
