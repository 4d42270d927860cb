"""The record: everything one attempt left, and its plain-JSON form."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from energy_plugin.declare.case import Case, Program
from energy_plugin.record.background import BackgroundWork, background_from_json
from energy_plugin.record.baseline import Baseline, baseline_from_json
from energy_plugin.record.marks import Epoch
from energy_plugin.record.trace import Reading, Status, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Where a case stood in its session's randomised order."""

    block: int
    index: int
    seed: int
    kind: str = "blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown:
    """How long the machine was let rest before, and why not longer."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one program of an attempt went.

    Attributes:
        success: exit code 0, readable events, every final metric of the catalogue present.
        reason: stable code when not: ``exit-code``, ``timeout``, ``events``, ``no-metrics``,
            ``not-started``, ``interrupted``, ``signal``, ``out-of-memory``, ``no-gpu``, ``engine-lost``;
            of a pair ``barrier`` (not ready in time) and ``partner`` (the other one failed); beside a
            background ``background-died`` and ``background-idle``. Of the last three the training
            itself may have completed: metrics and energy are kept, but the run does not count.
        log: path of the log relative to the session folder.
        detail: one line for people.
    """

    program: Program
    success: bool
    reason: str
    detail: str
    exit_code: int | None
    windows: tuple[Window, ...]
    epochs: tuple[Epoch, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    data_source: str = ""
    data_digest: str = ""
    weights: str = ""
    device: str = ""
    cpu_s: float | None = None
    memory_peak_bytes: int | None = None
    log: str = ""

    def window(self, name: str) -> Window | None:
        """The window of that name, None if the program never had it."""
        return next((window for window in self.windows if window.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One attempt of a case.

    Attributes:
        experiment_id: name of its folder, unique in its session only.
        attempt: counts from 1; a retry has the next number.
        provenance: host, kernel, versions, load before the run, and so on.
        idle: the baseline that held for this attempt; its levels are in the readings.
        background: what a background training did beside the measured one, None without one.
        simulated: what simulated the hardware, empty where it was real.
    """

    experiment_id: str
    session: str
    case: Case
    case_key: str
    attempt: int
    started_utc: str
    outcomes: tuple[Outcome, ...]
    readings: tuple[Reading, ...]
    order: Order
    cooldown: Cooldown
    provenance: Mapping[str, Any] = field(default_factory=dict)
    executor: str = "local"
    idle: Baseline | None = None
    simulated: str = ""
    background: BackgroundWork | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def success(self) -> bool:
        """Every program of the case succeeded."""
        return all(outcome.success for outcome in self.outcomes)

    @property
    def reasons(self) -> frozenset[str]:
        """Why it failed: each program's own reason, without what only followed from the other's."""
        return frozenset(outcome.reason for outcome in self.outcomes) - {"", "partner"}

    @property
    def failure(self) -> str:
        """What went wrong, one line for each program that failed."""
        return "\n".join(
            f"{o.program.repository}/{o.program.model}: {o.reason}: {o.detail}"
            for o in self.outcomes
            if not o.success
        )

    @property
    def duration_s(self) -> float:
        """Seconds of the joint window, or of the only program's process window."""
        spans = [w for o in self.outcomes for w in o.windows if w.name == "process"]
        if not spans:
            return 0.0
        return (max(w.t1_ns for w in spans) - min(w.t0_ns for w in spans)) / 1e9

    @property
    def whole(self) -> str:
        """Name of the window that holds the whole attempt: of a pair the joint one."""
        return "joint" if len(self.case.measured) > 1 else "process"

    def counted(self, window: str) -> list[Reading]:
        """The readings with joules that make up the total of the windows of that name."""
        read = (r for r in self.readings if r.window.name == window and r.kind == "direct")
        return [r for r in pick(read) if r.joules is not None and not r.channel.startswith(OVERLAPPING)]

    def total(self) -> Total:
        """Energy of the whole attempt by direct meters."""
        return total(direct(r for r in self.readings if r.window.name == self.whole))

    def estimates(self) -> dict[str, Total]:
        """Estimator name to its own total."""
        models = [r for r in self.readings if r.window.name == self.whole and r.kind == "model"]
        return {
            name: total(r for r in models if r.meter == name) for name in sorted({r.meter for r in models})
        }

    def to_json(self) -> dict[str, Any]:
        """Plain data for the journal; :func:`record_from_json` reads it back."""
        data = asdict(self)
        for program in [*data["case"]["programs"], *(o["program"] for o in data["outcomes"])]:
            program["passed"] = sorted(program["passed"])
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A sum over channels that do not overlap; its status is the worst of its parts.

    Attributes:
        sources: what was read, each once: ``rapl-pmu (perf)``.
    """

    status: Status
    reason: str
    joules: float | None = None
    lo_j: float | None = None
    hi_j: float | None = None
    channels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


OVERLAPPING = ("mains:", "cpu:psys")
"""Channels that contain others: never in a sum."""

RANK: dict[Status, int] = {"measured": 0, "estimated": 1, "partial": 2, "unavailable": 3}


ABSENT = {"gpu": {"no-gpu", "no-driver", "not-chosen"}, "cpu:dram": {"no-event"}, "cpu:package": {"mirrored"}}
"""Reasons for which a channel has nothing to miss. A missing package counter is never one: a CPU
always takes energy, metered or not."""


def is_missed(channel: str, reason: str) -> bool:
    """Whether a dead channel leaves a hole in a total (psys and mains overlap the others)."""
    if channel.startswith(OVERLAPPING):
        return False
    return not any(channel.startswith(part) and reason in reasons for part, reasons in ABSENT.items())


DEVICES = ("cpu:package:", "cpu:dram:", "gpu:")
ESTIMATED_ONLY = "estimated-only"


def direct(readings: Iterable[Reading]) -> list[Reading]:
    """The readings of direct meters, and a hole for each device that only a model read.

    A GPU without a believable counter has its power summed, an estimate: that is no part of a measured
    total, but neither may the total be called measured as if the GPU were not there.
    """
    given = list(readings)
    read = {_place(reading) for reading in given if reading.kind == "direct"}
    holes = [r for r in given if r.channel.startswith(DEVICES) and _place(r) not in read]
    return [*(reading for reading in given if reading.kind == "direct"), *map(_hole, holes)]


def _hole(reading: Reading) -> Reading:
    """The reading of a model, as what it is to a total."""
    return Reading(
        meter=reading.meter,
        channel=reading.channel,
        window=reading.window,
        status="unavailable",
        reason=ESTIMATED_ONLY if reading.joules is not None else reading.reason,
        source=reading.source,
    )


def _place(reading: Reading) -> tuple[str, str | None, str]:
    return reading.channel, reading.window.program, reading.window.name


TRUST: dict[Status, int] = {"measured": 0, "partial": 1, "estimated": 2, "unavailable": 3}


def pick(readings: Iterable[Reading]) -> list[Reading]:
    """One reading for each channel and window, the best where several meters read the channel.

    Best is the status (measured, partial, estimated), then an exact window before other methods, then
    the order given. A channel that any meter found to mirror another is left to that other.
    """
    best: dict[tuple[str, str | None, str], Reading] = {}
    for reading in readings:
        key = _place(reading)
        best[key] = min((best.get(key, reading), reading), key=_worth)
    return list(best.values())


def _worth(reading: Reading) -> tuple[int, int]:
    if reading.reason == "mirrored":
        return (-1, 0)
    if reading.joules is None:  # of several dead meters the one that knows of a hole speaks
        return TRUST["unavailable"], 0 if is_missed(reading.channel, reading.reason) else 1
    return TRUST[reading.status], 0 if reading.method == "exact-window" else 1


def total(readings: Iterable[Reading]) -> Total:
    """Sum package, DRAM and GPU readings of one window, one reading for each channel.

    Readings without joules are left out of the sum and named in the reason, and the sum is then
    ``partial``; with nothing to sum it is ``unavailable``. Absent hardware (:data:`ABSENT`) does
    not make a sum partial: there is nothing to miss.
    """
    given = pick(r for r in readings if not r.channel.startswith(OVERLAPPING))
    known = [reading for reading in given if reading.joules is not None]
    missing = [r for r in given if r.joules is None and is_missed(r.channel, r.reason)]
    if not known:
        codes = sorted({f"{r.channel} {r.reason}" for r in given}) or ["no meter"]
        return Total(status="unavailable", reason="; ".join(codes))
    worst = max((reading.status for reading in known), key=RANK.__getitem__)
    reasons = sorted({r.reason for r in known if r.reason} | {f"{r.channel} {r.reason}" for r in missing})
    return Total(
        status="partial" if missing else worst,
        reason="; ".join(reasons),
        joules=sum(r.joules for r in known if r.joules is not None),
        lo_j=sum(r.lo_j if r.lo_j is not None else r.joules or 0.0 for r in known),
        hi_j=sum(r.hi_j if r.hi_j is not None else r.joules or 0.0 for r in known),
        channels=tuple(r.channel for r in known),
        sources=tuple(dict.fromkeys(f"{r.source} ({r.meter})" for r in known)),
    )


def record_from_json(data: Mapping[str, Any]) -> Record:
    """The record that :meth:`Record.to_json` wrote."""
    return Record(
        **{
            **data,
            "case": case_from_json(data["case"]),
            "outcomes": tuple(_outcome(o) for o in data["outcomes"]),
            "readings": tuple(Reading(**{**r, "window": Window(**r["window"])}) for r in data["readings"]),
            "order": Order(**data["order"]),
            "cooldown": Cooldown(**data["cooldown"]),
            "idle": baseline_from_json(data["idle"]) if data.get("idle") else None,
            "background": background_from_json(data["background"]) if data.get("background") else None,
        }
    )


def case_from_json(data: Mapping[str, Any]) -> Case:
    """The case of a record in its plain-JSON form."""
    return Case(**{**data, "programs": tuple(_program(p) for p in data["programs"])})


def _program(data: Mapping[str, Any]) -> Program:
    return Program(**{**data, "passed": frozenset(data["passed"]), "varied": tuple(data["varied"])})


def _outcome(data: Mapping[str, Any]) -> Outcome:
    return Outcome(
        **{
            **data,
            "program": _program(data["program"]),
            "windows": tuple(Window(**w) for w in data["windows"]),
            "epochs": tuple(Epoch(**e) for e in data["epochs"]),
        }
    )
