"""Which of the processor's energy counters this process can read, by which way, and why not the others."""

from __future__ import annotations

import errno
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from energy_plugin.meters.liveness import Verdict, judge, mirrors, paranoid, unmirrored
from energy_plugin.meters.polling import SensorError
from energy_plugin.meters.rapl_counters import PMU, POWERCAP, Place, event_places, zone_places
from energy_plugin.meters.rapl_unit import MODULE, PERMIT, TICK_S
from energy_plugin.record.trace import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.meters.rapl_kernel import Kernel
    from energy_plugin.meters.rapl_unit import PowerUnit

MODULE_POWERCAP = "modprobe intel_rapl_msr"
MAX_UNIT_J = 1.0  # a counter this coarse does not count in the unit it claims
WHOLE = 1e-6
CODES = {
    errno.EACCES: "no-permission",
    errno.EPERM: "no-permission",
    errno.EINVAL: "no-event",
    errno.ENOENT: "no-event",
    errno.ENODEV: "no-event",
    errno.EOPNOTSUPP: "not-supported",
    errno.ENOSYS: "not-supported",
}


class _Watched:
    """One counter through the busy loop."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.values: list[float] = []
        self.times: list[int] = []
        self.error: Exception | None = None

    def read(self, t_ns: int) -> None:
        if self.error is None:
            try:
                self.values.append(self.place.counter.joules(t_ns))
                self.times.append(t_ns)
            except Exception as error:  # whatever it is, it is no counter then
                self.error = error

    @property
    def joules(self) -> float:
        """Counted through the loop."""
        return self.values[-1] - self.values[0] if self.values else 0.0

    @property
    def tick_s(self) -> float:
        """How long it stands still between two updates, nine times in ten; the hardware's 1 ms at least."""
        changes = [
            t for t, (a, b) in zip(self.times[1:], itertools.pairwise(self.values), strict=True) if b != a
        ]
        gaps = sorted(b - a for a, b in itertools.pairwise(changes))
        usual_s = gaps[len(gaps) * 9 // 10] / 1e9 if gaps else 0.0
        return usual_s if usual_s > 2 * TICK_S else TICK_S

    @property
    def coarse_j(self) -> float:
        """The unit it counts in, where that is a joule or more; else 0.

        Large steps alone say little, for looks may be far apart: every value must be whole in them.
        """
        unit_j = min((b - a for a, b in itertools.pairwise(self.values) if b != a), default=0.0)
        if unit_j < MAX_UNIT_J:
            return 0.0
        parts = [value / unit_j for value in self.values]
        return unit_j if all(abs(part - round(part)) < WHOLE for part in parts) else 0.0


class RaplProbe:
    """Watches the busy loop with every counter of both ways.

    Attributes:
        channels: what there is, dead ones with their reason; ``perf_event_open`` before powercap.
        places: the counters to sum for each living channel.
    """

    def __init__(self, unit: PowerUnit, kernel: Kernel, clock: Clock) -> None:
        self.channels: list[Channel] = []
        self.places: dict[str, list[Place]] = {}
        self._unit = unit
        self._kernel = kernel
        self._clock = clock
        self._watched: list[_Watched] = []
        self._refused: dict[str, Verdict] = {}
        self._begun_ns = 0

    # --- the busy loop ---

    def begin(self) -> None:
        """Read every counter for the first time."""
        try:
            places = list(event_places(self._kernel, self._unit))
        except (OSError, ValueError) as error:
            places = []
            self._refused[PMU] = Verdict("bad-unit", f"{self._unit.folder}: {error}")
        places += zone_places(self._kernel, self._unit.sysfs)
        self._watched = [_Watched(place) for place in places]
        self._begun_ns = self._clock.now_ns()
        self.look()

    def look(self) -> None:
        """Read every counter."""
        for watched in self._watched:
            watched.read(self._clock.now_ns())

    def end(self) -> None:
        """Read for the last time and judge: for each channel the first way that lives."""
        self.look()
        duration_s = (self._clock.now_ns() - self._begun_ns) / 1e9
        found: dict[str, list[Channel]] = {}
        for channel, places in self._judge(duration_s):
            found.setdefault(channel.id, []).append(channel)
            if channel.alive:
                self.places.setdefault(channel.id, places)
        for domain in ("package", "dram"):
            mine = [ways for name, ways in found.items() if name.startswith(f"cpu:{domain}:")]
            self.channels += [_best(ways) for ways in mine] or [self._missing(domain)]
        for watched in self._watched:
            watched.place.counter.close()

    # --- verdicts ---

    def _judge(self, duration_s: float) -> Iterator[tuple[Channel, list[Place]]]:
        for source in (PMU, POWERCAP):
            for domain in ("package", "dram"):
                mine = [w for w in self._watched if (w.place.source, w.place.domain) == (source, domain)]
                kept = {id(mine[i]) for i in self._unmirrored(mine, source)}
                for package in dict.fromkeys(w.place.package for w in mine):
                    parts = [w for w in mine if w.place.package == package]
                    verdict = self._verdict(domain, parts, kept, duration_s)
                    used = [w.place for w in parts if id(w) in kept]
                    detail = ", ".join(dict.fromkeys(place.detail for place in used))
                    channel = _channel(domain, package, source, verdict, detail)
                    tick_s = max((w.tick_s for w in parts if id(w) in kept), default=TICK_S)
                    yield replace(channel, tick_s=tick_s), used

    def _unmirrored(self, watched: Sequence[_Watched], source: str) -> list[int]:
        if source == PMU:
            return unmirrored([(w.place.package, w.joules) for w in watched])
        kept: list[int] = []  # two zones of the same value since the machine was started are one counter
        for index, one in enumerate(watched):
            others = [watched[i] for i in kept]
            if not any(_same_value(one, other) for other in others):
                kept.append(index)
        return kept

    def _verdict(self, domain: str, parts: Sequence[_Watched], kept: set[int], duration_s: float) -> Verdict:
        for part in parts:
            if part.error is not None:
                return self._failure(part)
        whole_j = sum(part.joules for part in parts if id(part) in kept)
        if not whole_j and any(part.joules for part in parts):
            return Verdict("mirrored", "counts to the microjoule what another package counts")
        verdict = judge(domain, whole_j, duration_s)
        coarse_j = max(part.coarse_j for part in parts)
        if not verdict.reason and coarse_j:
            return Verdict("bad-unit", f"it counts in steps of {coarse_j:.3g} J")
        return verdict

    def _failure(self, part: _Watched) -> Verdict:
        error, source = part.error, part.place.source
        if isinstance(error, SensorError):
            return Verdict(error.code, str(error))
        code = CODES.get(error.errno or 0, "read-failed") if isinstance(error, OSError) else "read-failed"
        if code != "no-permission":
            return Verdict(code, f"{part.place.detail}: {error}")
        if source == PMU:
            told = f"perf_event_open: perf_event_paranoid is {paranoid(self._unit.procfs)}"
            return Verdict(code, told, PERMIT)
        files = self._unit.sysfs / "class/powercap/*/energy_uj"
        told = f"{part.place.detail}: only root may read energy_uj"
        return Verdict(code, told, f"chmod a+r {files}   (until the next start; it lets users spy by power)")

    def _missing(self, domain: str) -> Channel:
        if PMU in self._refused:
            return _channel(domain, 0, PMU, self._refused[PMU], "")
        verdict = self._unit.missing()
        if not any(w.place.source == POWERCAP for w in self._watched):
            fix = f"{MODULE}   or: {MODULE_POWERCAP}" if verdict.fix == MODULE else verdict.fix
            verdict = Verdict(verdict.reason, f"{verdict.detail}, and powercap no zone", fix)
        return _channel(domain, 0, PMU, verdict, "")


def _same_value(one: _Watched, other: _Watched) -> bool:
    if not one.values or not other.values:
        return False
    return mirrors(one.values[-1], other.values[-1], same_package=False)


def _best(ways: Sequence[Channel]) -> Channel:
    """The first that lives; of dead ones the first, with what was wrong with each and what mends any."""
    for channel in ways:
        if channel.alive:
            return channel
    first = next((way for way in ways if way.reason == "no-permission"), ways[0])
    return Channel(
        id=first.id,
        meter=first.meter,
        source=first.source,
        alive=False,
        reason=first.reason,
        detail="; ".join(f"{way.source} {way.reason}: {way.detail}" for way in ways),
        fix="   or: ".join(dict.fromkeys(way.fix for way in ways if way.fix)),
        tick_s=TICK_S,
    )


def _channel(domain: str, package: int, source: str, verdict: Verdict, detail: str) -> Channel:
    return Channel(
        id=f"cpu:{domain}:{package}",
        meter="rapl",
        source=source,
        alive=not verdict.reason,
        reason=verdict.reason,
        detail=verdict.detail or detail,
        fix=verdict.fix,
        tick_s=TICK_S,
    )
