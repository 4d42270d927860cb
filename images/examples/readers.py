"""From files to tensors: MNIST in the idx format, and text of one sentence a line.

The small data that ``data.py`` writes and the user's own full data are read alike.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from prepared import DataError, digest, source_of
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049  # unsigned bytes in three and in one dimension
PLACES = ("MNIST/raw", "raw", ".")
NAMES = {"train": "train", "test": "t10k"}
SIDE = 28
MEAN, DEVIATION = 0.1307, 0.3081  # of the pixels of all MNIST training images
BPTT = 35  # steps of truncated backpropagation


class Rows(NamedTuple):
    """Images [n, 1, 28, 28], normalised, and labels [n]."""

    images: Tensor
    labels: Tensor


class Digits:
    """MNIST on a device.

    Attributes:
        train, test: rows; *limit* cuts the training rows alone.
        source: what ``source.json`` calls the data, else ``user``.
        digest: over the images and labels that are used.
    """

    def __init__(self, folder: Path, limit: int | None, device: str) -> None:
        parts = [_digits(folder, "train", limit), _digits(folder, "test", None)]
        self.source = source_of(folder, "mnist")
        self.digest = digest(array.tobytes() for part in parts for array in part)
        self.train, self.test = (_rows(images, labels, device) for images, labels in parts)


def _digits(folder: Path, part: str, limit: int | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images_file = find(folder, PLACES, f"{NAMES[part]}-images-idx3-ubyte")
    labels_file = find(folder, PLACES, f"{NAMES[part]}-labels-idx1-ubyte")
    images, labels = read_idx(images_file, IMAGES_MAGIC), read_idx(labels_file, LABELS_MAGIC)
    if images.shape[1:] != (SIDE, SIDE):
        raise DataError(f"{images_file}: images of {images.shape[1:]} pixels, expected {(SIDE, SIDE)}")
    if len(images) != len(labels):
        raise DataError(f"{labels_file}: {len(labels)} labels for {len(images)} images")
    if not len(labels) or labels.max() > 9:
        raise DataError(f"{labels_file}: expected labels 0 to 9, at least one")
    return images[:limit], labels[:limit]


def _rows(images: NDArray[np.uint8], labels: NDArray[np.uint8], device: str) -> Rows:
    pixels = (torch.from_numpy(images).float() / 255 - MEAN) / DEVIATION
    return Rows(pixels.unsqueeze(1).to(device), torch.from_numpy(labels).long().to(device))


def unpacked(file: Path) -> bytes:
    """The bytes of *file*, those inside it for ``.gz``; a DataError if they cannot be had."""
    try:
        return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None


def read_idx(file: Path, magic: int) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes, plain or ``.gz``; a DataError if it is not one."""
    content = unpacked(file)
    dimensions = magic & 0xFF
    start = 4 + 4 * dimensions
    found = int.from_bytes(content[:4], "big")
    if len(content) < start or found != magic:
        raise DataError(f"{file}: magic number {found}, expected {magic} (idx, unsigned bytes)")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = start + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        raise DataError(f"{file}: {len(content)} bytes, expected {expected} for shape {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


class Text:
    """Words of a text as numbers, every line closed by ``<eos>``.

    The vocabulary is of the whole training text, whatever *limit*, so that fewer rows are the same
    model: words seen at least ``MIN_COUNT`` times; all others are ``<unk>``.
    """

    MIN_COUNT = 2
    SPECIAL = ("<unk>", "<eos>")

    def __init__(self, folder: Path, limit: int | None) -> None:
        parts = {part: _lines(folder, part) for part in ("train", "valid", "test")}
        words = self._frequent(parts["train"])
        parts["train"] = parts["train"][:limit]
        self.vocabulary = {word: index for index, word in enumerate([*self.SPECIAL, *words])}
        self.train, self.valid, self.test = (self._numbers(lines) for lines in parts.values())
        self.source = source_of(folder, "text")
        self.digest = digest(line.encode() for lines in parts.values() for line in lines)

    def _frequent(self, lines: Sequence[str]) -> list[str]:
        counts: dict[str, int] = {}
        for line in lines:
            for word in line.split():
                counts[word] = counts.get(word, 0) + 1
        return [w for w, n in counts.items() if n >= self.MIN_COUNT and w not in self.SPECIAL]

    def _numbers(self, lines: Sequence[str]) -> list[int]:
        return [self.vocabulary.get(word, 0) for line in lines for word in [*line.split(), "<eos>"]]


def _lines(folder: Path, part: str) -> list[str]:
    file = find(folder, ("text", "."), f"{part}.txt")
    lines = [line for line in unpacked(file).decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{file}: holds no words; expected one sentence a line")
    return lines


def find(folder: Path, places: Sequence[str], name: str) -> Path:
    """The file *name*, or *name*.gz, in the first of *places* below *folder* that has it."""
    for place in places:
        for file in (folder / place / name, folder / place / f"{name}.gz"):
            if file.is_file():
                return file
    looked = ", ".join(str(Path(place) / name) for place in places)
    raise DataError(f"{folder}: none of {looked} here; write the small data with: python data.py NEW_FOLDER")


def partners(labels: Tensor, order: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each row another row, and whether it has the same label: in turn yes and no.

    The partner is any row of the label wanted, or any row at all where no row has that label.
    """
    labels = labels.cpu()
    rows, other = len(labels), torch.randint(1, 10, (len(labels),), generator=order)
    wanted = torch.where(torch.arange(rows) % 2 == 0, labels, (labels + other) % 10)
    partner = torch.randint(rows, (rows,), generator=order)
    for digit in range(10):
        asking, pool = ((column == digit).nonzero().squeeze(1) for column in (wanted, labels))
        if len(pool):
            partner[asking] = pool[torch.randint(len(pool), (len(asking),), generator=order)]
    return partner, (labels[partner] == labels).float()


def columns(words: list[int], count: int, device: str) -> Tensor:
    """*words* as [time, column], the text cut into *count* equal columns; the rest is left out."""
    if len(words) < 2 * count:
        raise DataError(f"{len(words)} words cannot fill {count} columns; lower the batch size or the limit")
    length = len(words) // count
    return torch.tensor(words[: length * count]).view(count, length).t().contiguous().to(device)


def windows(text: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and the words that follow, 35 steps at a time, over the whole text."""
    for start in range(0, len(text) - 1, BPTT):
        stop = min(start + BPTT, len(text) - 1)
        yield text[start:stop], text[start + 1 : stop + 1].flatten()
