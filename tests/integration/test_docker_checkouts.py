"""Originals in a user's own checkout, in our images: the same logs read as on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.record.journal import records
from energy_plugin.run import baseimage, images
from tests.conftest import ROOT
from tests.integration.test_checkouts import EXPECTED, Originals, two

if TYPE_CHECKING:
    from pathlib import Path

    from docker import DockerClient

    from tests.conftest import Project

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.train]


@pytest.fixture(scope="module")
def built(engine: DockerClient) -> None:
    """Images of the repositories on this host's own files."""
    base = baseimage.ensure(engine, "local", print)
    for name in (*EXPECTED, "examples"):
        images.build(engine, load_catalog().repositories[name], base, print)


@pytest.fixture
def originals(project: Project, tmp_path: Path, built: None) -> Originals:
    project.images = ROOT / "images"
    return Originals(project, tmp_path)


@pytest.mark.parametrize("repository", EXPECTED)
def test_an_original_runs_in_a_container_and_its_log_is_read(originals: Originals, repository: str) -> None:
    folder = originals.runs(repository, "--energy-executor", "docker")
    assert not list(originals.project.session.glob("*/*.raw.log"))
    (facts, *_) = records(originals.project.session)[0].provenance["programs"]
    assert facts["checkout"]["folder"] == str(folder)
    assert facts["image"].startswith("wattwhy/")


def test_an_example_runs_in_its_own_folder_of_the_checkout(originals: Originals) -> None:
    originals.checkout("examples")
    done = originals.run("examples", "mnist", two(), "--energy-executor", "docker")
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = originals.outcomes()["mnist"]
    assert outcome.metrics == pytest.approx({"test_loss": 0.1, "test_accuracy": 0.902})
    process = outcome.window("process")
    assert process is not None
    for epoch in outcome.epochs:
        assert process.t0_ns <= epoch.t0_ns <= epoch.t1_ns <= process.t1_ns + 500_000_000


def test_a_crashing_original_is_a_failed_record_and_leaves_nothing(originals: Originals) -> None:
    folder = originals.checkout("pytorch_resnet_cifar10")
    (folder / "trainer.py").write_text("print('about to end', flush=True)\nraise SystemExit(3)\n")
    done = originals.run("pytorch_resnet_cifar10", "resnet20", two(), "--energy-executor", "docker")
    assert done.returncode == 1
    outcome = originals.outcomes()["resnet20"]
    assert (outcome.success, outcome.reason, outcome.exit_code) == (False, "exit-code", 3)
    assert "about to end" in done.stdout
    assert not list(originals.project.session.glob("*/*.checkout"))
