"""pytorch_resnet_cifar10: CIFAR-10's own files, the stand-in for them, the catalogue's entry."""

from __future__ import annotations

import os
import pickle
import re
import string
import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.unit.programs import IMAGES, small_cifar, writes_once

if TYPE_CHECKING:
    from pathlib import Path
    from types import SimpleNamespace

    from energy_plugin.declare.catalog import Catalog

FOLDER = IMAGES / "pytorch_resnet_cifar10"
TOML = tomllib.loads((FOLDER / "repository.toml").read_text("utf-8"))
MODELS = {f"resnet{depth}" for depth in (20, 32, 44, 56, 110, 1202)}

pytestmark = pytest.mark.train


@pytest.fixture
def tiny(code: SimpleNamespace, tmp_path: Path) -> Path:
    return small_cifar(code, tmp_path)


def test_the_standin_is_small_named_and_always_the_same(
    code: SimpleNamespace, standin: Path, tmp_path: Path
) -> None:
    code.data.write(tmp_path / "again")
    one, two = (code.data.Images(folder) for folder in (standin, tmp_path / "again"))
    assert one.digest == two.digest
    assert one.source == "stand-in"
    assert [len(labels) for _, labels in (one.train, one.test)] == [1000, 500]
    assert np.bincount(one.train[1]).tolist() == [100] * 10


def test_no_test_image_is_a_training_image(code: SimpleNamespace, standin: Path) -> None:
    images = code.data.Images(standin)
    seen = {image.tobytes() for image in images.train[0]}
    assert not any(image.tobytes() in seen for image in images.test[0])


def test_the_standin_is_whole_and_leaves_foreign_folders_alone(
    code: SimpleNamespace, standin: Path, tmp_path: Path
) -> None:
    writes_once(code, standin, tmp_path)


def test_a_limit_keeps_every_class_and_changes_the_digest(code: SimpleNamespace, standin: Path) -> None:
    few, all_rows = code.data.Images(standin, 25), code.data.Images(standin)
    counts = np.bincount(few.train[1], minlength=10)
    assert counts.sum() == 25
    assert set(counts) == {2, 3}
    assert len(few.test[1]) == 500
    assert few.digest != all_rows.digest
    with pytest.raises(SystemExit, match="--limit 0"):
        code.data.Images(standin, 0)


def as_python_2(images: np.ndarray[Any, Any], labels: list[int]) -> bytes:
    """A batch as the original files have it: protocol 2 with Python 2's byte strings."""
    rows, pixels = images.shape

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    blank = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    kind = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    content = b"T" + images.nbytes.to_bytes(4, "little") + images.tobytes()
    state = b"(K\x01(" + number(rows) + number(pixels) + b"t" + kind + b"\x89" + content + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(U\x04data" + blank + state + b"U\x06labels" + listed + b"u."


def test_files_as_the_original_has_them_are_read(code: SimpleNamespace, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 3072)).astype(np.uint8)
    (tmp_path / "batch").write_bytes(as_python_2(images, [4, 0, 9]))
    found, labels = code.data.read_batch(tmp_path / "batch")
    assert (found.reshape(3, 3072) == images).all()
    assert labels.tolist() == [4, 0, 9]


class Foreign:
    """Its pickle asks the reader to create a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_names_a_foreign_function_is_refused(
    code: SimpleNamespace, tmp_path: Path, protocol: int
) -> None:
    trap = tmp_path / "trap"
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": Foreign(trap), b"labels": []}, protocol))
    with pytest.raises(SystemExit, match=r"refused to load posix\.mkdir"):
        code.data.read_batch(tmp_path / "batch")
    assert not trap.exists()


PIXELS = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({b"data": PIXELS, b"labels": [0]}, "1 labels for 2 images"),
        ({b"data": PIXELS, b"labels": [0, 10]}, "whole numbers from 0 to 9"),
        ({b"data": PIXELS, b"labels": [0, "1"]}, "whole numbers from 0 to 9"),
        ({b"data": PIXELS[:, :784], b"labels": [0, 1]}, r"uint8 \(2, 784\), expected uint8 \[n, 3072\]"),
        ({b"data": PIXELS.astype(np.float32), b"labels": [0, 1]}, "float32"),
        ({b"data": PIXELS[:0], b"labels": []}, "at least one"),
        ({b"data": PIXELS}, "holds no 'labels'"),
        ([1, 2], "holds no 'data'"),
    ],
)
def test_a_batch_that_is_not_what_it_should_be_is_refused(
    code: SimpleNamespace, tmp_path: Path, content: Any, said: str
) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps(content, 4))
    with pytest.raises(SystemExit, match=f"batch: .*{said}"):
        code.data.read_batch(tmp_path / "batch")


def test_missing_and_cut_files_are_named(code: SimpleNamespace, tiny: Path) -> None:
    file = tiny / code.data.FOLDER / "data_batch_3"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SystemExit, match="data_batch_3: not a batch of CIFAR-10"):
        code.data.Images(tiny)
    file.unlink()
    with pytest.raises(SystemExit, match="data_batch_3: no such file; expected cifar-10-batches-py/"):
        code.data.Images(tiny)


def test_a_broken_source_is_named(code: SimpleNamespace, tiny: Path) -> None:
    (tiny / "source.json").write_text("[]")
    with pytest.raises(SystemExit, match=r"source\.json: expected"):
        code.data.Images(tiny)


# ---------------------------------------------------------------- catalogue


def test_the_catalogue_has_the_published_defaults_and_ranges(catalog: Catalog) -> None:
    known = catalog.model("resnet20").hyperparameters
    assert catalog.model("resnet20").defaults() == {
        "epochs": 200,
        "learning_rate": 0.1,
        "seed": 1334,
        "weight_decay": 1e-4,
        "batch_size": 128,
    }
    bounds = {
        name: (h.ranges["default"].low, h.ranges["default"].high) for name, h in known.items() if h.ranges
    }
    assert bounds == {
        "epochs": (100, 300),
        "learning_rate": (0.05, 0.15),
        "seed": (0, 9999),
        "weight_decay": (1e-5, 1e-3),
    }
    assert known["learning_rate"].ranges["concurrency"].low == pytest.approx(0.02)
    assert {model.name for model in catalog.models()} == MODELS


def test_the_cost_of_resnet20_is_the_published_duration(catalog: Catalog) -> None:
    model = catalog.model("resnet20")
    estimate = model.estimate_s(model.defaults(), None)
    assert estimate == pytest.approx(1124 + model.cost["startup_s"], rel=0.01)


def test_a_checkouts_command_and_log_are_described(catalog: Catalog) -> None:
    checkout, model = TOML["checkout"], catalog.model("resnet20")
    fields = {name for _, name, _, _ in string.Formatter().parse(checkout["command"]) if name}
    assert fields == {"model", "output", *checkout["sets"]}
    assert set(checkout["sets"]) == set(model.hyperparameters) - {"seed"}
    log = (
        "Epoch: [0][389/391]\tTime 0.02 (0.03)\tData 0.0 (0.1)\tLoss 1.2 (1.6)\tPrec@1 55.0 (41.0)\n"
        "Epoch: [0][390/391]\tTime 0.02 (0.03)\tData 0.0 (0.1)\tLoss 1.1 (1.5)\tPrec@1 56.0 (42.0)\n"
        "Test: [0/79]\tTime 0.1 (0.1)\tLoss 1.0 (1.0)\tPrec@1 60.0 (60.0)\n"
        " * Prec@1 91.250\n * Prec@1 90.500\n"
    )
    patterns = checkout["patterns"]
    assert [m["loss"] for m in re.finditer(patterns["progress"][0], log, re.MULTILINE)] == ["1.6", "1.5"]
    ends = re.finditer(patterns["epoch"][0], log, re.MULTILINE)
    assert [match["test_accuracy"] for match in ends] == ["91.250", "90.500"]
    best = max(float(m["best_val_accuracy"]) for m in re.finditer(patterns["best"][0], log, re.MULTILINE))
    assert best * patterns["scale"]["best_val_accuracy"] == pytest.approx(0.9125)
