"""A session of real trainings on simulated hardware that follows them.

The plugin runs as ever: a GPU behind NVML, a processor behind ``perf`` and a powercap tree, whose
powers rise and fall with the CPU time that each training really spends. CodeCarbon and the calculator
estimate beside them. Everything it leaves says ``simulated``:

    python -m tests.simulated.sample RESULTS --hardware EMPTY_FOLDER [arguments of pytest]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulated.follow import Follower
from tests.simulated.hardware import H100, Cpu, Gpu

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
DESIGN = "benchmarks/designs/sample.toml"
METERS = "perf,rapl,nvml,codecarbon,calculator"
GPU_IDLE_W, GPU_WORK_W = 60.0, 240.0
CPU_IDLE_W, CPU_WORK_W = {"energy-pkg": 20.0, "energy-ram": 3.0}, 45.0
CPU_SHARES = {"energy-pkg": 1.0, "energy-ram": 0.06}
RATED_W = {"cpu": 65, "gpu": 300}
REST_S = 0.4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the design on simulated hardware; pytest's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulated.sample", description=__doc__)
    parser.add_argument("results", type=Path, help="receives the session")
    parser.add_argument("--hardware", type=Path, required=True, help="receives the simulated hardware")
    parser.add_argument("--design", default=DESIGN)
    asked, more = parser.parse_known_args(argv)  # what it does not know is pytest's
    folder: Path = asked.hardware.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    now_ns = time.monotonic_ns()
    gpu = Gpu(folder=folder, t0_ns=now_ns, idle_w=GPU_IDLE_W, sensor=H100)
    cpu = Cpu(folder=folder, t0_ns=now_ns, power_w=CPU_IDLE_W, shares=CPU_SHARES)
    sysfs = cpu.install()["sysfs"]
    environment = os.environ | cpu.environment() | gpu.install()
    files = {gpu.activity: GPU_WORK_W, cpu.activity: CPU_WORK_W}
    pytest = [*command(asked.design, asked.results.resolve(), str(sysfs)), *more]
    with (
        cpu.live(period_s=0.01),
        subprocess.Popen(pytest, cwd=ROOT, env=environment) as running,
        Follower(running.pid, "train.py", files),
    ):
        return running.wait()


def command(design: str, results: Path, sysfs: str) -> list[str]:
    """The plugin's own command line."""
    rated = ",".join(f"{part}={watts}" for part, watts in RATED_W.items())
    return [
        *(sys.executable, "-m", "pytest", design, "-v", "--benchmark-quiet", "-p", "no:cacheprovider"),
        *("--energy-results", str(results), "--energy-meters", METERS, "--energy-sysfs", sysfs),
        *("--energy-tdp", rated, "--energy-cooldown", f"{REST_S:g}"),
        *("--energy-yes", "--energy-report", "always"),
    ]


if __name__ == "__main__":
    sys.exit(main())
