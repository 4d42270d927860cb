"""The cases that succeeded in a session, read from its journal without the bulk of its records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from energy_plugin.record.journal import lines
from energy_plugin.record.record import case_from_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from energy_plugin.declare.case import Case

END = b'{"event":"attempt-end"'
SUCCESS = b'"success":true'
CASE = b'"case":{'
HEAD_BYTES = 4096
"""Where a line says so early that it is of a success, and of which case, only that is parsed."""
DECODER = json.JSONDecoder()


def finished(folder: Path) -> Iterator[Case]:
    """Each attempt that succeeded, as its case; damaged lines are passed over.

    Raises:
        ResultsError: the journal cannot be read.
    """
    for _, line in lines(folder):
        if line.startswith(END) and line.endswith(b"}}\n") and (case := _case(line)) is not None:
            yield case_from_json(case)


def _case(line: bytes) -> dict[str, Any] | None:
    record = line.find(b'"record":')
    head, start = line[: max(record, 0)], line.find(CASE, record, record + HEAD_BYTES)
    try:
        if b'"success":' in head and start >= 0:
            if SUCCESS not in head:
                return None
            text = line[start + len(CASE) - 1 :].decode()
            found: dict[str, Any] = DECODER.raw_decode(text)[0]
            return found
        whole = json.loads(line)["record"]
    except (ValueError, KeyError):
        return None
    return whole["case"] if all(outcome["success"] for outcome in whole["outcomes"]) else None
