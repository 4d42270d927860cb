"""Pairs of syntax trees that are clones or not: the reader of the published format, and a stand-in.

``python data.py DIR`` writes functions of Python's standard library with rewritten copies. A data
set X in a folder is

* ``X_with_AST+OAST.csv`` with columns ``index,file,code,AST,OAST``; trees are written
  ``A [ B C ]``: node A with children B and C. The optimised tree, OAST, is what is learned from;
* ``X_OAST_dictionary.txt``, one node type a line;
* ``X_train.csv``, ``X_valid.csv``, ``X_test.csv`` with columns
  ``index1,file1,index2,file2,label``; label 1 is a clone, -1 (or 0) is none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.append(str(Path(__file__).resolve().parent.parent / "base"))  # when run from a checkout by hand

from prepared import STANDIN, DataError, command, digest, prepare, read_table, source_of
from standin import write_clones

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TREES, SPLITS = "_with_AST+OAST.csv", ("train", "valid", "test")
PAIR_COLUMNS = ("index1", "file1", "index2", "file2", "label")
LABELS = {"1": 1, "-1": 0, "0": 0}


class Pair(NamedTuple):
    """Keys (index, file) of two trees, and 1 if they are clones, else 0."""

    left: tuple[str, str]
    right: tuple[str, str]
    target: int


class Orders(NamedTuple):
    """Node numbers of one tree, parents first and children first; both as long."""

    pre: list[int]
    post: list[int]


def write(folder: Path) -> None:
    """Write the stand-in and ``source.json`` to *folder*, all or nothing.

    Raises:
        DataError: *folder* holds something else.
    """
    prepare(folder, _fill)


def _fill(folder: Path) -> dict[str, str]:
    write_clones(folder, "Stdlib")
    return {"clones": "stand-in"}


class Clones:
    """The pairs of a data folder and the trees they name.

    Attributes:
        train, valid, test: pairs; *limit* cuts the training pairs alone and keeps both labels.
        trees: by key, the trees of the pairs that are used.
        words: how many node types there are; numbers go from 1 to it, 0 is padding.
        source: what ``source.json`` calls the data, else ``user``.
        digest: over the pairs that are used and their trees.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        name = _name(folder)
        train, self.valid, self.test = (_pairs(folder / f"{name}_{split}.csv") for split in SPLITS)
        self.train = few(train, limit)
        for split, pairs in (("training", self.train), ("test", self.test)):
            if {pair.target for pair in pairs} != {0, 1}:
                raise DataError(f"{folder}: the {len(pairs)} {split} pairs are not of both labels 1 and -1")
        numbers = _dictionary(folder / f"{name}_OAST_dictionary.txt")
        used = [*self.train, *self.valid, *self.test]
        keys = {key for pair in used for key in (pair.left, pair.right)}
        self.trees = dict(_trees(folder / f"{name}{TREES}", keys, numbers))
        for key in sorted(keys - set(self.trees)):
            raise DataError(
                f"{folder / (name + TREES)}: no row with index,file {','.join(key)}, which a pair names"
            )
        self.words = len(numbers)
        self.source = source_of(folder, "clones")
        self.digest = digest([json.dumps([used, sorted(self.trees.items())]).encode()])


def _name(folder: Path) -> str:
    found = sorted(file.name for file in folder.glob(f"*{TREES}"))
    if len(found) != 1:
        here = f"{len(found)} of them" if found else "none"
        raise DataError(f"{folder}: expected one file X{TREES}, found {here}; {STANDIN}")
    return found[0].removesuffix(TREES)


def few(pairs: Sequence[Pair], limit: int | None) -> list[Pair]:
    """The first *limit* pairs, half of each label as far as both last, in their order."""
    if limit is None or limit >= len(pairs):
        return list(pairs)
    if limit < 2:
        raise SystemExit(f"--limit {limit}: expected at least 2, one pair of each label")
    places: dict[int, list[int]] = {0: [], 1: []}
    for place, pair in enumerate(pairs):
        places[pair.target].append(place)
    ones = min(len(places[1]), max(limit // 2, limit - len(places[0])))
    return [pairs[place] for place in sorted(places[1][:ones] + places[0][: limit - ones])]


def _pairs(file: Path) -> list[Pair]:
    pairs = []
    for line, row in read_table(file, PAIR_COLUMNS):
        if row["label"].strip() not in LABELS:
            raise DataError(f"{file}, line {line}: label {row['label']!r}, expected 1 or -1")
        left, right = (row["index1"], row["file1"]), (row["index2"], row["file2"])
        pairs.append(Pair(left, right, LABELS[row["label"].strip()]))
    return pairs


def _dictionary(file: Path) -> dict[str, int]:
    """Node types with their numbers, from 1."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; expected one node type a line")
    words = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    if not words:
        raise DataError(f"{file}: no node type in it; expected one a line")
    return {word: number for number, word in enumerate(dict.fromkeys(words), 1)}


def _trees(
    file: Path, keys: set[tuple[str, str]], numbers: Mapping[str, int]
) -> Iterator[tuple[tuple[str, str], Orders]]:
    for line, row in read_table(file, ("index", "file", "OAST")):
        if (row["index"], row["file"]) not in keys:
            continue
        tokens = row["OAST"].split()
        for token in tokens:
            if token not in ("[", "]") and token not in numbers:
                raise DataError(f"{file}, line {line}: node type {token!r} is not in the OAST dictionary")
        try:
            pre, post = orders(tokens)
        except ValueError as error:
            raise DataError(f"{file}, line {line}: OAST {error}, expected trees such as A [ B C ]") from None
        yield (row["index"], row["file"]), Orders([numbers[t] for t in pre], [numbers[t] for t in post])


def orders(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """The nodes of a tree ``A [ B C ]``, parents first and children first.

    Raises:
        ValueError: there is no node, or the brackets do not fit.
    """
    post: list[str] = []
    parents: list[str] = []
    node: str | None = None  # the last one, as long as it may still have children
    for token in tokens:
        if token == "[":
            if node is None:
                raise ValueError("has a bracket without a node before it")
            parents.append(node)
            node = None
            continue
        if node is not None:
            post.append(node)
        node = None if token == "]" else token
        if token == "]":
            if not parents:
                raise ValueError("closes a bracket too many")
            post.append(parents.pop())
    if parents:
        raise ValueError(f"leaves {len(parents)} brackets open")
    post += [node] if node is not None else []
    if not post:
        raise ValueError("has no node")
    return [token for token in tokens if token not in ("[", "]")], post


if __name__ == "__main__":
    command(write)
