"""What a background load changes: levels, slopes, graphs and paths, and which scenario each group is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from causal_report.findings.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeEffect:
    """One metric with a background load against alone, in one scope.

    The raw tests compare means of runs as the plan of the study does, pooled over whatever models the
    scope has. ``estimate`` compares runs of one model with each other, the other factors adjusted for;
    over several models it is the plain mean of the models' own.

    Attributes:
        group: a repository, or ``all groups``.
        model: a model of the group; empty for the group as a whole.
        metered: what the value holds in background runs.
        t, t_p: Student's test of the raw means; ``welch`` without equal variances (Welch 1947).
        cohen_d: difference of raw means over their pooled deviation; ``hedges_g`` corrected for small n.
        scale: ``log-ratio`` (natural log of background over alone) or ``difference`` in the unit.
        estimate: with ``lo`` and ``hi`` of its 95 % HC3 interval and ``p``; None if ``reason``.
        q: Benjamini-Hochberg over the table's rows.
        pct: the log-ratio as per cent of alone, ``pct_lo`` and ``pct_hi`` its interval.
        models: how many models stand behind it; ``apart_p`` of Welch's test that they agree.
        verdict: ``clear``, ``bounded`` (interval within the equivalence margin) or ``open``.
        hidden: the pooled Welch test saw nothing, and within models the effect is clear.
    """

    group: str
    model: str
    metric: str
    label: str
    unit: str
    part: str
    metered: Literal["program", "whole machine"]
    n_alone: int
    n_background: int
    mean_alone: float | None
    mean_background: float | None
    t: float | None = None
    t_p: float | None = None
    welch_t: float | None = None
    welch_p: float | None = None
    cohen_d: float | None = None
    hedges_g: float | None = None
    scale: Literal["log-ratio", "difference"] = "log-ratio"
    estimate: float | None = None
    lo: float | None = None
    hi: float | None = None
    p: float | None = None
    q: float | None = None
    pct: float | None = None
    pct_lo: float | None = None
    pct_hi: float | None = None
    models: int = 1
    apart_p: float | None = None
    verdict: Literal["clear", "bounded", "open"] = "open"
    hidden: bool = False
    exploratory: bool = False
    method: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeSlope:
    """Slope of one factor in one mode, with its 95 % HC3 interval."""

    mode: Literal["alone", "background"]
    n: int
    estimate: float
    lo: float
    hi: float
    p: float
    q: float | None = None
    verdict: Literal["clear", "bounded", "open"] = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeInteraction:
    """Whether the mode changes what one factor does to one outcome.

    Attributes:
        scale: as in :class:`~causal_report.findings.Effect`.
        estimate: slope with a load less slope alone, 95 % HC3 interval ``lo`` to ``hi``.
        q: Benjamini-Hochberg over the table's rows.
        r2: of the model with the interaction; ``r2_gain`` is what the interaction adds.
        slopes: alone first.
        margin: slopes within plus or minus this are called bounded; so is the interaction.
        switched: clear in one mode and bounded around nought in the other.
    """

    group: str
    model: str
    factor: str
    factor_label: str
    outcome: str
    outcome_label: str
    outcome_part: str
    scale: Literal["elasticity", "rate", "per-log", "slope"]
    n_alone: int
    n_background: int
    margin: float
    step: float = 1.0
    estimate: float | None = None
    lo: float | None = None
    hi: float | None = None
    p: float | None = None
    q: float | None = None
    r2: float | None = None
    r2_gain: float | None = None
    slopes: tuple[ModeSlope, ...] = ()
    verdict: Literal["clear", "bounded", "open"] = "open"
    switched: bool = False
    exploratory: bool = False
    method: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeEdge:
    """One edge in the graphs of both modes.

    Attributes:
        where: in which mode at least half of the exact engine's weight has it.
        exact_alone: probability as in that mode's graph; likewise the others.
        difference: of the exact probabilities, background less alone.
        difference_p: of a difference as large with labels of the mode permuted, corrected for all edges.
        strength: difference of the standardised slopes, with HC3 ``strength_p`` and BH ``strength_q``.
        changed: beyond noise and beyond the threshold.
    """

    parent: str
    parent_label: str
    child: str
    child_label: str
    where: Literal["both", "alone only", "background only", "neither"]
    exact_alone: float
    exact_background: float
    difference: float
    difference_p: float | None
    dibs_alone: float | None
    dibs_background: float | None
    ols_alone: float | None
    ols_background: float | None
    strength: float | None
    strength_p: float | None
    strength_q: float | None
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeStructure:
    """The graphs of a group alone and with a load, compared; ``reason`` where that cannot be.

    Attributes:
        distance: edges that one mode's graph has and the other's has not (structural Hamming distance).
        expected: the same when the labels of the mode are permuted, mean; ``p`` of at least ``distance``.
        draws: permutations.
        left_out: columns that only one of the graphs has.
    """

    group: str
    n_alone: int = 0
    n_background: int = 0
    edges: tuple[ModeEdge, ...] = ()
    distance: int | None = None
    expected: float | None = None
    p: float | None = None
    draws: int = 0
    left_out: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModePath:
    """One mediated path in both modes, as the mediation by mode found it."""

    group: str
    cause: str
    mediator: str
    outcome: str
    alone: float | None
    alone_lo: float | None
    alone_hi: float | None
    alone_p: float | None
    background: float | None
    background_lo: float | None
    background_hi: float | None
    background_p: float | None
    difference: float | None
    lo: float | None
    hi: float | None
    p: float | None
    q: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeDrivers:
    """The study's three questions in one mode of one group.

    Attributes:
        energy: labels of factors that clearly move energy.
        performance: labels of factors that clearly move a metric of performance.
        shared: labels of factors that move both.
        bounded: labels of factors whose effect on energy is bounded around nought.
        paths: mediated paths whose interval leaves out nought, with a BH q < 0.05 among the mode's.
    """

    group: str
    mode: Literal["alone", "background"]
    n: int
    energy: tuple[str, ...]
    performance: tuple[str, ...]
    shared: tuple[str, ...]
    bounded: tuple[str, ...]
    open: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeStrategy:
    """One way to answer for a group with few runs in a mode, on one quantity.

    Attributes:
        strategy: ``own`` (the group alone), ``merge`` (small groups together, levels of their own),
            ``exclude`` (groups with enough runs only), ``bootstrap`` (the group resampled).
        same_sign: share of resamples with the sign of the estimate; bootstrap only.
        used: whether the page goes by it.
    """

    group: str
    quantity: str
    strategy: Literal["own", "merge", "exclude", "bootstrap"]
    n_alone: int
    n_background: int
    groups: int
    estimate: float | None = None
    lo: float | None = None
    hi: float | None = None
    same_sign: float | None = None
    used: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeAdvice:
    """What one step of a factor does to energy or duration in one mode, in per cent.

    ``changes`` says that the mode clearly changes it: where it does not, the numbers of the two modes
    differ by no more than chance may do, even if only one of them is clear.
    """

    group: str
    mode: Literal["alone", "background"]
    factor: str
    factor_label: str
    outcome: str
    outcome_label: str
    step: float
    times: bool
    pct: float
    lo: float
    hi: float
    verdict: Literal["clear", "bounded", "open"]
    changes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeVerdict:
    """Which of the plan's four scenarios a group is, and by what evidence.

    Attributes:
        scenario: 1 no effect, 2 main effect only, 3 interaction, 4 structure changes; None left open.
        main_p: Simes p that the mode moves no energy, power or duration; likewise the others, each None
            where the question could not be asked.
        main_holm: the same after Holm's correction for the four questions.
        margin_pct: the equivalence margin; ``bound_pct`` is what the intervals of energy and duration hold.
        gate: whether p < 0.05 in step 1 led to steps 2 and 4, as the plan has it.
    """

    group: str
    scenario: int | None
    name: Literal["no effect", "main effect only", "interaction", "structure changes", "left open"]
    n_alone: int
    n_background: int
    main_p: float | None
    interaction_p: float | None
    structure_p: float | None
    path_p: float | None
    main_holm: float | None
    interaction_holm: float | None
    structure_holm: float | None
    path_holm: float | None
    margin_pct: float
    bound_pct: float | None
    gate: bool
    exploratory: bool
    sentence: Sentence
    meaning: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """Alone against with a background load; ``reason`` where only one of them was run."""

    reason: str = ""
    sentences: tuple[Sentence, ...] = ()
    verdicts: tuple[ModeVerdict, ...] = ()
    effects: tuple[ModeEffect, ...] = ()
    structures: tuple[ModeStructure, ...] = ()
    interactions: tuple[ModeInteraction, ...] = ()
    paths: tuple[ModePath, ...] = ()
    drivers: tuple[ModeDrivers, ...] = ()
    strategies: tuple[ModeStrategy, ...] = ()
    advice: tuple[ModeAdvice, ...] = ()
