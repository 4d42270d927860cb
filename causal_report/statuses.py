"""What became of every reading: status and reason by meter, channel and kind of window."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from causal_report.findings.metering import ChannelStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal_report.sources.source import Source

    Reading = Mapping[str, Any]

WINDOWS = ("process", "joint", "training", "epoch", "idle", "tail")
KINDS = ("direct", "model")


def count(sources: Sequence[Source]) -> tuple[ChannelStatus, ...]:
    """Every attempt counts, failed ones too: a meter may have failed with them."""
    groups: dict[tuple[str, str, str, str], list[Reading]] = defaultdict(list)
    for source in sources:
        for reading in source.readings:
            window = str(reading["window"]).split(":")[0]
            key = (str(reading["kind"]), window, str(reading["meter"]), str(reading["channel"]))
            groups[key].append(reading)
    ordered = sorted(groups, key=lambda k: (_place(WINDOWS, k[1]), _place(KINDS, k[0]), k[2], k[3]))
    return tuple(_one(key, groups[key]) for key in ordered)


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _one(key: tuple[str, str, str, str], readings: Sequence[Reading]) -> ChannelStatus:
    kind, window, meter, channel = key
    states = Counter(str(r["status"]) for r in readings)
    reasons = Counter((str(r["status"]), str(r["reason"])) for r in readings if r["reason"])
    known = [r for r in readings if r["joules"] is not None]
    widths = [width for r in known if (width := _half_width(r)) is not None]
    return ChannelStatus(
        meter=meter,
        channel=channel,
        kind=kind,
        window=window,
        n=len(readings),
        measured=states["measured"],
        partial=states["partial"],
        estimated=states["estimated"],
        unavailable=states["unavailable"],
        reasons=tuple((*name, n) for name, n in reasons.most_common()),
        methods=tuple(Counter(str(r["method"]) for r in known if r.get("method")).most_common()),
        covered=fmean(map(_covered, known)) if known else None,
        half_width_pct=100 * median(widths) if widths else None,
    )


def _covered(reading: Reading) -> float:
    """Share of the window with samples; a window of no length is covered."""
    span_s = (int(reading["t1_ns"]) - int(reading["t0_ns"])) / 1e9 if "t1_ns" in reading else 0.0
    return min(1.0, float(reading.get("covered_s") or 0.0) / span_s) if span_s > 0 else 1.0


def _half_width(reading: Reading) -> float | None:
    lo, hi, joules = (reading.get(name) for name in ("lo_j", "hi_j", "joules"))
    return None if lo is None or hi is None or not joules else (hi - lo) / 2 / joules
