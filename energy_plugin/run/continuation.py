"""A session that goes on in the folder of an earlier one: what it skips, and what it must not change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_plugin.errors import UsageError
from energy_plugin.run.host import host_facts
from energy_plugin.run.resume import Past, read_trail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from energy_plugin.declare.case import Case

DECISIVE = ("meters", "data", "gpus", "memory", "cpus", "governor", "sysfs", "wall", "tdp")
"""Of the options that are carried: half a session with one value and half with another is none."""
DEFAULTS = {"meters": "auto"}


class Continuation:
    """The plan of this invocation beside what the session's journal tells.

    Args:
        folder: of the session.
        plan: the cases selected now, in the order they will run.
        key: of a case, as it is now.

    Attributes:
        finished: the cases of the plan that succeeded. ``left``: the others, in their order.
        given_up: how many of ``left`` fail without being run, since no attempt is due any more.
        beside: how many other cases the session has finished.
    """

    def __init__(self, folder: Path, plan: Sequence[Case], key: Callable[[Case], str], retries: int) -> None:
        self.trail = read_trail(folder)
        self.finished: list[Case] = []
        self.left: list[Case] = []
        self.given_up = self._changed = 0
        pasts = self.trail.cases.values()
        self._known = {past.case_id for past in pasts}
        done = {past.case_id for past in pasts if past.success or past.given_up(retries)}
        ids = set()
        for case in plan:
            name, past = case.id, self.past(key(case))
            ids.add(name)
            (self.finished if past.success else self.left).append(case)
            self.given_up += past.given_up(retries)
            self._changed += not past.attempts and name in done
        self.beside = len(done - ids)
        self._strange = bool(self._known) and self._known.isdisjoint(ids)

    @property
    def folder(self) -> Path:
        """Of the session."""
        return self.trail.folder

    @property
    def begun(self) -> bool:
        """Whether it ever came so far as to say what it is."""
        return bool(self.trail.begins)

    def past(self, key: str) -> Past:
        """What became of a case so far."""
        return self.trail.past(key)

    def refuse_other(self, executor: str, options: Mapping[str, str], order: Mapping[str, Any]) -> None:
        """It must be the same experiment on the same machine.

        Raises:
            UsageError: names the first value that differs, then and now.
        """
        if not self.begun:
            return
        if self._strange:
            raise UsageError(
                f"{self.folder}: holds none of the cases selected now; give the session they are of: "
                "--energy-resume=SESSION"
            )
        facts = self.trail.facts
        before, now = facts.get("options", {}), dict(options)
        values = [
            ("executor", facts.get("executor"), executor),
            ("seed", facts.get("order", {}).get("seed"), order["seed"]),
            ("order", facts.get("order", {}).get("kind"), order["kind"]),
            *((n, before.get(n, DEFAULTS.get(n, "")), now.get(n, DEFAULTS.get(n, ""))) for n in DECISIVE),
        ]
        for name, then, here in values:
            if then != here:
                raise UsageError(
                    f"{self.folder.name} was begun with {_spelt(name, then)}, this is {_spelt(name, here)}: "
                    f"one session has one of them. Give {_spelt(name, then)} to resume it, or leave "
                    "--energy-resume away to begin another"
                )
        cpu = facts.get("host", {}).get("cpu_model")
        if cpu != (here := host_facts()["cpu_model"]):
            raise UsageError(f"{self.folder.name} was measured on another machine: {cpu}, this is {here}")

    @property
    def planned(self) -> int:
        """Cases of the whole session, with those of earlier invocations that are not selected now."""
        now = len(self.finished) + len(self.left) + self.beside
        return max(now, int(self.trail.facts.get("planned", 0)))

    @property
    def lost(self) -> list[dict[str, Any]]:
        """Of every attempt that was begun and that nobody saw end: what the journal is to say."""
        names = ("experiment_id", "case_id", "case_key", "attempt")
        return [{name: event[name] for name in names} for event in self.trail.lost]

    def facts(self, now: str) -> dict[str, Any]:
        """What session.json keeps of the invocations before; empty where none began.

        Args:
            now: when this one resumes it.
        """
        trail = self.trail
        if not self.begun:
            return {}
        lost = [*trail.were_lost, *(event["experiment_id"] for event in trail.lost)]
        return {
            "started_utc": trail.started_utc,
            "resumed_utc": [*trail.resumed_utc, now],
            **({"lost": lost} if lost else {}),
        }

    def lines(self) -> Iterator[str]:
        """For the header."""
        planned = len(self.finished) + len(self.left)
        yield (
            f"resuming {self.folder.name}: {len(self.finished)} of {planned} done, "
            f"{len(self.left) - self.given_up} to run"
        )
        if self.given_up:
            yield f"{self.given_up} cases failed for good before; they fail again without a run"
        if self._changed:
            changed = "their row limit, passed values, sources or what they run on changed"
            yield f"{self._changed} finished cases are run again: {changed}"
        if self.trail.damaged:
            yield f"{self.trail.damaged} damaged lines of its journal are passed over"

    def lost_lines(self) -> Iterator[str]:
        """For the end: attempts that nobody saw end."""
        for event in self.trail.lost:
            yield (
                f"lost with an earlier session: {event['experiment_id']} ({event['case_id']}, "
                f"attempt {event['attempt']}); its folder stays"
            )


def _spelt(name: str, value: object) -> str:
    return f"--energy-{name}={value}" if value not in ("", None) else f"no --energy-{name}"
