"""Simulated meters with known truth: builds them in a folder and says what they must show."""

from __future__ import annotations

from tests.simulated.activity import activity, hook
from tests.simulated.cpu import Cpu
from tests.simulated.gpu import (
    GEFORCE,
    H100,
    PESSIMISTIC,
    V100,
    Counter,
    Fault,
    Gpu,
    Sensor,
    VirtualClock,
    build,
    load_here,
    lost,
    without_counter,
)
from tests.simulated.power import Burst, Drift, Ramp, Segment, Sine, Swing

__all__ = [
    "GEFORCE",
    "H100",
    "PESSIMISTIC",
    "V100",
    "Burst",
    "Counter",
    "Cpu",
    "Drift",
    "Fault",
    "Gpu",
    "Ramp",
    "Segment",
    "Sensor",
    "Sine",
    "Swing",
    "VirtualClock",
    "activity",
    "build",
    "hook",
    "load_here",
    "lost",
    "without_counter",
]
