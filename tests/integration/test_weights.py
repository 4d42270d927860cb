"""Pretrained weights of the user's: loaded where they fit, recorded, and part of the case key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import records
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.record.record import Record
    from tests.conftest import Project

pytestmark = pytest.mark.train


@pytest.fixture
def study(project: Project) -> Project:
    project.images = ROOT / "images"
    project.declare(
        "@experiments('examples/mnist_rnn', limit=64, design=joint('epochs', ranges={'epochs': [1, 1.1]}))\n"
        "def test_case(case, measure):\n    assert measure(case).success\n"
    )
    return project


def weights(folder: Path, **tensors: tuple[int, ...]) -> str:
    """Write zeros of those shapes as the model's file; the option that names the folder."""
    import torch

    (folder / "examples").mkdir(parents=True)
    state = {name.replace("_dot_", "."): torch.zeros(shape) for name, shape in tensors.items()}
    torch.save(state, folder / "examples" / "mnist_rnn.pt")
    return f"--energy-weights={folder}"


def only(study: Project) -> Record:
    (record,) = records(study.session)
    return record


def test_tensors_that_fit_are_loaded_and_the_record_and_key_say_so(study: Project, tmp_path: Path) -> None:
    option = weights(tmp_path / "weights", lstm_dot_weight_hh_l0=(256, 64), foreign_dot_bias=(3,))
    assert study.run().returncode == 0
    plain = only(study)
    done = study.run(option)
    assert done.returncode == 0, done.stdout
    started = only(study)
    assert (plain.outcomes[0].weights, started.outcomes[0].weights) == ("random", "file")
    assert plain.case_key != started.case_key
    assert "weights: 1 of " in (study.session / started.outcomes[0].log).read_text()


def test_file_of_which_nothing_fits_fails_instead_of_training_from_random(
    study: Project, tmp_path: Path
) -> None:
    done = study.run(weights(tmp_path / "weights", nothing_dot_weight=(3, 3)))
    assert done.returncode == 1
    assert "no tensor fits mnist_rnn" in done.stdout


def test_folder_without_a_fitting_name_is_refused_before_any_run(study: Project, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = study.run(f"--energy-weights={tmp_path / 'empty'}")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "examples/mnist_rnn.pt" in done.stdout + done.stderr
