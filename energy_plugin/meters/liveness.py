"""Whether an energy counter lives: it must move, by a believable amount, while a core is busy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from energy_plugin.clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MIN_PACKAGE_W = 0.5
MAX_W = 2000.0
LOOK_S = 0.0005  # between looks at the counters during the loop
MIRROR_SHARE = 0.01  # two dies of one package this close count the same thing
RESOLUTION_J = 1e-6


class Verdict(NamedTuple):
    """Why a channel cannot be read; an empty reason means it can."""

    reason: str = ""
    detail: str = ""
    fix: str = ""


class Watcher(Protocol):
    """Somebody with counters to watch during the busy loop; no method raises."""

    def begin(self) -> None:
        """The loop starts when this returns."""

    def look(self) -> None:
        """Called every half millisecond of the loop."""

    def end(self) -> None:
        """The loop is over."""


class BusyLoop:
    """Keeps one core busy for a moment, once, for all meters that watch: sessions start sooner.

    Args:
        duration_s: length of the loop; a living package counter moves 300 times in 0.3 s.
    """

    def __init__(self, duration_s: float = 0.3, *, clock: Clock | None = None) -> None:
        self._duration_s = duration_s
        self._clock = clock or SystemClock()
        self._watchers: list[Watcher] = []

    def join(self, watcher: Watcher) -> None:
        """Let *watcher* see the next loop."""
        self._watchers.append(watcher)

    def run(self) -> None:
        """Be busy, unless everybody who joined has already seen a loop."""
        watchers, self._watchers = self._watchers, []
        if not watchers:
            return
        for watcher in watchers:
            watcher.begin()
        end_ns = self._clock.now_ns() + int(self._duration_s * 1e9)
        look_ns = 0
        while (now_ns := self._clock.now_ns()) < end_ns:
            if now_ns >= look_ns:
                look_ns = now_ns + int(LOOK_S * 1e9)
                for watcher in watchers:
                    watcher.look()
        for watcher in watchers:
            watcher.end()


def judge(domain: str, joules: float, duration_s: float) -> Verdict:
    """What *joules* of a ``package`` or ``dram`` counter through a busy loop say about it."""
    if joules == 0:
        return Verdict("dead-counter", f"it stood at 0 J through {duration_s:.2f} s of a busy core")
    power_w = joules / duration_s
    lowest_w = MIN_PACKAGE_W if domain == "package" else 0.0
    if not lowest_w <= power_w <= MAX_W:
        return Verdict("implausible", f"{power_w:.3g} W with one core busy")
    return Verdict()


def mirrors(one_j: float, other_j: float, *, same_package: bool) -> bool:
    """Whether two counters show one and the same thing.

    Some kernels list every die of a package with the package's own counter; their reads are some
    microseconds apart, so they agree but for a tick. Two packages must agree to the microjoule.
    """
    tolerance_j = MIRROR_SHARE * max(one_j, other_j) if same_package else RESOLUTION_J
    return abs(one_j - other_j) <= tolerance_j


def unmirrored(parts: Sequence[tuple[int, float]]) -> list[int]:
    """Indices of those *parts* (package, joules) that count what none before them counted."""
    kept: list[int] = []
    for index, (package, joules) in enumerate(parts):
        if not any(mirrors(joules, parts[i][1], same_package=parts[i][0] == package) for i in kept):
            kept.append(index)
    return kept


def is_virtual(procfs: Path) -> bool:
    """Whether the processor says that it runs under a hypervisor."""
    try:
        return " hypervisor" in (procfs / "cpuinfo").read_text()
    except OSError:
        return False


def paranoid(procfs: Path) -> str:
    """The kernel's ``perf_event_paranoid``, or ``unknown``."""
    try:
        return (procfs / "sys/kernel/perf_event_paranoid").read_text().strip()
    except OSError:
        return "unknown"
