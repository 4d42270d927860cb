"""What programs take of the processors, and who else is there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.clock import SystemClock
from energy_plugin.meters.protocols import GpuProcess
from energy_plugin.run.executors import proctree
from energy_plugin.run.executors.cgroup import ControlGroup
from energy_plugin.run.executors.protocols import Used
from energy_plugin.run.outcome import _slept_ns
from energy_plugin.run.usage import Gap, LoadWatch, UsageSampler, foreign, summed

if TYPE_CHECKING:
    from pathlib import Path

BUSY = "import time\nt = time.process_time()\nwhile time.process_time() - t < {}: pass\n"


def test_tree_counts_the_children_that_run_and_those_that_ended() -> None:
    code = (
        "import subprocess, sys, time\n"
        f"subprocess.run([sys.executable, '-c', {BUSY.format(0.2)!r}])\n"
        f"child = subprocess.Popen([sys.executable, '-c', {BUSY.format(0.2)!r} + 'time.sleep(60)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        deadline = time.monotonic() + 30
        while True:
            used = proctree.used(parent.pid)
            assert used is not None
            if (used.cpu_s or 0) >= 0.4 or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert used.pids == {parent.pid, child}
        assert used.cpu_s is not None
        assert 0.4 <= used.cpu_s < 3
        assert (used.memory_bytes or 0) > 5e6
    finally:
        os.kill(child, 9)
        parent.kill()
        parent.communicate()
    assert proctree.used(parent.pid) is None


def test_tree_of_a_process_with_an_odd_name(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    (folder / "task" / "7").mkdir(parents=True)
    fields = ["0"] * 50
    fields[11:15] = ["100", "50", "20", "30"]
    fields[21] = "10"
    (folder / "stat").write_text(f"7 (a ) b (c) {' '.join(fields)}")
    used = proctree.used(7, tmp_path)
    assert used == Used(
        source="procfs",
        cpu_s=200 / proctree.TICKS,
        memory_bytes=10 * proctree.PAGE,
        pids=frozenset({7}),
    )


def test_control_group_tells_memory_and_processes_of_either_version(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, name in ((one, "memory.usage_in_bytes"), (two, "memory.current")):
        folder.mkdir()
        (folder / name).write_text("4096\n")
        (folder / "cgroup.procs").write_text("11\n12\n")
        group = ControlGroup(cpu=folder, memory=folder)
        assert group.memory_now() == 4096
        assert group.pids() == {11, 12}
    assert ControlGroup(cpu=None, memory=None).pids() == frozenset()


class Job:
    """Uses what it is told to."""

    def __init__(self, *used: Used | None) -> None:
        self.left = list(used)

    def poll(self) -> None:
        return None

    def used(self) -> Used | None:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def sampler(**jobs: Any) -> UsageSampler:
    programs: Any = [SimpleNamespace(role=role) for role in jobs]
    return UsageSampler(programs, list(jobs.values()), SystemClock())


def test_usage_traces_only_grow_and_name_the_program() -> None:
    first = Used(source="procfs", cpu_s=1.0, memory_bytes=10, pids=frozenset({1}))
    less = Used(source="procfs", cpu_s=0.5, memory_bytes=5, pids=frozenset({2}))
    usage = sampler(a=Job(first, less), b=Job(None))
    usage.start()
    time.sleep(0.5)
    usage.stop()
    gpu = [
        GpuProcess(channel="gpu:x", pid=1, first_ns=0, last_ns=9, sm_percent=((1, 40.0), (3, 60.0))),
        GpuProcess(channel="gpu:x", pid=9, first_ns=0, last_ns=9, sm_percent=((1, 30.0),)),
    ]
    a, b = usage.traces(gpu)
    assert (a.channel.id, b.channel.id) == ("program:a", "program:b")
    assert {value for _, value in a.gauges["cpu_time_s"]} == {1.0}
    assert {value for _, value in a.gauges["memory_bytes"]} == {10.0, 5.0}
    assert a.gauges["gpu_sm_percent"] == ((1, 40.0), (3, 60.0))
    assert b.gauges == {}
    assert usage.pids() == {1, 2}
    assert usage.gaps() == []


def test_time_in_which_nothing_could_be_sampled_is_a_gap() -> None:
    usage = sampler(a=Job(None))
    for tick_ns in [0, 200, 400, 3400, 3600, 3800, 4000, 4200, 4400, 4600, 4800]:
        usage._tick(tick_ns * 10**6)
    assert usage.gaps() == [Gap(400 * 10**6, 3400 * 10**6)]
    assert len(usage._ticks) < 8


def test_long_samples_without_gap_stay_few() -> None:
    usage = sampler(a=Job(None))
    for i in range(5000):
        usage._tick(i * 200 * 10**6)
    assert usage.gaps() == []
    assert len(usage._ticks) < 1700


def test_end_seen_right_after_a_gap_may_have_been_in_it() -> None:
    gaps = [Gap(10 * 10**9, 12 * 10**9)]
    assert _slept_ns(12 * 10**9 + 10**8, gaps) == 2 * 10**9 + 10**8
    assert _slept_ns(11 * 10**9, gaps) == 10**9
    assert _slept_ns(13 * 10**9, gaps) == 0
    assert _slept_ns(9 * 10**9, gaps) == 0


def test_steps_of_several_processes_add_up() -> None:
    assert summed([[(1, 10.0), (5, 20.0)], [(3, 7.0)]]) == ((1, 10.0), (3, 17.0), (5, 27.0))
    assert summed([]) == ()


def process(pid: int, first_ns: int, last_ns: int) -> GpuProcess:
    return GpuProcess(channel="gpu:x", pid=pid, name="x", memory_bytes=1, first_ns=first_ns, last_ns=last_ns)


@pytest.mark.parametrize(
    ("host_pids", "expected"), [(True, {2: "before", 3: "during"}), (False, {2: "before"})]
)
def test_processes_that_are_not_the_programs_are_foreign(host_pids: bool, expected: dict[int, str]) -> None:
    seen = [
        process(1, 60, 90),
        process(2, 10, 90),
        process(3, 60, 70),
        process(4, 1, 5),
        process(5, 200, 210),
    ]
    found = foreign(seen, {1}, (10, 50, 100), host_pids=host_pids)
    assert {entry["pid"]: entry["when"] for entry in found} == expected


def test_load_is_that_of_others_only() -> None:
    clock = SystemClock()
    cpus = os.cpu_count() or 1
    worked = iter([10.0, 10.0 + 0.1 * cpus])
    watch = LoadWatch(clock, lambda: next(worked))
    time.sleep(0.2)
    share = watch.share()
    assert share is not None
    assert 0.3 < share <= 0.5
    assert LoadWatch(clock, lambda: None).share() is None


def test_sampling_takes_little() -> None:
    usage = sampler(a=SimpleNamespace(poll=lambda: None, used=lambda: proctree.used(os.getpid())))
    before = time.process_time()
    usage.start()
    time.sleep(2.0)
    usage.stop()
    assert time.process_time() - before < 0.1
    assert len(usage.traces()[0].gauges["cpu_time_s"]) >= 5
