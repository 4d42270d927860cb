"""The idle baselines of the sessions, by channel: what rest costs, and when it could not be seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

from causal_report.findings.metering import IdleChannel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal_report.sources.source import Source


def channels(sources: Sequence[Source]) -> tuple[IdleChannel, ...]:
    """One line for each channel of each session that was watched at rest."""
    found: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for source in sources:
        for baseline in source.baselines:
            for level in baseline.get("levels", ()):
                found[source.name, str(level["meter"]), str(level["channel"])].append(level)
    return tuple(_one(key, levels) for key, levels in found.items())


def _one(key: tuple[str, str, str], levels: Sequence[Mapping[str, Any]]) -> IdleChannel:
    known = [float(v["power_w"]) for v in levels if v.get("power_w") is not None]
    uncertainties = [float(v["unc_w"]) for v in levels if v.get("unc_w") is not None]
    reasons = Counter(str(v["reason"]) for v in levels if v.get("reason"))
    return IdleChannel(
        session=key[0],
        meter=key[1],
        channel=key[2],
        n=len(levels),
        known=len(known),
        power_w=median(known) if known else None,
        lo_w=min(known, default=None),
        hi_w=max(known, default=None),
        unc_w=median(uncertainties) if uncertainties else None,
        seconds=sum(float(v.get("seconds") or 0.0) for v in levels),
        reasons=tuple(reasons.most_common()),
    )
