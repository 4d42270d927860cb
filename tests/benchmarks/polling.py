"""What watching costs the processor: our polling threads beside CodeCarbon's at its 1 s rate.

``python -m tests.benchmarks.polling [SECONDS]`` measures them at the same time on one simulated GPU whose
calls take no time (and, for nvml with rapl, a powercap tree of two packages and their memory), each in a
process of its own, and prints the CPU time of everything but the main thread as a share of one core. The
window was opened two seconds before: the dense polling at its edges is apart. Target: at most 0.15 %, for
both of ours together, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from tests.simulated.hardware import Cpu, Gpu

ROOT = Path(__file__).parents[2]
OPENED_S = 2.0
MEASURE = """
import sys, time
def background(seconds):
    began, main = time.process_time(), time.thread_time()
    time.sleep(seconds)
    print(100 * (time.process_time() - began - (time.thread_time() - main)) / seconds)
"""
OURS = """
from energy_plugin.meters.nvml import NvmlMeter
meter = NvmlMeter()
assert all(channel.alive and channel.kind == "direct" for channel in meter.probe())
meter.start(); time.sleep(meter.lead_s); meter.edge("open"); time.sleep(float(sys.argv[2]))
background(float(sys.argv[1]))
"""
BOTH = """
from pathlib import Path
from energy_plugin.meters.nvml import NvmlMeter
from energy_plugin.meters.rapl import RaplMeter
meters = [NvmlMeter(), RaplMeter(sysfs=Path(sys.argv[3]), procfs=Path(sys.argv[4]))]
assert all(channel.alive for meter in meters for channel in meter.probe())
for meter in meters:
    meter.start()
time.sleep(max(meter.lead_s for meter in meters))
for meter in meters:
    meter.edge("open")
time.sleep(float(sys.argv[2]))
background(float(sys.argv[1]))
"""
CODECARBON = """
from codecarbon import OfflineEmissionsTracker
tracker = OfflineEmissionsTracker(country_iso_code="USA", measure_power_secs=1, save_to_file=False)
tracker.start(); time.sleep(5)
background(float(sys.argv[1]))
tracker.stop()
"""


def begin(code: str, seconds: float, environment: dict[str, str], *more: Path) -> subprocess.Popen[str]:
    """Start one of them."""
    command = [sys.executable, "-c", MEASURE + code, str(seconds), str(OPENED_S), *map(str, more)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Print all shares, and how busy the machine was."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder:
        gpu = Gpu(folder=Path(folder) / "gpu", t0_ns=time.monotonic_ns())
        cpu = Cpu(
            folder=Path(folder) / "cpu", power_w={"energy-pkg": 50.0, "energy-ram": 5.0}, sockets=2, skew=0.1
        )
        for made in (gpu, cpu):
            made.folder.mkdir()
        environment = {**os.environ, **gpu.install(), "CODECARBON_LOG_LEVEL": "critical"}
        kernel = cpu.install()
        files = [Path(kernel[name]) for name in ("sysfs", "procfs")]
        with cpu.live():
            running = [begin(OURS, seconds, environment), begin(BOTH, seconds, environment, *files)]
            running.append(begin(CODECARBON, seconds, environment))
            shares = [float(child.communicate()[0].split()[0]) for child in running]
    print(f"background CPU over {seconds:g} s mid-window, load average {os.getloadavg()[0]:.1f}")
    names = ("nvml", "nvml and rapl", f"CodeCarbon {version('codecarbon')}, 1 s")
    for name, share in zip(names, shares, strict=True):
        print(f"{name:24} {share:.3f} % of a core")


if __name__ == "__main__":
    main()
