"""Paths of a driver container, as its sibling containers must be given them."""

from __future__ import annotations

from pathlib import Path

import pytest

from energy_plugin.errors import UsageError
from energy_plugin.run.executors.hostpath import HostPaths, own_container

ID = "0123456789abcdef" * 4


def test_paths_outside_of_a_container_stay_as_they_are(tmp_path: Path) -> None:
    assert HostPaths(None).host(tmp_path) == tmp_path.resolve()


def test_path_below_a_mount_is_the_hosts() -> None:
    paths = HostPaths({"/inside": "/home/me/study", "/inside/data": "/srv/data"})
    assert paths.host(Path("/inside/results/run_1")) == Path("/home/me/study/results/run_1")
    assert paths.host(Path("/inside/data/x")) == Path("/srv/data/x")


def test_path_of_the_container_alone_is_refused_with_the_mend() -> None:
    with pytest.raises(UsageError, match=r"/root/.cache is inside this container only.*docker run -v"):
        HostPaths({"/inside": "/home/me"}).host(Path("/root/.cache"))


def test_own_container_is_found_by_its_hostname_file() -> None:
    line = f"613 599 254:0 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
    assert own_container(line) == ID
    assert own_container("22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n") is None
