"""Data that is prepared once: the module all ``data.py`` share, by hand and from the host."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.run.data import DataStore
from tests.unit.programs import IMAGES

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

SHARING = "import pathlib, sys, prepared\nprepared.prepare(pathlib.Path(sys.argv[1]), lambda folder: {})\n"


@pytest.fixture(scope="module")
def prepared() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepared_alone", IMAGES / "base" / "prepared.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_data_is_prepared_with_the_shared_module_and_anew_when_that_changes(
    images: Path, tmp_path: Path
) -> None:
    (images / "tiny" / "data.py").write_text(SHARING)
    catalog = load_catalog(images)
    first = DataStore(catalog, None, tmp_path).folder("tiny")
    assert (first / "source.json").read_text() == "{}\n"
    assert DataStore(catalog, None, tmp_path).folder("tiny") == first
    with (images / "base" / "prepared.py").open("a") as module:
        module.write("# another\n")
    assert DataStore(catalog, None, tmp_path).folder("tiny") != first


def test_images_are_of_other_sources_when_a_shared_module_changes(images: Path) -> None:
    before = load_catalog(images).repositories["tiny"].own_sources
    with (images / "base" / "prepared.py").open("a") as module:
        module.write("# another\n")
    assert load_catalog(images).repositories["tiny"].own_sources != before


@pytest.mark.parametrize("name", ["MRT-OAST", "VulBERTa", "bug-localization-by-dnn-and-rvsm"])
def test_data_is_written_by_hand_without_any_path_set(name: str, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, str(IMAGES / name / "data.py"), str(tmp_path / "new")]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    assert (tmp_path / "new" / "source.json").is_file()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755


def test_nothing_is_left_of_data_that_could_not_be_written(prepared: ModuleType, tmp_path: Path) -> None:
    def fill(folder: Path) -> dict[str, str]:
        (folder / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        prepared.prepare(tmp_path / "new", fill)
    assert list(tmp_path.iterdir()) == []


def test_whoever_is_second_keeps_the_data_of_the_first(prepared: ModuleType, tmp_path: Path) -> None:
    def fill(folder: Path) -> dict[str, str]:
        prepared.prepare(tmp_path / "new", lambda _: {"kind": "first"})
        return {"kind": "second"}

    prepared.prepare(tmp_path / "new", fill)
    assert prepared.source_of(tmp_path / "new", "kind") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("text", ["[]", "{", '"stand-in"'])
def test_a_source_that_is_no_object_is_named_with_the_mend(
    prepared: ModuleType, tmp_path: Path, text: str
) -> None:
    assert prepared.source_of(tmp_path, "kind") == "user"
    (tmp_path / "source.json").write_text('{"other": "stand-in"}')
    assert prepared.source_of(tmp_path, "kind") == "user"
    (tmp_path / "source.json").write_text(text)
    with pytest.raises(prepared.DataError, match=r'source\.json: expected {"kind": "NAME"}; remove it'):
        prepared.source_of(tmp_path, "kind")
