"""Findings: everything the analysis found, frozen; as JSON it is report.json."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from causal_report.findings.discovery import Edge, EngineRun, Graph, Group, Node
from causal_report.findings.effects import Effect, Question1
from causal_report.findings.metering import Agreement, Metering
from causal_report.findings.sentence import Sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal_report.findings.advice import Advice
    from causal_report.findings.concurrency import Concurrency
    from causal_report.findings.heterogeneity import Heterogeneity
    from causal_report.findings.keeping import Keeping
    from causal_report.findings.mediation import Mediation
    from causal_report.findings.modes import Modes
    from causal_report.findings.quality import Quality
    from causal_report.findings.recipe import Recipe
    from causal_report.findings.tradeoff import Tradeoff

__all__ = ["Agreement", "Edge", "Effect", "EngineRun", "Graph", "Group", "Metering", "Node", "Sentence"]
SCHEMA_VERSION = 2
Status = Literal["measured", "partial", "estimated", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The energy that is analysed.

    Attributes:
        status: ``unavailable`` means that no joules exist and duration is analysed alone.
        n: usable rows that have it, ``of`` so many.
        replayed: usable runs whose joules were played from a recording: real or not, not of these runs.
        simulated: usable runs whose meters were simulated: their joules were never drawn by a machine.
    """

    column: str
    label: str
    status: Status
    reason: str = ""
    estimator: str = ""
    n: int = 0
    of: int = 0
    replayed: int = 0
    simulated: int = 0

    @property
    def shown(self) -> str:
        """What the joules may be called on the page; never ``measured`` where they were not."""
        if self.status not in ("measured", "partial"):
            return self.status
        return "simulated" if self.simulated else "replayed" if self.replayed else self.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A row that is not what it says, or that failed; ``excluded`` from effects or only shown."""

    experiment_id: str
    timestamp: str
    role: str
    code: str
    evidence: str
    excluded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """Something the design set: its levels and how many usable rows each has."""

    name: str
    label: str
    log: bool
    levels: tuple[tuple[float, int], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRows:
    """How many rows one model has, and what they cost."""

    model: str
    title: str
    runs: int
    failed: int
    used: int
    duration_s: float | None
    energy_j: float | None
    data_sources: tuple[str, ...]
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What was run: ``used`` rows enter effects; ``pairs`` are usable rows of two programs at once."""

    runs: int
    failed: int
    flagged: int
    used: int
    pairs: int
    models: tuple[ModelRows, ...]
    factors: tuple[Factor, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One usable run in the dose figure."""

    experiment_id: str
    model: str
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """The factor that matters most against the response, run by run, in natural units.

    ``of`` is how many runs there are, where not all of them are ``points``.
    """

    factor: str
    factor_label: str
    outcome: str
    outcome_label: str
    unit: str
    log_x: bool
    of: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFacts:
    """A channel of a meter, alive or not, with the reason and the mend."""

    session: str
    meter: str
    channel: str
    source: str
    kind: str
    alive: bool
    reason: str = ""
    detail: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """Where rows came from; ``host`` is empty for a published table.

    ``simulated`` says what stood in for the meters, empty where they were real.
    """

    kind: str
    name: str
    rows: int
    complete: bool
    done: int
    planned: int | None
    sha256: str
    started_utc: str
    host: Mapping[str, Any]
    versions: Mapping[str, Any]
    command: str
    order_seed: int | None
    executor: str
    simulated: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How to get this page again."""

    command: str
    seed: int
    versions: Mapping[str, str]
    keep_flagged: bool
    sources: tuple[SourceFacts, ...]
    channels: tuple[ChannelFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The first screen: sentences in order, and warnings."""

    sentences: tuple[Sentence, ...]
    warnings: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The whole of the analysis; ``simulated`` says what stood in for meters in any of it."""

    schema_version: int
    title: str
    language: str
    simulated: str
    verdict: Verdict
    response: Response
    data: Data
    quality: Quality
    keeping: Keeping
    effects: tuple[Effect, ...]
    dose: Dose | None
    question1: Question1
    tradeoff: Tradeoff
    mediation: Mediation
    groups: Mapping[str, Group]
    modes: Modes
    concurrency: Concurrency
    heterogeneity: Heterogeneity
    advice: Advice
    recipe: Recipe | None
    agreement: tuple[Agreement, ...]
    metering: Metering
    provenance: Provenance


def to_json(findings: Findings) -> dict[str, Any]:
    """Plain data; numbers that are not finite become null."""
    plain = _plain(asdict(findings))
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
