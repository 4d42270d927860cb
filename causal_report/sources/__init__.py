"""Readers of results: one module a form; all give a :class:`~causal_report.sources.source.Source`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report.errors import InputError
from causal_report.sources import published, session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from causal_report.sources.source import Source


def load(paths: Sequence[Path]) -> tuple[Source, ...]:
    """Read every path: session folders and published CSV tables.

    Raises:
        InputError: a path is missing, is neither form, or two paths are the same session.
    """
    found = tuple(_one(path) for path in paths)
    names = [source.name for source in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"given twice: {', '.join(twice)}; name each session once")
    return found


def _one(path: Path) -> Source:
    if not path.exists():
        raise InputError(f"{path}: no such folder or file; give a session folder such as results/latest")
    if path.is_dir():
        return session.read(path)
    if path.suffix == ".csv":
        return published.read(path)
    raise InputError(f"{path}: neither a session folder nor a .csv table")
