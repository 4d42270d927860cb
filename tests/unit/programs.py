"""What the tests of the training programs share: a folder's modules, a training, its events."""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.catalog import Catalog, load_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES = Path(__file__).resolve().parents[2] / "images"


def load(folder: Path) -> SimpleNamespace:
    """The modules of *folder* by name, the contract, and its repository.toml as ``toml``.

    They are taken out of ``sys.modules`` again: other folders have modules of the same names.
    """
    names = [file.stem for file in folder.glob("*.py")]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    paths, sys.path[:] = sys.path[:], [str(folder), str(IMAGES / "base"), *sys.path]
    try:
        modules: dict[str, Any] = {name: importlib.import_module(name) for name in [*names, "contract"]}
    finally:
        sys.path[:] = paths
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
    return SimpleNamespace(**modules, toml=tomllib.loads((folder / "repository.toml").read_text("utf-8")))


def training(code: SimpleNamespace, data: Path, *flags: object, model: str) -> Any:
    """A ``contract.Training`` on the CPU as from the command line."""
    argv = ["--model", model, "--data", str(data), "--output", str(data), "--device", "cpu", *map(str, flags)]
    return code.contract.Training(*code.contract.parse(code.toml, argv))


def events(file: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The events in *file*, in order: all, or those of one kind."""
    lines = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    return [line for line in lines if kind in (None, line["event"])]


def catalog_of(folder: Path, scratch: Path) -> Catalog:
    """The catalogue of *folder* alone, linked below *scratch*."""
    (scratch / "images").mkdir()
    (scratch / "images" / folder.name).symlink_to(folder)
    return load_catalog(scratch / "images")


def equal(one: Any, two: Any) -> bool:
    """Whether two rows of tensors are the same to the last bit."""
    return all(a.equal(b) for a, b in zip(one, two, strict=True))


def learns(make: Callable[[], Any], code: SimpleNamespace, epochs: int, *, least: float, most: float) -> None:
    """Assert an accuracy on the test rows above *least*; learnt from shuffled labels, below *most*."""
    import torch

    ready = code.train.prepare(make())
    losses = [code.train.one_epoch(ready) for _ in range(epochs)]
    assert losses[-1] < 0.8 * losses[0]
    assert code.train.held_out(ready, ready.test)["accuracy"] > least
    ready = code.train.prepare(make())
    mixed = torch.randperm(len(ready.train.targets), generator=torch.Generator().manual_seed(0))
    ready = ready._replace(train=ready.train._replace(targets=ready.train.targets[mixed]))
    for _ in range(epochs):
        code.train.one_epoch(ready)
    assert code.train.held_out(ready, ready.test)["accuracy"] < most


def contents(folder: Path) -> dict[Path, bytes]:
    """The bytes of every file below *folder*, by its place there."""
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def writes_once(code: SimpleNamespace, standin: Path, scratch: Path) -> None:
    """Assert that the stand-in is the same every time, whole, and never over what is there."""
    again = scratch / "again"
    code.data.write(again)
    written = (again / "source.json").stat().st_mtime_ns
    code.data.write(again)
    assert (again / "source.json").stat().st_mtime_ns == written
    assert contents(again) == contents(standin)
    (scratch / "other").mkdir()
    (scratch / "other" / "mine.txt").touch()
    with pytest.raises(SystemExit, match="not empty"):
        code.data.write(scratch / "other")
    assert sorted(p.name for p in scratch.iterdir()) == ["again", "other"]
    assert [p.name for p in (scratch / "other").iterdir()] == ["mine.txt"]


def small_cifar(code: SimpleNamespace, scratch: Path) -> Path:
    """Data of a user's own: 40 training and 20 test rows in the right files."""
    folder = scratch / "tiny"
    (folder / code.data.FOLDER).mkdir(parents=True)
    for seed, name in enumerate(code.data.TRAIN_FILES):
        code.data.write_batch(folder / code.data.FOLDER / name, *code.standin.stand_in(8, seed))
    code.data.write_batch(folder / code.data.FOLDER / code.data.TEST_FILE, *code.standin.stand_in(20, 9))
    return folder


def small_market(scratch: Path) -> Path:
    """Data of a user's own: four people, of whom two are searched for, as .npy files of 64 x 32."""
    import numpy as np

    dice = np.random.default_rng(0)
    for part, people, cameras in (
        ("train_all", ("0002", "0007"), (1, 2)),
        ("query", ("0001", "0005"), (1,)),
        ("gallery", ("0001", "0005", "-1"), (1, 2)),
    ):
        for person in people:
            folder = scratch / "tiny" / "pytorch" / part / person
            folder.mkdir(parents=True)
            for camera in cameras:
                image = dice.integers(0, 256, (64, 32, 3)).astype(np.uint8)
                np.save(folder / f"{person}_c{camera}s1_000001_00.npy", image)
    return scratch / "tiny"
