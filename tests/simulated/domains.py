"""The energy counters of simulated processors: one for each domain of each package or die."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

from tests.simulated.power import Work, follow, term_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.power import Term

UNIT_J = 2.0**-14  # one count of Intel's counters


class Domains:
    """What ``perf.json`` of a folder says of the processors' power.

    Keys, all but the first optional: ``power_w`` (event name -> watts of one package), ``terms`` (event ->
    lines of the trace language, above it), ``activity`` (a file of live work; its device is the package),
    ``shares`` (event -> share of the live watts it sees), ``sockets``, ``dies``, ``skew`` (package n takes
    n times so much more), ``mirrored`` (every package shows what package 0 does), ``mirrored_dies``,
    ``t0_ns``, ``tick_s``, ``base_j``, ``freeze_s``.
    """

    def __init__(self, folder: Path, settle_s: float = math.inf) -> None:
        self.world: dict[str, Any] = json.loads((folder / "perf.json").read_text())
        self.power_w: dict[str, float] = self.world["power_w"]
        self.sockets = int(self._get("sockets", 1))
        self.dies = int(self._get("dies", 1))
        self._t0_ns = int(self._get("t0_ns", 0))
        self._terms: dict[str, list[Term]] = {
            event: [term_of(line) for line in lines] for event, lines in self._get("terms", {}).items()
        }
        self._live = Live(self._get("activity", ""), settle_s)

    def _get(self, name: str, otherwise: Any) -> Any:
        return self.world.get(name, otherwise)

    def truth_j(self, event: str, socket: int, t_ns: int) -> float:
        """Joules of one package up to a moment, exactly."""
        socket = 0 if self._get("mirrored", False) else socket
        t_s = (t_ns - self._t0_ns) / 1e9
        steady = self.power_w[event] * t_s + sum(term.energy_j(t_s) for term in self._terms.get(event, ()))
        share = self._get("shares", {"energy-pkg": 1.0, "energy-psys": 1.0}).get(event, 0.0)
        live = share * self._live.energy_j(socket, t_ns) if share else 0.0
        return steady * (1 + socket * float(self._get("skew", 0))) + live

    def counter_j(self, event: str, socket: int, die: int, t_ns: int) -> float:
        """What the counter of one die shows: whole ticks, whole counts of its unit, from ``base_j`` on."""
        t_s = (t_ns - self._t0_ns) / 1e9
        t_s = min(t_s, float(self._get("freeze_s", None) or math.inf))
        tick_s = float(self._get("tick_s", 0.001))
        ticked_ns = self._t0_ns + int(math.floor(t_s / tick_s) * tick_s * 1e9)
        joules = self.truth_j(event, socket, ticked_ns) * self._part(die) + float(self._get("base_j", 0.0))
        return math.floor(joules / UNIT_J) * UNIT_J

    def _part(self, die: int) -> float:
        """Die n takes n + 1 parts of the package."""
        if self._get("mirrored_dies", False):
            return 1.0
        return (die + 1) * 2 / (self.dies * (self.dies + 1))


class Live:
    """A file of live work, whose new lines are read when it has grown.

    What ended more than ``settle_s`` ago is summed once: moments before that must not be asked for then.
    """

    def __init__(self, path: str, settle_s: float = math.inf) -> None:
        self._path = path
        self._settle_s = settle_s
        self._offset = 0
        self._works: list[Work] = []
        self._settled_j: dict[int, float] = {}

    def energy_j(self, device: int, t_ns: int) -> float:
        """Joules of all work on *device* up to a moment."""
        if not self._path:
            return 0.0
        self._read()
        if self._bury():
            self._read()
        self._settle(t_ns)
        return self._settled_j.get(device, 0.0) + sum(
            w.energy_j(t_ns) for w in self._works if w.device == device
        )

    def _read(self) -> None:
        try:
            if os.stat(self._path).st_size == self._offset:
                return
            with open(self._path) as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind("\n") + 1]
        self._offset += len(whole.encode())
        follow(self._works, whole)

    def _settle(self, t_ns: int) -> None:
        limit_ns = t_ns - self._settle_s * 1e9
        if not any(work.end_ns < limit_ns for work in self._works):
            return
        for work in self._works:
            if work.end_ns < limit_ns:
                self._settled_j[work.device] = self._settled_j.get(work.device, 0.0) + work.energy_j(t_ns)
        self._works = [work for work in self._works if work.end_ns >= limit_ns]

    def _bury(self) -> bool:
        """Write down the end of work whose process is gone; whether any was."""
        gone = [w for w in self._works if w.tied and w.end_ns == math.inf and not _lives(w.pid)]
        for work in gone:
            from tests.simulated.activity import end  # heavy to load, and rare

            end(self._path, pid=work.pid, device=work.device)
        return bool(gone)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][:1] not in "ZX"
    except OSError:
        return False
