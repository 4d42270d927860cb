"""Design files in TOML: blocks of experiments, each key checked, every error with its mend."""

from __future__ import annotations

import math
import tomllib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from energy_plugin.declare.collect import Background, Declaration, Sampling
from energy_plugin.declare.design import KINDS, Design
from energy_plugin.declare.impossible import checked
from energy_plugin.declare.pairs import FIGURES, METHODS
from energy_plugin.errors import FileError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


FILE_KEYS = {"name", "title", "seed", "replicates", "experiments"}
BLOCK_KEYS = {"name", "select", "pairs", "background", "alone", "replicates", "limit", "design"}
DESIGN_KEYS = {field.name for field in fields(Design)}
SAMPLING_KEYS = {field.name for field in fields(Sampling)}
BACKGROUND_KEYS = {field.name for field in fields(Background)}


def read_design_file(file: Path) -> dict[str, Declaration]:
    """Declarations by name from a TOML design file.

    Raises:
        FileError: names the file, the key, the value and the mend.
    """
    try:
        table = tomllib.loads(file.read_text("utf-8-sig"))  # editors on Windows write a mark in front
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(file, "file", file.name, f"not valid TOML: {error}") from None
    _only(file, "", table, FILE_KEYS)
    for key in ("name", "title"):
        _text(file, key, table.get(key, ""))
    blocks = table.get("experiments")
    if not isinstance(blocks, list) or not blocks:
        raise FileError(file, "experiments", blocks, "write at least one [[experiments]] block")
    found: dict[str, Declaration] = {}
    for index, block in enumerate(blocks, start=1):
        if not isinstance(block, dict):
            raise FileError(file, f"experiments[{index}]", block, "write it as [[experiments]]")
        name = block.get("name", f"block_{index}")
        if not isinstance(name, str) or name in found or not name.isidentifier():
            mend = "must be a word of letters, digits and _ that no other block of this file has"
            raise FileError(file, f"experiments[{index}].name", name, mend)
        found[name] = _block(file, f"experiments[{index}]", block, table)
    return found


def _block(file: Path, key: str, block: Mapping[str, Any], table: Mapping[str, Any]) -> Declaration:
    _only(file, key, block, BLOCK_KEYS)
    given = {"replicates": table.get("replicates", 1), **block}
    alone = block.get("alone", True)
    if not isinstance(alone, bool):
        raise FileError(file, f"{key}.alone", alone, "must be true or false")
    return Declaration(
        select=_select(file, key, block),
        pairs=_pairs(file, key, block),
        background=_background(file, key, block),
        alone=alone,
        design=_design(file, key, block),
        replicates=_whole(file, key, given, "replicates", 1) or 1,
        limit=_whole(file, key, given, "limit", 1),
        name=table.get("name", file.stem),
        seed=_whole(file, "", table, "seed", 0),
    )


def _select(file: Path, key: str, block: Mapping[str, Any]) -> tuple[str, ...]:
    if "pairs" in block:
        if "select" in block or "background" in block:
            raise FileError(file, f"{key}.pairs", block["pairs"], "give either pairs or select, not both")
        return ()
    select = block.get("select")
    if select is None:
        raise FileError(file, f"{key}.select", select, 'name models, such as "examples/*", or give pairs')
    if not isinstance(select, (str, list)) or not select:
        raise FileError(file, f"{key}.select", select, "must be a model or a list of models")
    return _texts(file, f"{key}.select", [select] if isinstance(select, str) else select)


def _text(file: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FileError(file, key, value, "must be a text")
    return value


def _texts(file: Path, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FileError(file, key, value, "must be a list of names")
    return tuple(value)


def _design(file: Path, key: str, block: Mapping[str, Any]) -> Design:
    entry = block.get("design", {"kind": "defaults"})
    if not isinstance(entry, dict):
        raise FileError(file, f"{key}.design", entry, 'must be a table such as { kind = "defaults" }')
    entry = dict(entry)
    _only(file, f"{key}.design", entry, DESIGN_KEYS)
    if entry.get("kind") not in KINDS:
        error = UnknownNameError("kind of design", entry.get("kind"), KINDS)
        raise FileError(file, f"{key}.design.kind", entry.get("kind"), str(error))
    if "names" in entry:
        entry["names"] = _texts(file, f"{key}.design.names", entry["names"])
    if not isinstance(entry.get("default", True), bool):
        raise FileError(file, f"{key}.design.default", entry["default"], "must be true or false")
    try:
        return checked(Design(**entry))
    except UsageError as error:
        raise FileError(file, f"{key}.design", entry, str(error)) from None


def _pairs(file: Path, key: str, block: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | Sampling | None:
    entry, key = block.get("pairs"), f"{key}.pairs"
    if entry is None:
        return None
    if isinstance(entry, dict):
        _only(file, key, entry, SAMPLING_KEYS)
        n = _whole(file, key, entry, "n", 1)
        if n is None:
            raise FileError(file, f"{key}.n", n, "say how many pairs")
        return _sampling(file, key, entry, n)
    if not isinstance(entry, list) or not entry:
        raise FileError(
            file, key, entry, 'must be a list of [a, b], or a table with n and sample = "random" ...'
        )
    for index, pair in enumerate(entry, start=1):
        if len(_texts(file, f"{key}[{index}]", pair)) != 2:
            raise FileError(file, f"{key}[{index}]", pair, "must be two models: [a, b]")
    return tuple((a, b) for a, b in entry)


def _sampling(file: Path, key: str, entry: Mapping[str, Any], n: int) -> Sampling:
    lists = {
        name: _texts(file, f"{key}.{name}", entry.get(name, otherwise))
        for name, otherwise in {"models": ["*"], "without": []}.items()
    }
    budget = entry.get("budget_gib", 1)
    if not isinstance(budget, (int, float)) or isinstance(budget, bool) or not 0 < budget < math.inf:
        raise FileError(file, f"{key}.budget_gib", budget, "must be a number above 0")
    for name, valid in {"sample": METHODS, "figures": FIGURES}.items():
        if name in entry and entry[name] not in tuple(valid):
            mend = UnknownNameError(f"{name} of pairs", entry[name], valid)
            raise FileError(file, f"{key}.{name}", entry[name], str(mend))
    seed = _whole(file, key, entry, "seed", 0) or 0
    return Sampling(**{**entry, **lists, "n": n, "seed": seed})


def _background(file: Path, key: str, block: Mapping[str, Any]) -> Background | None:
    entry, key = block.get("background"), f"{key}.background"
    if entry is None:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("model"), str):
        raise FileError(file, key, entry, 'must be a table such as { model = "examples/mnist" }')
    _only(file, key, entry, BACKGROUND_KEYS)
    try:
        return Background(**entry)
    except UsageError as error:
        raise FileError(file, key, entry, str(error)) from None


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
            raise FileError(file, where, table[name], _place(name, valid))


def _place(name: str, valid: set[str]) -> str:
    """Where a key belongs that is known elsewhere in the file, else the nearest one that is known here."""
    if valid is FILE_KEYS and name in BLOCK_KEYS:
        return f"{name} is told of a block: write it below [[experiments]]"
    if valid is BLOCK_KEYS and name in DESIGN_KEYS:
        return f"{name} is told of a design: write it into design = {{ kind = ..., {name} = ... }}"
    if valid is BLOCK_KEYS and name in FILE_KEYS:
        return f"{name} is told of the whole file: write it above the first [[experiments]]"
    return str(UnknownNameError("key", name, valid))
