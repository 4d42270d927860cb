"""What training two programs at once changed, per pair and by class of pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEstimate:
    """A number of a pair with its interval.

    Attributes:
        value: a share (0.1 is 10 %) or a slope, as the field that holds it says.
        lo: with ``hi`` the 95 % interval; None where ``reason`` says why there is none.
        n: runs of the pair, ``n_alone`` runs alone of its programs.
        p: of no difference; ``q`` Benjamini-Hochberg over all of the same kind in this report.
        reason: why the number or its interval is missing.
    """

    value: float | None
    lo: float | None = None
    hi: float | None = None
    n: int = 0
    n_alone: int = 0
    df: float = 0.0
    p: float | None = None
    q: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTraits:
    """What a pair is by the load and the memory of its programs alone.

    Attributes:
        memory_class: ``low+high`` and so on, the lower first; ``unknown``.
        memory_mib: of both together, ``memory_source`` says whose figures.
        load_class: complementary where the two together ask for no more than the machine has.
        gpu_percent: mean GPU utilisation alone, summed; ``cores`` the same for busy processor cores.
        load_source: on what the class rests.
        peak_mib: highest GPU memory while both ran, None where no GPU was seen.
    """

    memory_class: str
    memory_mib: float | None
    memory_source: str
    load_class: Literal["complementary", "competing", "unknown"]
    gpu_percent: float | None
    cores: float | None
    load_source: str
    peak_mib: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCell:
    """One setting of both programs, run together and alone.

    Attributes:
        joint_j: mean energy of both together, ``alone_j`` the sum of the means alone.
        joint_s: first start to last end, ``alone_s`` the sum of the durations alone.
    """

    setting_a: str
    setting_b: str
    n: int
    n_alone_a: int
    n_alone_b: int
    joint_s: float
    alone_s: float | None
    joint_j: float | None
    alone_j: float | None
    slowdown_a: PairEstimate
    slowdown_b: PairEstimate
    makespan: PairEstimate
    saving: PairEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class PairInterference:
    """How far a metric of one program moves because the other runs beside it.

    Attributes:
        signed: (together - alone) / alone, over all settings of the pair.
        size: mean over settings of its absolute value; noise alone makes it greater than 0.
        worse: whether the metric moved to the worse; None where nobody says which way is better.
    """

    role: str
    model: str
    metric: str
    better: str
    signed: PairEstimate
    size: float | None
    worse: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAttribution:
    """Joint energy of one setting shared out to the programs: always an estimate.

    Attributes:
        method: ``segments`` (own time is own, the overlap in halves), ``usage`` (the overlap by the
            rates at which they use the device) or ``shapley`` (mean of both orders of arrival).
        a_j: with ``b_j`` it sums to ``joint_j``, the mean measured joint energy.
        a_lo_j: what ``a`` took while ``b`` was not there; ``a_hi_j`` all but what ``b`` took alone.
        basis: what the shares were read from.
    """

    setting_a: str
    setting_b: str
    method: Literal["segments", "usage", "shapley"]
    joint_j: float
    a_j: float
    b_j: float
    a_lo_j: float
    a_hi_j: float
    n: int
    basis: str
    status: Literal["estimated"] = "estimated"

    @property
    def a_share(self) -> float:
        """Share of ``a`` in the joint energy."""
        return self.a_j / self.joint_j


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrentPair:
    """One pair of models, ``a`` and ``b``, over all its settings.

    Attributes:
        slowdown_a: (time together - time alone) / time alone of one program, its wait for the other's
            start taken off; ``slowdown_b`` the same.
        makespan: (joint time - sum of times alone) / sum of times alone: below 0 the two together end
            earlier than one after the other.
        saving: 1 - joint energy / sum of energies alone.
        rule: each condition of the rule: its name, ``yes``, ``no`` or ``open``, and the numbers.
        verdict: ``suits``, ``does not suit``, or ``open``.
    """

    a: str
    b: str
    sessions: tuple[str, ...]
    runs: int
    replicated: bool
    traits: PairTraits
    slowdown_a: PairEstimate
    slowdown_b: PairEstimate
    makespan: PairEstimate
    saving: PairEstimate
    cells: tuple[PairCell, ...]
    interference: tuple[PairInterference, ...]
    attribution: tuple[PairAttribution, ...]
    spread: float | None
    rule: tuple[tuple[str, str, str], ...] = ()
    verdict: Literal["suits", "does not suit", "open"] = "open"

    @property
    def name(self) -> str:
        """Both models for people."""
        return f"{self.a.rpartition('/')[2]} + {self.b.rpartition('/')[2]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSensitivity:
    """Per cent of an outcome per per cent of the program's own hyperparameter, alone and beside another.

    Attributes:
        outcome: a metric, ``duration``, or ``energy``: in a pair that is an attributed share.
        alone: log-log slope; ``together`` the same in the pair, ``change`` their difference.
        levels: distinct values of the hyperparameter that both have.
        method: how slopes and intervals were made.
    """

    pair: str
    role: str
    model: str
    factor: str
    outcome: str
    levels: int
    alone: PairEstimate
    together: PairEstimate
    change: PairEstimate
    method: str
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCross:
    """What a hyperparameter of the one does to the other: log-log slope.

    Attributes:
        role: of the program whose outcome it is; ``factor`` belongs to its partner.
        attributed: method of attribution where the outcome is energy; then it is an estimate.
    """

    pair: str
    role: str
    model: str
    partner: str
    factor: str
    outcome: str
    levels: int
    slope: PairEstimate
    attributed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOptimum:
    """The best setting of one program alone and beside the other.

    Attributes:
        outcome: ``energy`` (alone: its own; together: the joint energy, as measured) or a metric.
        alone: the best setting alone; ``alone_support`` its share of simulated repetitions.
        gain: what the setting that is best together gains over the one that is best alone, together:
            relative, better is above 0; its interval allows for having searched.
        verdict: ``same``, ``moves``, or ``open``: the best differ, but not clearly.
    """

    pair: str
    role: str
    model: str
    outcome: str
    settings: int
    alone: str
    alone_support: float | None
    together: str
    together_support: float | None
    gain: PairEstimate
    verdict: Literal["same", "moves", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairClass:
    """All pairs of one class: means over pairs, intervals from the spread between pairs."""

    kind: Literal["memory", "load"]
    name: str
    pairs: tuple[str, ...]
    slowdown: PairEstimate
    makespan: PairEstimate
    saving: PairEstimate
    interference: PairEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAnova:
    """Analysis of variance of one outcome over pairs or classes of pairs.

    Attributes:
        eta2: partial eta squared; ``omega2`` its less biased kin (Olejnik and Algina 2003).
        reason: why there is no test.
    """

    outcome: str
    factor: str
    levels: int
    n: int
    f: float | None = None
    df1: float | None = None
    df2: float | None = None
    p: float | None = None
    q: float | None = None
    eta2: float | None = None
    omega2: float | None = None
    method: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """Everything about pairs; ``reason`` says why there is nothing.

    Attributes:
        energy: what the joules of pairs may be called; ``unavailable`` where there are none.
        left_out: pair runs that do not count, and why.
        margin: relative loss of a metric that the rule of suitable pairs allows.
    """

    sentences: tuple[Sentence, ...] = ()
    reason: str = ""
    energy: str = ""
    energy_label: str = ""
    margin: float = 0.0
    most_slowdown: float = 0.0
    pairs: tuple[ConcurrentPair, ...] = ()
    classes: tuple[PairClass, ...] = ()
    sensitivities: tuple[PairSensitivity, ...] = ()
    crossings: tuple[PairCross, ...] = ()
    optima: tuple[PairOptimum, ...] = ()
    anova: tuple[PairAnova, ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
