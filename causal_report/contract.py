"""The JSON schema of report.json, read off the types of :class:`~causal_report.findings.Findings`."""

from __future__ import annotations

import importlib
import json
import pkgutil
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from causal_report import findings

PATH = Path(__file__).resolve().parent / "schema" / "report.json"
PARTS = [
    importlib.import_module(f"{findings.__name__}.{m.name}") for m in pkgutil.iter_modules(findings.__path__)
]
PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}


def schema() -> dict[str, Any]:
    """JSON schema 2020-12; every key is required and no other is allowed."""
    definitions: dict[str, Any] = {}
    _type(findings.Findings, definitions)
    del definitions[""]
    definitions["Findings"]["properties"]["schema_version"] = {"const": findings.SCHEMA_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "WattWhy report.json",
        "$ref": "#/$defs/Findings",
        "$defs": definitions,
    }


def _type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint in PLAIN:
        return PLAIN[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is types.UnionType:
        return {"anyOf": [_type(argument, definitions) for argument in arguments]}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _type(arguments[1], definitions)}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _type(arguments[0], definitions)}
    if origin is tuple:
        items = [_type(argument, definitions) for argument in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if is_dataclass(hint) and isinstance(hint, type):
        return _object(hint, definitions)
    raise TypeError(f"no schema for {hint!r}")


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    if definitions.setdefault("", {}).setdefault(kind.__name__, kind) is not kind:
        raise TypeError(f"two types of the findings are called {kind.__name__}")
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}  # so that a type may hold itself
        names = {name: value for part in (findings, *PARTS) for name, value in vars(part).items()}
        hints = get_type_hints(kind, names | {"Mapping": Mapping})
        assert is_dataclass(kind)
        properties = {f.name: _type(hints[f.name], definitions) for f in fields(kind)}
        definitions[kind.__name__] = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


if __name__ == "__main__":
    PATH.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
