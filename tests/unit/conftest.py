"""What the tests of every repository's programs start from; ``FOLDER`` of the test module says which."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.unit.programs import catalog_of, load

if TYPE_CHECKING:
    from pathlib import Path
    from types import SimpleNamespace

    from energy_plugin.declare.catalog import Catalog


@pytest.fixture(scope="module")
def code(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The modules of the folder."""
    folder: Path = request.module.FOLDER
    framework = tomllib.loads((folder / "repository.toml").read_text("utf-8")).get("framework")
    if framework:
        pytest.importorskip(framework)
    return load(folder)


@pytest.fixture(scope="module")
def standin(code: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data that the folder prepares."""
    folder: Path = tmp_path_factory.mktemp("data") / "standin"
    code.data.write(folder)
    return folder


@pytest.fixture
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Catalog:
    """The catalogue of the folder alone."""
    return catalog_of(request.module.FOLDER, tmp_path)
