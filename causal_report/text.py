"""The words of the page, from the files in ``templates/text/<language>/``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from causal_report.errors import InputError

PACKAGE = Path(__file__).resolve().parent


def templates() -> Path:
    """The folder of templates: inside the installed package, else beside it in a checkout."""
    inside = PACKAGE / "_templates"
    return inside if inside.is_dir() else PACKAGE.parent / "templates"


class Text:
    """Sentences by dotted key; a missing key or placeholder is an error, never an empty string."""

    def __init__(self, language: str) -> None:
        folder = templates() / "text"
        known = sorted(path.name for path in folder.iterdir() if path.is_dir())
        if language not in known:
            raise InputError(f"no texts for language {language!r}; there are: {', '.join(known)}")
        self.language = language
        self._texts: dict[str, str] = {}
        for path in sorted((folder / language).glob("*.toml")):
            for key, value in _flat(tomllib.loads(path.read_text(encoding="utf-8"))):
                if key in self._texts:
                    raise InputError(f"{path}: {key} stands in another file of this language too")
                self._texts[key] = value

    def __call__(self, key: str, **values: object) -> str:
        """The sentence at *key* with its placeholders filled."""
        return self._texts[key].format(**values)

    def heads(self, *names: str) -> list[tuple[str, str]]:
        """Heads of columns, each with its kind: ``#`` before a name says that numbers stand below it."""
        found = []
        for name in names:
            key = name.removeprefix("#")
            found.append((self(f"head.{key}") if key else "", "n" if name != key else ""))
        return found

    def has(self, key: str) -> bool:
        """Whether there is such a sentence."""
        return key in self._texts


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, str(value))]
    return found
