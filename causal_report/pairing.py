"""Pairs of estimate and measurement: which readings of a run are held against each other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from causal_report.findings.metering import Pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from causal_report.sources.source import Source

    Reading = Mapping[str, Any]

REPLAY = "replay:"
"""Prefix of the source of a reading that was not taken but played back."""
DIRECT = "direct"
"""The direct meters as one side of a comparison: against the mains."""
RANK = {"measured": 0, "partial": 1, "estimated": 2, "unavailable": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The readings of one attempt as a whole, each channel read once a meter."""

    session: str
    experiment_id: str
    model: str
    readings: tuple[Reading, ...]

    def of(self, estimator: str) -> list[Reading]:
        """What *estimator* gave joules for; for :data:`DIRECT` the chosen meters but the mains."""
        if estimator == DIRECT:
            return [r for r in self.direct() if part_of(str(r["channel"])) != "mains"]
        return [
            r
            for r in self.readings
            if r["meter"] == estimator and r["kind"] == "model" and r["joules"] is not None
        ]

    def direct(self) -> list[Reading]:
        """One direct reading with joules for each channel: the best, where two meters read it."""
        best: dict[str, Reading] = {}
        for reading in self.readings:
            if reading["kind"] != "direct" or reading["joules"] is None:
                continue
            channel = str(reading["channel"])
            if channel not in best or _worth(reading) < _worth(best[channel]):
                best[channel] = reading
        return list(best.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Both sides of a comparison in one run, before it is judged whether they may be compared."""

    run: Run
    estimates: tuple[Reading, ...]
    meters: tuple[Reading, ...]

    @property
    def covers(self) -> tuple[frozenset[str], frozenset[str]]:
        """Parts of the machine on either side."""
        mine, theirs = (frozenset(covered(side)) for side in (self.estimates, self.meters))
        return mine, theirs

    def pair(self) -> Pair | None:
        """None where a side is missing, or where a meter's reading is anything but measured."""
        if not self.estimates or not self.meters or any(r["status"] != "measured" for r in self.meters):
            return None
        meter_j = sum(float(r["joules"]) for r in self.meters)
        if meter_j <= 0:
            return None
        bounds = [_bounds(self.meters, name) for name in ("lo_j", "hi_j")]
        return Pair(
            session=self.run.session,
            experiment_id=self.run.experiment_id,
            model=self.run.model,
            estimate_j=sum(float(r["joules"]) for r in self.estimates),
            meter_j=meter_j,
            lo_j=bounds[0],
            hi_j=bounds[1],
            same_sensor=bool(_sensors(self.estimates) & _sensors(self.meters)),
        )


def runs(sources: Sequence[Source], usable: set[tuple[str, str]]) -> tuple[Run, ...]:
    """Usable runs in the order they were taken; of a pair of programs the joint window counts."""
    found: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    models: dict[tuple[str, str], str] = {}
    for source in sources:
        columns = (source.frame[name].astype(str) for name in ("experiment_id", "repository", "model"))
        for run, repository, model in zip(*columns, strict=True):
            models.setdefault((source.name, run), f"{repository}/{model}")
        for reading in source.readings:
            key = (source.name, str(reading["experiment_id"]))
            if key in usable and reading["window"] in ("process", "joint"):
                found[key].append(reading)
    return tuple(
        Run(
            session=session,
            experiment_id=name,
            model=models.get((session, name), ""),
            readings=tuple(_whole(readings)),
        )
        for (session, name), readings in found.items()
    )


def sides(run: Run, estimator: str, part: str) -> Sides:
    """What is compared. The mains hold every other part, so they are never added to one."""
    estimates, meters = run.of(estimator), run.direct()
    if part == "mains":
        meters = [r for r in meters if part_of(str(r["channel"])) == "mains"]
    elif part == "total":
        meters = [r for r in meters if part_of(str(r["channel"])) != "mains"]
    else:
        estimates, meters = (
            [r for r in side if part_of(str(r["channel"])) == part] for side in (estimates, meters)
        )
    return Sides(run=run, estimates=tuple(estimates), meters=tuple(meters))


def part_of(channel: str) -> str:
    """The part of the machine a channel belongs to: ``cpu``, ``ram``, ``gpu``, ``mains`` or its name."""
    if channel.startswith("cpu:dram"):
        return "ram"
    return channel.split(":")[0]


def covered(readings: Iterable[Reading]) -> set[str]:
    """Parts of the machine that *readings* have joules for."""
    return {part_of(str(r["channel"])) for r in readings}


def _whole(readings: Sequence[Reading]) -> Iterator[Reading]:
    joint = [r for r in readings if r["window"] == "joint"]
    yield from joint or readings


def _worth(reading: Reading) -> tuple[int, bool]:
    """Best status first, then a window that was counted exactly."""
    return RANK.get(str(reading["status"]), 9), reading.get("method") != "exact-window"


def _sensors(side: Iterable[Reading]) -> set[str]:
    """Makes of sensor: ``rapl-pmu`` and ``rapl-powercap`` are two doors to one counter."""
    return {str(r["source"]).removeprefix(REPLAY).split("-")[0] for r in side}


def _bounds(side: Iterable[Reading], name: str) -> float | None:
    values = [r.get(name) for r in side]
    return None if any(value is None for value in values) else float(sum(v for v in values if v is not None))
