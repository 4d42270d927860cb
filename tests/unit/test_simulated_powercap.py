"""The simulated powercap tree looks like Linux's, moves with its power, and wraps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.simulated.hardware import Cpu, activity
from tests.simulated.powercap import RANGE_UJ, Tree

if TYPE_CHECKING:
    from pathlib import Path

POWERS = {"energy-pkg": 50.0, "energy-ram": 5.0}


def zones(cpu: Cpu) -> dict[str, str]:
    found = sorted((cpu.folder / "sys/class/powercap").iterdir())
    return {zone.name: (zone / "name").read_text().strip() for zone in found}


def joules(cpu: Cpu, zone: str) -> float:
    return int((cpu.folder / "sys/class/powercap" / zone / "energy_uj").read_text()) / 1e6


def test_every_package_has_its_zone_and_its_parts(tmp_path: Path) -> None:
    power_w = {**POWERS, "energy-cores": 30.0, "energy-psys": 90.0}
    cpu = Cpu(folder=tmp_path, power_w=power_w, sockets=2, mmio=True)
    cpu.install()
    assert zones(cpu) == {
        "intel-rapl-mmio:0": "package-0",
        "intel-rapl-mmio:1": "package-1",
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:1:0": "core",
        "intel-rapl:1:1": "dram",
        "intel-rapl:2": "psys",
    }
    folder = tmp_path / "sys/class/powercap/intel-rapl:0"
    assert int((folder / "max_energy_range_uj").read_text()) == RANGE_UJ


def test_dies_are_zones_of_their_own(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w={"energy-pkg": 50.0}, dies=2)
    cpu.install()
    assert list(zones(cpu).values()) == ["package-0-die-0", "package-0-die-1"]
    assert (tmp_path / "sys/bus/event_source/devices/power/cpumask").read_text() == "0,1\n"
    topology = tmp_path / "sys/devices/system/cpu/cpu1/topology"
    assert [(topology / name).read_text() for name in ("physical_package_id", "die_id")] == ["0\n", "1\n"]


def test_counters_move_with_power_and_live_work_while_the_writer_runs(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS)
    cpu.install()
    with cpu.live():
        a_ns, a_j = time.monotonic_ns(), joules(cpu, "intel-rapl:0")
        with activity(cpu.activity, 100.0):
            time.sleep(0.3)
        time.sleep(0.1)
        b_ns, b_j = time.monotonic_ns(), joules(cpu, "intel-rapl:0")
        truth = cpu.energy_j("energy-pkg", a_ns, b_ns)
        assert truth == pytest.approx(50 * (b_ns - a_ns) / 1e9 + 30, rel=0.1)
        # At most one period (5 ms, more on a busy machine) old at either end.
        assert b_j - a_j == pytest.approx(truth, abs=150 * 0.05)
    still = joules(cpu, "intel-rapl:0")
    time.sleep(0.05)
    assert joules(cpu, "intel-rapl:0") == still


def test_a_counter_wraps_at_its_range(tmp_path: Path) -> None:
    now_ns = time.monotonic_ns()
    cpu = Cpu(folder=tmp_path, power_w={"energy-pkg": 50.0}, t0_ns=now_ns, base_j=RANGE_UJ / 1e6 - 10)
    cpu.install()
    tree = Tree(tmp_path)
    tree.write(now_ns + 10**8)
    before = joules(cpu, "intel-rapl:0")
    tree.write(now_ns + 10**9)
    after = joules(cpu, "intel-rapl:0")
    tree.close()
    assert before == pytest.approx(RANGE_UJ / 1e6 - 5, abs=0.1)
    assert after == pytest.approx(40, abs=0.1)
    assert (after - before) % (RANGE_UJ / 1e6) == pytest.approx(45, abs=0.01)


def test_a_file_kept_open_shows_new_values(tmp_path: Path) -> None:
    now_ns = time.monotonic_ns()
    cpu = Cpu(folder=tmp_path, power_w={"energy-pkg": 50.0}, t0_ns=now_ns)
    cpu.install()
    tree = Tree(tmp_path)
    with (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").open() as file:
        for second, expected in ((1, 50), (30, 1500), (200, 10000)):
            tree.write(now_ns + second * 10**9)
            file.seek(0)
            assert int(file.read()) / 1e6 == pytest.approx(expected, abs=0.1)
    tree.close()


def test_mirrored_packages_show_the_same(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w={"energy-pkg": 50.0}, sockets=2, skew=0.3, mirrored=True)
    cpu.install()
    assert joules(cpu, "intel-rapl:0") == joules(cpu, "intel-rapl:1") > 0
