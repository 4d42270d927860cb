"""When a case is tried again, and after what wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WAITS_S = (1.0, 4.0, 16.0)
"""Before the next try after a fault of the infrastructure; the last one for all further ones."""
FAULTS = frozenset({"not-started"})
"""Reasons of an outcome that say that the training never began: no failure of the training."""


class Retries:
    """The tries of one case; what it needs is counted over all sessions that were resumed.

    Args:
        most: new attempts after a failed training (``--energy-retries``), and of each attempt new
            starts after a fault that came before the measured window.
        failures: digests of the trainings that failed before, the last one last; empty where unknown.
        hopeless: the case before waited in vain for a start; this one is started once.

    Attributes:
        wait_s: seconds before the next start after the last fault, None when there is none.
    """

    def __init__(self, most: int, failures: Sequence[str] = (), *, hopeless: bool = False) -> None:
        self._most = most
        self._failures = list(failures)
        self._starts = 0 if hopeless else most
        self._faults = 0
        self.wait_s: float | None = None

    @property
    def over(self) -> bool:
        """Whether no further attempt is due: they are used up, or the last two failed alike."""
        last = self._failures[-2:]
        alike = len(last) == 2 and last[0] == last[1] != ""
        return alike or len(self._failures) > self._most

    def failed(self, digest: str) -> None:
        """A training failed, and this is what it must share with the next one to be the same failure."""
        self._failures.append(digest)

    def faulted(self) -> float | None:
        """A start failed: seconds to wait before the next one, None when there is no further one."""
        self._faults += 1
        spent = self._faults > self._starts
        self.wait_s = None if spent else WAITS_S[min(self._faults, len(WAITS_S)) - 1]
        return self.wait_s
