"""Executor ``docker``: every program in a container of its own, hardened and without a network."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError, UsageError
from energy_plugin.run import checkout
from energy_plugin.run.executors import container, engine, invocation
from energy_plugin.run.executors.dockerjob import DockerJob
from energy_plugin.run.executors.hostpath import HostPaths, host_paths
from energy_plugin.run.executors.keeper import Keeper
from energy_plugin.run.executors.originaljob import RAW, DockerOriginalJob, make_pipe
from energy_plugin.run.executors.owner import owner
from energy_plugin.run.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import DockerClient
    from docker.models.containers import Container

    from energy_plugin.declare.case import Program
    from energy_plugin.declare.catalog import Catalog, Repository
    from energy_plugin.run.data import DataStore
    from energy_plugin.run.executors.container import Limits
    from energy_plugin.run.images import Image


LOAD_MARGIN_S = 3600
"""A background begins before the measured program and must not reach the deadline while that runs."""
SWEEP = """
import sys
sys.path[:] = {path!r}
from energy_plugin.run.executors.engine import connect, sweep
sweep(connect())
"""
"""Run once this process is dead: its containers belong to nobody then."""


class DockerExecutor:
    """Runs the images that ``wattwhy images build`` made."""

    name = "docker"

    def __init__(
        self, catalog: Catalog, data: DataStore, limits: Limits, weights: Weights | None = None
    ) -> None:
        self._catalog = catalog
        self._data = data
        self._weights = weights or Weights(None)
        self._limits = limits
        self._client_: DockerClient | None = None
        self._images: dict[str, Image] = {}
        self._paths = HostPaths(None)
        self._jobs: list[DockerJob] = []
        path = [folder for folder in sys.path if folder]
        self._keeper = Keeper(str(owner()), [sys.executable, "-c", SWEEP.format(path=path)])

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
        ours = [repository.name for repository in needed if not repository.original]
        for name, path in self._data.check(ours).items():
            self._paths.host(path)
            if not container.readable(path):
                uid, _ = container.user()
                raise UsageError(
                    f"{path}: user {uid} of the containers may not read the data of {name}; chmod -R a+rX it"
                )
        self.clean()
        self._keeper.start()

    def base(self) -> str:
        """Base image of the programs, with its Python and torch where that is known."""
        found = sorted({image.base for image in self._images.values()})
        return " ".join(found) or "none"

    def prepare(self, program: Program, folder: Path, *, go: Path | None = None) -> DockerJob:
        """Create the container; nothing starts yet."""
        repository = self._catalog.repositories[program.repository]
        image = self._images[program.repository]
        name = invocation.name(program)
        folder = folder.resolve()
        container.prepare_folder(folder)
        if repository.original:
            return self._original(repository, program, folder, name, go)
        data = self._data.folder(program.repository).resolve()
        weights = self._weights.file(program)
        arguments = invocation.arguments(
            program,
            repository.models[program.model],
            data=container.DATA,
            output=container.OUTPUT,
            weights=container.WEIGHTS if weights else "",
        )
        command = [*image.entrypoint, *arguments]
        deadline_s = self._deadline_s(program)
        created = self._create(
            image, command, folder, name, deadline_s=deadline_s, data=data, go=go, weights=weights
        )
        return self._keep(DockerJob(created, folder, name, self._facts(image, deadline_s)))

    def _deadline_s(self, program: Program) -> int:
        return self._limits.deadline_s + (LOAD_MARGIN_S if program.role == "load" else 0)

    def _original(
        self, repository: Repository, program: Program, folder: Path, name: str, go: Path | None
    ) -> DockerJob:
        """A copy of the user's checkout, made before the meters start, in the container of our image."""
        table = repository.checkouts[program.model]
        image = self._images[program.repository]
        data = checkout.data_of(repository, program.model, self._data)
        inside = replace(data, folder=Path(container.DATA)) if data.folder else data
        scratch = folder / f"{name}.checkout"
        checkout.copy(Path(repository.original["folder"]), scratch, table, inside)
        container.hand_over(scratch)
        script = checkout.script(
            table, program, work=container.WORK, data=container.DATA, output=container.OUTPUT
        )
        marks = checkout.marks(table, program, data)
        raw = f"{name}{RAW}"
        pipe = make_pipe(folder, raw)
        created = self._create(
            image,
            ["sh", "-c", script],
            folder,
            raw,
            deadline_s=self._deadline_s(program),
            data=data.folder.resolve() if data.folder else None,
            go=go,
            work=scratch,
            environment=checkout.environment(table, "/tmp"),
        )
        facts = {
            **self._facts(image, self._deadline_s(program)),
            **checkout.exit_facts(repository, table, script),
        }
        return self._keep(DockerOriginalJob(created, folder, name, facts, scratch, pipe, marks))

    def _create(
        self,
        image: Image,
        command: list[str],
        folder: Path,
        name: str,
        *,
        deadline_s: int,
        data: Path | None,
        go: Path | None,
        work: Path | None = None,
        weights: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Container:
        made = container.options(
            data=data,
            folder=folder,
            name=name,
            limits=self._limits,
            environment=image.environment,
            paths=self._paths,
            go=go,
            work=work,
            weights=weights.resolve() if weights else None,
        )
        made["environment"] |= environment or {}
        try:
            return self._client.containers.create(
                image.id,
                [],
                entrypoint=container.entrypoint(deadline_s, name, command),
                labels=self._labels(folder, deadline_s),
                **made,
            )
        except engine.failures() as error:
            raise ExecutorError(f"container not created: {engine.said(error)}") from None

    def _keep(self, job: DockerJob) -> DockerJob:
        self._jobs.append(job)
        return job

    def _labels(self, folder: Path, deadline_s: int) -> dict[str, str]:
        deadline = time.time() + deadline_s
        own = {"session": folder.parent.name, "case": folder.name, "deadline": f"{deadline:.0f}"}
        named = {f"{engine.LABEL}.{key}": value for key, value in own.items()}
        return {engine.LABEL: "1", **named, **engine.labels_of(owner())}

    def _facts(self, image: Image, deadline_s: int) -> dict[str, Any]:
        return {
            "image": image.tag,
            "image_id": image.id,
            "memory_bytes": self._limits.memory_bytes,
            "cpus": self._limits.cpus,
            "gpus": list(self._limits.gpus),
            "deadline_s": deadline_s,
        }

    def others(self) -> list[str] | None:
        """Running containers that are none of ours; None where the engine does not tell just now."""
        try:
            return engine.strangers(self._client)
        except engine.failures():
            return None

    def clean(self) -> int:
        """Remove the containers of dead sessions; how many."""
        return engine.sweep(self._client)

    def close(self) -> None:
        """Remove what an error left created, and let go of the engine."""
        self._keeper.close()
        for job in self._jobs:
            if job.poll() is None:
                job.discard()
        self._jobs = []
        if self._client_ is not None:
            self._client_.close()
            self._client_ = None
