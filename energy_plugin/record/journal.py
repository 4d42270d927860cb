"""The journal: one line an event, whole after any crash; every other file can be rebuilt from it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ResultsError
from energy_plugin.record.record import Record, record_from_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = "journal.jsonl"


class Journal:
    """Appends events to ``journal.jsonl``: one O_APPEND write and fsync each.

    Events are ``session-begin`` (the content of session.json), ``attempt-begin`` (experiment_id,
    case_id, case_key, attempt), ``attempt-end`` (record), ``session-end`` (exit code, complete).
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise ResultsError(f"{self.path}: {error.strerror}; choose another --energy-results") from error

    def append(self, event: str, t_utc: str, **fields: Any) -> None:
        """Write one event and force it to the disk.

        Raises:
            ResultsError: the line could not be written whole.
        """
        line = json.dumps({"event": event, "t_utc": t_utc, **fields}, separators=(",", ":")).encode() + b"\n"
        try:
            written = os.write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            raise ResultsError(f"{self.path}: {error.strerror}; nothing more is run") from error
        if written != len(line):
            raise ResultsError(f"{self.path}: only {written} of {len(line)} bytes fit; nothing more is run")

    def close(self) -> None:
        """Close the file; safe twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_journal(folder: Path) -> Iterator[dict[str, Any]]:
    """Every whole event in order; a torn last line (a crash while writing) is passed over."""
    lines = (folder / NAME).read_bytes().split(b"\n")
    torn = lines.pop()  # what follows the last newline: nothing, or half an event
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            if number == len(lines) and not torn:
                return
            raise ResultsError(f"{folder / NAME}: line {number} is damaged: {error}") from error


def records(folder: Path) -> list[Record]:
    """The records of every finished attempt in a session folder."""
    return [record_from_json(e["record"]) for e in read_journal(folder) if e["event"] == "attempt-end"]


def session_facts(folder: Path) -> Mapping[str, Any]:
    """The content of session.json as it was journalled first."""
    return next((e["session"] for e in read_journal(folder) if e["event"] == "session-begin"), {})
