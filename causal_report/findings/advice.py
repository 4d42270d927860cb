"""Settings that would save energy at no loss beyond a stated margin, or how far the runs are from one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceChange:
    """One hyperparameter, of one program of a pair (``role``), from its reference to another value."""

    role: str
    factor: str
    label: str
    reference: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceMetric:
    """What a setting does to one performance metric.

    Attributes:
        better: ``within`` where nobody knows which way is better: it may move neither way.
        guessed: ``better`` was read off the metric's name.
        reference: predicted at the reference setting, in the metric's own unit.
        change: predicted relative change towards better, as a share of the reference.
        bound: what it is at least, simultaneously for all settings and metrics looked at (95 %).
        kept: the bound lies above minus the margin.
    """

    name: str
    label: str
    role: str
    better: Literal["higher", "lower", "within"]
    guessed: bool
    reference: float
    change: float
    bound: float
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceSetting:
    """A setting and its predicted energy as a ratio to the reference.

    Attributes:
        ratio: with ``lo`` and ``hi``, simultaneous 95 % over all settings and metrics looked at.
        saved_j: joules a training, with ``saved_lo_j`` and ``saved_hi_j``; negative is a cost.
        p: that a saving and every metric as clear as these come about by chance among so many settings.
    """

    changes: tuple[AdviceChange, ...]
    ratio: float
    lo: float
    hi: float
    saved_j: float
    saved_lo_j: float
    saved_hi_j: float
    saved_kwh: float
    saved_kg: float | None
    metrics: tuple[AdviceMetric, ...]
    p: float
    safe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceTest:
    """The experiment that would confirm a setting, or settle whether it is safe.

    Attributes:
        replicates: runs of either setting, for 80 % power to see the saving (two-sided, 5 %) and to
            exclude a loss beyond the margin (one-sided, 5 %).
        wanted: what that would take; more than ``replicates`` where it is not practicable.
        block: the experiment as a block of a design file; empty where more than a thousand are wanted.
    """

    replicates: int
    wanted: int
    block: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceGroup:
    """One model in one mode, or one pair.

    Attributes:
        reference: ``default`` (recorded as such), else ``most common`` or ``median`` setting run.
        start: the reference setting; only factors that varied.
        settings: how many were looked at.
        advised: the safe setting with the largest saving that is sure; None if none is safe.
        closest: where none is safe, the one that the smallest experiment would show safe if it is.
        q: Benjamini-Hochberg over all groups; advice is given at 0.05.
    """

    model: str
    mode: str
    partner: str
    n: int
    reason: str = ""
    reference: Literal["default", "most common", "median", ""] = ""
    start: tuple[AdviceChange, ...] = ()
    reference_j: float | None = None
    reference_kwh: float | None = None
    reference_kg: float | None = None
    settings: int = 0
    method: str = ""
    advised: AdviceSetting | None = None
    closest: AdviceSetting | None = None
    q: float | None = None
    test: AdviceTest | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Advice for every model, mode and pair.

    Attributes:
        margin: relative loss of performance that is accepted.
        grid_g_per_kwh: carbon intensity that kilograms rest on; None: kilowatt hours only.
        grid_source: where that comes from, or why there is none.
        design: a design file with every test; empty where there is none.
    """

    sentences: tuple[Sentence, ...]
    margin: float
    grid_g_per_kwh: float | None
    grid_source: str
    groups: tuple[AdviceGroup, ...] = ()
    design: str = ""
