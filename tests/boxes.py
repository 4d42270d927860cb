"""Programs for containers, without torch: each model does to its container what its name says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from energy_plugin.declare.case import Loop, Program, Role
from energy_plugin.declare.catalog import load_catalog
from energy_plugin.run import baseimage, images
from energy_plugin.run.data import DataStore
from energy_plugin.run.executors.container import Limits
from energy_plugin.run.executors.docker import DockerExecutor
from energy_plugin.run.executors.engine import LABEL
from energy_plugin.run.executors.owner import owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docker import DockerClient
    from docker.models.containers import Container

    from energy_plugin.run.images import Base
    from tests.conftest import Project

MODELS = (
    *("good", "probe", "burn", "hog", "parent_of_hog", "noisy"),
    *("crash", "hang", "stubborn", "graceful", "quitter", "spin", "late"),
)
LIMITS = Limits(memory_bytes=2**30)

TOML = """
name = "boxed"
program = "train.py"
data = "data.py"

[hyperparameters.epochs]
role = "epochs"
type = "int"
flag = "--epochs"
default = 2

[metrics.accuracy]
unit = "1"
better = "higher"
"""

DATA = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "rows.txt").write_text("a row")
"""

DOCKERFILE = """
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
WORKDIR /app
COPY base/*.py /app/
COPY NAME/*.py NAME/repository.toml /app/
ENTRYPOINT ["python3", "-u", "/app/train.py"]
"""

PROGRAM = '''
import json, os, signal, subprocess, sys, time
from pathlib import Path
import contract

def good(training):
    training.ready()
    training.data_source = (training.data / "rows.txt").read_text()
    for epoch in range(training.values["epochs"]):
        time.sleep(0.02)
        training.epoch(1.0 / (epoch + 1))
    return {"accuracy": 0.9}

def probe(training):
    """Writes down what a program finds around itself."""
    def refusal(path):
        try:
            Path(path).write_text("x")
        except OSError as error:
            return error.strerror
        return ""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    facts = {
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "env": dict(os.environ),
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "capabilities": [status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd")],
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "refused": {f"{at}/new": refusal(f"{at}/new") for at in ("", "/app", "/etc", "/data", "/tmp")},
        "root_is_read_only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
        "init": Path("/proc/1/comm").read_text().strip(),
        "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize,
    }
    (training.output / "facts.json").write_text(json.dumps(facts))
    return good(training)

def burn(training):
    """Uses one second of processor time, half of it in a child."""
    good(training)
    code = "import time\\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    end = time.process_time() + 0.5
    while time.process_time() < end: pass
    return {"accuracy": 0.9}

HOG = "kept = []\\nwhile True: kept.append(b'x' * 10_000_000)"

def hog(training):
    good(training)
    exec(HOG)

def parent_of_hog(training):
    """Goes on as if nothing were when its child is ended for lack of memory."""
    subprocess.run([sys.executable, "-c", HOG])
    return good(training)

def noisy(training):
    os.write(1, bytes(range(256)) * 8)
    return good(training)

def crash(training):
    good(training)
    raise ZeroDivisionError("planned")

def hang(training):
    training.ready()
    time.sleep(600)

def stubborn(training):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang(training)

def graceful(training):
    """Has half a second of work left when it is asked to end."""
    def save(number, frame):
        time.sleep(0.5)
        print("saved")
        sys.exit(0)
    signal.signal(signal.SIGTERM, save)
    hang(training)

def quitter(training):
    os.kill(os.getpid(), signal.SIGABRT)

def spin(training):
    """Really works: what a load must be."""
    training.ready()
    for epoch in range(training.values["epochs"]):
        end = time.monotonic() + 0.3
        while time.monotonic() < end: pass
        training.epoch(1.0 / (epoch + 1))
    return {"accuracy": 0.9}

def late(training):
    """Takes half a second to load."""
    time.sleep(0.5)
    return spin(training)

contract.resolve_device = lambda name: "cpu"  # without torch
contract.main(__file__, {name: globals()[name] for name in MODELS})
'''


def write_boxed(folder: Path) -> None:
    """The repository ``boxed`` in an images folder."""
    models = "\n".join(f'[models.{name}]\nmetrics = ["accuracy"]' for name in MODELS)
    (folder / "boxed").mkdir()
    (folder / "boxed" / "repository.toml").write_text(TOML + models + "\n")
    (folder / "boxed" / "train.py").write_text(f"MODELS = {MODELS!r}\n{PROGRAM}")
    (folder / "boxed" / "data.py").write_text(DATA)
    (folder / "boxed" / "Dockerfile").write_text(DOCKERFILE.replace("NAME", "boxed"))


@pytest.fixture(scope="session")
def plain(engine: DockerClient) -> Base:
    """A base image without torch."""
    return baseimage.ensure(engine, "plain", print)


@pytest.fixture
def boxed(images: Path) -> Path:
    """An images folder with ``boxed`` in it, not built."""
    write_boxed(images)
    return images


@pytest.fixture
def built(boxed: Path, engine: DockerClient, plain: Base) -> Path:
    """An images folder whose ``boxed`` is built."""
    images.build(engine, load_catalog(boxed).repositories["boxed"], plain, print)
    return boxed


@pytest.fixture
def containers(engine: DockerClient) -> Iterator[Callable[[], list[str]]]:
    """Names of this test's containers, running or not; what a failed test left is removed.

    Somebody else's session may use the same engine: what was there before is not ours, nor what was
    made from within another container.
    """
    ours: dict[str, str | list[str] | bool] = {"label": [LABEL, f"{LABEL}.pids={owner().pids}"]}

    def found() -> dict[str, Container]:
        listed = engine.containers.list(all=True, filters=ours, ignore_removed=True)
        return {str(container.name): container for container in listed}

    before = set(found())

    def new() -> list[str]:
        return [name for name in found() if name not in before]

    yield new
    for name, container in found().items():
        if name not in before:
            container.remove(force=True)


@pytest.fixture
def box_project(project: Project, built: Path) -> Project:
    """A project whose cases run in containers."""
    (project.folder / "pytest.ini").write_text("[pytest]\nenergy_executor = docker\nenergy_cooldown = 0\n")
    return project


def executor(built: Path, cache: Path, limits: Limits = LIMITS) -> DockerExecutor:
    """An executor that has checked ``boxed``."""
    catalog = load_catalog(built)
    made = DockerExecutor(catalog, DataStore(catalog, None, cache), limits)
    made.check({"boxed": catalog.repositories["boxed"]})
    return made


def program(model: str, role: Role = "a", *, epochs: int = 2, loop: Loop = "") -> Program:
    """A model of ``boxed``."""
    passed = frozenset({"epochs"}) if epochs != 2 else frozenset[str]()
    return Program(
        role=role, repository="boxed", model=model, values={"epochs": epochs}, passed=passed, loop=loop
    )
