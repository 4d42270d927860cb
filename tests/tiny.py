"""Attempts with the repository ``tiny``, in this process: no pytest of their own, any meters."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.clock import SystemClock
from energy_plugin.declare.case import Case, Loop, Program, Role
from energy_plugin.declare.catalog import load_catalog
from energy_plugin.record.record import Cooldown, Order, Record
from energy_plugin.run.attempt import Setting, attempt
from energy_plugin.run.data import DataStore
from energy_plugin.run.executors.local import LocalExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_plugin.meters.protocols import Meter
    from energy_plugin.run.executors.protocols import Executor


def program(model: str, role: Role = "a", *, loop: Loop = "", **values: float) -> Program:
    """A model of ``tiny``; what is given is passed to it."""
    every = {"epochs": 2, "learning_rate": 0.1, "seed": 1, **values}
    return Program(
        role=role, repository="tiny", model=model, values=every, passed=frozenset(values), loop=loop
    )


def pair(a: str, b: str, *, epochs: int = 2, epochs_b: int = 2) -> Case:
    """Two models at once."""
    return Case(programs=(program(a, "a", epochs=epochs), program(b, "b", epochs=epochs_b)))


def under(
    load: str, loop: Loop = "restart", *, model: str = "spin", epochs: int = 4, load_epochs: int = 2
) -> Case:
    """A model beside a background."""
    behind = program(load, "load", loop=loop, epochs=load_epochs)
    return Case(programs=(program(model, epochs=epochs), behind))


@contextmanager
def executor(images: Path, cache: Path) -> Iterator[LocalExecutor]:
    """A local executor that has checked ``tiny``."""
    catalog = load_catalog(images)
    made = LocalExecutor(catalog, DataStore(catalog, None, cache))
    try:
        made.check({"tiny": catalog.repositories["tiny"]})
        yield made
    finally:
        made.close()


def run(case: Case, where: Executor, folder: Path, meters: Sequence[Meter] = (), **setting: Any) -> Record:
    """One attempt."""
    given = Setting(
        session="run",
        case_key="0" * 16,
        order=Order(block=1, index=0, seed=0),
        cooldown=Cooldown(seconds=0, reason="test"),
        metrics={p.path: ("accuracy",) for p in case.programs},
        **setting,
    )
    return attempt(case, 1, where, meters, SystemClock(), folder, given)


def alive(word: str) -> list[int]:
    """Processes with *word* in an argument, zombies not."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            found += [int(folder.name)] if word.encode() in words else []
    return found


def gone(word: str, seconds: float = 5.0) -> bool:
    """Whether no such process is left within some seconds."""
    deadline = time.monotonic() + seconds
    while alive(word) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(word)
