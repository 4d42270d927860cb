"""CIFAR-10 in its own files, and a small stand-in in the same format.

``python data.py DIR`` writes 1,000 training and 500 test images that were drawn, not photographed:
ten classes of shape and palette under noise, enough to tell a network that learns from one that
does not. Results on them say nothing about CIFAR-10, and every record carries ``stand-in``. For
the real data put ``cifar-10-batches-py`` (the "python version") in a folder and name that folder.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "base"))  # when run from a checkout by hand

from prepared import STANDIN, DataError, command, digest, prepare, source_of
from standin import NAMES, stand_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from numpy.typing import NDArray

    Part: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]

FOLDER = "cifar-10-batches-py"
TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_FILE = "test_batch"
CLASSES = 10
SIDE = 32
PIXELS = 3 * SIDE * SIDE
TRAIN_ROWS, TEST_ROWS = 1000, 500


# ---------------------------------------------------------------- reading


class Images:
    """CIFAR-10 as arrays: uint8 images [n, 3, 32, 32] and int64 labels [n].

    Args:
        folder: holds ``cifar-10-batches-py``, or is it.
        limit: use at most so many training rows, as many of every class as there can be.

    Attributes:
        train, test: (images, labels).
        source: what ``source.json`` calls the data, else ``user``.
        digest: over the images and labels that are used.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise DataError(f"--limit {limit}: must be at least 1")
        place = folder / FOLDER if (folder / FOLDER).is_dir() else folder
        parts = [read_batch(place / name) for name in TRAIN_FILES]
        images, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        rows = balanced(labels, limit)
        self.train: Part = images[rows], labels[rows]
        self.test: Part = read_batch(place / TEST_FILE)
        self.source = source_of(folder, "cifar10")
        arrays = (array for part in (self.train, self.test) for array in part)
        self.digest = digest(np.ascontiguousarray(array).data for array in arrays)


def balanced(labels: NDArray[np.int64], limit: int | None) -> NDArray[np.int64]:
    """Row numbers in file order: all, or *limit* of them with the classes as equal as can be."""
    if limit is None or limit >= len(labels):
        return np.arange(len(labels))
    turn = np.empty(len(labels), np.int64)  # how many rows of its class come before a row
    for label in np.unique(labels):
        mine = labels == label
        turn[mine] = np.arange(mine.sum())
    return np.sort(np.lexsort((np.arange(len(labels)), turn))[:limit])


def read_batch(file: Path) -> Part:
    """Images [n, 3, 32, 32] and labels [n] of one batch file.

    Raises:
        DataError: the file is missing, is no such pickle, or holds other shapes or labels.
    """
    try:
        with file.open("rb") as stream:
            content = PlainUnpickler(stream, encoding="bytes").load()
    except FileNotFoundError:
        raise DataError(
            f"{file}: no such file; expected {FOLDER}/ with {', '.join(TRAIN_FILES)} and {TEST_FILE} "
            f"(CIFAR-10, python version), or {STANDIN}"
        ) from None
    except Exception as error:  # broken pickles raise nearly anything
        raise DataError(f"{file}: not a batch of CIFAR-10, python version: {error}") from None
    pixels, labels = _entry(file, content, "data"), _entry(file, content, "labels")
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (PIXELS,):
        found = f"{getattr(pixels, 'dtype', type(pixels).__name__)} {getattr(pixels, 'shape', '')}"
        raise DataError(f"{file}: 'data' is {found}, expected uint8 [n, {PIXELS}]")
    if len(labels) != len(pixels) or not len(pixels):
        raise DataError(
            f"{file}: {len(labels)} labels for {len(pixels)} images; expected one each, at least one"
        )
    if any(type(label) is not int or not 0 <= label < CLASSES for label in labels):
        raise DataError(f"{file}: 'labels' must be whole numbers from 0 to {CLASSES - 1}")
    return pixels.reshape(-1, 3, SIDE, SIDE), np.asarray(labels, np.int64)


def _entry(file: Path, content: Any, name: str) -> Any:
    for key in (name.encode(), name):
        if isinstance(content, dict) and key in content:
            return content[key]
    raise DataError(f"{file}: holds no {name!r}; expected a dict with 'data' and 'labels'")


class PlainUnpickler(pickle.Unpickler):
    """Reads pickles of plain values and numpy arrays; every other name is refused.

    A pickle may name any function for the reader to call, so a downloaded file could run what it
    likes. The names below are all that CIFAR-10's files need.
    """

    def find_class(self, module: str, name: str) -> Any:
        """The object for *module.name*, or ``pickle.UnpicklingError``."""
        if (module, name) not in _known_names():
            raise pickle.UnpicklingError(f"refused to load {module}.{name}: only numpy arrays are expected")
        return _known_names()[module, name]


def _known_names() -> dict[tuple[str, str], Callable[..., Any]]:
    rebuild: Any = np.empty(0, np.uint8).__reduce__()[0]  # its module moved between numpy 1 and 2
    return {
        ("numpy.core.multiarray", "_reconstruct"): rebuild,
        ("numpy._core.multiarray", "_reconstruct"): rebuild,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin,
    }


def _latin(text: str, _codec: str = "latin1") -> bytes:
    """How Python 3 spells bytes in protocol 2, whatever codec the file names."""
    return text.encode("latin1")


# ---------------------------------------------------------------- the stand-in


def write(folder: Path) -> None:
    """Write the stand-in and ``source.json`` to *folder*, all or nothing.

    Raises:
        DataError: *folder* holds something else.
    """
    prepare(folder, _fill)


def _fill(folder: Path) -> dict[str, str]:
    _write_batches(folder / FOLDER)
    return {"cifar10": "stand-in"}


def _write_batches(folder: Path) -> None:
    folder.mkdir()
    images, labels = stand_in(TRAIN_ROWS, seed=0)
    share = TRAIN_ROWS // len(TRAIN_FILES)
    for number, name in enumerate(TRAIN_FILES):
        rows = slice(number * share, (number + 1) * share)
        write_batch(folder / name, images[rows], labels[rows])
    write_batch(folder / TEST_FILE, *stand_in(TEST_ROWS, seed=1))
    with (folder / "batches.meta").open("wb") as stream:
        pickle.dump({b"label_names": [name.encode() for name in NAMES], b"num_vis": PIXELS}, stream, 2)


def write_batch(file: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Write images [n, 3, 32, 32] and labels [n] as one batch file."""
    content = {b"data": images.reshape(len(images), PIXELS), b"labels": [int(label) for label in labels]}
    with file.open("wb") as stream:
        pickle.dump(content, stream, protocol=2)


if __name__ == "__main__":
    command(write)
