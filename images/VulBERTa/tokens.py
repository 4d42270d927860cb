"""C source to numbers: a small tokeniser and its vocabulary.

Tokens are the words of C: identifiers, numbers, strings, characters and operators; comments go.
A vocabulary is read from ``tokenizer/vocab.json`` where the data folder has one (token to number,
with the five special tokens first), else made of the training functions, most frequent first.
A token that is not in it is ``<unk>``: no word is split into pieces.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from prepared import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
START, PAD, END, UNKNOWN = 0, 1, 2, 3
TOKEN = re.compile(
    r"""/\*.*?\*/|//[^\n]*|("""  # a comment, unless it is in a string, or one of
    r"""[A-Za-z_]\w*"""
    r"""|(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?)[uUlLfF]*"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*\'"""
    r"""|->|\+\+|--|<<=?|>>=?|[-+*/%&|^<>=!]=|&&|\|\||\.\.\.|\S)""",
    re.DOTALL,
)


def split(code: str) -> list[str]:
    """The tokens of C source without its comments."""
    return [token for token in TOKEN.findall(code) if token]


class Vocabulary:
    """Numbers of tokens; at most *size* of them."""

    def __init__(self, numbers: Mapping[str, int], size: int) -> None:
        self._numbers = numbers
        self.size = size

    def __len__(self) -> int:
        """How many tokens have a number."""
        return len(self._numbers)

    def encode(self, code: str, length: int) -> list[int]:
        """Exactly *length* numbers: ``<s>``, the first tokens, ``</s>``, then padding."""
        body = [self._numbers.get(token, UNKNOWN) for token in split(code)[: length - 2]]
        return [START, *body, END, *[PAD] * (length - 2 - len(body))]

    @classmethod
    def of(cls, sources: Iterable[str], size: int) -> Vocabulary:
        """The most frequent tokens of *sources*; of equally frequent ones the first seen."""
        counts = Counter(token for code in sources for token in split(code))
        words = [token for token, _ in counts.most_common(size - len(SPECIAL))]
        return cls({token: number for number, token in enumerate([*SPECIAL, *words])}, size)

    @classmethod
    def read(cls, file: Path, size: int) -> Vocabulary:
        """The vocabulary in a JSON *file*.

        Raises:
            DataError: it is not an object of tokens and numbers below *size*.
        """
        try:
            numbers = json.loads(file.read_text("utf-8"))
        except (ValueError, OSError) as error:
            raise DataError(f"{file}: not readable as JSON: {error}") from None
        if not isinstance(numbers, dict) or [numbers.get(token) for token in SPECIAL] != list(range(5)):
            raise DataError(f"{file}: expected an object in which {', '.join(SPECIAL)} are 0 to 4")
        for token, number in numbers.items():
            if type(number) is not int or not 0 <= number < size:
                raise DataError(f"{file}: token {token!r} has {number!r}, expected 0 to {size - 1}")
        return cls(numbers, size)
