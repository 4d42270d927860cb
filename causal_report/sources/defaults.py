"""Default values that programs use when told nothing, and the runs that are filled from them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from causal_report.errors import InputError
from causal_report.sources.source import FILLED

if TYPE_CHECKING:
    from pathlib import Path

    from causal_report.sources.source import Source

PREFIX = "hyperparam_"
WAYS = (
    "give a session folder, its session.json, a folder of images with */repository.toml, or a TOML file with "
    "tables such as [repository.model] and lines such as epochs = 10"
)

Values = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Values by (repository, model); ``path`` is where they were read."""

    path: Path
    values: Mapping[tuple[str, str], Values]


def read(path: Path) -> Defaults:
    """The defaults in *path*, whichever form it has.

    Raises:
        InputError: no such file, not one of the forms, or a default that is not a number.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder of defaults; {WAYS}")
    if path.is_dir():
        if (path / "session.json").exists():
            found = _session(path / "session.json")
        else:
            files = sorted(path.glob("*/repository.toml"))
            found = {model: v for file in files for model, v in _repository(file, _toml(file)).items()}
    elif path.suffix == ".json":
        found = _session(path)
    else:
        table = _toml(path)
        found = _repository(path, table) if "hyperparameters" in table else _plain(path, table)
    if not any(found.values()):
        raise InputError(f"{path}: no defaults in it; {WAYS}")
    return Defaults(path=path, values=found)


def fill(source: Source, defaults: Defaults) -> Source:
    """The same runs with what was not recorded filled in, marked, and counted in a note."""
    frame = source.frame.copy()
    given = [str(name) for name in frame if str(name).startswith(PREFIX)]
    counts: list[str] = []
    unknown: list[str] = []
    models = frame["repository"].astype(str) + "/" + frame["model"].astype(str)
    known = {"/".join(name): values for name, values in defaults.values.items()}
    for model, rows in models.groupby(models).groups.items():
        values = known.get(str(model))
        if values is None:
            unknown.append(str(model))
            continue
        for column in given:
            value = values.get(column.removeprefix(PREFIX))
            empty = rows[frame.loc[rows, column].isna().to_numpy()]
            if value is None or not len(empty):
                continue
            mark = f"{FILLED}{column}"
            if mark not in frame:
                frame[mark] = False
            frame.loc[empty, column] = value
            frame.loc[empty, mark] = True
            name = column.removeprefix(PREFIX)
            counts.append(f"{name} = {value:g} in {len(empty):,} of {len(rows):,} runs of {model}")
    return replace(source, frame=frame, notes=(*source.notes, *_said(source, defaults, counts, unknown)))


def _said(source: Source, defaults: Defaults, counts: list[str], unknown: list[str]) -> list[str]:
    name = defaults.path.name or str(defaults.path)
    said = []
    if counts:
        said.append(
            f"{source.name}: not recorded, and filled with the defaults in {name}: {'; '.join(counts)}. "
            "Whether the programs had these defaults is taken on trust"
        )
    if unknown:
        said.append(
            f"{source.name}: {name} has no defaults of {', '.join(unknown)}; "
            "what was not recorded stays unknown"
        )
    return said


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file of defaults: {error}; {WAYS}") from error


def _session(path: Path) -> dict[tuple[str, str], Values]:
    """The catalogue that session.json embeds."""
    try:
        whole = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a session.json: {error}; {WAYS}") from error
    if not isinstance(whole, Mapping):
        raise InputError(f"{path}: not a session.json: it holds a {type(whole).__name__}; {WAYS}")
    found: dict[tuple[str, str], Values] = {}
    for repository, entry in _inner(path, "session.json", whole, "catalogue").items():
        for model, about in _inner(path, repository, entry, "models").items():
            where = f"{repository}.{model}"
            found[repository, model] = _values(path, where, _inner(path, where, about, "hyperparameters"))
    return found


def _inner(path: Path, where: str, table: Any, key: str) -> Mapping[str, Any]:
    """The table *key* of *table*, empty where there is none."""
    inner = table.get(key, {}) if isinstance(table, Mapping) else table
    if not isinstance(inner, Mapping):
        raise InputError(f"{path}: {key} of {where} is {inner!r:.60}, not a table; {WAYS}")
    return inner


def _repository(path: Path, table: Mapping[str, Any]) -> dict[tuple[str, str], Values]:
    """One repository.toml: shared hyperparameters, and what each model has of its own."""
    name, shared = (
        str(table.get("name") or path.parent.name),
        _inner(path, "the file", table, "hyperparameters"),
    )
    found: dict[tuple[str, str], Values] = {}
    for model, about in _inner(path, "the file", table, "models").items():
        own = _inner(path, model, about, "hyperparameters")
        used = about.get("uses", list(shared))
        if not isinstance(used, list):
            raise InputError(f"{path}: uses of {model} is {used!r:.60}, not a list of names")
        merged = {
            key: {**_inner(path, "the file", shared, key), **_inner(path, model, own, key)}
            for key in map(str, used)
        }
        values = _values(path, f"{name}.{model}", merged)
        found |= {(name, title): values for title in (model, *about.get("aliases", ()))}
    return found


def _plain(path: Path, table: Mapping[str, Any]) -> dict[tuple[str, str], Values]:
    found: dict[tuple[str, str], Values] = {}
    for repository, models in table.items():
        for model, values in models.items() if isinstance(models, Mapping) else ((models, None),):
            if not isinstance(values, Mapping):
                raise InputError(f"{path}: {repository} is not a table [repository.model]; {WAYS}")
            entries = {key: {"default": value} for key, value in values.items()}
            found[repository, model] = _values(path, f"{repository}.{model}", entries)
    return found


def _values(path: Path, where: str, entries: Mapping[str, Any]) -> Values:
    """Defaults by name; a hyperparameter without one has none."""
    found: dict[str, float] = {}
    for name, entry in entries.items():
        value = entry.get("default") if isinstance(entry, Mapping) else entry
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or pd.isna(value):
            raise InputError(f"{path}: {where}.{name} is {value!r}; a default is a number")
        found[name] = float(value)
    return found
