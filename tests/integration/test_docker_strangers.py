"""Containers of others are seen before a run: in its record, and fatal where nothing may disturb it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import read_journal, records
from tests.conftest import lines_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

    from tests.conftest import Project

pytestmark = pytest.mark.engine


@pytest.fixture
def stranger(engine: DockerClient, box_project: Project) -> Iterator[str]:
    """A running container without our labels."""
    image = next(
        tag for found in engine.images.list() for tag in found.tags if tag.startswith("wattwhy/boxed")
    )
    made = engine.containers.run(
        image, entrypoint=["sleep", "600"], command=[], detach=True, network_mode="none", name="somebodys-web"
    )
    yield "somebodys-web"
    made.remove(force=True)


def test_a_container_of_others_is_in_the_record_and_refused_by_a_strict_session(
    box_project: Project, stranger: str
) -> None:
    box_project.case("good")
    test = box_project.folder / "test_study.py"
    test.write_text(test.read_text().replace("tiny/good", "boxed/good"))
    assert box_project.run().returncode == 0
    (record,) = records(box_project.session)
    assert record.provenance["other_containers"] == [stranger]
    done = box_project.run("--energy-strict", "--energy-tdp=cpu=65,gpu=300")
    assert done.returncode == 1
    assert lines_with(done.stdout, "was not run", f"container {stranger} is running")
    kinds = [event["event"] for event in read_journal(box_project.session)]
    assert "attempt-begin" not in kinds
