"""What this host is, and how busy it is: recorded so that a reader can judge a number."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = ("torch", "numpy", "codecarbon", "nvidia-ml-py", "jax", "dibs-lib", "pytest", "pytest-benchmark")


def host_facts() -> dict[str, Any]:
    """Kernel, CPU, memory, governor and the like; None where the host does not say."""
    info = _cpuinfo()
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "cpu_model": info.get("model name"),
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "virtual": "hypervisor" in info.get("flags", "").split(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "turbo_off": _read("/sys/devices/system/cpu/intel_pstate/no_turbo"),
        "smt": _read("/sys/devices/system/cpu/smt/active"),
        "perf_event_paranoid": _read("/proc/sys/kernel/perf_event_paranoid"),
    }


def host_line(facts: Mapping[str, Any]) -> str:
    """One line for the header."""
    memory = facts["memory_bytes"] / 2**30
    parts = [facts["cpu_model"] or "unknown CPU", f"{facts['cpus']} CPUs", f"{memory:.0f} GiB"]
    parts += ["virtual machine"] if facts["virtual"] else []
    return ", ".join([*parts, f"{facts['system']} {facts['kernel']}"])


def versions() -> dict[str, str]:
    """Versions of what decides a number; absent packages are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_facts(folder: Path) -> dict[str, Any]:
    """Commit and whether the tree is dirty; None where *folder* is no checkout."""
    try:
        sha = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
        dirty = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain"], capture_output=True, text=True, check=False
        )
    except OSError:
        return {"sha": None, "dirty": None}
    if sha.returncode:
        return {"sha": None, "dirty": None}
    return {"sha": sha.stdout.strip(), "dirty": bool(dirty.stdout.strip())}


def before_run() -> dict[str, Any]:
    """What may disturb the next run: the host's load average just now."""
    return {"load_1min": os.getloadavg()[0]}


def simulated_by() -> str:
    """What simulates the hardware that the meters see here; empty where it is real."""
    return os.environ.get("WATTWHY_SIMULATED", "")


def _cpuinfo() -> dict[str, str]:
    text = _read("/proc/cpuinfo") or ""
    first = text.split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None
