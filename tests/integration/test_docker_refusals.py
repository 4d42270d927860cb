"""What is wrong with containers is said before any run, each with its mend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Project

GOOD = '@experiments("boxed/good")\ndef test_case(case, measure):\n    assert measure(case).success\n'


def refusal(project: Project, *arguments: str) -> str:
    """What a session prints that is refused before any run."""
    project.declare(GOOD)
    done = project.run(*arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list((project.folder / "results").glob("*/journal.jsonl"))
    return done.stdout + done.stderr


def test_no_engine_says_where_it_was_looked_for_and_what_to_do(project: Project, boxed: Path) -> None:
    project.environment["DOCKER_HOST"] = "unix:///nonexistent"
    said = refusal(project, "--energy-executor", "docker")
    assert "no container engine answers at unix:///nonexistent" in said
    assert "--energy-executor local" in said


@pytest.fixture
def open_environment() -> Iterator[None]:
    """Let other users read this interpreter's packages: tox makes its folder root's alone."""
    closed = [path for path in Path(sys.prefix).resolve().parents if not path.stat().st_mode & 0o001]
    for path in closed:
        path.chmod(path.stat().st_mode | 0o005)
    yield
    for path in closed:
        path.chmod(path.stat().st_mode & ~0o005)


@pytest.mark.engine
@pytest.mark.root
def test_engine_that_this_user_may_not_use_says_which_group(
    engine: object, tmp_path: Path, open_environment: None
) -> None:
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    code = "from energy_plugin.run.executors.engine import connect; connect()"
    site = [path for path in sys.path if path]
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code],
        env={"DOCKER_HOST": address, "PYTHONPATH": os.pathsep.join(site), "PATH": os.environ["PATH"]},
        cwd=tmp_path.anchor,
        capture_output=True,
        text=True,
    )
    assert "no permission for the container engine" in done.stderr, done.stderr
    assert "usermod -aG docker" in done.stderr


@pytest.mark.engine
def test_missing_image_names_the_command_that_builds_it(
    project: Project, boxed: Path, engine: object
) -> None:
    (boxed / "boxed" / "train.py").write_text("never built")
    said = refusal(project, "--energy-executor", "docker")
    assert "no image of the present sources for boxed" in said
    assert "wattwhy images build boxed" in said


@pytest.mark.engine
def test_image_of_other_sources_is_not_taken(box_project: Project, built: Path) -> None:
    with (built / "boxed" / "train.py").open("a") as program:
        program.write("# changed since\n")
    assert "there are only images of other sources" in refusal(box_project)


@pytest.mark.engine
def test_data_folder_without_this_repository_is_refused(box_project: Project, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    said = refusal(box_project, f"--energy-data={tmp_path / 'mine'}")
    assert "expected a folder for a repository there: mine/boxed" in said


@pytest.mark.engine
@pytest.mark.root
def test_data_that_the_containers_user_may_not_read_is_refused(box_project: Project, tmp_path: Path) -> None:
    (tmp_path / "mine" / "boxed").mkdir(parents=True)
    (tmp_path / "mine" / "boxed").chmod(0o700)
    said = refusal(box_project, f"--energy-data={tmp_path / 'mine'}")
    assert "may not read the data of boxed" in said


@pytest.mark.engine
def test_gpus_without_their_runtime_are_refused(
    box_project: Project, engine: object, containers: Callable[[], list[str]]
) -> None:
    if "nvidia" in engine.info()["Runtimes"]:  # type: ignore[attr-defined]
        pytest.skip("this engine has the NVIDIA runtime")
    said = refusal(box_project, "--energy-gpus", "GPU-1a")
    assert "no NVIDIA runtime" in said
    assert "nvidia-ctk runtime configure" in said
    assert containers() == []


@pytest.mark.parametrize("option", ["--energy-gpus=GPU-1a", "--energy-memory=4", "--energy-cpus=1"])
def test_option_of_containers_is_refused_without_them(project: Project, boxed: Path, option: str) -> None:
    assert "only with --energy-executor docker" in refusal(project, option)
