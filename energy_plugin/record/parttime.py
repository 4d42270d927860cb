"""Bounds for a counter that may look at its device only part of the time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energy_plugin.record.trace import Reading


def part_time_bounds(reading: Reading, duty: float, least_w: float, most_w: float) -> Reading:
    """The reading with bounds that hold even if its counter sums only its own part-time samples.

    A100 and H100 measure 25 ms of every 100 ms (Yang, Adamek, Armour, "Part-time Power Measurements:
    nvidia-smi's Lack of Attention", SC24, arXiv 2312.02741). Whether their energy counter integrates the
    whole time or these samples is not published. If the latter, the share *duty* of the window was seen
    and holds *duty* times the joules read; of the rest is known only what the device can draw.

    Args:
        reading: of a counter; one without bounds comes back as it is.
        duty: share of the time the sensor looks, 0.25 for the GPUs named.
        least_w: power the device never falls below, its idle floor.
        most_w: power it never exceeds, its enforced limit.

    Raises:
        ValueError: *duty* is not in (0, 1] or the powers are not in order.
    """
    if not 0 < duty <= 1 or not 0 <= least_w <= most_w < math.inf:
        raise ValueError(f"duty {duty}, least {least_w} W, most {most_w} W")
    if reading.lo_j is None or reading.hi_j is None:
        return reading
    unseen_s = (1 - duty) * reading.covered_s
    lo_j = min(reading.lo_j, duty * reading.lo_j + unseen_s * least_w)
    hi_j = max(reading.hi_j, duty * reading.hi_j + unseen_s * most_w)
    said = f"bounds for a sensor that looks {duty:.0%} of the time"
    return replace(
        reading,
        lo_j=lo_j,
        hi_j=hi_j,
        unc_j=(hi_j - lo_j) / math.sqrt(12),
        detail=f"{reading.detail}; {said}" if reading.detail else said,
    )
