"""The container engine: reach it, say clearly why not, and sweep what dead sessions left in it."""

from __future__ import annotations

import os
import platform
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import UsageError
from energy_plugin.run.executors.hostpath import MOUNTINFO, own_container
from energy_plugin.run.executors.owner import Owner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docker import DockerClient

LABEL = "wattwhy"
DEFAULT_HOST = "unix:///var/run/docker.sock"
TIMEOUT_S = 120.0


def connect() -> DockerClient:
    """A client of the engine that ``DOCKER_HOST`` or the default socket names.

    Raises:
        UsageError: no engine answers there, or this user may not talk to it.
    """
    import docker
    from docker.errors import DockerException

    where = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    try:
        knock(where)
        return docker.from_env(timeout=int(TIMEOUT_S))
    except PermissionError:
        raise UsageError(
            f"no permission for the container engine at {where}: run as root, or add your user to "
            "the group docker (sudo usermod -aG docker $USER) and log in again"
        ) from None
    except (DockerException, OSError):
        raise UsageError(
            f"no container engine answers at {where}: start Docker (sudo systemctl start docker), set "
            "DOCKER_HOST to where it listens, or run without containers: --energy-executor local"
        ) from None


def knock(where: str) -> None:
    """Connect once to a local socket: its error says more than the client's, which leaves a socket open.

    Raises:
        OSError: nobody listens there, or this user may not connect.
    """
    if where.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(where.removeprefix("unix://"))


def failures() -> tuple[type[Exception], ...]:
    """What calls of the client raise: the engine's refusals, and a connection that broke."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    return DockerException, RequestException


def said(error: Exception) -> str:
    """The engine's own sentence, without the client's wrapping."""
    return str(getattr(error, "explanation", None) or error).strip()


def check_same_machine(info: Mapping[str, Any]) -> None:
    """Refuse an engine on another machine: its energy would not be on this machine's meters.

    Raises:
        UsageError: the engine's kernel is not this one (a remote host, or a virtual machine).
    """
    theirs, ours = info.get("KernelVersion"), platform.release()
    if theirs != ours:
        raise UsageError(
            f"the container engine runs on another kernel ({theirs}, here {ours}): a remote host or a "
            "virtual machine. Its energy is not on this machine's meters; use an engine of this host"
        )


def check_gpus(info: Mapping[str, Any], gpus: Sequence[str]) -> None:
    """Refuse a GPU request that the engine cannot serve, before any run.

    Raises:
        UsageError: neither the NVIDIA runtime nor a CDI description of NVIDIA devices is there.
    """
    if not gpus or "nvidia" in (info.get("Runtimes") or {}):
        return
    folders = [Path(folder) for folder in info.get("CDISpecDirs") or ()]
    if any(list(folder.glob("*nvidia*")) for folder in folders):
        return
    raise UsageError(
        f"--energy-gpus {','.join(gpus)}: this container engine has no NVIDIA runtime. Install "
        "nvidia-container-toolkit, run `nvidia-ctk runtime configure --runtime=docker` and restart Docker"
    )


def labels_of(owner: Owner) -> dict[str, str]:
    """An owner as container labels."""
    return {
        f"{LABEL}.pid": owner.pid,
        f"{LABEL}.boot": owner.boot,
        f"{LABEL}.born": owner.born,
        f"{LABEL}.pids": owner.pids,
    }


def is_orphan(labels: Mapping[str, str], now_s: float) -> bool:
    """Whether the process a container belongs to is gone.

    From another process-id namespace of the same boot that cannot be seen; there only a deadline that
    has passed tells.

    Args:
        labels: the container's.
        now_s: seconds since the epoch.
    """
    pid, boot, born, pids = (labels.get(f"{LABEL}.{part}", "") for part in ("pid", "boot", "born", "pids"))
    gone = Owner(pid=pid, boot=boot, born=born, pids=pids).is_gone()
    return now_s > float(labels.get(f"{LABEL}.deadline", "inf")) if gone is None else gone


def strangers(client: DockerClient) -> list[str]:
    """Names of the running containers that are neither ours nor the one this process runs in.

    Raises:
        Exception: one of :func:`failures`.
    """
    own = own_container(MOUNTINFO.read_text(encoding="utf-8"))
    running = client.api.containers()  # the client's own list asks about each of them once more
    others = [found for found in running if LABEL not in (found["Labels"] or {}) and found["Id"] != own]
    return sorted(found["Names"][0].removeprefix("/") for found in others)


def sweep(client: DockerClient) -> int:
    """Remove the containers of sessions that are dead; how many."""
    from docker.errors import APIError, NotFound

    removed = 0
    for container in client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
        if is_orphan(container.labels, time.time()):
            try:
                container.remove(force=True, v=True)
            except NotFound:
                continue
            except APIError as error:
                raise UsageError(f"container {container.short_id} cannot be removed: {error}") from None
            removed += 1
    return removed
