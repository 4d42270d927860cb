"""What a program's container is made of: mounts, limits, hardening. Pure: no engine is asked here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.run.executors.hostpath import HostPaths

DATA, OUT, GO, WORK, WEIGHTS = "/data", "/out", "/go", "/work", "/weights.pt"
OUTPUT = f"{OUT}/output"
PLAIN_USER = 1000
"""Programs run as this user when the caller is root."""
ORPHAN_S = 7 * 24 * 3600
"""A program without --energy-timeout ends after this: it matters only once its session is dead."""
ORPHAN_MARGIN_S = 60
"""With --energy-timeout the container's own deadline lies this much later: the host ends it first."""
KILL_AFTER_S = 5
USAGE = ".usage"
"""Suffix of the file with nanoseconds of processor time and bytes of peak memory."""
GROUP = "/sys/fs/cgroup"
SHELL = f"""
trap : TERM INT
"$@" >>"$0.log" 2>&1
code=$?
{{
    read -r nanoseconds <{GROUP}/cpuacct/cpuacct.usage || read -r key microseconds <{GROUP}/cpu.stat
    read -r peak <{GROUP}/memory/memory.max_usage_in_bytes || read -r peak <{GROUP}/memory.peak
    echo "${{nanoseconds:-${{microseconds}}000}} $peak" >"$0{USAGE}"
}} 2>/dev/null
exit $code
"""
"""Runs the program, whose log and usage it keeps; signals are the program's own affair."""
ENVIRONMENT = {
    "HOME": "/tmp",
    "USER": "wattwhy",  # the user has no line in /etc/passwd, which getpass would want
    "LC_ALL": "C.UTF-8",
    "MPLBACKEND": "Agg",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one container may use at most.

    Attributes:
        memory_bytes: without swap. ``cpus``: processors' worth of time, None for all.
        deadline_s: the container ends itself after this.
        gpus: UUIDs or indices of the GPUs it sees; none if empty.
    """

    memory_bytes: int
    cpus: float | None = None
    pids: int = 4096
    shm_bytes: int = 2**30
    tmp_bytes: int = 2**30
    deadline_s: int = ORPHAN_S
    gpus: tuple[str, ...] = ()


def limits(memory_gib: float, cpus: float, timeout_s: float, gpus: Sequence[str]) -> Limits:
    """Limits from the options; 0 GiB becomes nine tenths of this host's memory, 0 CPUs all of them.

    Raises:
        UsageError: more processors than the host has.
    """
    if cpus > (os.cpu_count() or 1):
        raise UsageError(f"--energy-cpus {cpus:g}: this host has {os.cpu_count()}")
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Limits(
        memory_bytes=round(memory_gib * 2**30) if memory_gib else host * 9 // 10,
        cpus=cpus or None,
        deadline_s=round(timeout_s) + ORPHAN_MARGIN_S if timeout_s else ORPHAN_S,
        gpus=tuple(gpus),
    )


def user() -> tuple[int, int]:
    """The caller's user and group, or a plain user's when the caller is root."""
    return (os.getuid(), os.getgid()) if os.getuid() else (PLAIN_USER, PLAIN_USER)


def entrypoint(deadline_s: int, name: str, program: Sequence[str]) -> list[str]:
    """A deadline first, so that an orphan ends by itself; then a shell that keeps log and usage.

    The engine's log pipe would cost processor time during the measurement and die with the engine. The
    control group's counters vanish with the container, often before the host can read them.
    """
    deadline = ["timeout", "-k", str(KILL_AFTER_S), str(deadline_s)]
    return [*deadline, "sh", "-c", SHELL, f"{OUT}/{name}", *program]


def checked(path: Path, what: str) -> Path:
    """*path*, if the engine can mount it.

    Raises:
        ExecutorError: it is not absolute or does not exist.
    """
    if not path.is_absolute() or not path.exists():
        raise ExecutorError(f"{what} {str(path)!r}: must exist and be absolute")
    return path


def options(
    *,
    data: Path | None,
    folder: Path,
    name: str,
    limits: Limits,
    environment: Mapping[str, str],
    paths: HostPaths,
    go: Path | None = None,
    work: Path | None = None,
    weights: Path | None = None,
) -> dict[str, Any]:
    """Arguments of ``containers.create`` beside image, command, entry point and labels.

    Args:
        data: read-only at ``/data``; None where the program brings its own.
        folder: the attempt's, writable at ``/out``.
        name: of the log and events, without suffix.
        limits: what the container may use.
        environment: what the image sets itself.
        paths: as the engine must be given them.
        go: a pair's barrier file; its folder is read-only at ``/go``.
        work: copy of a user's checkout, writable at ``/work``.
        weights: file to start from, read-only at ``/weights.pt``.
    """
    from docker.types import DeviceRequest, LogConfig, Mount

    def bind(source: Path, target: str, what: str, *, read_only: bool) -> Mount:
        return Mount(target, str(paths.host(checked(source, what))), type="bind", read_only=read_only)

    mounts = [bind(folder, OUT, "results folder", read_only=False)]
    mounts += [bind(data, DATA, "data folder", read_only=True)] if data else []
    mounts += [bind(work, WORK, "copy of the checkout", read_only=False)] if work else []
    mounts += [bind(weights, WEIGHTS, "weights", read_only=True)] if weights else []
    env = {**ENVIRONMENT, "WATTWHY_EVENTS": f"{OUT}/{name}.events.jsonl"}
    # Two intra-op threads on two busy cores are 5 to 50 times slower; an image may know better.
    env |= {} if "OMP_NUM_THREADS" in environment else {"OMP_NUM_THREADS": "1"}
    if go is not None:
        mounts += [bind(go.parent, GO, "barrier folder", read_only=True)]
        env["WATTWHY_GO"] = str(PurePosixPath(GO) / go.name)
    uid, gid = user()
    request = DeviceRequest(device_ids=list(limits.gpus), capabilities=[["gpu"]])
    return {
        "mounts": mounts,
        "environment": env,
        "user": f"{uid}:{gid}",
        "network_mode": "none",
        "read_only": True,
        "tmpfs": {"/tmp": f"rw,nosuid,nodev,mode=1777,size={limits.tmp_bytes}"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": True,  # else SIGTERM is ignored by the program as process 1
        "pids_limit": limits.pids,
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,
        "shm_size": limits.shm_bytes,
        "log_config": LogConfig(type="json-file", config={"max-size": "1m"}),
        **({"nano_cpus": round(limits.cpus * 1e9)} if limits.cpus else {}),
        **({"device_requests": [request]} if limits.gpus else {}),
    }


def prepare_folder(folder: Path) -> None:
    """Make the attempt's folder one that the container's user may write to."""
    uid, gid = user()
    for path in (folder, folder / "output"):
        path.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            os.chown(path, uid, gid)


def hand_over(folder: Path) -> None:
    """Make everything in *folder* the container's user's."""
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *user(), follow_symlinks=False)


def readable(path: Path) -> bool:
    """Whether the container's user may list *path*; the folders above it do not matter to a mount."""
    uid, gid = user()
    status = path.stat()
    shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
    return (status.st_mode >> shift) & 0o5 == 0o5
