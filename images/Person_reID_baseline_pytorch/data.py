"""Market-1501 in the folders of the original's ``prepare.py``, and a small stand-in for it.

``python data.py DIR`` writes drawn figures: 16 people to train on and 8 others to find, each known
by the colours of torso and legs, before four cameras with a background and a colour cast each.
That is enough to tell a network that learns from one that does not; results on them say nothing
about Market-1501, and every record carries ``stand-in``. For the real data name a folder with
``pytorch/{train_all,query,gallery}/<id>/<id>_c<camera>s1_<frame>_00.jpg`` in it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "base"))  # when run from a checkout by hand

from prepared import STANDIN, DataError, command, digest, prepare, source_of
from standin import write_people

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FOLDER = "pytorch"
NAME = re.compile(r"(-1|\d{4})_c(\d+)s\d+_\w+\.(jpg|ppm|npy)")
EXPECTED = f"{FOLDER}/{{train_all,query,gallery}}/<id>/<id>_c<camera>s1_<frame>_00.jpg (or .ppm, .npy)"
PPM_HEADER = re.compile(rb"P6\s+(?:#[^\n]*\n\s*)*(\d+)\s+(?:#[^\n]*\n\s*)*(\d+)\s+(?:#[^\n]*\n\s*)*(\d+)\s")


# ---------------------------------------------------------------- reading


class Part:
    """The images of one folder: uint8 [n, 3, h, w], with identity (-1: junk) and camera of each.

    Args:
        folder: ``train_all``, ``query`` or ``gallery``.
        limit: use at most so many images, as many of every identity as there can be.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        files = sorted(file for file in folder.glob("*/*") if not file.name.startswith("."))
        if not files:
            raise DataError(f"{folder}: no images; expected {EXPECTED}, or {STANDIN}")
        named = [_parsed(file) for file in files]
        self.people = sorted({person for person, _ in named})
        chosen = balanced([person for person, _ in named], limit)
        self.files = [files[row] for row in chosen]
        self.ids = np.array([named[row][0] for row in chosen], np.int64)
        self.cameras = np.array([named[row][1] for row in chosen], np.int64)
        self.images = read_images(self.files)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images, pixels."""
        return self.images.shape[2], self.images.shape[3]


class Market:
    """What is trained on and what is searched.

    Args:
        folder: holds ``pytorch``.
        limit: use at most so many training images.

    Attributes:
        train, query, gallery: the three parts. ``labels``: of the training images, from 0.
        classes: identities in the whole training folder, whatever *limit*.
        source: what ``source.json`` calls the data, else ``user``.
        digest: over the paths and sizes of the files that are used.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        if limit is not None and limit < 2:
            raise DataError(f"--limit {limit}: must be at least 2, batch normalisation needs two rows")
        self.source = source_of(folder, "market1501")
        self.train = Part(folder / FOLDER / "train_all", limit)
        self.query = Part(folder / FOLDER / "query")
        self.gallery = Part(folder / FOLDER / "gallery")
        for part in (self.query, self.gallery):
            if part.size != self.train.size:
                raise DataError(f"{part.files[0]}: {part.size}, expected {self.train.size} as in train_all")
        self.classes = len(self.train.people)
        self.labels = np.searchsorted(self.train.people, self.train.ids).astype(np.int64)
        files = [file for part in (self.train, self.query, self.gallery) for file in part.files]
        self.digest = digest(
            f"{file.relative_to(folder).as_posix()} {file.stat().st_size}\n".encode() for file in files
        )


def _parsed(file: Path) -> tuple[int, int]:
    match = NAME.fullmatch(file.name)
    if not match or match[1] != file.parent.name:
        raise DataError(f"{file}: not an image of {file.parent.name!r}; expected {EXPECTED}")
    return int(match[1]), int(match[2])


def balanced(ids: Sequence[int], limit: int | None) -> list[int]:
    """Row numbers in order: all, or *limit* of them with the identities as equal as can be."""
    seen: dict[int, int] = {}
    turns = []  # how many rows of its identity come before a row
    for person in ids:
        turns.append(seen.get(person, 0))
        seen[person] = turns[-1] + 1
    return sorted(sorted(range(len(ids)), key=lambda row: (turns[row], row))[:limit])


def read_images(files: Sequence[Path]) -> NDArray[np.uint8]:
    """Images [n, 3, h, w] of one size.

    Raises:
        DataError: a file cannot be read, or its size is not the first one's.
    """
    first = read_image(files[0])
    images = np.empty((len(files), *first.shape), np.uint8)
    for row, file in enumerate(files):
        image = read_image(file)
        if image.shape != first.shape:
            raise DataError(f"{file}: {image.shape[1:]}, expected {first.shape[1:]} as in {files[0].name}")
        images[row] = image
    return images


def read_image(file: Path) -> NDArray[np.uint8]:
    """One colour image [3, h, w]; ``.jpg`` needs pillow, ``.ppm`` and ``.npy`` ([h, w, 3]) nothing."""
    try:
        image = READERS[file.suffix](file)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DataError(f"{file}: {image.dtype} {image.shape}, expected uint8 [height, width, 3]")
    return image.transpose(2, 0, 1)


def _read_jpg(file: Path) -> NDArray[Any]:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"{file}: needs pillow (pip install pillow), or convert to .ppm") from None
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _read_ppm(file: Path) -> NDArray[Any]:
    content = file.read_bytes()
    match = PPM_HEADER.match(content)
    if not match or int(match[3]) != 255:
        raise ValueError("expected a binary PPM, P6, with values up to 255")
    width, height = int(match[1]), int(match[2])
    pixels = content[match.end() :]
    if len(pixels) != 3 * width * height:
        raise ValueError(f"{len(pixels)} bytes of pixels, expected {3 * width * height}")
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def _read_npy(file: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(file, allow_pickle=False)
    return array


READERS = {".jpg": _read_jpg, ".ppm": _read_ppm, ".npy": _read_npy}


def write(folder: Path) -> None:
    """Write the stand-in and ``source.json`` to *folder*, all or nothing.

    Raises:
        DataError: *folder* holds something else.
    """
    prepare(folder, _fill)


def _fill(folder: Path) -> dict[str, str]:
    write_people(folder / FOLDER)
    return {"market1501": "stand-in"}


if __name__ == "__main__":
    command(write)
