"""What was found on the trade-off between energy and performance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from causal_report.findings.sentence import Sentence

State = Literal["up", "down", "bounded", "open"]
Kind = Literal["energy only", "performance only", "trade-off", "win-win", "neither", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A performance metric and which way is better.

    Attributes:
        better: empty where neither the catalogue nor its name says so; then no verdict is given.
        guessed: the direction was guessed from the name.
        rate: work per time (samples per second): speed, not quality, and left out of the verdicts.
    """

    name: str
    label: str
    better: Literal["higher", "lower", ""]
    guessed: bool
    rate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTest:
    """How far a factor's step moves one outcome, tested against zero and against a margin.

    Attributes:
        change: for energy in per cent, for a metric in its units, with a 95 % interval.
        lo90: of the 90 % interval; when it lies within the margin, the two one-sided tests
            (Schuirmann 1987) bound the effect at the 5 % level.
        margin: the change that counts as nothing, either way, in the unit of ``change``.
        p_zero: of no effect, ``q_zero`` over this table; ``p_bound`` of an effect beyond the margin.
        state: ``up`` or ``down`` where it moves, ``bounded`` where it is shown to be within the margin.
    """

    change: float
    lo: float
    hi: float
    lo90: float
    hi90: float
    margin: float
    p_zero: float
    p_bound: float
    q_zero: float | None = None
    state: State = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What a factor buys: metric gained for ten per cent more energy, along that factor.

    Attributes:
        gain: in the metric's units, positive is better; its interval is Fieller's (1954), which
            may have no finite end: then ``lo`` and ``hi`` are None.
    """

    gain: float
    lo: float | None
    hi: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorVerdict:
    """One factor on energy and on one metric, in one model or over all models of a repository."""

    scope: str
    factor: str
    factor_label: str
    log: bool
    step: float
    metric: str
    metric_label: str
    n: int
    method: str
    verdict: Kind
    energy: MarginTest | None = None
    performance: MarginTest | None = None
    exchange: Exchange | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Equal runs of one model: where they lie and how likely nothing beats them.

    Attributes:
        words: the values that tell it from the model's other settings.
        energy_j: geometric mean, with a 95 % interval from the noise of equal runs.
        metric: mean, likewise.
        front: not beaten in both by the means of any other setting.
        probability: share of draws in which it is not beaten.
        energy_per_metric: joules for one unit of the metric; None where lower is better.
    """

    words: str
    n: int
    experiment_id: str
    energy_j: float
    energy_lo: float
    energy_hi: float
    metric: float
    metric_lo: float
    metric_hi: float
    front: bool
    probability: float
    energy_per_metric: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The settings of one model in one mode, in the plane of energy and one metric.

    Attributes:
        noise: what the uncertainty of a setting comes from.
        settings: those on or near the front first; ``of`` so many.
    """

    scope: str
    mode: str
    metric: str
    metric_label: str
    better: str
    n: int
    noise: str
    settings: tuple[Setting, ...]
    of: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """What more epochs, or iterations, still bring.

    Attributes:
        factor: what counts the epochs of this model.
        margin: gain for a doubling that counts as nothing, in the metric's units.
        gain_least: gain for a doubling at the fewest epochs that were run, with a 95 % interval;
            ``gain_most`` at the most. Positive is better.
        saturated_from: fewest whole epochs from which on a doubling gains less than the margin (one-sided
            95 %); None where that is not shown.
        share_after: median share of epochs run after ``convergence_epoch``, over ``converged`` runs.
    """

    scope: str
    factor: str
    factor_label: str
    metric: str
    metric_label: str
    n: int
    least: float
    most: float
    state: Literal["saturated", "gaining", "open"]
    margin: float
    gain_least: tuple[float, float, float] | None = None
    gain_most: tuple[float, float, float] | None = None
    saturated_from: float | None = None
    share_after: float | None = None
    converged: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """Which hyperparameters move energy, performance or both; the first sentence is the answer."""

    sentences: tuple[Sentence, ...]
    energy: str
    energy_label: str
    energy_margin: float
    performance_margin: str
    metrics: tuple[Metric, ...]
    verdicts: tuple[FactorVerdict, ...]
    fronts: tuple[Front, ...]
    convergence: tuple[Convergence, ...]
