"""The Zeus adapter on a stand-in for the package: no AMD GPU and no Apple chip was ever near it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.meters.zeus import ZeusMeter
from energy_plugin.record.trace import Window, integrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ERRORS = """
class ZeusGPUInitError(Exception): ...
class ZeusCPUInitError(Exception): ...
class ZeusSoCInitError(Exception): ...

def get_gpus(): raise ZeusGPUInitError("NVML and AMDSMI unavailable")
def get_cpus(): raise ZeusCPUInitError("RAPL unavailable")
def get_soc(): raise ZeusSoCInitError("no observable SoC")
"""

AMD = """
import time

class AMDGPU:
    def __init__(self, index, watts):
        self.gpu_index, self.watts = index, watts
    def get_name(self): return "AMD Instinct MI300X"
    def get_total_energy_consumption(self):
        if self.watts is None:
            raise RuntimeError("the counter is not accurate")
        return int(time.monotonic() * 50) / 50 * self.watts * 1000  # a tick of 20 ms

class AMDGPUs:
    gpus = [AMDGPU(0, 150.0), AMDGPU(1, 0.0), AMDGPU(2, None)]

def get_gpus(): return AMDGPUs()
"""

OLD_AMD = (
    AMD.replace("def get_name", "def getName")
    .replace("def get_total_energy_consumption", "def getTotalEnergyConsumption")
    .replace(", AMDGPU(1, 0.0), AMDGPU(2, None)", "")
)

NVIDIA = """
class NVIDIAGPUs:
    gpus = []

def get_gpus(): return NVIDIAGPUs()
"""

RAPL = """
import time
from types import SimpleNamespace

class RAPLCPU:
    def get_total_energy_consumption(self):
        return SimpleNamespace(cpu_mj=time.monotonic() * 20_000, dram_mj=time.monotonic() * 2_000)
    def supports_get_dram_energy_consumption(self): return True

class RAPLCPUs:
    cpus = [RAPLCPU()]

def get_cpus(): return RAPLCPUs()
"""

APPLE = """
import time
from types import SimpleNamespace

class AppleSilicon:
    def get_available_metrics(self): return {"cpu_total_mj", "gpu_mj", "ane_mj", "efficiency_cores_mj"}
    def get_total_energy_consumption(self):
        t = time.monotonic()
        return SimpleNamespace(cpu_total_mj=int(t * 10_000), gpu_mj=int(t * 5_000), ane_mj=0)

def get_soc(): return AppleSilicon()
"""

JETSON = """
class Jetson:
    def get_available_metrics(self): return {"cpu_energy_mj", "gpu_energy_mj", "total_energy_mj"}
    def get_total_energy_consumption(self): return None

def get_soc(): return Jetson()
"""


@pytest.fixture
def zeus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Writes a package ``zeus`` whose ``zeus.device`` ends with the given code."""

    def write(code: str) -> None:
        (tmp_path / "zeus").mkdir()
        (tmp_path / "zeus" / "__init__.py").write_text("")
        (tmp_path / "zeus" / "device.py").write_text(ERRORS + code)
        monkeypatch.syspath_prepend(tmp_path)

    yield write
    for name in [name for name in sys.modules if name == "zeus" or name.startswith("zeus.")]:
        del sys.modules[name]


def test_without_zeus_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeus", None)
    (channel,) = ZeusMeter().probe()
    assert (channel.alive, channel.reason) == (False, "not-installed")
    assert "pip install zeus-ml" in channel.fix


def test_an_amd_gpu_is_read_and_its_source_named(zeus: Callable[[str], None]) -> None:
    zeus(AMD)
    meter = ZeusMeter()
    channels = {channel.id: channel for channel in meter.probe()}
    live = channels["gpu:zeus-0"]
    assert (live.alive, live.source, live.kind) == (True, "amdsmi-counter", "direct")
    assert "not verified on hardware" in live.detail
    assert live.tick_s == pytest.approx(0.02, abs=0.015)
    assert channels["gpu:zeus-1"].reason == "dead-counter"
    assert channels["gpu:zeus-2"].reason == "zeus-failed"
    assert channels["cpu"].reason == "no-cpu"
    assert channels["soc"].reason == "no-soc"
    meter.start()
    time.sleep(0.3)
    t0_ns = time.monotonic_ns()
    meter.edge("open")
    time.sleep(0.5)
    meter.edge("close")
    t1_ns = time.monotonic_ns()
    time.sleep(0.3)
    (trace,) = meter.stop()
    reading = integrate(trace, Window(program="a", name="process", t0_ns=t0_ns, t1_ns=t1_ns), None)
    truth = 150 * (t1_ns - t0_ns) / 1e9
    assert reading.status == "measured"
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.lo_j <= truth <= reading.hi_j
    assert reading.joules == pytest.approx(truth, rel=0.1)


def test_the_names_of_older_releases_do_as_well(zeus: Callable[[str], None]) -> None:
    zeus(OLD_AMD)
    assert [c.id for c in ZeusMeter().probe() if c.alive] == ["gpu:zeus-0"]


def test_nvidia_gpus_are_left_to_nvml(zeus: Callable[[str], None]) -> None:
    zeus(NVIDIA)
    channels = {channel.id: channel for channel in ZeusMeter().probe()}
    assert not channels["gpu"].alive
    assert channels["gpu"].reason == "read-by-nvml"
    assert channels["gpu"].fix == "--energy-meters nvml"


def test_rapl_gives_the_same_channels_as_our_own_meter(zeus: Callable[[str], None]) -> None:
    zeus(RAPL)
    living = [c for c in ZeusMeter().probe() if c.alive]
    assert [c.id for c in living] == ["cpu:package:0", "cpu:dram:0"]
    assert {c.source for c in living} == {"rapl-powercap"}


def test_of_an_apple_chip_only_parts_that_do_not_overlap_are_read(zeus: Callable[[str], None]) -> None:
    zeus(APPLE)
    assert [c.id for c in ZeusMeter().probe() if c.alive] == ["cpu:package:0", "gpu:soc-0"]


def test_what_zeus_itself_sums_from_power_is_not_called_a_counter(zeus: Callable[[str], None]) -> None:
    zeus(JETSON)
    channels = {channel.id: channel for channel in ZeusMeter().probe()}
    assert not channels["soc"].alive
    assert "total_energy_mj" in channels["soc"].detail


def test_a_zeus_that_cannot_be_imported_is_a_reason_and_no_crash(zeus: Callable[[str], None]) -> None:
    zeus("raise OSError('libamd_smi.so: no such file')")
    (channel,) = ZeusMeter().probe()
    assert (channel.reason, channel.alive) == ("zeus-failed", False)
    assert "libamd_smi.so" in channel.detail


def test_it_is_safe_without_a_probe() -> None:
    meter = ZeusMeter()
    meter.start()
    meter.edge("open")
    assert list(meter.stop()) == []
    meter.close()
