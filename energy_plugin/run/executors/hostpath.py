"""Paths as the engine's host knows them, when the plugin itself runs in a container.

A driver container that has the engine's socket starts sibling containers: the engine resolves the
mounts of those on the host, so every folder must be named by its path there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import DockerClient

MOUNTINFO = Path("/proc/self/mountinfo")
OWN_ID = re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) ")


@dataclass(frozen=True, slots=True)
class HostPaths:
    """Translates paths of this container to those of the host; ``mounts`` is None outside of one.

    Attributes:
        mounts: folder in this container to folder on the host.
    """

    mounts: Mapping[str, str] | None

    def host(self, path: Path) -> Path:
        """The host's path of *path*.

        Raises:
            UsageError: the path exists in this container only.
        """
        path = path.resolve()
        if self.mounts is None:
            return path
        for inside in (path, *path.parents):
            if str(inside) in self.mounts:
                return Path(self.mounts[str(inside)]) / path.relative_to(inside)
        raise UsageError(
            f"{path} is inside this container only, and sibling containers cannot see it: mount a folder "
            f"of the host there, such as docker run -v $PWD/results:{path} ..."
        )


def own_container(mountinfo: str) -> str | None:
    """The id of the container this process runs in, by what Docker mounts over /etc/hostname."""
    found = OWN_ID.search(mountinfo)
    return found.group(1) if found else None


def host_paths(client: DockerClient, mountinfo: Path = MOUNTINFO) -> HostPaths:
    """How paths translate here: not at all outside of containers of this engine."""
    from docker.errors import NotFound

    own = own_container(mountinfo.read_text(encoding="utf-8"))
    if own is None:
        return HostPaths(None)
    try:
        mounts = client.containers.get(own).attrs["Mounts"]
    except NotFound:  # a container of another engine: its paths are this engine's host's
        return HostPaths(None)
    return HostPaths({mount["Destination"]: mount["Source"] for mount in mounts})
