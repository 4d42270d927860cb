"""The log of an original becomes the events that our own programs write by themselves."""

from __future__ import annotations

import json
import math
import os
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from energy_plugin.declare.checkout import Checkout

CHUNK = 65536
LONGEST = 1 << 20
"""A line is cut here: something that is no text must not fill the memory."""
ENDS = re.compile(rb"[\r\n]")
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # also the cursor moves of nested progress bars
Event = dict[str, Any]


class LogMarks:
    """Reads log lines in their order; gives event lines as of ``contract.py``.

    Args:
        table: whose patterns are searched.
        begin: further fields of ``begin``. ``end``: of ``end``, such as the data's source.
    """

    def __init__(
        self, table: Checkout, *, begin: Mapping[str, Any] | None = None, end: Mapping[str, Any] | None = None
    ) -> None:
        self._patterns = table.patterns
        self._begin = dict(begin or {})
        self._end = dict(end or {})
        self._epochs = 0
        self._edge_ns: int | None = None  # where the next epoch starts, once known
        self._floor_ns = 0  # it cannot start earlier
        self._seen = False  # progress since the last epoch
        self._loss: float | None = None
        self._finals: dict[str, float | None] = {}

    def begin(self, t_ns: int) -> list[Event]:
        """``begin`` and ``ready``: an original does not tell when it has loaded everything."""
        self._floor_ns = t_ns
        return [{"event": "begin", "t_ns": t_ns, **self._begin}, {"event": "ready", "t_ns": t_ns}]

    def feed(self, line: str, t_ns: int) -> list[Event]:
        """The events that a line means.

        Args:
            line: without its end.
            t_ns: CLOCK_MONOTONIC of its arrival.
        """
        line = COLOURS.sub("", line)
        self._read_finals(line)
        if self._edge_ns is None and any(one.search(line) for one in self._patterns.start):
            self._edge_ns = t_ns
        for one in self._patterns.progress:
            if found := one.search(line):
                self._progress(found, t_ns)
        for one in self._patterns.epoch:
            if (found := one.search(line)) and (self._seen or not self._patterns.progress):
                return [self._epoch(found, t_ns)]
        return []

    def end(self, t_ns: int) -> Event:
        """``end`` with the final metrics seen; those not seen are missing there."""
        return {"event": "end", "t_ns": t_ns, "metrics": self._finals, **self._end}

    def _progress(self, found: re.Match[str], t_ns: int) -> None:
        self._seen = True
        self._loss = self._values(found).get("loss", self._loss)
        if self._edge_ns is None and not self._patterns.start:
            self._edge_ns = t_ns

    def _epoch(self, found: re.Match[str], t_ns: int) -> Event:
        values = self._values(found)
        seconds = values.pop("seconds", None)
        start_ns = self._floor_ns if self._edge_ns is None else self._edge_ns
        if seconds is not None:
            start_ns = t_ns - round(seconds * 1e9)
        start_ns = min(max(start_ns, self._floor_ns), t_ns)
        loss = values.pop("loss", self._loss)
        self._epochs += 1
        self._edge_ns = self._floor_ns = t_ns
        self._seen, self._loss = False, None
        number = {"number": self._epochs, "start_ns": start_ns}
        return {"event": "epoch", "t_ns": t_ns, **number, "loss": loss, "metrics": values}

    def _read_finals(self, line: str) -> None:
        for key in ("first", "final", "best"):
            for one in getattr(self._patterns, key):
                if found := one.search(line):
                    for name, value in self._values(found).items():
                        self._keep(key, name, value)

    def _keep(self, key: str, name: str, value: float | None) -> None:
        known = self._finals.get(name)
        if key == "first" and name in self._finals:
            return
        if key == "best" and known is not None and (value is None or value <= known):
            return
        self._finals[name] = value

    def _values(self, found: re.Match[str]) -> dict[str, float | None]:
        """The groups as numbers of our units; None what is no finite number."""
        groups = found.groupdict()
        values: dict[str, float | None] = {}
        for name in groups:
            if name.endswith("_of") and name.removesuffix("_of") in groups:
                continue
            value, of = _number(groups[name]), _number(groups.get(f"{name}_of", "1"))
            if value is not None:
                value = value / of if of else None
            if value is not None and name != "seconds":
                value = value * self._patterns.scale.get(name, 1.0) + self._patterns.offset.get(name, 0.0)
            values[name] = value
        return values


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class Lines:
    """Cuts bytes into lines, which end at a line feed or a carriage return; empty ones are left out.

    A progress bar ends its line only when it draws the next: a line is stamped when its last byte
    came, not its end.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._rest_ns = 0

    def feed(self, chunk: bytes, t_ns: int) -> list[tuple[str, int]]:
        """The lines that *chunk*, arrived at *t_ns*, completes, each with its time."""
        first, *others = ENDS.split(chunk)
        if first:
            self._rest, self._rest_ns = self._rest + first, t_ns
        whole = []
        for piece in others:
            whole.append((self._rest, self._rest_ns))
            self._rest, self._rest_ns = piece, t_ns
        if len(self._rest) > LONGEST:
            whole.append((self._rest, self._rest_ns))
            self._rest = b""
        return [(line.decode("utf-8", errors="replace"), at_ns) for line, at_ns in whole if line]

    def rest(self) -> list[tuple[str, int]]:
        """The last line, if it never ended."""
        return self.feed(b"\n", self._rest_ns)


def tee(chunks: Iterable[bytes], log: Path, events: Path, marks: LogMarks) -> None:
    """Write *chunks* to *log* and the events they mean to *events*, each as it arrives.

    Where a file can no longer be written, the rest is drained and dropped, so that the program does
    not stand still; without its event ``end`` such a run is no success.
    """
    chunks = iter(chunks)
    try:
        with log.open("ab") as log_file, events.open("ab") as events_file:

            def emit(found: Iterable[Event]) -> None:
                for event in found:
                    events_file.write((json.dumps(event, separators=(",", ":")) + "\n").encode())
                events_file.flush()

            lines = Lines()
            emit(marks.begin(time.monotonic_ns()))
            for chunk in chunks:
                t_ns = time.monotonic_ns()
                log_file.write(chunk)
                log_file.flush()
                for line, at_ns in lines.feed(chunk, t_ns):
                    emit(marks.feed(line, at_ns))
            for line, at_ns in lines.rest():
                emit(marks.feed(line, at_ns))
            emit([marks.end(time.monotonic_ns())])
    except OSError:
        return
    finally:
        for _ in chunks:
            pass


def pipe_chunks(descriptor: int) -> Iterator[bytes]:
    """What arrives in a pipe, until its last writer has closed it; then it is closed here too."""
    try:
        while chunk := os.read(descriptor, CHUNK):
            yield chunk
    finally:
        os.close(descriptor)
