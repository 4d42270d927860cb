"""Power with nothing running, and what is left of a reading when it is taken off: net joules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from energy_plugin.record.trace import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Idle power of one channel as one meter saw it.

    Attributes:
        power_w: mean; None where it was refused or could not be seen, and ``reason`` says why.
        median_w: of the power second by second, where the meter tells it, else of the halves.
        unc_w: standard uncertainty of the mean: scatter, edges of the counter, drift within the window
            and since the baseline before.
        drift_w: how much it rose from the first to the second half; None where there was but one.
        temperature_c: mean temperature of the device, if it tells one.
        seconds: how long it was watched.
        reason: stable code: ``foreign-gpu-process``, ``gpu-busy``, ``cpu-busy``, ``too-few-updates``,
            ``not-back`` (seen, but above the level before) or the fault of the meter.
    """

    meter: str
    channel: str
    power_w: float | None
    median_w: float | None = None
    unc_w: float | None = None
    drift_w: float | None = None
    temperature_c: float | None = None
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The machine at rest in one window.

    Attributes:
        name: ``idle:before``, ``idle:between`` or ``idle:after``.
        cpu_load: share of all processors' time that others than this session took.
        gpu_processes: processes that held a GPU meanwhile; None where no meter can tell.
        reason: why there are no levels at all; empty when there are.
    """

    name: str
    t0_ns: int = 0
    t1_ns: int = 0
    levels: tuple[Level, ...] = ()
    cpu_load: float | None = None
    gpu_processes: int | None = None
    reason: str = ""

    def level(self, meter: str, channel: str) -> Level | None:
        """What *meter* saw of *channel*, None if it was not watched."""
        return next((v for v in self.levels if (v.meter, v.channel) == (meter, channel)), None)


class Net(NamedTuple):
    """Joules above idle with their standard uncertainty; None with a reason where they are unknown."""

    joules: float | None
    unc_j: float | None
    reason: str = ""


def baseline_from_json(data: Mapping[str, Any]) -> Baseline:
    """The baseline whose ``asdict`` was journalled."""
    return Baseline(**{**data, "levels": tuple(Level(**level) for level in data["levels"])})


def net(reading: Reading) -> Net:
    """Gross less idle power over the seconds the joules are of.

    The uncertainty joins that of the idle power over these seconds with the reading's own; where
    it tells none, with its bracket, taken as uniform (half width / √3). Nothing is cut off at zero.
    """
    if reading.joules is None:
        return Net(None, None, reading.reason)
    if reading.idle_w is None:
        return Net(None, None, f"{reading.channel} idle power unknown")
    seconds = reading.covered_s if reading.status == "partial" else reading.window.duration_s
    edges_j = reading.unc_j or 0.0
    if reading.unc_j is None and reading.lo_j is not None and reading.hi_j is not None:
        edges_j = (reading.hi_j - reading.lo_j) / 2 / math.sqrt(3)
    unc_j = math.hypot((reading.idle_unc_w or 0.0) * seconds, edges_j)
    return Net(reading.joules - reading.idle_w * seconds, unc_j)


def net_of(readings: Iterable[Reading]) -> Net:
    """Net joules of several channels together; unknown as soon as one part's idle power is."""
    parts = [net(reading) for reading in readings if reading.joules is not None]
    if not parts:
        return Net(None, None, "no joules")
    reasons = sorted({part.reason for part in parts if part.joules is None})
    if reasons:
        return Net(None, None, "; ".join(reasons))
    joules = sum(part.joules for part in parts if part.joules is not None)
    return Net(joules, math.hypot(*(part.unc_j or 0.0 for part in parts)))
