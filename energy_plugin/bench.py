"""Hands a case's value to pytest-benchmark, so that its JSON, compare and compare-fail see joules.

pytest-benchmark compares only its own statistics, so the value must be one. The case is run first;
then a replay clock lets ``benchmark.pedantic`` read exactly the chosen value. Only public means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.rows import Row, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.record.record import Record

VALUE_KEY = "wattwhy_value"
GROUP = "wattwhy"
STATUS_OF = {
    "total_energy_joules": "total_energy_status",
    "energy_cpu_total_joules": "energy_cpu_status",
    "energy_gpu_total_joules": "energy_gpu_status",
}
OF_A_PAIR = {
    "total_energy_joules": ("shared_energy_joules", "shared_energy_status"),
    "duration_seconds": ("shared_duration_seconds", ""),
}
"""A pair is one test and two rows: compared is what both took together."""


class ReplayClock:
    """A timer whose readings differ by exactly the value."""

    def __init__(self) -> None:
        self.value = 0.0
        self._calls = 0

    def __call__(self) -> float:
        """0, value, value, 2 × value, ... : every pair of readings spans the value."""
        now = self.value * ((self._calls + 1) // 2)
        self._calls += 1
        return now


def carry(record: Record, request: pytest.FixtureRequest, column: str) -> None:
    """Make the value the only round of the test's benchmark; the rest goes into ``extra_info``.

    Without a value of the whole run the test is no benchmark.
    """
    row = rows(record)[0]
    value = _whole(row, column, pair=record.case.mode == "pair")
    # Part of the joules would look like an improvement; and a benchmark without a round is warned of.
    if value is None:
        return
    clock = ReplayClock()
    clock.value = value
    # Before the fixture is made: it reads timer and group from the marker.
    request.node.add_marker(pytest.mark.benchmark(timer=clock, group=f"{GROUP} {column}"))
    benchmark = request.getfixturevalue("benchmark")
    benchmark.extra_info.update({key: value for key, value in row.items() if value not in (None, "")})
    benchmark.extra_info["value"] = column
    benchmark.pedantic(lambda: None, rounds=1)


def _whole(row: Row, column: str, *, pair: bool) -> float | None:
    """The value, if it is of the whole run."""
    status = STATUS_OF.get(column, "")
    if column.startswith("estimate_"):
        status = f"{column.removesuffix('_joules')}_status"
    if pair:
        column, status = OF_A_PAIR.get(column, (column, status))
    value = row.get(column)
    whole = row.get(status, "measured") in ("measured", "estimated")
    return float(value) if value is not None and whole else None


class Guest:
    """pytest-benchmark's hooks; registered only where that plugin is and cases run."""

    def __init__(self, column: str) -> None:
        self._column = column

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Store which quantity the numbers are."""
        machine_info[VALUE_KEY] = self._column

    def pytest_benchmark_scale_unit(self, unit: str, benchmarks: Sequence[Any]) -> tuple[str, float] | None:
        """Leave joules unscaled; other benchmarks of the same session keep their units."""
        ours = all(str(b["group"]).startswith(GROUP) for b in benchmarks if b["group"])
        if unit == "seconds" and ours and any(b["group"] for b in benchmarks):
            return "", 1.0
        return None
