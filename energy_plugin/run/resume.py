"""What an earlier, unfinished session left: which cases are done, and what was under way."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import GivenUpError, UsageError
from energy_plugin.record.heads import heads
from energy_plugin.record.journal import BEGINS, NAME, lines
from energy_plugin.run.retry import Retries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LATEST = "latest"
STAMPED = re.compile(r"run_(\d{8}_\d{6})(?:_(\d+))?")
NUMBERED = re.compile(r"(.+)_(\d{3,})")
CLOSINGS = frozenset({"attempt-end", "attempt-fault", "attempt-lost"})
UNCOUNTED = frozenset({"interrupted", "not-started"})
"""Reasons of a failed attempt that is none of the training's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What became of a case so far.

    Attributes:
        attempts: the highest number of an attempt that was begun.
        success: one of them succeeded.
        failures: of each training that failed its digest, empty where unknown.
        reason: of the last failure.
        experiment_id: of the last attempt.
        duration_s: of the attempt that succeeded.
    """

    case_id: str = ""
    attempts: int = 0
    success: bool = False
    failures: tuple[str, ...] = ()
    reason: str = ""
    experiment_id: str = ""
    duration_s: float = 0.0

    def given_up(self, retries: int) -> bool:
        """Whether no further attempt is due, though none succeeded."""
        return not self.success and Retries(retries, self.failures).over

    def refuse_given_up(self, case_id: str, session: Path, retries: int) -> None:
        """Run no case again that has failed for good.

        Raises:
            GivenUpError: with what to do about it.
        """
        if not self.given_up(retries):
            return
        times = len(self.failures)
        raise GivenUpError(
            f"{case_id}: failed for good in {session.name} ({self.reason}; {times} failed attempts, the last "
            f"one {self.experiment_id}) and was not run again. To have it run: change its sources, give more "
            f"--energy-retries than {times - 1} if its failures differ, or begin another session with "
            f"--energy-earlier={session}"
        )


@dataclass(slots=True, kw_only=True)
class Trail:
    """A session's journal, read without its records.

    Attributes:
        begins: how often it was begun or resumed.
        facts: the content of session.json at the last of them. ``started_utc``: at the first.
        cases: by case key.
        lost: ``attempt-begin`` of every attempt whose end nobody saw.
        numbers: the highest number of an experiment by the name in front of it.
        damaged: lines that cannot be read.
    """

    folder: Path
    begins: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    started_utc: str = ""
    resumed_utc: tuple[str, ...] = ()
    cases: dict[str, Past] = field(default_factory=dict)
    lost: list[dict[str, Any]] = field(default_factory=list)
    were_lost: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    damaged: int = 0

    def past(self, key: str) -> Past:
        """Of one case."""
        return self.cases.get(key, Past())


def read_trail(folder: Path) -> Trail:
    """Read the journal in *folder* without its records: 10,000 attempts in well under a second.

    Raises:
        ResultsError: it cannot be read.
    """
    trail = Trail(folder=folder)
    open_: dict[str, dict[str, Any]] = {}
    for event in heads(folder):
        kind = event["event"]
        if kind in BEGINS:
            _begin(trail, event)
        elif kind == "attempt-begin":
            open_[event["experiment_id"]] = event
            _count(trail, event)
        elif kind in CLOSINGS:
            open_.pop(event["experiment_id"], None)
            _close(trail, event)
        elif kind == "damaged":
            trail.damaged += 1
    trail.lost = list(open_.values())
    _number_folders(trail)
    return trail


def _begin(trail: Trail, event: Mapping[str, Any]) -> None:
    if trail.begins:
        trail.resumed_utc += (event["t_utc"],)
    trail.begins += 1
    trail.facts = event["session"]
    trail.started_utc = trail.started_utc or event["session"].get("started_utc", event["t_utc"])


def _count(trail: Trail, event: Mapping[str, Any]) -> None:
    past = trail.past(event["case_key"])
    _number(trail, event["experiment_id"])
    trail.cases[event["case_key"]] = replace(
        past,
        case_id=event["case_id"],
        attempts=max(past.attempts, event["attempt"]),
        experiment_id=event["experiment_id"],
    )


def _close(trail: Trail, event: Mapping[str, Any]) -> None:
    past = trail.past(event["case_key"])
    if event["event"] == "attempt-lost":
        trail.were_lost.append(event["experiment_id"])
        return
    if event["event"] == "attempt-fault":  # it never became one: the next start has its number
        trail.cases[event["case_key"]] = replace(past, attempts=min(past.attempts, event["attempt"] - 1))
        return
    if event["success"]:
        past = replace(past, success=True, duration_s=event["duration_s"])
    elif event["reason"] not in UNCOUNTED:
        past = replace(past, failures=(*past.failures, event["failure"]), reason=event["reason"])
    trail.cases[event["case_key"]] = past


def _number_folders(trail: Trail) -> None:
    """Numbers go on after the highest folder that is there, whoever made it."""
    for path in trail.folder.iterdir():
        if path.is_dir():
            _number(trail, path.name)


def _number(trail: Trail, name: str) -> None:
    if found := NUMBERED.fullmatch(name):
        trail.numbers[found[1]] = max(trail.numbers.get(found[1], 0), int(found[2]))


# --- which session ---------------------------------------------------------------------------------------


def find_session(results: Path, wanted: str) -> Path | None:
    """The folder to go on in: the newest session of cases, or the one that was named.

    Args:
        results: where sessions lie.
        wanted: ``latest``, a session's name, or its folder.

    Returns:
        None for ``latest`` where no session was ever begun.

    Raises:
        UsageError: there is no such session.
    """
    if wanted == LATEST:
        found = list(_newest_first(results))
        # What was refused at its begin left an empty journal: it hides no session that can go on.
        begun = (folder for folder in found if (folder / NAME).stat().st_size)
        return next(filter(_has_cases, begun), None) or next(filter(_has_cases, found), None)
    for folder in (results / wanted, results.parent / wanted, _as_path(results, wanted)):
        if (folder / NAME).is_file():
            return folder.resolve()
    known = [folder.name for folder in _newest_first(results)][:5]
    raise UsageError(
        f"--energy-resume {wanted}: no session of that name or folder (no {NAME} there). "
        f"Sessions in {results}: {', '.join(known) or 'none'}. "
        "For the newest write --energy-resume=latest: a bare --energy-resume takes the next word as its value"
    )


def _as_path(results: Path, wanted: str) -> Path:
    return type(results)(wanted).expanduser()


def _newest_first(results: Path) -> Iterator[Path]:
    """By the names, which are stamps: a clock that was set back is the user's to see."""
    found = [(path, STAMPED.fullmatch(path.name)) for path in results.glob("run_*")]
    stamped = [(match[1], int(match[2] or 1), path) for path, match in found if match]
    return (path for *_, path in sorted(stamped, reverse=True) if (path / NAME).is_file())


def _has_cases(folder: Path) -> bool:
    """Not a session of ``wattwhy run`` or of measured sections; one that was never begun may be anything."""
    import json

    first = next(iter(lines(folder)), None)
    if first is None:
        return True
    try:
        return bool(json.loads(first[1])["session"]["catalogue"])
    except (ValueError, KeyError):
        return True
