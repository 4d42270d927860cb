"""Control groups of containers: both generations, both drivers, and never another process's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from energy_plugin.run.executors.cgroup import Counters, find, read_usage

if TYPE_CHECKING:
    from pathlib import Path

ID = "4f" * 32


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def read(tmp_path: Path, lines: str, files: dict[str, str]) -> Counters | None:
    write(tmp_path / "proc", {"7/cgroup": lines})
    write(tmp_path / "cgroup", files)
    group = find(7, ID, tmp_path / "cgroup", tmp_path / "proc")
    return group.read() if group else None


V2 = {
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
    "memory.peak": "1048576\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n",
}


@pytest.mark.parametrize("path", [f"system.slice/docker-{ID}.scope", f"docker/{ID}"])
def test_unified_hierarchy_is_read_by_either_driver(tmp_path: Path, path: str) -> None:
    found = read(tmp_path, f"0::/{path}\n", {f"{path}/{name}": text for name, text in V2.items()})
    assert found == Counters(cpu_s=2.5, memory_peak_bytes=2**20, oom_kills=1)


def test_old_hierarchy_is_read_in_nanoseconds(tmp_path: Path) -> None:
    lines = f"5:memory:/docker/{ID}\n4:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"
    files = {
        f"cpuacct/docker/{ID}/cpuacct.usage": "2500000000\n",
        f"memory/docker/{ID}/memory.max_usage_in_bytes": "4096\n",
        f"memory/docker/{ID}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    }
    assert read(tmp_path, lines, files) == Counters(cpu_s=2.5, memory_peak_bytes=4096, oom_kills=2)


def test_unified_tree_beside_the_old_one_gives_what_the_old_one_lacks(tmp_path: Path) -> None:
    lines = f"5:memory:/docker/{ID}\n0::/docker/{ID}\n"
    files = {
        f"unified/docker/{ID}/cpu.stat": "usage_usec 1000000\n",
        f"memory/docker/{ID}/memory.max_usage_in_bytes": "4096\n",
    }
    assert read(tmp_path, lines, files) == Counters(cpu_s=1.0, memory_peak_bytes=4096)


def test_group_of_another_process_is_not_taken(tmp_path: Path) -> None:
    """The process id may have been given to somebody else since."""
    assert read(tmp_path, "0::/user.slice\n", {"user.slice/cpu.stat": "usage_usec 1\n"}) is None


def test_process_that_is_gone_has_no_group(tmp_path: Path) -> None:
    assert find(7, ID, tmp_path, tmp_path) is None


def test_vanished_files_are_unknown_and_not_zero(tmp_path: Path) -> None:
    assert read(tmp_path, f"0::/docker/{ID}\n", {}) == Counters()
    assert read(tmp_path, f"0::/docker/{ID}\n", {f"docker/{ID}/cpu.stat": "broken"}) == Counters()


@pytest.mark.parametrize(
    ("text", "counters"),
    [
        ("2500000000 4096\n", Counters(cpu_s=2.5, memory_peak_bytes=4096)),
        ("2500000000 \n", Counters(cpu_s=2.5)),
        ("000 \n", Counters()),
        ("", Counters()),
        ("garbage", Counters()),
    ],
)
def test_usage_that_the_container_wrote_is_read(tmp_path: Path, text: str, counters: Counters) -> None:
    (tmp_path / "usage").write_text(text)
    assert read_usage(tmp_path / "usage") == counters


def test_larger_counter_is_the_later_one() -> None:
    early = Counters(cpu_s=1.0, oom_kills=1)
    late = Counters(cpu_s=1.5, memory_peak_bytes=4096)
    assert early.at_least(late) == Counters(cpu_s=1.5, memory_peak_bytes=4096, oom_kills=1)
