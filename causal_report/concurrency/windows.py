"""Joules of a pair's run while only one of its programs was there, from the windows of the readings."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from causal_report.findings import Response
    from causal_report.sources.source import Source

    Reading = Mapping[str, Any]

TRUST = {"measured": 0, "partial": 1, "estimated": 2}


class Own(TypedDict, total=False):
    """Fields of a pair's run."""

    own_a_j: float
    own_b_j: float
    own_a_lo_j: float
    own_b_lo_j: float


def of(sources: Sequence[Source]) -> Mapping[tuple[str, str], tuple[Reading, ...]]:
    """Readings of whole programs and of both, by session and run."""
    found: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    for source in sources:
        for reading in source.readings:
            if reading["window"] in ("process", "joint"):
                found[source.name, str(reading["experiment_id"])].append(reading)
    return {key: tuple(readings) for key, readings in found.items()}


def own(readings: Sequence[Reading], response: Response, joint_j: float | None) -> Own:
    """What the whole took less what it took while the other was there, channel by channel.

    Only if the channels that have all three windows make up the joint joules. The hard bounds of
    the readings give a lower bound: at least the joint's lower less the other's upper bound.
    """
    if joint_j is None:
        return {}
    spans: dict[str, dict[tuple[str, str], Reading]] = {"joint": {}, "a": {}, "b": {}}
    for reading in readings:
        span = "joint" if reading["window"] == "joint" else str(reading["program"])
        if span in spans and reading["joules"] is not None and _counts(reading, response):
            spans[span][str(reading["meter"]), str(reading["channel"])] = reading
    best: dict[str, tuple[str, str]] = {}
    for key in sorted(spans["joint"], key=lambda key: _rank(spans["joint"][key])):
        best.setdefault(key[1], key)
    keys = [key for key in best.values() if key in spans["a"] and key in spans["b"]]
    total = sum(float(spans["joint"][key]["joules"]) for key in keys)
    if not keys or abs(total - joint_j) > 0.01 * joint_j:
        return {}
    found = {
        f"own_{mine}_j": sum(_less(spans["joint"][k], spans[other][k]) for k in keys)
        for mine, other in (("a", "b"), ("b", "a"))
    }
    least = {
        f"own_{mine}_lo_j": sum(_least(spans["joint"][k], spans[other][k]) for k in keys)
        for mine, other in (("a", "b"), ("b", "a"))
    }
    return Own(**{**found, **least})  # type: ignore[typeddict-item]


def _counts(reading: Reading, response: Response) -> bool:
    if str(reading["channel"]).startswith("mains:"):
        return False
    if response.estimator:
        return bool(reading["meter"] == response.estimator)
    return bool(reading["kind"] == "direct")


def _rank(reading: Reading) -> tuple[int, str]:
    return TRUST.get(str(reading["status"]), len(TRUST)), str(reading["meter"])


def _less(whole: Reading, other: Reading) -> float:
    return max(0.0, float(whole["joules"]) - float(other["joules"]))


def _least(whole: Reading, other: Reading) -> float:
    lo, hi = whole.get("lo_j"), other.get("hi_j")
    return max(0.0, float(lo) - float(hi)) if lo is not None and hi is not None else 0.0
