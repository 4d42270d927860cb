"""Asks the simulated NVML through nvidia-ml-py, in a process of its own and in virtual time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulated.gpu import Gpu

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]

# Answers calls [second, function, arguments ...] of standard input; handles stand for GPU numbers.
ASK = """
import ctypes, json, sys
from tests.simulated.gpu import VirtualClock
from pathlib import Path
import pynvml
clock = VirtualClock(Path(sys.argv[1])) if sys.argv[1] else None
t0 = int(sys.argv[2])
def plain(value):
    if isinstance(value, (list, tuple, ctypes.Array)):
        return [plain(v) for v in value]
    if hasattr(value, "_fields_"):
        if hasattr(value, "fieldId"):
            number = value.value.ullVal if value.valueType == 3 else value.value.uiVal
            return {"id": value.fieldId, "code": value.nvmlReturn, "value": number}
        return {name: plain(getattr(value, name)) for name, *_ in value._fields_}
    if hasattr(value, "__dict__"):
        return {k: plain(v) for k, v in vars(value).items()}
    return value
def ask(second, name, *arguments):
    if clock is not None and second is not None:
        clock.set(t0 + round(second * 1e9))
    try:
        if arguments and isinstance(arguments[0], int) and name.startswith("nvmlDevice"):
            handle = pynvml.nvmlDeviceGetHandleByIndex(arguments[0])
            if second is not None and clock is not None:
                clock.set(t0 + round(second * 1e9))
            return plain(getattr(pynvml, name)(handle, *arguments[1:]))
        return plain(getattr(pynvml, name)(*arguments))
    except pynvml.NVMLError as error:
        return {"error": error.value}
print(json.dumps([ask(*call) for call in json.load(sys.stdin)]))
"""
ENERGY = "nvmlDeviceGetTotalEnergyConsumption"
POWER = "nvmlDeviceGetPowerUsage"
INIT = [None, "nvmlInit"]


def answers(gpu: Gpu, calls: Sequence[Sequence[Any]], environment: dict[str, str] | None = None) -> list[Any]:
    """What nvidia-ml-py returns to each of *calls*: ``[second, function, GPU, arguments ...]``."""
    told = environment or gpu.install()
    command = [sys.executable, "-c", ASK, told.get("SIMULATED_CLOCK", ""), str(gpu.t0_ns)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **told, "PYTHONPATH": str(ROOT)},
        input=json.dumps([INIT, *calls]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    _, *found = json.loads(done.stdout)
    return list(found)


def made(folder: Path, **arguments: Any) -> Gpu:
    """A GPU in virtual time."""
    return Gpu(folder=folder, t0_ns=1_000_000_000_000, virtual=True, **arguments)
