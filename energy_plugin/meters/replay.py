"""Recorded energies instead of live ones: to try a study on a machine without meters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.errors import FileError
from energy_plugin.record.trace import Channel, Fault, Kind, Sample, Trace, Window, integrate
from energy_plugin.record.tracefile import read_traces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from energy_plugin.meters.protocols import Edge

ANY = "*"


class Recorded(NamedTuple):
    """One channel's joules of one recorded attempt; None where the record has none and says why."""

    meter: str
    channel: str
    kind: Kind
    source: str
    joules: float | None
    reason: str


class ReplayMeter:
    """Plays recorded joules into the live window, labelled ``replay:<original source>``.

    Args:
        path: a session folder, an experiment folder (``experiment.json`` with ``energy/readings.json``
            or ``energy/trace.csv``) or a JSON file
            ``{"cases": {"<case id or *>": [{"meter", "channel", "kind", "joules"}]}}``.

    Raises:
        FileError: at once, when a file is missing or wrong.
    """

    name = "replay"
    lead_s = 0.0
    tail_s = 0.0

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self._cases = _load(path)
        self._clock = clock or SystemClock()
        self._case = ANY
        self._edges_ns: list[int] = []

    def select(self, case_id: str) -> None:
        """Say which case comes next; without it, or for an unknown case, ``*`` is played."""
        self._case = case_id

    def probe(self) -> Sequence[Channel]:
        """Every channel any recorded case has."""
        every: dict[tuple[str, str], Recorded] = {}
        for recorded in (r for some in self._cases.values() for r in some):
            key = (recorded.meter, recorded.channel)
            if key not in every or every[key].joules is None:
                every[key] = recorded  # joules of any case speak before the reason of another
        return [_channel(recorded) for recorded in every.values()]

    def start(self) -> None:
        """Forget the last attempt."""
        self._edges_ns = []

    def edge(self, kind: Edge) -> None:
        """Note the time."""
        self._edges_ns.append(self._clock.now_ns())

    def stop(self) -> Sequence[Trace]:
        """One two-point trace for each channel; a case that was never recorded has only a fault."""
        recorded = self._cases.get(self._case, self._cases.get(ANY, []))
        known = {(r.meter, r.channel): r for r in recorded}
        living = (channel for channel in self.probe() if channel.alive)
        return [self._trace(channel, known.get((channel.meter, channel.id))) for channel in living]

    def _trace(self, channel: Channel, recorded: Recorded | None) -> Trace:
        samples: tuple[Sample, ...] = ()
        faults: tuple[Fault, ...] = ()
        first = self._edges_ns[0] if self._edges_ns else self._clock.now_ns()
        middle = (first + self._edges_ns[-1]) // 2 if self._edges_ns else first
        if recorded is None:
            faults = (Fault(middle, "not-recorded", f"nothing recorded for {self._case!r}"),)
        elif recorded.reason or recorded.joules is None:
            faults = (Fault(middle, recorded.reason or "no-joules", "as recorded"),)
        if recorded is not None:
            channel = _channel(recorded)
            if recorded.joules is not None and len(self._edges_ns) > 1:
                samples = (Sample(first, 0.0), Sample(self._edges_ns[-1], recorded.joules))
        return Trace(meter=channel.meter, channel=channel, form="window", samples=samples, faults=faults)

    def close(self) -> None:
        """Nothing to release."""


def _channel(recorded: Recorded) -> Channel:
    return Channel(
        id=recorded.channel,
        meter=recorded.meter,
        source=f"replay:{recorded.source}",
        kind=recorded.kind,
        alive=recorded.joules is not None,
        reason="" if recorded.joules is not None else recorded.reason or "no-joules",
        detail="recorded earlier, not measured now",
    )


# --- reading ----------------------------------------------------------------------------------------


def _load(path: Path) -> dict[str, list[Recorded]]:
    if path.is_file():
        return _from_file(path)
    experiments = sorted(path.glob("*/experiment.json")) or sorted(path.glob("experiment.json"))
    if not experiments:
        raise FileError(path, "experiment.json", None, "name a session, an experiment or a JSON file")
    cases: dict[str, list[Recorded]] = {}
    good: set[str] = set()
    for file in experiments:
        experiment = _json(file)
        case_id = experiment.get("case_id")
        if not isinstance(case_id, str):
            raise FileError(file, "case_id", case_id, "write the id of the case")
        success = bool(experiment.get("training_success", True))
        if success or case_id not in good:  # a failed retry does not hide an attempt that worked
            cases[case_id] = _from_experiment(file.parent, experiment)
            good |= {case_id} if success else set()
    return cases


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(file, "content", str(error), "write a JSON object") from None
    if not isinstance(data, dict):
        raise FileError(file, "content", type(data).__name__, "write a JSON object")
    return data


def _from_file(file: Path) -> dict[str, list[Recorded]]:
    cases = _json(file).get("cases")
    if not isinstance(cases, dict) or not cases:
        raise FileError(file, "cases", cases, 'write {"<case id or *>": [{meter, channel, kind, joules}]}')
    return {case: _entries(file, f"cases.{case}", entries) for case, entries in cases.items()}


def _entries(file: Path, where: str, entries: object) -> list[Recorded]:
    if not isinstance(entries, list):
        raise FileError(file, where, entries, "write a list of readings")
    return [_entry(file, f"{where}[{i}]", entry) for i, entry in enumerate(entries)]


def _entry(file: Path, where: str, entry: object) -> Recorded:
    if not isinstance(entry, dict):
        raise FileError(file, where, entry, "write an object with meter, channel, kind and joules")
    for key in ("meter", "channel"):
        if not isinstance(entry.get(key), str):
            raise FileError(file, f"{where}.{key}", entry.get(key), "write a name")
    if entry.get("kind") not in ("direct", "model"):
        raise FileError(file, f"{where}.kind", entry.get("kind"), "write direct or model")
    joules = entry.get("joules")
    if isinstance(joules, bool) or not isinstance(joules, (int, float, type(None))) or (joules or 0) < 0:
        raise FileError(file, f"{where}.joules", joules, "write joules of 0 or more, or null")
    return Recorded(
        meter=entry["meter"],
        channel=entry["channel"],
        kind="model" if entry.get("status") == "estimated" else entry["kind"],
        source=str(entry.get("source") or entry["meter"]).removeprefix("replay:"),
        joules=None if joules is None else float(joules),
        reason=str(entry.get("reason") or ""),
    )


def _from_experiment(folder: Path, experiment: Mapping[str, Any]) -> list[Recorded]:
    """The joint window of a pair, else the process window of ``a``."""
    file = folder / "energy" / "readings.json"
    if not file.is_file():
        return _from_traces(folder / "energy" / "trace.csv", experiment)
    try:
        readings = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileError(file, "content", str(error), "write a list of readings") from None
    checked = _entries(file, "readings", readings)
    names = [(reading.get("window"), reading.get("program")) for reading in readings]
    wanted = ("joint", None) if ("joint", None) in names else ("process", "a")
    return [entry for entry, name in zip(checked, names, strict=True) if name == wanted]


def _from_traces(file: Path, experiment: Mapping[str, Any]) -> list[Recorded]:
    if not file.is_file():
        raise FileError(file, "file", None, "an experiment has energy/readings.json or energy/trace.csv")
    spans = [w for o in experiment.get("outcomes", ()) for w in o["windows"] if w["name"] == "process"]
    if not spans:
        raise FileError(file.parent.parent / "experiment.json", "outcomes", None, "needs a process window")
    window = Window(
        program=None,
        name="process",
        t0_ns=min(span["t0_ns"] for span in spans),
        t1_ns=max(span["t1_ns"] for span in spans),
    )
    energies = [trace for trace in read_traces(file) if trace.samples or trace.faults]
    readings = [integrate(trace, window, None) for trace in energies]
    return [Recorded(r.meter, r.channel, r.kind, r.source, r.joules, r.reason) for r in readings]
