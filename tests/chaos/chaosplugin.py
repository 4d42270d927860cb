"""Loaded by the conftest of a project under chaos: kills its own pytest at a chosen event of the journal.

``CHAOS_KILL=attempt-end:2:mid`` kills with SIGKILL while the second ``attempt-end`` of this invocation is
written; ``before`` and ``after`` are the other places. ``CHAOS_FAULT=1`` lets the first start of this
invocation fail. What is patched here is nowhere patched in the package.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from typing import Any

from energy_plugin.errors import ExecutorError
from energy_plugin.meters.polling import PollingMeter
from energy_plugin.record.journal import Journal
from energy_plugin.record.trace import Channel, Sample
from energy_plugin.run import rest, retry
from energy_plugin.run.executors.local import LocalExecutor

WATTS = 10.0
SHARE = float(os.environ.get("CHAOS_SHARE", "0.5"))
"""How much of the line a torn write leaves."""

_seen: Counter[str] = Counter()
_append, _prepare, _write = Journal.append, LocalExecutor.prepare, os.write


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _tear(number: int, line: bytes) -> int:
    _write(number, line[: max(1, min(len(line) - 1, round(len(line) * SHARE)))])
    _die()
    return 0


def append(journal: Journal, event: str, t_utc: str, **fields: Any) -> None:
    """As of the journal, with a death at the chosen place."""
    _seen[event] += 1
    kind, count, where = os.environ.get("CHAOS_KILL", "none:0:never").split(":")
    chosen = event == kind and _seen[event] == int(count)
    if chosen and where == "before":
        _die()
    if chosen and where == "mid":
        os.write = _tear  # type: ignore[assignment]
    _append(journal, event, t_utc, **fields)
    if chosen and where == "after":
        _die()


def prepare(executor: LocalExecutor, *arguments: Any, **named: Any) -> Any:
    """As of the executor, but for the first one of an invocation that is to have a fault."""
    _seen["prepare"] += 1
    if os.environ.get("CHAOS_FAULT") and _seen["prepare"] == 1:
        raise ExecutorError("a fault for once")
    return _prepare(executor, *arguments, **named)


class Steady:
    """A sensor that always takes the same watts, so that there are joules and idle baselines."""

    channel = Channel(id="cpu:package:0", meter="steady", source="chaos", tick_s=0.01)

    def read(self) -> Sample:
        """Joules since the boot."""
        t_ns = time.monotonic_ns()
        return Sample(t_ns, WATTS * t_ns / 1e9)


class SteadyMeter(PollingMeter):
    """The meter of that sensor."""

    name = "steady"

    def __init__(self) -> None:
        super().__init__((Steady(),), 100.0, lead_s=0.02, tail_s=0.02)


def patch() -> None:
    """Put all of it in place; no rest is longer than it has to be."""
    Journal.append = append  # type: ignore[method-assign, assignment]
    LocalExecutor.prepare = prepare  # type: ignore[method-assign, assignment]
    rest.SETTLE_S = 0.05
    retry.WAITS_S = (0.05, 0.05, 0.05)


def pytest_energy_meters() -> list[Any]:
    """Hook of the plugin."""
    return [SteadyMeter()]
