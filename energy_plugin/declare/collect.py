"""Declarations in test files and design files become cases."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.case import Case, Program
from energy_plugin.declare.design import KINDS, Design, checked, defaults
from energy_plugin.errors import FileError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from energy_plugin.declare.catalog import Catalog, Model

MARK = "energy_experiments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What one ``@experiments`` or one ``[[experiments]]`` block asks for."""

    select: tuple[str, ...]
    design: Design
    replicates: int = 1
    limit: int | None = None
    name: str = ""
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Exactly these cases, as an earlier session recorded them."""

    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the options contribute to a declaration."""

    seed: int
    limit: int | None
    mutate: tuple[str, ...]
    runs: int


def experiments(
    *select: str, design: Design | None = None, replicates: int = 1, limit: int | None = None, name: str = ""
) -> pytest.MarkDecorator:
    """Declare experiments of the models that match *select*; the test takes ``case`` and ``measure``.

    Args:
        select: ``repository/model``, ``model`` where unique, or patterns such as ``examples/*``.
        design: which treatments; the defaults when absent.
        replicates: how often each treatment is run, each time in another block.
        limit: use at most so many rows of training data.
        name: recorded as the design's name.
    """
    declared = Declaration(
        select=select or ("*",),
        design=design or defaults(),
        replicates=replicates,
        limit=limit,
        name=name,
    )
    mark: pytest.MarkDecorator = getattr(pytest.mark, MARK)
    return mark(declared)


def expand(declaration: Declaration | Recorded, catalog: Catalog, given: Defaults) -> list[Case]:
    """All cases of a declaration: models by treatments by replicates.

    Raises:
        UsageError: a model, hyperparameter or range is unknown.
    """
    if isinstance(declaration, Recorded):
        for program in (p for case in declaration.cases for p in case.programs):
            catalog.model(f"{program.repository}/{program.model}")
        return list(declaration.cases)
    design = declaration.design
    if design.kind == "options":
        if not given.mutate:
            return []
        design = Design(kind="joint", names=given.mutate, n=given.runs, default=False)
    seed = given.seed if declaration.seed is None else declaration.seed
    limit = declaration.limit if given.limit is None else given.limit
    found: list[Case] = []
    for model in catalog.select(declaration.select):
        for treatment in design.treatments(model, seed):
            program = _program(model, design.passed(model), treatment, limit)
            least = 0 if treatment else design.base_replicates
            found += [
                Case(programs=(program,), replicate=replicate, design=declaration.name or design.kind)
                for replicate in range(1, max(declaration.replicates, least) + 1)
            ]
    return found


def _program(
    model: Model, base: Mapping[str, Any], treatment: Mapping[str, Any], limit: int | None
) -> Program:
    changed = {name: model.hyperparameters[name].cast(value) for name, value in {**base, **treatment}.items()}
    values = {**model.defaults(), **changed}
    return Program(
        repository=model.repository,
        model=model.name,
        values=values,
        passed=frozenset(values if model.original else changed),  # an original's defaults may be others
        varied=tuple(treatment),
        limit=limit,
    )


# --- design files ---------------------------------------------------------------------------------

FILE_KEYS = {"name", "title", "seed", "replicates", "experiments"}
BLOCK_KEYS = {"name", "select", "replicates", "limit", "design"}
DESIGN_KEYS = {field.name for field in fields(Design)}


def read_design_file(file: Path) -> dict[str, Declaration]:
    """Declarations by name from a TOML design file.

    Raises:
        FileError: names the file, the key, the value and the mend.
    """
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(file, "file", file.name, f"not valid TOML: {error}") from None
    _only(file, "", table, FILE_KEYS)
    blocks = table.get("experiments")
    if not isinstance(blocks, list) or not blocks:
        raise FileError(file, "experiments", blocks, "write at least one [[experiments]] block")
    found: dict[str, Declaration] = {}
    for index, block in enumerate(blocks, start=1):
        if not isinstance(block, dict):
            raise FileError(file, f"experiments[{index}]", block, "write it as [[experiments]]")
        name = block.get("name", f"block_{index}")
        if name in found or not str(name).isidentifier():
            raise FileError(file, f"experiments[{index}].name", name, "must be a unique identifier")
        found[name] = _block(file, f"experiments[{index}]", block, table)
    return found


def _block(file: Path, key: str, block: Mapping[str, Any], table: Mapping[str, Any]) -> Declaration:
    _only(file, key, block, BLOCK_KEYS)
    select = block.get("select")
    select = [select] if isinstance(select, str) else select
    if not isinstance(select, list) or not all(isinstance(item, str) for item in select):
        raise FileError(file, f"{key}.select", select, "must be a model or a list of models")
    entry = block.get("design", {"kind": "defaults"})
    if not isinstance(entry, dict):
        raise FileError(file, f"{key}.design", entry, 'must be a table such as { kind = "defaults" }')
    entry = dict(entry)
    _only(file, f"{key}.design", entry, DESIGN_KEYS)
    if entry.get("kind") not in KINDS:
        raise FileError(file, f"{key}.design.kind", entry.get("kind"), f"must be one of {', '.join(KINDS)}")
    if isinstance(entry.get("names"), list):
        entry["names"] = tuple(entry["names"])
    try:
        design = checked(Design(**entry))
    except UsageError as error:
        raise FileError(file, f"{key}.design", entry, str(error)) from None
    given = {"replicates": table.get("replicates", 1), **block}
    return Declaration(
        select=tuple(select),
        design=design,
        replicates=_whole(file, key, given, "replicates", 1) or 1,
        limit=_whole(file, key, given, "limit", 1),
        name=table.get("name", file.stem),
        seed=_whole(file, "", table, "seed", 0),
    )


def _whole(file: Path, key: str, table: Mapping[str, Any], name: str, least: int) -> int | None:
    """A whole number of at least *least*, None where the key is absent."""
    value = table.get(name)
    if value is not None and (type(value) is not int or value < least):
        where = f"{key}.{name}".lstrip(".")
        raise FileError(file, where, value, f"must be a whole number of at least {least}")
    return value


def _only(file: Path, key: str, table: Mapping[str, Any], valid: set[str]) -> None:
    for name in table:
        if name not in valid:
            where = f"{key}.{name}".lstrip(".")
            raise FileError(file, where, table[name], str(UnknownNameError("key", name, valid)))
