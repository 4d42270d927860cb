"""Time, injected so that tests can hold it: monotonic for windows, UTC for labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the plugin asks of time."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds; shared with the programs measured."""

    def utc(self) -> datetime:
        """Wall-clock time, for labels only."""

    def sleep(self, seconds: float) -> None:
        """Wait, letting signals through."""


class SystemClock:
    """The machine's own clocks."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def utc(self) -> datetime:
        """Wall-clock time in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait, letting signals through."""
        time.sleep(seconds)
