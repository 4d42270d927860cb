"""Readers of results: one module a form; all give a :class:`~causal_report.sources.source.Source`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from causal_report.errors import InputError
from causal_report.sources import defaults as catalogue
from causal_report.sources import published, session
from causal_report.sources.columns import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from causal_report.sources.source import Source

JOURNAL, SUMMARY = "journal.jsonl", "summary.csv"


def load(paths: Sequence[Path], *, defaults: Path | None = None) -> tuple[Source, ...]:
    """Read every path: session folders, folders of sessions, and CSV tables.

    Args:
        paths: what was given, in its order.
        defaults: a catalogue of default values; hyperparameters that were not recorded are filled
            from it, and marked.

    Raises:
        InputError: a path is missing, is none of these, or two paths hold the same run.
    """
    found = tuple(source for path in paths for source in _all(path))
    names = [source.name for source in found]
    twice = [source for source in found if names.count(source.name) > 1]
    if twice:
        both = " and ".join(str(source.path) for source in twice if source.name == twice[0].name)
        raise InputError(
            f"given twice: {twice[0].name} ({both}); name each session once, and give tables that are two "
            "different names"
        )
    _apart(found)
    if defaults is None:
        return found
    known = catalogue.read(defaults)
    return tuple(catalogue.fill(source, known) for source in found)


def _all(path: Path) -> Iterator[Source]:
    if not path.exists():
        raise InputError(f"{path}: no such folder or file; give a session folder such as results/latest")
    if path.is_dir():
        inside = [] if (path / JOURNAL).exists() else _sessions(path)
        yield from _several(path, inside) if inside else [session.read(path)]
    elif path.suffix.lower() in (".csv", ".tsv"):
        own = path.name == SUMMARY and (path.parent / JOURNAL).exists()
        yield session.read(path.parent) if own else published.read(path)
    else:
        raise InputError(
            f"{path}: neither a session folder nor a .csv table; save a table of another form as CSV"
        )


def _sessions(folder: Path) -> list[Path]:
    """Session folders in *folder*; ``latest`` and other links name one that is there anyway."""
    return sorted(path for path in folder.iterdir() if not path.is_symlink() and (path / JOURNAL).exists())


def _several(folder: Path, paths: Sequence[Path]) -> list[Source]:
    """Every session of a folder that can be read; what was passed over is said by the first."""
    found: list[Source] = []
    lost: list[str] = []
    for path in paths:
        try:
            found.append(session.read(path))
        except InputError as error:
            lost.append(f"Left out: {error}")
    if not found:
        raise InputError(f"{folder}: none of its {len(paths)} sessions can be read: {lost[0]}")
    first, *rest = found
    said = f"{folder} holds {len(paths)} sessions; {len(found)} were read"
    notes = (said, *lost, *first.notes)
    return [replace(first, notes=notes, unread=(*lost, *first.unread)), *rest]


def _apart(sources: Sequence[Source]) -> None:
    """A run that is in two sources would count twice; sessions are told apart by their names."""
    if len(sources) < 2 or all(source.kind == "session" for source in sources):
        return
    keys = pd.concat([source.frame[list(KEY)] for source in sources], keys=range(len(sources)))
    again = keys.duplicated()
    if bool(again.any()):
        later, row = again.index[again][0]
        run = sources[later].frame.at[row, "experiment_id"]
        same = keys[(keys == keys.loc[(later, row)]).all(axis=1)]
        earlier = same.index[0][0]
        raise InputError(
            f"given twice: {int(again.sum())} runs, such as {run}, are in {sources[earlier].path} and in "
            f"{sources[later].path}; give one of them"
        )
