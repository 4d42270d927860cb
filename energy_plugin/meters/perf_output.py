"""What ``perf stat`` writes, as JSON (``-j``) or separated by semicolons (``-x';'``)."""

from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

Dialect = Literal["json", "csv"]
SWITCHES: dict[Dialect, str] = {"json": "-j", "csv": "-x;"}
TEXT_LIMIT = 4000
PROCESSORS = ("aggregate-number", "cpu-count", "counters")
"""One thing, renamed from version to version: how many processors a line sums."""


class Count(NamedTuple):
    """One line of perf's output.

    Attributes:
        event: the event's name without its unit of hardware: ``energy-pkg``.
        socket: number of the processor package.
        value: joules, for a power event; None, never 0, where perf wrote ``<not supported>`` or
            ``<not counted>``.
        die: number within the package, where perf was asked for dies.
        run_ns: how long the counter was on, of one processor; 0 where perf does not say.
        at_s: end of the interval since perf's start; None in a total.
    """

    event: str
    socket: int
    value: float | None
    unit: str
    note: str
    die: int = 0
    run_ns: float = 0.0
    at_s: float | None = None


def parse(lines: Iterable[str]) -> tuple[list[Count], str]:
    """Counts among *lines* in either dialect, and the other lines: messages for people."""
    counts: list[Count] = []
    said: list[str] = []
    length = 0
    for line in lines:
        count = _count_of(line)
        if count is not None:
            counts.append(count)
        elif length < TEXT_LIMIT:
            said.append(line)
            length += len(line)
    return counts, "\n".join(line.rstrip("\n") for line in said)


def _count_of(line: str) -> Count | None:
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, IndexError):
        if line.lstrip().startswith("{"):
            return _from_json(json.loads(line))
        if ";" in line:
            return _from_csv(line.strip().split(";"))
    return None


def _from_json(row: dict[str, object]) -> Count:
    """Key names beside these changed from version to version; numbers come as strings."""
    processors = next((float(str(row[key])) for key in PROCESSORS if row.get(key)), 1.0)
    at = row.get("interval")
    return _count(
        where=str(row.get("die") or row.get("socket") or "S0"),
        value=str(row["counter-value"]),
        unit=str(row.get("unit", "")),
        event=str(row["event"]),
        run_ns=float(str(row.get("event-runtime") or 0)) / max(1.0, processors),
        at_s=None if at is None else float(str(at)),
    )


def _from_csv(fields: list[str]) -> Count:
    """``[time;][S0;n;]value;unit;event;run_ns;percent;...``; the memory of the machine is in the rest."""
    at_s = None
    places = [i for i, field in enumerate(fields[:2]) if field[:1] == "S" and field[1:2].isdigit()]
    if places and places[0] == 1:
        at_s = float(fields[0])
    where, processors = "S0", 1.0
    if places:
        where, processors = fields[places[0]], float(fields[places[0] + 1])
        fields = fields[places[0] + 2 :]
    value, unit, event, run_ns = fields[:4]
    return _count(
        where=where,
        value=value,
        unit=unit,
        event=event,
        run_ns=float(run_ns or 0) / max(1.0, processors),
        at_s=at_s,
    )


def _count(*, where: str, value: str, unit: str, event: str, run_ns: float, at_s: float | None) -> Count:
    # As a plain user the name gains a ``u`` after the last slash.
    name = event.removeprefix("power/").split("/")[0]
    socket, _, die = where.strip().partition("-")
    numbers = [int("".join(c for c in part if c.isdigit()) or 0) for part in (socket, die)]
    value = value.strip()
    number, note = (
        (None, value.strip("<>").replace(" ", "-")) if value.startswith("<") else (float(value), "")
    )
    if not all(0 <= x < math.inf for x in (number or 0.0, run_ns, at_s or 0.0)):
        raise ValueError(f"{value} {unit} cannot be")
    return Count(name, numbers[0], number, unit, note, numbers[1], run_ns, at_s)
