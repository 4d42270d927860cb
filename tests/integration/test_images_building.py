"""``wattwhy images``: builds what is missing, says what is there, carries it to other machines."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.run import images
from energy_plugin.run.baseimage import ensure

if TYPE_CHECKING:
    from pathlib import Path

    from docker import DockerClient

    from energy_plugin.run.images import Base
    from tests.conftest import Project

pytestmark = pytest.mark.engine


def wattwhy(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "energy_plugin", *arguments],
        capture_output=True,
        text=True,
        env=project.environment,
    )


def test_image_is_built_once_and_again_only_when_its_sources_change(
    project: Project, boxed: Path, plain: Base
) -> None:
    with (boxed / "boxed" / "train.py").open("a") as program:
        program.write(f"# {time.time_ns()}\n")
    command = ("images", "build", "boxed", "--base", "plain", "--images", str(boxed))
    first = wattwhy(project, *command)
    assert "building on wattwhy-base:plain-" in first.stdout, first.stderr
    assert wattwhy(project, *command).stdout.splitlines()[-1].endswith("up to date")
    with (boxed / "boxed" / "train.py").open("a") as program:
        program.write("# more\n")
    again = wattwhy(project, *command)
    assert "building on" in again.stdout
    assert again.stdout.splitlines()[-1].split(":")[1] != first.stdout.splitlines()[-1].split(":")[1]


def test_building_takes_under_two_seconds(boxed: Path, engine: DockerClient, plain: Base) -> None:
    (boxed / "boxed" / "train.py").write_text(f"# {time.time_ns()}\n")
    started = time.monotonic()
    _, built = images.build(engine, load_catalog(boxed).repositories["boxed"], plain, print)
    assert built
    assert time.monotonic() - started < 2


def test_image_says_what_it_is_made_of(built: Path, engine: DockerClient, plain: Base) -> None:
    repository = load_catalog(built).repositories["boxed"]
    labels = engine.images.get(images.tag_of(repository, plain.id)).labels
    assert labels["wattwhy.sources"] == repository.sources
    assert labels["wattwhy.base"] == plain.id
    assert labels["wattwhy.base.is"] == plain.is_
    assert labels["org.opencontainers.image.version"]


def test_list_tells_present_sources_from_old_ones(project: Project, built: Path) -> None:
    def states() -> set[str]:
        listed = wattwhy(project, "images", "list", "--images", str(built)).stdout
        return {line.split("  ")[1] for line in listed.splitlines() if line.startswith("wattwhy/boxed:")}

    assert "current" in states()
    with (built / "boxed" / "train.py").open("a") as program:
        program.write("# changed\n")
    assert states() == {"old sources"}


def test_saved_image_runs_after_it_was_loaded(
    project: Project, built: Path, engine: DockerClient, plain: Base, tmp_path: Path
) -> None:
    file = tmp_path / "images.tar"
    saved = wattwhy(project, "images", "save", str(file), "boxed", "--images", str(built))
    assert saved.returncode == 0, saved.stderr
    tag = images.tag_of(load_catalog(built).repositories["boxed"], plain.id)
    engine.images.remove(tag, force=True)
    loaded = wattwhy(project, "images", "load", str(file))
    assert f"{tag}: loaded" in loaded.stdout, loaded.stderr
    assert images.find(engine, [load_catalog(built).repositories["boxed"]])["boxed"].tag == tag


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "boxde"), "Did you mean 'boxed'?"),
        (("build", "boxed", "--base", "nowhere.invalid/base:1"), "cannot be pulled"),
        (("build", "tiny", "--base", "plain"), "has no Dockerfile"),
        (("load", "/nonexistent.tar"), "No such file"),
        (("load", "/etc/passwd"), "holds no images"),
    ],
)
def test_wrong_command_says_what_is_wrong_in_one_line(
    project: Project, boxed: Path, plain: Base, arguments: tuple[str, ...], message: str
) -> None:
    done = wattwhy(project, "images", *arguments, "--images", str(boxed))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_failing_build_shows_its_error_and_leaves_no_container(
    project: Project, boxed: Path, plain: Base, engine: DockerClient
) -> None:
    before = len(engine.containers.list(all=True))
    with (boxed / "boxed" / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("COPY boxed/absent.py /app/\n")
    done = wattwhy(project, "images", "build", "boxed", "--base", "plain", "--images", str(boxed))
    assert done.returncode == 2
    assert "could not be built" in done.stderr
    assert "absent.py" in done.stderr
    assert len(engine.containers.list(all=True)) == before


def test_plain_base_is_refused_for_programs_that_need_a_framework(engine: DockerClient, plain: Base) -> None:
    from energy_plugin.errors import UsageError

    with pytest.raises(UsageError, match="no torch, which examples needs"):
        images.build(engine, load_catalog().repositories["examples"], plain, print)


@pytest.mark.slow
@pytest.mark.train
def test_network_trains_in_a_container_on_the_local_base(project: Project, engine: DockerClient) -> None:
    started = time.monotonic()
    base = ensure(engine, "local", print)
    assert time.monotonic() - started < 120
    catalog = load_catalog()
    for repository in catalog.repositories.values():
        images.build(engine, repository, base, print)
    project.declare(
        '@experiments("examples/mnist_rnn", limit=200)\n'
        "def test_case(case, measure):\n"
        "    record = measure(case)\n"
        "    assert record.outcomes[0].data_source == 'mnist-5k'\n"
        "    assert record.outcomes[0].cpu_s > 1\n"
    )
    done = project.run("--energy-executor", "docker", "--energy-images", str(catalog.folder))
    assert done.returncode == 0, done.stdout + done.stderr
