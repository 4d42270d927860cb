"""The published schemas and the readers agree: on every preset, on what is right and on what is wrong."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from energy_plugin.declare import designtoml
from energy_plugin.declare.catalog import load_catalog
from energy_plugin.declare.design import KINDS
from energy_plugin.declare.designtoml import read_design_file
from energy_plugin.declare.pairs import FIGURES, METHODS
from energy_plugin.declare.settings import read_settings
from energy_plugin.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "energy_plugin" / "declare" / "schema"
SCHEMA = json.loads((FOLDER / "design.json").read_text())
SETTINGS = json.loads((FOLDER / "settings.json").read_text())
CATALOG = load_catalog()
HEAD = "[[experiments]]\nselect = 'mnist'\n"
PAIRS = "[[experiments]]\npairs = "


def obeys(value: object, schema: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def test_schemas_are_schemas() -> None:
    for schema in (SCHEMA, SETTINGS):
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "file", sorted((ROOT / "benchmarks" / "designs").glob("*.toml")), ids=lambda path: path.stem
)
def test_every_preset_obeys_the_schema(file: Path) -> None:
    jsonschema.validate(tomllib.loads(file.read_text()), SCHEMA)


@pytest.mark.parametrize("name", ["study", "study_pairs"])
def test_every_settings_preset_obeys_the_schema_and_is_read(name: str) -> None:
    file = ROOT / "benchmarks" / "designs" / f"{name}.json"
    jsonschema.validate(json.loads(file.read_text()), SETTINGS)
    assert read_settings(file, CATALOG).declarations


def test_schema_lists_the_keys_and_names_that_the_reader_knows() -> None:
    parts = SCHEMA["$defs"]
    assert set(SCHEMA["properties"]) == designtoml.FILE_KEYS
    assert set(parts["block"]["properties"]) == designtoml.BLOCK_KEYS
    assert set(parts["design"]["properties"]) == designtoml.DESIGN_KEYS
    assert set(parts["background"]["properties"]) == designtoml.BACKGROUND_KEYS
    sampling = parts["pairs"]["oneOf"][1]["properties"]
    assert set(sampling) == designtoml.SAMPLING_KEYS
    assert set(sampling["sample"]["enum"]) == set(METHODS)
    assert set(sampling["figures"]["enum"]) == set(FIGURES)
    assert set(parts["design"]["properties"]["kind"]["enum"]) == set(KINDS)


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        "name = 'x'\ntitle = 'y'\nseed = 0\nreplicates = 2\n" + HEAD,
        "[[experiments]]\nselect = ['examples/*', 'resnet20']\nlimit = 5\nalone = false\n",
        HEAD + "design = { kind = 'one_at_a_time', levels = 3, base_replicates = 0 }\n",
        HEAD + "design = { kind = 'one_at_a_time', names = ['all'], n = 3, default = false }\n",
        HEAD + "design = { kind = 'factorial', values = { epochs = [1, 2], batch_size = [16, 32.0] } }\n",
        HEAD + "design = { kind = 'orthogonal', levels = 3, ranges = 'concurrency' }\n",
        HEAD + "design = { kind = 'latin_hypercube', n = 4, ranges = { epochs = [1, 3] } }\n",
        HEAD + "design = { kind = 'explicit', runs = [{ epochs = 1 }, { epochs = 2, seed = 3 }] }\n",
        HEAD + "background = { model = 'mnist', values = { epochs = 3 }, loop = 'endless', limit = 9 }\n",
        PAIRS + "[['mnist', 'siamese']]\nreplicates = 4\n",
        PAIRS + "{ n = 3, sample = 'stratified', models = ['*'], without = ['word_lm'], budget_gib = 8 }\n",
        PAIRS + "{ n = 3, figures = 'study', seed = 5, budget_gib = 0.5 }\n",
    ],
)
def test_right_files_please_both(tmp_path: Path, text: str) -> None:
    file = tmp_path / "design.toml"
    file.write_text(text)
    assert read_design_file(file)
    jsonschema.validate(tomllib.loads(text), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "name = 'x'\n",
        "experiments = []\n",
        "experiments = [1]\n",
        "name = 1\n" + HEAD,
        "title = ['x']\n" + HEAD,
        "seed = -1\n" + HEAD,
        "replicates = 0\n" + HEAD,
        "replicates = true\n" + HEAD,
        "replicate = 2\n" + HEAD,
        "[[experiments]]\nname = 'x'\n",
        "[[experiments]]\nselect = 5\n",
        "[[experiments]]\nselect = [5]\n",
        HEAD + "name = 'not an identifier'\n",
        HEAD + "name = '1st'\n",
        HEAD + "modes = 'pair'\n",
        HEAD + "alone = 'yes'\n",
        HEAD + "limit = 0\n",
        HEAD + "replicates = 'three'\n",
        HEAD + "pairs = [['mnist', 'siamese']]\n",
        PAIRS + "[]\n",
        PAIRS + "[['mnist']]\n",
        PAIRS + "[['mnist', 'siamese', 'word_lm']]\n",
        PAIRS + "'mnist+siamese'\n",
        PAIRS + "{ sample = 'random' }\n",
        PAIRS + "{ n = 0 }\n",
        PAIRS + "{ n = 2, sample = 'best' }\n",
        PAIRS + "{ n = 2, figures = 'mine' }\n",
        PAIRS + "{ n = 2, models = 'mnist' }\n",
        PAIRS + "{ n = 2, without = 'mnist' }\n",
        PAIRS + "{ n = 2, budget_gib = 'much' }\n",
        PAIRS + "{ n = 2, budget_gib = 0 }\n",
        PAIRS + "{ n = 2, seed = -1 }\n",
        PAIRS + "{ n = 2, pairs = 3 }\n",
        PAIRS + "[['mnist', 'siamese']]\nbackground = { model = 'mnist' }\n",
        HEAD + "background = 'mnist'\n",
        HEAD + "background = { values = { epochs = 1 } }\n",
        HEAD + "background = { model = 'mnist', loop = 'forever' }\n",
        HEAD + "background = { model = 'mnist', values = { epochs = 'many' } }\n",
        HEAD + "background = { model = 'mnist', limit = 0 }\n",
        HEAD + "background = { model = 'mnist', epochs = 3 }\n",
        HEAD + "design = 'defaults'\n",
        HEAD + "design = { levels = 2 }\n",
        HEAD + "design = { kind = 'grid' }\n",
        HEAD + "design = { kind = 'joint', n = 0 }\n",
        HEAD + "design = { kind = 'joint', n = 1.5 }\n",
        HEAD + "design = { kind = 'joint', levels = 2 }\n",
        HEAD + "design = { kind = 'joint', names = 'epochs' }\n",
        HEAD + "design = { kind = 'joint', names = [1] }\n",
        HEAD + "design = { kind = 'joint', default = 'yes' }\n",
        HEAD + "design = { kind = 'joint', base_replicates = -1 }\n",
        HEAD + "design = { kind = 'joint', base = { epochs = 'ten' } }\n",
        HEAD + "design = { kind = 'joint', base = 3 }\n",
        HEAD + "design = { kind = 'joint', ranges = 3 }\n",
        HEAD + "design = { kind = 'joint', ranges = { epochs = [1] } }\n",
        HEAD + "design = { kind = 'joint', ranges = { epochs = ['1', '2'] } }\n",
        HEAD + "design = { kind = 'defaults', names = ['epochs'] }\n",
        HEAD + "design = { kind = 'defaults', n = 2 }\n",
        HEAD + "design = { kind = 'one_at_a_time', levels = 2, n = 2 }\n",
        HEAD + "design = { kind = 'factorial', n = 2 }\n",
        HEAD + "design = { kind = 'latin_hypercube', values = { epochs = [1] } }\n",
        HEAD + "design = { kind = 'factorial', values = { epochs = [] } }\n",
        HEAD + "design = { kind = 'factorial', values = { epochs = 3 } }\n",
        HEAD + "design = { kind = 'explicit' }\n",
        HEAD + "design = { kind = 'explicit', runs = [] }\n",
        HEAD + "design = { kind = 'explicit', runs = 3 }\n",
        HEAD + "design = { kind = 'explicit', names = ['epochs'], runs = [{ epochs = 1 }] }\n",
        HEAD + "design = { kind = 'explicit', ranges = 'concurrency', runs = [{ epochs = 1 }] }\n",
        HEAD + "design = { kind = 'defaults', ranges = { epochs = [1, 2] } }\n",
        HEAD + "design = { kind = 'defaults', default = false }\n",
        HEAD + "design = { kind = 'joint', n = 2, default = false, base_replicates = 2 }\n",
        HEAD + "design = { kind = 'joint', names = [] }\n",
        HEAD + "name = true\n",
        HEAD + "background = { model = 'mnist', loop = 3 }\n",
        "[[experiments]]\nselect = []\n",
        "[[experiments]]\nselect = ''\n",
        PAIRS + "{ n = 2, sample = ['random'] }\n",
        HEAD + "design = { kind = 'explicit', runs = [{ epochs = true }] }\n",
    ],
)
def test_wrong_files_please_neither(tmp_path: Path, text: str) -> None:
    file = tmp_path / "design.toml"
    file.write_text(text)
    with pytest.raises(FileError):
        read_design_file(file)
    assert not obeys(tomllib.loads(text), SCHEMA)


RIGHT: dict[str, Any] = {
    "experiment_name": "x",
    "governor": "performance",
    "max_retries": 1,
    "runs_per_config": 2,
    "mode": "mutation",
    "use_deduplication": False,
    "historical_csvs": [],
    "experiments": [
        {"repo": "examples", "model": "mnist", "mutate": ["epochs"], "comment": "c"},
        {"repo": "examples", "model": "mnist", "mode": "default", "hyperparameters": {"epochs": 3}},
        {
            "repo": "examples",
            "model": "mnist",
            "mode": "parallel",
            "foreground": {"repo": "examples", "model": "siamese", "mode": "mutation", "mutate": ["all"]},
            "background": {"repo": "VulBERTa", "model": "mlp", "hyperparameters": {"epochs": 1}},
        },
    ],
}
PAIR: dict[str, Any] = {
    "experiment_name": "x",
    "concurrent_mode": True,
    "model_pairs": [
        {
            "model_a": {"repo": "examples", "model": "mnist", "hp": "default"},
            "model_b": {"repo": "examples", "model": "siamese", "hp": {"epochs": 3}},
        }
    ],
}


def changed(table: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """A copy with one thing changed."""
    new = copy.deepcopy(table)
    change(new)
    return new


@pytest.mark.parametrize("table", [RIGHT, PAIR], ids=["settings", "pairs"])
def test_right_settings_please_both(tmp_path: Path, table: dict[str, Any]) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(table))
    assert read_settings(file, CATALOG).declarations
    jsonschema.validate(table, SETTINGS)


@pytest.mark.parametrize(
    "table",
    [
        changed(RIGHT, lambda t: t.update(experiment=[])),
        changed(RIGHT, lambda t: t.update(experiments=[])),
        changed(RIGHT, lambda t: t.update(max_retries=-1)),
        changed(RIGHT, lambda t: t.update(runs_per_config=0)),
        changed(RIGHT, lambda t: t.update(governor=3)),
        changed(RIGHT, lambda t: t.update(use_deduplication="yes")),
        changed(RIGHT, lambda t: t["experiments"][0].pop("repo")),
        changed(RIGHT, lambda t: t["experiments"][0].update(mutat=["epochs"])),
        changed(RIGHT, lambda t: t["experiments"][0].update(mutate="epochs")),
        changed(RIGHT, lambda t: t["experiments"][0].update(mode="concurrent")),
        changed(RIGHT, lambda t: t["experiments"][1].update(hyperparameters={"epochs": "3"})),
        changed(RIGHT, lambda t: t["experiments"][2].pop("background")),
        changed(RIGHT, lambda t: t["experiments"][2].update(mutate=["epochs"])),
        changed(RIGHT, lambda t: t.update(experiment_name=3)),
        changed(RIGHT, lambda t: t.update(mode="mutate")),
        changed(RIGHT, lambda t: t.update(historical_csvs="old.csv")),
        changed(RIGHT, lambda t: t["experiments"][2]["foreground"].update(mode="parallel")),
        changed(RIGHT, lambda t: t["experiments"][2]["background"].update(mutate=["epochs"])),
        changed(PAIR, lambda t: t.update(concurrent_mode=False)),
        changed(PAIR, lambda t: t.update(model_pairs=[])),
        changed(PAIR, lambda t: t["model_pairs"][0].pop("model_b")),
        changed(PAIR, lambda t: t["model_pairs"][0]["model_a"].update(hp="best")),
        changed(PAIR, lambda t: t["model_pairs"][0]["model_a"].update(hp={"epochs": "3"})),
    ],
)
def test_wrong_settings_please_neither(tmp_path: Path, table: dict[str, Any]) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(table))
    with pytest.raises(FileError):
        read_settings(file, CATALOG)
    assert not obeys(table, SETTINGS)
