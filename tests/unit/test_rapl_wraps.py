"""A powercap zone's counter wraps: what it says over a wrap, after a reset, after a long gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from energy_plugin.meters.polling import SensorError
from energy_plugin.meters.rapl_counters import ZoneCounter
from energy_plugin.meters.rapl_kernel import Kernel

if TYPE_CHECKING:
    from pathlib import Path


class Values(Kernel):
    """A zone that reads these joules one after the other, of this range."""

    def __init__(self, *joules: float, range_j: float | None = 1000.0) -> None:
        self.joules = list(joules)
        self.range_j = range_j

    def read_text(self, file: Path) -> str:
        if file.name == "max_energy_range_uj":
            if self.range_j is None:
                raise FileNotFoundError(file)
            return str(round(self.range_j * 1e6))
        return str(round(self.joules.pop(0) * 1e6))


def test_a_wrap_is_counted_on(tmp_path: Path) -> None:
    counter = ZoneCounter(Values(990.0, 998.0, 4.0, 990.0, 1.0), tmp_path)
    times = (0, 100_000_000, 200_000_000, 1_200_000_000, 1_300_000_000)
    read = [counter.joules(t) for t in times]
    assert read == pytest.approx([990.0, 998.0, 1004.0, 1990.0, 2001.0])


@pytest.mark.parametrize("range_j", [262143.0, 0.0, None])
def test_a_fall_that_is_no_wrap_is_a_reset(tmp_path: Path, range_j: float | None) -> None:
    counter = ZoneCounter(Values(5000.0, 0.0, 3.0, range_j=range_j), tmp_path)
    counter.joules(0)
    with pytest.raises(SensorError) as caught:
        counter.joules(100_000_000)
    assert caught.value.code == "counter-reset"
    assert counter.joules(200_000_000) == pytest.approx(3.0), "below the last: integrate splits here"


def test_after_a_gap_that_may_hide_a_wrap_nobody_knows(tmp_path: Path) -> None:
    counter = ZoneCounter(Values(10.0, 20.0, 30.0, range_j=262143.0), tmp_path)
    counter.joules(0)
    counter.joules(100_000_000_000)  # 100 s at 2 kW are no whole range
    with pytest.raises(SensorError) as caught:
        counter.joules(300_000_000_000)
    assert caught.value.code == "wraps-unknown"
