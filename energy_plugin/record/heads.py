"""The journal without its bulk: what a resumed session must know of thousands of attempts, at once."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from energy_plugin.record.journal import EVENT, head_of, lines, saved
from energy_plugin.record.record import record_from_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

END = EVENT + b'"attempt-end"'
BULK = b',"record":'
"""What follows in an ``attempt-end`` is not parsed."""
HEAD_BYTES = 4096


def heads(folder: Path) -> Iterator[dict[str, Any]]:
    """Every whole event of a session's journal in order, an ``attempt-end`` without its record.

    Only the last line is read in full, which alone can be torn by a power failure, and lines that look
    damaged. Damaged lines are as in :func:`~energy_plugin.record.journal.read_journal`.

    Raises:
        ResultsError: the file cannot be read.
    """
    held: tuple[int, bytes] | None = None
    for number, line in lines(folder):
        if held is not None:
            yield from _short(*held)
        held = (number, line)
    if held is not None:
        yield from _whole(*held)


def _short(number: int, line: bytes) -> list[dict[str, Any]]:
    """By its head alone, where it has one and what follows is as it was written."""
    end = line.find(BULK, 0, HEAD_BYTES) if line.startswith(END) else -1
    if end < 0 or not line.endswith(b"}}\n"):
        return _whole(number, line)
    try:
        head: dict[str, Any] = json.loads(line[:end] + b"}")
    except ValueError:
        return _whole(number, line)
    if "case_key" not in head or _is_damaged(head, line, end + len(BULK)):
        return _whole(number, line)
    return [head]


def _is_damaged(head: dict[str, Any], line: bytes, start: int) -> bool:
    """Whether the record, from *start* on, is not what was written."""
    if "record_crc32" in head:
        return bool(zlib.crc32(memoryview(line)[start:-2]) != head["record_crc32"])
    # Of an earlier version: a lost block, or another event behind a tear.
    return b"\0" in line or line.find(EVENT, 1) >= 0


def _whole(number: int, line: bytes) -> list[dict[str, Any]]:
    try:
        return [_without_bulk(json.loads(line))]
    except ValueError:
        return [_without_bulk(event) for event in saved(number, line)]


def _without_bulk(event: dict[str, Any]) -> dict[str, Any]:
    """Of a version whose ``attempt-end`` was nothing but its record the head is made here."""
    if event["event"] != "attempt-end":
        return event
    record = event.pop("record")
    return event if "case_key" in event else {**event, **head_of(record_from_json(record), "")}
