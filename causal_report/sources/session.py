"""Reads a session folder as the plugin writes it: summary.csv, session.json, journal.jsonl, readings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from causal_report.errors import InputError
from causal_report.sources import rows
from causal_report.sources.notes import Notes
from causal_report.sources.source import Source, digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd

BEGINS = ("session-begin", "session-resume")
EVENT = b'{"event":'
SCHEMA_VERSION = 1
"""Of session.json: what a newer one says in other ways is not understood."""
SHAPES: Mapping[str, type] = {
    **dict.fromkeys(("host", "versions", "catalogue", "order"), dict),
    **dict.fromkeys(("argv", "channels"), list),
}
READING = ("meter", "channel", "window", "kind", "status", "source", "joules")
"""Without these a reading says nothing."""


def read(folder: Path) -> Source:
    """The session in *folder*.

    Raises:
        InputError: no journal, no summary, or a file is damaged.
    """
    events = list(_journal(folder / "journal.jsonl"))
    table = folder / "summary.csv"
    if not table.exists():
        raise InputError(
            f"{folder}: no summary.csv; the session did not reach its end. "
            f"`wattwhy report {folder}` rebuilds it from the journal"
        )
    said = Notes()
    frame = rows.read(table, said)
    facts = _facts(folder, events, said)
    readings, notes = _readings(folder, frame)
    ended = [e.get("record") for e in events if e.get("event") == "attempt-end"]
    done = {record.get("case_key") for record in ended if isinstance(record, dict)}
    name = str(facts.get("session") or folder.resolve().name)
    if "session" not in frame:
        frame["session"] = name
    return Source(
        kind="session",
        path=folder,
        name=name,
        frame=frame,
        sha256=digest(table),
        readings=tuple(readings),
        facts=facts,
        baselines=tuple(e["baseline"] for e in events if e.get("event") == "idle" and "baseline" in e),
        complete=_ended(events) and facts.get("complete", True) is True,
        planned=facts.get("planned"),
        done=len(done),
        notes=(*_damage(events), *notes, *said.sentences),
        unread=tuple(said.unread),
    )


def _journal(path: Path) -> Iterator[dict[str, Any]]:
    """Whole events in order; a torn last line is passed over, a damaged one is an event ``damaged``.

    A session that was killed while it wrote and then resumed by another version can have an event behind
    the tear: that is an event of its own.
    """
    if not path.exists():
        raise InputError(f"{path.parent}: no journal.jsonl; this is not a session folder")
    *lines, _ = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            yield _object(json.loads(line))
        except ValueError:
            if number == len(lines):
                return
            yield {"event": "damaged", "line": number}
            yield from _behind_tear(line)


def _behind_tear(line: bytes) -> Iterator[dict[str, Any]]:
    start = line.find(EVENT, 1)
    while start >= 0:
        try:
            yield json.loads(line[start:])
            return
        except ValueError:
            start = line.find(EVENT, start + 1)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} in place of an object")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} in place of a list")
    return value


def _damage(events: list[dict[str, Any]]) -> list[str]:
    lines = [str(event["line"]) for event in events if event.get("event") == "damaged"]
    return [f"journal.jsonl is damaged in line {', '.join(lines)}: what it held is missing"] if lines else []


def _ended(events: list[dict[str, Any]]) -> bool:
    """Whether the last start of the session came to a session-end that calls itself complete."""
    edges = [e for e in events if e.get("event") in (*BEGINS, "session-end")]
    return bool(edges) and edges[-1]["event"] == "session-end" and bool(edges[-1].get("complete"))


def _facts(folder: Path, events: list[dict[str, Any]], said: Notes) -> Mapping[str, Any]:
    """session.json; where it is missing, what the journal was begun with."""
    path = folder / "session.json"
    if path.exists():
        try:
            facts = _object(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: damaged: {error}; move it away and the journal is read") from error
        return _shaped(facts, path, said)
    begun = [e["session"] for e in events if e.get("event") in BEGINS and isinstance(e.get("session"), dict)]
    # complete was written before it could be known
    return _shaped({**begun[-1], "complete": _ended(events)}, path, said) if begun else {}


def _shaped(facts: dict[str, Any], path: Path, said: Notes) -> Mapping[str, Any]:
    """Without what has not the shape it must have, and with a word on a newer version."""
    version = facts.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        said.lost(
            f"{path}: schema_version {version!r}, but this version of wattwhy reads {SCHEMA_VERSION}: what "
            "is written in another way is missing here. Analyse it with the version that wrote it"
        )
    odd = [name for name, shape in SHAPES.items() if name in facts and not isinstance(facts[name], shape)]
    if odd:
        said.lost(f"{path}: {', '.join(odd)} cannot be read and is left out")
    return {name: value for name, value in facts.items() if name not in odd}


def _readings(folder: Path, frame: pd.DataFrame) -> tuple[list[Mapping[str, Any]], list[str]]:
    found: list[Mapping[str, Any]] = []
    missing: list[str] = []
    for name in dict.fromkeys(frame["experiment_id"].astype(str)):
        path = folder / name / "energy" / "readings.json"
        try:
            readings = [_object(reading) for reading in _list(json.loads(path.read_text(encoding="utf-8")))]
        except (OSError, TypeError, ValueError):
            missing.append(name)
            continue
        sound = [reading for reading in readings if _sound(reading)]
        found += [{**reading, "experiment_id": name} for reading in sound]
        if len(sound) < len(readings):
            missing.append(name)
    if not missing:
        return found, []
    runs = "1 run" if len(missing) == 1 else f"{len(missing)} runs"
    return found, [f"readings.json is missing or damaged for {runs}: {', '.join(missing[:5])}"]


def _sound(reading: Mapping[str, Any]) -> bool:
    joules = reading.get("joules")
    return all(name in reading for name in READING) and (joules is None or isinstance(joules, int | float))
