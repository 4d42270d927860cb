"""The documentation of designs is true: its examples are collected, its commands are what they replace."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import jsonschema
import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.declare.collect import Defaults, expand
from energy_plugin.declare.designtoml import read_design_file
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "designs.md").read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MODULES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
HABITS = dict(re.findall(r"^\| (`-.*?) \| `((?:pytest|wattwhy) [^|]*)` \|$", PAGE, re.MULTILINE))
COMMANDS = [
    line.partition("#")[0]
    for line in re.findall(r"^pytest .*--collect-only.*|^pytest .* -k .*", PAGE, re.MULTILINE)
]
CATALOG = load_catalog()
SCHEMA = json.loads((ROOT / "energy_plugin" / "declare" / "schema" / "design.json").read_text())


def collect(*arguments: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return re.findall(r"\[(.+-r\d+)\]", done.stdout)


@pytest.mark.parametrize("text", BLOCKS)
def test_every_example_of_a_design_file_obeys_the_schema_and_has_cases(tmp_path: Path, text: str) -> None:
    file = tmp_path / "design.toml"
    file.write_text(text)
    jsonschema.validate(tomllib.loads(text), SCHEMA)
    for declaration in read_design_file(file).values():
        assert expand(declaration, CATALOG, Defaults(seed=0, limit=None, mutate=(), runs=1))


def test_every_kind_of_design_has_an_example() -> None:
    shown = set(re.findall(r'kind = "(\w+)"', PAGE))
    assert set(SCHEMA["$defs"]["design"]["properties"]["kind"]["enum"]) <= shown


@pytest.mark.parametrize("text", MODULES)
def test_every_example_of_a_test_module_has_cases(tmp_path: Path, text: str) -> None:
    (tmp_path / "test_example.py").write_text(text)
    assert collect("-p", "energy_plugin.plugin", str(tmp_path))


def test_the_tables_hold_all_of_the_studys_flags() -> None:
    flags = set(
        re.findall(
            r"(?<![\w-])-(ec|mt|mr|[rmngslcS])\b", " ".join(re.findall(r"^\| `(-.*?)`", PAGE, re.MULTILINE))
        )
    )
    assert flags == {"r", "m", "mt", "n", "g", "mr", "s", "ec", "l", "c", "S"}


@pytest.mark.parametrize(
    ("habit", "every"),
    [
        ("-r examples", r"examples-"),
        ("-m mnist", r"examples-mnist[-+]"),
        (
            "-r examples -m mnist -mt epochs,learning_rate -n 5",
            r"examples-mnist-alone-epochs:\d+-learning_rate:[\d.e-]+-r1$",
        ),
        ("-mt all", r".*(seed):\d+.*-r1$"),
        ("-n 3", r".*-alone-(epochs|max_iter):\d+-r1$"),
        ("-g performance", r""),
        ("-mr 2", r""),
        ("-s 42", r""),
        ("-c models_config.json", r""),
        ("-ec settings/study.json", r"pytorch_resnet_cifar10-resnet20-alone|examples-mnist(_rnn)?[-+]"),
        ("-ec settings/pairs.json", r"examples-mnist\+(Person_reID|MRT).*-pair-"),
    ],
)
def test_a_habit_of_the_study_has_its_counterpart(habit: str, every: str) -> None:
    (command,) = [command for said, command in HABITS.items() if said == f"`{habit}`"]
    program, *arguments = shlex.split(command)
    assert program == "pytest"
    ids = collect(*arguments)
    assert ids
    assert all(re.match(every, one) for one in ids), ids[:5]


def test_runs_are_as_many_as_asked_for() -> None:
    asked = next(command for said, command in HABITS.items() if said.endswith("-n 5`"))
    assert len(collect(*shlex.split(asked)[1:])) == 5
    study = collect("benchmarks/designs/study.json")
    assert [sum(one.startswith(name) for one in study) for name in ("pytorch_", "examples-mnist-")] == [3, 3]
    assert sum("-background-" in one for one in study) == 2


def test_seed_changes_values_and_order() -> None:
    forty_two = collect("benchmarks/designs/study.json", "--energy-seed", "42")
    assert forty_two == collect("benchmarks/designs/study.json", "--energy-seed", "42")
    assert sorted(forty_two) != sorted(collect("benchmarks/designs/study.json"))


def test_list_names_every_model() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "energy_plugin", *shlex.split(HABITS["`-l`"])[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert all(f"{model.path}" in done.stdout for model in CATALOG.models())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_pages_own_commands_have_cases(command: str) -> None:
    assert collect(*[part for part in shlex.split(command)[1:] if part not in ("--collect-only", "-q")])


def test_declared_names_hold_no_mode_so_that_k_selects_by_mode() -> None:
    for mode in ("alone", "pair", "background"):
        ids = collect("benchmarks", "-k", mode)
        assert ids
        assert all(f"-{mode}-" in one for one in ids)
    both = collect("benchmarks", "-k", "pair and mnist")
    assert both
    assert all("-pair-" in one and "mnist" in one for one in both)
