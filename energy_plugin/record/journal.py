"""The journal: one line an event, whole after any crash; every other file can be rebuilt from it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import zlib
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ResultsError, UsageError
from energy_plugin.record.record import Record, record_from_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = "journal.jsonl"
BEGINS = ("session-begin", "session-resume")
CHUNK = 1 << 16
EVENT = b'{"event":'
OPENINGS = tuple(EVENT + f'"{name}"'.encode() for name in BEGINS)


class Journal:
    """Appends events to ``journal.jsonl``: one O_APPEND write and fsync each.

    A last line that is torn, by a kill while it was written or by a power failure, is cut off first. A
    lock on the file keeps a second writer out.

    Events, in the order in which a case sees them:

    - ``session-begin``, ``session-resume``: the content of session.json;
    - ``attempt-begin``: experiment_id, case_id, case_key, attempt;
    - ``attempt-end``: experiment_id, case_key, attempt, success, reason, failure (what two failures
      must share to be the same one), duration_s, record_crc32, and last the whole record;
    - ``attempt-fault``: in place of an end: it could not be started, nothing was measured; error,
      wait_s until the next try (None: there is none);
    - ``attempt-lost``: in place of an end, by the session that resumed: it was begun and nobody saw
      its end;
    - ``case-refused``: case_id, case_key, reasons; the host was not fit for it, and nothing ran;
    - ``idle``: a baseline;
    - ``session-end``: exit code, complete, done.

    Args:
        folder: of the session.

    Attributes:
        cut_bytes: length of the torn line that was cut off.

    Raises:
        ResultsError: the file cannot be written.
        UsageError: another process is writing to it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise ResultsError(f"{self.path}: {error.strerror}; choose another --energy-results") from error
        try:
            self._lock()
            self.cut_bytes = _cut(self._file)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{self.path.parent}: another run is writing to this session; wait for its end"
            ) from None
        except OSError:
            pass  # a file system without locks; the host's own lock remains

    def append(self, event: str, t_utc: str, **fields: Any) -> None:
        """Write one event and force it to the disk.

        Raises:
            ResultsError: the line could not be written whole; no part of it is left.
        """
        line = dumped({"event": event, "t_utc": t_utc, **fields}) + b"\n"
        written = 0
        try:
            written = os.write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            raise ResultsError(f"{self.path}: {error.strerror}; nothing more is run") from error
        if written != len(line):
            with contextlib.suppress(OSError):  # half a line would swallow the next event
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise ResultsError(f"{self.path}: only {written} of {len(line)} bytes fit; nothing more is run")

    def end(self, t_utc: str, record: Record, failure: str = "") -> None:
        """Write ``attempt-end``; what a resumed session must know of it comes before the record.

        Args:
            t_utc: now.
            record: what the attempt left.
            failure: digest of what went wrong, empty on success.

        Raises:
            ResultsError: the line could not be written whole.
        """
        content = record.to_json()
        crc = zlib.crc32(dumped(content))  # shows damage to a reader that leaves the record unread
        self.append("attempt-end", t_utc, **head_of(record, failure), record_crc32=crc, record=content)

    def close(self) -> None:
        """Close the file; safe twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def dumped(content: Any) -> bytes:
    """JSON without blanks: an object's text is the same by itself and within a line."""
    return json.dumps(content, separators=(",", ":")).encode()


def head_of(record: Record, failure: str) -> dict[str, Any]:
    """What an ``attempt-end`` tells before its record."""
    return {
        "experiment_id": record.experiment_id,
        "case_key": record.case_key,
        "attempt": record.attempt,
        "success": record.success,
        "reason": "+".join(sorted(record.reasons)),
        "failure": failure,
        "duration_s": record.duration_s,
    }


def _cut(number: int) -> int:
    """Cut off a torn last line; how many bytes that was."""
    size = os.fstat(number).st_size
    whole = _line_end(number, size)
    start = _line_end(number, whole - 1) if whole else 0
    try:
        json.loads(os.pread(number, whole - start, start) or b"{}")
    except ValueError:  # a newline reached the disk before what is in front of it
        whole = start
    if whole < size:
        os.ftruncate(number, whole)
        os.fsync(number)
    return size - whole


def _line_end(number: int, size: int) -> int:
    """Where the last whole line within the first *size* bytes ends."""
    while size > 0:
        start = max(0, size - CHUNK)
        found = os.pread(number, size - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        size = start
    return 0


# --- reading ---------------------------------------------------------------------------------------------


def read_journal(folder: Path) -> Iterator[dict[str, Any]]:
    """Every whole event in order.

    A torn last line (a crash while writing) is passed over. A line that is damaged elsewhere gives an
    event ``damaged`` with its number and length, and then the whole event that a later writer put
    behind a tear, if there is one.

    Raises:
        ResultsError: the file cannot be read.
    """
    for number, line in lines(folder):
        try:
            yield json.loads(line)
        except ValueError:
            yield from saved(number, line)


def lines(folder: Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of every line with a newline."""
    path = folder / NAME
    try:
        with path.open("rb", buffering=1 << 20) as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield number, line
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from error


def saved(number: int, line: bytes) -> Iterator[dict[str, Any]]:
    """What can be had of a damaged line: its number, and the event that follows the tear."""
    yield {"event": "damaged", "line": number, "bytes": len(line)}
    start = line.find(EVENT, 1)
    while start >= 0:
        with contextlib.suppress(ValueError):
            yield json.loads(line[start:])
            return
        start = line.find(EVENT, start + 1)


def records(folder: Path) -> list[Record]:
    """The records of every finished attempt in a session folder."""
    return [record_from_json(e["record"]) for e in read_journal(folder) if e["event"] == "attempt-end"]


def session_facts(folder: Path) -> Mapping[str, Any]:
    """The content of session.json as it was journalled last: at its begin, or when it was resumed."""
    found: Mapping[str, Any] = {}
    for _, line in lines(folder):
        if line.startswith(OPENINGS):
            with contextlib.suppress(ValueError):
                found = json.loads(line)["session"]
    return found
