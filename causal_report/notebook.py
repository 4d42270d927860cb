"""Findings as pandas frames, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from causal_report.findings import Findings


def frames(findings: Findings) -> dict[str, pd.DataFrame]:
    """One frame for each table of the findings by its path: ``effects``, ``mediation.paths``.

    A row is one item; what lies inside another table carries the outer keys as columns (``group`` for
    the key of a mapping). The same numbers as in report.json.
    """
    import pandas as pd

    found: dict[str, list[dict[str, Any]]] = {}
    _walk(findings, "", {}, found)
    return {name: pd.DataFrame(rows) for name, rows in found.items()}


def _walk(value: Any, path: str, outer: Mapping[str, Any], found: dict[str, list[dict[str, Any]]]) -> None:
    if is_dataclass(value):
        for field in fields(value):
            _walk(getattr(value, field.name), f"{path}.{field.name}".lstrip("."), outer, found)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _walk(item, path, {**outer, _fresh(outer): str(key)}, found)
    elif isinstance(value, tuple) and value and all(map(is_dataclass, value)):
        for item in value:
            row = {**outer, **dict(_plain(item))}
            found.setdefault(path, []).append(row)
            _walk(item, path, row, found)


def _fresh(outer: Mapping[str, Any]) -> str:
    """The column a mapping's key goes to: the group, then the mode within it."""
    return "group" if "group" not in outer else "mode"


def _plain(item: Any) -> Iterator[tuple[str, Any]]:
    """The fields of one row that are no tables of their own."""
    for field in fields(item):
        value = getattr(item, field.name)
        inner = isinstance(value, tuple) and value and all(map(is_dataclass, value))
        if not (inner or is_dataclass(value)):
            yield field.name, value
