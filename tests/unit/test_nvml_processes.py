"""Who uses a GPU, by a driver that says little, much or nonsense."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.meters.nvml_processes import Crowd
from energy_plugin.meters.tape import SensorError

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
BEGAN = datetime(2026, 11, 21, 19, tzinfo=UTC)


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


class Held:
    """A clock that is moved by hand; the wall clock may be set on its own."""

    def __init__(self) -> None:
        self.now = 100 * SECOND
        self.wall = BEGAN

    def now_ns(self) -> int:
        return self.now

    def utc(self) -> datetime:
        return self.wall

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.wall += timedelta(seconds=seconds)


class Driver:
    """What NVML would answer; an int is raised as its error code."""

    def __init__(self) -> None:
        self.compute: Any = []
        self.graphics: Any = []
        self.shares: Any = 6
        self.asked: list[str] = []

    def library(self) -> SimpleNamespace:
        def answer(name: str) -> Any:
            def nvml(*_: object) -> Any:
                self.asked.append(name)
                found = getattr(self, name)
                if isinstance(found, int):
                    raise NVMLError(found)
                return found

            nvml.__name__ = name
            return nvml

        return SimpleNamespace(
            NVMLError=NVMLError,
            nvmlDeviceGetComputeRunningProcesses=answer("compute"),
            nvmlDeviceGetGraphicsRunningProcesses=answer("graphics"),
            nvmlDeviceGetProcessUtilization=answer("shares"),
            nvmlSystemGetProcessName=lambda pid: b"/usr/bin/of-the-driver",
        )


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setitem(sys.modules, "pynvml", made.library())
    return made


def process(pid: int, memory: int | None = 1000) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=memory)


def share(pid: int, wall: datetime, percent: int) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, timeStamp=int(wall.timestamp() * 1e6), smUtil=percent)


def test_a_process_is_known_from_its_first_to_its_last_sight_with_its_most_memory(driver: Driver) -> None:
    clock = Held()
    crowd = Crowd(object(), "gpu:x", clock)
    for memory in (1000, 5000, 2000):
        driver.compute = [process(os.getpid(), memory)]
        crowd.look()
        clock.sleep(1)
    driver.compute = []
    crowd.look()
    (seen,) = crowd.processes()
    assert (seen.channel, seen.pid, seen.memory_bytes) == ("gpu:x", os.getpid(), 5000)
    assert (seen.first_ns, seen.last_ns) == (100 * SECOND, 102 * SECOND)
    assert seen.name.startswith("py")


def test_graphics_count_too_and_unknown_memory_is_none_held(driver: Driver, tmp_path: Path) -> None:
    driver.graphics = [process(7, None)]
    crowd = Crowd(object(), "gpu:x", Held(), procfs=tmp_path)
    crowd.look()
    (seen,) = crowd.processes()
    assert (seen.pid, seen.memory_bytes, seen.name) == (7, 0, "of-the-driver")


def test_shares_come_in_our_own_time_whatever_the_wall_clock_does(driver: Driver) -> None:
    clock = Held()
    crowd = Crowd(object(), "gpu:x", clock)
    driver.shares = [share(7, clock.wall - timedelta(seconds=0.2), 50)]
    crowd.look()
    clock.sleep(1)
    clock.wall -= timedelta(hours=2)  # set back by an administrator
    driver.shares = [share(7, clock.wall - timedelta(seconds=0.1), 80)]
    crowd.look()
    (seen,) = crowd.processes()
    assert [percent for _, percent in seen.sm_percent] == [50, 80]
    times = [t_ns for t_ns, _ in seen.sm_percent]
    assert times == pytest.approx([99.8 * SECOND, 100.9 * SECOND], abs=1e6)


def test_a_look_after_a_long_pause_misses_no_share(driver: Driver) -> None:
    clock = Held()
    crowd = Crowd(object(), "gpu:x", clock)
    driver.shares = [share(7, clock.wall, 10)]
    crowd.look()
    driver.shares = [share(7, clock.wall + timedelta(seconds=s), 10 + s) for s in (3, 1, 2)]
    clock.sleep(3)
    crowd.look()
    clock.sleep(1)
    crowd.look()  # the driver tells them again
    (seen,) = crowd.processes()
    assert [percent for _, percent in seen.sm_percent] == [10, 11, 12, 13]


def test_shares_of_long_ago_are_not_of_this_attempt(driver: Driver) -> None:
    clock = Held()
    crowd = Crowd(object(), "gpu:x", clock)
    driver.shares = [share(7, clock.wall - timedelta(seconds=30), 50)]
    crowd.look()
    assert crowd.processes() == []


def test_what_is_not_supported_is_asked_once(driver: Driver) -> None:
    driver.shares = 3
    crowd = Crowd(object(), "gpu:x", Held())
    for _ in range(3):
        crowd.look()
    assert driver.asked.count("shares") == 1
    assert driver.asked.count("compute") == 3


def test_a_gpu_that_tells_nothing_says_so(driver: Driver) -> None:
    driver.compute = driver.graphics = driver.shares = 4
    with pytest.raises(SensorError) as error:
        Crowd(object(), "gpu:x", Held()).look()
    assert error.value.code == "not-supported"


@pytest.mark.parametrize("code", [6, 10, 15, 999])
def test_an_error_that_may_pass_is_no_process_and_asked_again(driver: Driver, code: int) -> None:
    driver.compute = driver.graphics = driver.shares = code
    crowd = Crowd(object(), "gpu:x", Held())
    crowd.look()
    crowd.look()
    assert crowd.processes() == []
    assert driver.asked.count("compute") == 2
