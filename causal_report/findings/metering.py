"""The part of the findings that is about the meters themselves; frozen, and JSON as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One run as an estimator and as the meters saw it.

    Attributes:
        lo_j: the meters' own hard bounds, ``lo_j`` to ``hi_j``; None where a meter gave none.
        same_sensor: both sides read one sensor, so that the pair says nothing about accuracy.
    """

    session: str
    experiment_id: str
    model: str
    estimate_j: float
    meter_j: float
    lo_j: float | None = None
    hi_j: float | None = None
    same_sensor: bool = False

    @property
    def error(self) -> float:
        """Estimate over meter, less one."""
        return self.estimate_j / self.meter_j - 1

    @property
    def errors(self) -> tuple[float, float] | None:
        """The least and greatest error that the meters' bounds leave possible."""
        if self.lo_j is None or self.hi_j is None or self.lo_j <= 0:
            return None
        return self.estimate_j / self.hi_j - 1, self.estimate_j / self.lo_j - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One estimator against the direct meters of one part of the machine.

    Every ``_lo_pct`` and ``_hi_pct`` pair is a 95 % interval unless it says otherwise here.

    Attributes:
        estimator: its meter's name; ``direct`` stands for the direct meters held against the mains.
        part: ``cpu``, ``ram``, ``gpu``, ``total`` (everything each of the two covers) or ``mains``
            (everything the estimator covers against what the whole machine took from the wall).
        n: runs that count. ``left_out``: runs that read one sensor on both sides.
        same_sensor: all runs do: no evidence of accuracy, and only ``edges_pct`` is computed.
        edges_pct: mean error of the runs left out; it shows how well the two windows agree, no more.
        bias_pct: mean of estimate / meter - 1.
        sums_pct: sum of estimates / sum of meters - 1: what the error does to a total.
        mape_pct: mean of the absolute errors.
        bounds_lo_pct: the bias if every meter reading stood at its upper bound; ``bounds_hi_pct`` at
            its lower one. ``mape_least_pct`` and ``mape_most_pct``: the same for the absolute error.
        sure: of ``bounded`` runs that have bounds, those whose bounds rule agreement out.
        loa_lo_pct: limits of agreement, where 95 % of single runs are expected: mean ± 1.96 standard
            deviations of the log ratios (Bland and Altman 1999).
        diff_j: mean difference in joules, with its own limits of agreement.
        reason: what is missing and why.
        method: how the intervals were made.
    """

    estimator: str
    part: str
    estimator_covers: tuple[str, ...]
    meter_covers: tuple[str, ...]
    n: int
    left_out: int = 0
    same_sensor: bool = False
    edges_pct: float | None = None
    estimator_sources: tuple[str, ...] = ()
    meter_sources: tuple[str, ...] = ()
    meter_methods: tuple[str, ...] = ()
    ratio: float | None = None
    bias_pct: float | None = None
    bias_lo_pct: float | None = None
    bias_hi_pct: float | None = None
    sums_pct: float | None = None
    sums_lo_pct: float | None = None
    sums_hi_pct: float | None = None
    mape_pct: float | None = None
    mape_lo_pct: float | None = None
    mape_hi_pct: float | None = None
    bounded: int = 0
    sure: int = 0
    bounds_lo_pct: float | None = None
    bounds_hi_pct: float | None = None
    mape_least_pct: float | None = None
    mape_most_pct: float | None = None
    loa_lo_pct: float | None = None
    loa_hi_pct: float | None = None
    diff_j: float | None = None
    diff_lo_j: float | None = None
    diff_hi_j: float | None = None
    ratios: tuple[float, ...] = ()
    pairs: tuple[Pair, ...] = ()
    reason: str = ""
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetRun:
    """Gross and net energy of one run.

    Attributes:
        gross_j: all that the direct meters counted, with hard bounds.
        net_j: gross less idle power times duration; ``net_unc_j`` is its standard uncertainty, from
            the baseline and the reading's edges, ``net_reason`` why there is none.
        tail_j: energy above idle in the ``tail_s`` seconds after the end; in neither of the two.
        methods: meter and method of each reading in the gross.
        origin: ``simulated`` or ``replayed`` where no sensor was read in this run; else empty.
    """

    session: str
    experiment_id: str
    model: str
    role: str
    status: str
    reason: str
    duration_s: float
    gross_j: float | None
    lo_j: float | None
    hi_j: float | None
    net_j: float | None
    net_unc_j: float | None
    net_reason: str
    idle_w: float | None
    idle_unc_w: float | None
    tail_j: float | None
    tail_s: float | None
    methods: tuple[str, ...] = ()
    origin: str = ""

    @property
    def shown(self) -> str:
        """What its joules may be called on the page."""
        return self.origin if self.origin and self.status in ("measured", "partial") else self.status

    @property
    def detailed(self) -> bool:
        """Whether anything but the joules themselves is known of how they were measured."""
        return bool(self.methods or self.net_reason) or any(
            value is not None for value in (self.lo_j, self.net_j, self.idle_w, self.tail_j)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetModel:
    """Medians of one model's runs that have both gross and net energy, with their quartiles.

    ``statuses`` are what the joules may be called, and how many runs are called so.
    """

    model: str
    n: int
    statuses: tuple[tuple[str, int], ...]
    gross_j: float
    gross_lo_j: float
    gross_hi_j: float
    net_j: float
    net_lo_j: float
    net_hi_j: float
    net_unc_j: float | None
    idle_w: float | None
    idle_unc_w: float | None
    idle_share: float
    tail_n: int
    tail_j: float | None
    tail_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleChannel:
    """Idle power of one channel over all baselines of a session.

    Attributes:
        n: baselines taken; in ``known`` of them its power was seen, of the rest ``reasons`` say why not.
        power_w: their median, ``lo_w`` to ``hi_w`` their range, ``unc_w`` the median of their standard
            uncertainties.
        seconds: watched in all.
    """

    session: str
    meter: str
    channel: str
    n: int
    known: int
    power_w: float | None
    lo_w: float | None
    hi_w: float | None
    unc_w: float | None
    seconds: float
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """What became of one channel's readings in one kind of window, over all runs.

    Attributes:
        window: ``process``, ``training``, ``epoch``, ``joint``, ``idle`` or ``tail``.
        reasons: status, reason code and how many readings have both.
        covered: mean share of the window that samples cover, of the readings with joules.
        half_width_pct: median of half the bounds' width over the value, None without bounds.
    """

    meter: str
    channel: str
    kind: str
    window: str
    n: int
    measured: int
    partial: int
    estimated: int
    unavailable: int
    reasons: tuple[tuple[str, str, int], ...]
    methods: tuple[tuple[str, int], ...]
    covered: float | None
    half_width_pct: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A window on the time axis of a trace; seconds after the start of the process."""

    name: str
    program: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Watts (or another quantity) of one channel over time.

    Attributes:
        form: ``counter``: mean over each step, so that the area is the counter's energy; ``gauge``:
            what the sensor said; ``window``: one mean over all, since the meter knows no more.
        points: (start_s, end_s, mean, least, most) of each step; only a gauge has least and most.
    """

    meter: str
    quantity: str
    unit: str
    form: Literal["counter", "gauge", "window"]
    kind: str
    points: tuple[tuple[float, float, float, float, float], ...]
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The lines of one channel."""

    channel: str
    unit: str
    lines: tuple[Line, ...]
    faults: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerTrace:
    """One run's traces, downsampled.

    Attributes:
        rank: which of the runs it is: ``least``, ``median`` or ``most`` energy.
        status: of its joules, or ``simulated``, ``replayed``.
    """

    session: str
    experiment_id: str
    model: str
    rank: str
    joules: float
    status: str
    spans: tuple[Span, ...]
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """How the joules came about: net of idle, by channel and status, and over time."""

    runs: tuple[NetRun, ...] = ()
    models: tuple[NetModel, ...] = ()
    idle: tuple[IdleChannel, ...] = ()
    channels: tuple[ChannelStatus, ...] = ()
    traces: tuple[PowerTrace, ...] = ()
    notes: tuple[str, ...] = ()
