"""Strips of ratios: what an estimator said over what the meter counted, one mark a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report.figures.labels import room
from causal_report.figures.rows import Plot
from causal_report.figures.scale import Scale, padded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal_report.findings.metering import Agreement

WIDTH, RIGHT, TOP, ROW, AXIS = 720, 24, 8, 40, 44
LEAST_LEFT, MOST_LEFT = 190, 340


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One estimator on one part: run marks, and its mean with interval where there is one."""

    y: float
    label: str
    marks: tuple[tuple[float, float], ...]
    mean: float
    lo: float
    hi: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips(Plot):
    """Everything the template places."""

    strips: tuple[Strip, ...]
    agreement: float


def strips(
    found: Sequence[Agreement], parts: Mapping[str, str], names: Mapping[str, str] | None = None
) -> Strips | None:
    """Ratios on a logarithmic axis that always holds 1; None where there are none."""
    shown = [a for a in found if a.ratios and min(a.ratios) > 0]
    if not shown:
        return None
    low, high = padded([*(r for a in shown for r in a.ratios), 0.9, 1.1], log=True)
    labels = [_label(a, parts, names or {}) for a in shown]
    left = room(labels, LEAST_LEFT, MOST_LEFT)
    scale = Scale(low=low, high=high, start=left, end=WIDTH - RIGHT, log=True)
    bottom = TOP + ROW * len(shown)
    return Strips(
        width=WIDTH,
        height=bottom + AXIS,
        left=left,
        bottom=bottom,
        strips=tuple(_strip(a, scale, TOP + ROW * (i + 0.5), labels[i]) for i, a in enumerate(shown)),
        ticks=tuple((scale(v), f"{v:g}") for v in scale.ticks(7)),
        agreement=scale(1.0),
    )


def _label(found: Agreement, parts: Mapping[str, str], names: Mapping[str, str]) -> str:
    return f"{names.get(found.estimator, found.estimator)}, {parts.get(found.part, found.part)}"


def _strip(found: Agreement, scale: Scale, y: float, label: str) -> Strip:
    ratio = found.ratio or 1.0
    lo, hi = (
        ratio if bound is None else max(1 + bound / 100, scale.low)
        for bound in (found.bias_lo_pct, found.bias_hi_pct)
    )
    # runs are spread over three lanes in their order, so that equal ratios stay visible
    marks = tuple((scale(r), round(y + 5 * (i % 3 - 1), 1)) for i, r in enumerate(found.ratios))
    return Strip(
        y=y,
        label=label,
        marks=marks,
        mean=scale(ratio),
        lo=scale(lo),
        hi=scale(hi),
        words=f"{label}: mean {ratio:.2f} over {found.n} runs",
    )
