"""Executor ``docker``: every program in a container of its own, hardened and without a network."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError, UsageError
from energy_plugin.run.executors import cgroup, container, engine
from energy_plugin.run.executors.cgroup import Counters
from energy_plugin.run.executors.hostpath import HostPaths, host_paths
from energy_plugin.run.executors.protocols import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from docker import DockerClient
    from docker.models.containers import Container

    from energy_plugin.declare.case import Program
    from energy_plugin.declare.catalog import Catalog
    from energy_plugin.run.data import DataStore
    from energy_plugin.run.executors.cgroup import ControlGroup
    from energy_plugin.run.executors.container import Limits
    from energy_plugin.run.images import Image

SAMPLE_S = 0.2
"""How often the control group is read: its files vanish soon after the program's end."""
SIGNALS = range(129, 129 + 64)
"""Exit codes by which an engine reports the death by a signal: 128 + its number."""


class DockerJob:
    """One program in its container, created and not yet started."""

    def __init__(self, made: Container, folder: Path, name: str, facts: Mapping[str, Any]) -> None:
        self.log = folder / f"{name}.log"
        self.events = folder / f"{name}.events.jsonl"
        self._container = made
        self._facts = facts
        self._waiter: threading.Thread | None = None
        self._t0_ns = 0
        self._spawn_ns = 0
        self._end: Exit | None = None
        self._counters = Counters()
        self._reason = ""
        self._closed: Exit | None = None

    # --- start and end ------------------------------------------------------------------------

    def start(self, on_exit: Callable[[], None]) -> None:
        """Start the container; a thread waits for its end and stamps the time."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        self._t0_ns = time.monotonic_ns()
        try:
            self._container.start()
            self._spawn_ns = time.monotonic_ns() - self._t0_ns
            self._container.reload()
        except (DockerException, RequestException) as error:
            raise ExecutorError(f"container not started: {_said(error)}") from None
        pid = int(self._container.attrs["State"]["Pid"])
        self._waiter = threading.Thread(target=self._wait, args=(pid, on_exit), daemon=True)
        self._waiter.start()

    def _wait(self, pid: int, on_exit: Callable[[], None]) -> None:
        seen, late_ns = False, 0
        try:
            seen = self._wait_for_process(pid) if pid else False
            late_ns = 0 if seen else self._wait_for_engine()
        finally:
            self._end = Exit(
                code=None,
                t0_ns=self._t0_ns,
                t1_ns=time.monotonic_ns(),
                unc_ns=max(self._spawn_ns, late_ns),
                detail={**self._facts, "end_seen_by": "process" if seen else "engine"},
            )
            on_exit()

    def _wait_for_process(self, pid: int) -> bool:
        """Watch the container's first process: the engine itself tells of its end much later.

        Returns:
            False when that process is not visible from here, as from inside a container.
        """
        try:
            watch = os.pidfd_open(pid)
        except (OSError, AttributeError):
            return False
        try:
            group = cgroup.find(pid, str(self._container.id))
            if group is None:
                return False
            poll = select.poll()
            poll.register(watch, select.POLLIN)
            while not poll.poll(SAMPLE_S * 1e3):
                self._sample(group)
            self._sample(group)
        finally:
            os.close(watch)
        return True

    def _sample(self, group: ControlGroup) -> None:
        now = group.read()
        if now.cpu_s is not None:
            self._counters = now

    def _wait_for_engine(self) -> int:
        """Ask the engine to wait; nanoseconds by which it told of the end too late."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        with contextlib.suppress(DockerException, RequestException):
            self._container.wait(timeout=None)
            now = time.time()
            self._container.reload()
            return max(0, round((now - _epoch_s(self._container.attrs["State"]["FinishedAt"])) * 1e9))
        return 0

    def poll(self) -> Exit | None:
        """How it ended, None while it runs; the exit code is known only after :meth:`close`."""
        return self._end

    def kill(self, reason: str) -> None:
        """SIGTERM to everything in the container, SIGKILL after a grace period."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        self._reason = self._reason or reason
        if self._t0_ns:
            with contextlib.suppress(DockerException, RequestException):  # it may have ended by itself
                self._container.stop(timeout=container.KILL_AFTER_S)

    def close(self) -> Exit:
        """Wait for the end, read exit code and flags, remove the container. Safe without start."""
        if self._closed is None:
            try:
                self._closed = self._ended() if self._waiter else self._not_started()
            finally:
                self.discard()
        return self._closed

    def discard(self) -> None:
        """Remove the container whatever its state."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        # What cannot be removed now keeps its labels, and the next session's sweep finds it.
        with contextlib.suppress(DockerException, RequestException):
            self._container.remove(force=True, v=True)

    def _not_started(self) -> Exit:
        now = time.monotonic_ns()
        return Exit(code=None, t0_ns=now, t1_ns=now, reason=self._reason or "not-started")

    def _ended(self) -> Exit:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        assert self._waiter is not None
        self._waiter.join()
        end = self._end
        assert end is not None
        try:
            code = int(self._container.wait(timeout=engine.TIMEOUT_S)["StatusCode"])
            self._container.reload()
            state = self._container.attrs["State"]
            self._keep_log()
        except (DockerException, RequestException) as error:
            # The end was seen, how it ended was not: never a success, and no code is made up.
            return _exit(end, code=None, counters=self._counters, reason=f"engine-lost: {_said(error)}")
        return _exit(end, code=code, counters=self._counters, reason=self._why(code, state, end))

    def _why(self, code: int, state: Mapping[str, Any], end: Exit) -> str:
        if self._reason:
            return self._reason
        if state.get("OOMKilled") or self._counters.oom_kills:
            gib = self._facts["memory_bytes"] / 2**30
            return f"out-of-memory: a process was ended at the container's limit of {gib:.3g} GiB"
        if code in (124, 137) and (end.t1_ns - end.t0_ns) / 1e9 >= self._facts["deadline_s"]:
            return "timeout"
        return ""

    def _keep_log(self) -> None:
        """What the engine caught is only what failed before the program had its log."""
        caught = self._container.logs(stdout=True, stderr=True)
        if caught:
            with self.log.open("ab") as log:
                log.write(caught)


class DockerExecutor:
    """Runs the images that ``wattwhy images build`` made."""

    name = "docker"

    def __init__(self, catalog: Catalog, data: DataStore, limits: Limits) -> None:
        self._catalog = catalog
        self._data = data
        self._limits = limits
        self._client_: DockerClient | None = None
        self._images: dict[str, Image] = {}
        self._paths = HostPaths(None)
        self._jobs: list[DockerJob] = []

    @property
    def _client(self) -> DockerClient:
        if self._client_ is None:
            self._client_ = engine.connect()
        return self._client_

    def check(self, repositories: Mapping[str, Any]) -> None:
        """Engine, images, data and GPUs, each with a clear error; sweeps what dead sessions left.

        Raises:
            UsageError: with the command that mends it.
        """
        from energy_plugin.run import images

        info = self._client.info()
        engine.check_same_machine(info)
        engine.check_gpus(info, self._limits.gpus)
        needed = [self._catalog.repositories[name] for name in sorted(repositories)]
        self._images = images.find(self._client, needed)
        self._paths = host_paths(self._client)
        for name, path in self._data.check(repositories).items():
            self._paths.host(path)
            if not container.readable(path):
                uid, _ = container.user()
                raise UsageError(
                    f"{path}: user {uid} of the containers may not read the data of {name}; chmod -R a+rX it"
                )
        self.clean()

    def base(self) -> str:
        """Base image of the programs, with its Python and torch where that is known."""
        found = sorted({image.base for image in self._images.values()})
        return " ".join(found) or "none"

    def prepare(self, program: Program, folder: Path, *, go: Path | None = None) -> DockerJob:
        """Create the container; nothing starts yet."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        image = self._images[program.repository]
        name = "training" if program.role == "a" else f"training_{program.role}"
        folder = folder.resolve()
        container.prepare_folder(folder)
        known = self._catalog.repositories[program.repository].models[program.model].hyperparameters
        data = self._data.folder(program.repository).resolve()
        made = container.options(
            data=data,
            folder=folder,
            name=name,
            limits=self._limits,
            environment=image.environment,
            paths=self._paths,
            go=go,
        )
        start = container.entrypoint(self._limits.deadline_s, f"{name}.log", image.entrypoint)
        try:
            created = self._client.containers.create(
                image.id,
                container.arguments(program, known),
                entrypoint=start,
                labels=self._labels(folder),
                **made,
            )
        except (DockerException, RequestException) as error:
            raise ExecutorError(f"container not created: {_said(error)}") from None
        job = DockerJob(created, folder, name, self._facts(image))
        self._jobs.append(job)
        return job

    def _labels(self, folder: Path) -> dict[str, str]:
        deadline = time.time() + self._limits.deadline_s
        own = {"session": folder.parent.name, "case": folder.name, "deadline": f"{deadline:.0f}"}
        named = {f"{engine.LABEL}.{key}": value for key, value in own.items()}
        return {engine.LABEL: "1", **named, **engine.owner().labels()}

    def _facts(self, image: Image) -> dict[str, Any]:
        return {
            "image": image.tag,
            "image_id": image.id,
            "memory_bytes": self._limits.memory_bytes,
            "cpus": self._limits.cpus,
            "gpus": list(self._limits.gpus),
            "deadline_s": self._limits.deadline_s,
        }

    def clean(self) -> int:
        """Remove the containers of dead sessions; how many."""
        return engine.sweep(self._client)

    def close(self) -> None:
        """Remove what an error left created, and let go of the engine."""
        for job in self._jobs:
            if job.poll() is None:
                job.discard()
        self._jobs = []
        if self._client_ is not None:
            self._client_.close()
            self._client_ = None


def _exit(end: Exit, *, code: int | None, counters: Counters, reason: str) -> Exit:
    from dataclasses import replace

    return replace(
        end,
        code=128 - code if code is not None and code in SIGNALS else code,
        cpu_s=counters.cpu_s,
        memory_peak_bytes=counters.memory_peak_bytes,
        reason=reason,
        detail={**end.detail, "oom_kills": counters.oom_kills},
    )


def _said(error: Exception) -> str:
    """The engine's own sentence, without the client's wrapping."""
    return str(getattr(error, "explanation", None) or error).strip()


def _epoch_s(text: str) -> float:
    """Seconds since the epoch of an engine's time stamp, whose nanoseconds Python cannot read."""
    from datetime import datetime

    whole, _, fraction = text.rstrip("Z").partition(".")
    digits = fraction.partition("+")[0]
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{digits or 0}")
