"""What tests of several files start from; of a repository's programs, ``FOLDER`` of the file says which."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.unit.programs import catalog_of, load

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def few_draws() -> Iterator[None]:
    """Modes are compared with few permutations: these have a test file of their own."""
    from causal_report.modes import rules

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "DRAWS", 19)
        yield
