"""How far a session is: counts, joules so far, the case under way, and when the last one will be over."""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from energy_plugin.record.files import write_json
from energy_plugin.record.record import RANK
from energy_plugin.run.expect import Expectation, guess_s, loads
from energy_plugin.run.past import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from energy_plugin.clock import Clock
    from energy_plugin.declare.case import Case
    from energy_plugin.declare.catalog import Catalog
    from energy_plugin.record.record import Record
    from energy_plugin.record.trace import Status
    from energy_plugin.run.expect import Load

NAME = "status.json"


class Progress:
    """Kept by a session; ``status.json`` in its folder always holds the newest state whole.

    Args:
        warmup_s: of a background before its window.

    Attributes:
        failed: cases whose last attempt failed, or that could not be run.
        expectation: what was learnt of durations.
    """

    def __init__(self, clock: Clock, warmup_s: float = 0.0) -> None:
        self.expectation = Expectation(warmup_s)
        self.failed = 0
        self._clock = clock
        self._warmup_s = warmup_s
        self._folder: Path | None = None
        self._planned = self._done = 0
        self._began_ns = clock.now_ns()
        self._work: dict[str, Load] = {}
        self._most_rest_s = 0.0
        self._current: dict[str, Any] | None = None
        self._current_ns = 0
        self._attempts_s = 0.0
        self._last: dict[str, Any] | None = None
        self._joules: list[float] = []
        self._without: Counter[str] = Counter()
        self._status: Status = "measured"

    # --- what happens ---

    def start(
        self,
        folder: Path,
        catalog: Catalog,
        left: Sequence[Case],
        *,
        done: int,
        planned: int,
        most_rest_s: float,
    ) -> None:
        """The session begins: *left* of *planned* cases are to be run, *done* are over."""
        self._folder, self._planned, self._done = folder, planned, done
        self._work, self._most_rest_s = loads(catalog, left), most_rest_s
        self._write()

    def add(self, catalog: Catalog, case: Case) -> None:
        """One more case than was planned."""
        self._planned += 1
        for name, load in loads(catalog, [case]).items():
            known = self._work.setdefault(name, load)
            if known is not load:
                known.add(guess_s(catalog, case))

    def begin(self, catalog: Catalog, case: Case) -> None:
        """A case is next: its rest begins."""
        self._current_ns, self._attempts_s = self._clock.now_ns(), 0.0
        expected_s = self.expectation.total(loads(catalog, [case]), self._most_rest_s)
        self._current = {
            "case_id": case.id,
            "began_utc": self._clock.utc().isoformat(),
            "expected_s": _rounded(expected_s),
        }
        self._write()

    def keep(self, catalog: Catalog, record: Record) -> None:
        """An attempt left a record; one that failed says nothing of how long the next one takes."""
        self._attempts_s += record.duration_s
        if record.case.mode == "background":  # expected by itself
            self._attempts_s += self._warmup_s
        if record.success:
            self.expectation.learn(catalog, record.case, record.duration_s)
        total = record.total()
        if total.joules is None:
            self._without[total.reason] += 1
            return
        self._joules.append(total.joules)
        self._status = max(self._status, total.status, key=RANK.__getitem__)

    def over(self, catalog: Catalog, case: Case, *, success: bool) -> None:
        """A case is over, run or not."""
        self._done += 1
        self.failed += not success
        if (load := self._work.get(name_of(case))) is not None:
            load.add(guess_s(catalog, case), -1)
        if self._attempts_s:
            self.expectation.rested(max(0.0, self._since_s(self._current_ns) - self._attempts_s))
        self._last = {"case_id": case.id, "success": success, "ended_utc": self._clock.utc().isoformat()}
        self._current = None
        self._write()

    def end(self, exit_code: int) -> None:
        """The session is over."""
        self._current = None
        self._write(exit_code)

    # --- what is told ---

    def elapsed_s(self) -> float:
        """Seconds since the session was made."""
        return self._since_s(self._began_ns)

    def left_s(self) -> float | None:
        """Seconds until the last case is over, None if nothing is known."""
        left_s = self.expectation.total(self._work, self._most_rest_s)
        if left_s is None or self._current is None:
            return left_s
        # What the case under way has taken already, and no more than it was thought to take.
        return left_s - min(self._since_s(self._current_ns), self._current["expected_s"] or 0.0)

    def end_utc(self) -> datetime | None:
        """When the last case is thought to be over."""
        left_s = self.left_s()
        return None if left_s is None else self._clock.utc() + timedelta(seconds=left_s)

    def energy(self) -> dict[str, Any]:
        """Joules of all attempts of this invocation, failed ones too; by direct meters only."""
        reasons = [f"{count} attempts without: {reason}" for reason, count in self._without.most_common(3)]
        status: Status = "unavailable"
        if self._joules:
            status = "partial" if self._without else self._status
        return {
            "joules": sum(self._joules) if self._joules else None,
            "status": status,
            "reason": "; ".join(reasons) if self._joules or reasons else "no attempt so far",
            "attempts": len(self._joules) + self._without.total(),
        }

    def facts(self, exit_code: int | None = None) -> dict[str, Any]:
        """The content of ``status.json``."""
        end = self.end_utc()
        return {
            "schema_version": 1,
            "session": self._folder.name if self._folder else "",
            "pid": os.getpid(),
            "updated_utc": self._clock.utc().isoformat(),
            "state": "running" if exit_code is None else "ended",
            "planned": self._planned,
            "done": self._done,
            "failed": self.failed,
            "elapsed_s": round(self.elapsed_s(), 1),
            "left_s": _rounded(self.left_s()),
            "end_utc": end.isoformat() if end and exit_code is None else None,
            "energy": self.energy(),
            "current": self._current,
            "last": self._last,
            "exit_code": exit_code,
        }

    def _write(self, exit_code: int | None = None) -> None:
        if self._folder is not None:
            write_json(self._folder / NAME, self.facts(exit_code))

    def _since_s(self, then_ns: int) -> float:
        return (self._clock.now_ns() - then_ns) / 1e9


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(max(0.0, seconds), 1)
