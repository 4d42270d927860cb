"""Who else is on this host just before a run: containers, GPU processes, load on the processors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from energy_plugin.meters.nvml_call import call
from energy_plugin.meters.tape import SensorError
from energy_plugin.run.idle import MOST_LOAD
from energy_plugin.run.usage import LoadWatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_plugin.clock import Clock

WATCH_S = 1.0
"""How long the processors are watched before a run that may not be disturbed."""


@runtime_checkable
class Crowded(Protocol):
    """An executor that sees what else runs in its engine."""

    def others(self) -> list[str] | None:
        """Names of the running containers that are none of ours; None where the engine does not tell."""


def other_containers(executor: object) -> list[str] | None:
    """The running containers that are none of this session's; None where no engine is asked, or tells."""
    return executor.others() if isinstance(executor, Crowded) else None


def disturbances(executor: object, gpus: Sequence[str] | None, clock: Clock) -> list[str]:
    """Everything now that would be in the numbers of the next run, one line each; takes a second.

    Args:
        executor: of the run.
        gpus: UUIDs of the GPUs that count; None where there is no GPU to ask.
        clock: waits.
    """
    found = [f"container {name} is running" for name in other_containers(executor) or ()]
    found += list(_gpu_processes(gpus)) if gpus is not None else []
    load = LoadWatch(clock)
    clock.sleep(WATCH_S)
    share = load.share()
    if share is not None and share > MOST_LOAD:
        found.append(f"others take {share:.0%} of the processors (at most {MOST_LOAD:.0%} count as idle)")
    return found


def _gpu_processes(gpus: Sequence[str]) -> Iterator[str]:
    """Compute processes of others; a desktop's own graphics are not asked for."""
    import pynvml

    try:
        call(pynvml.nvmlInit)
        for index in range(call(pynvml.nvmlDeviceGetCount)):
            handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
            uuid = str(call(pynvml.nvmlDeviceGetUUID, handle))
            if gpus and uuid not in gpus:
                continue
            for process in call(pynvml.nvmlDeviceGetComputeRunningProcesses, handle):
                if process.pid != os.getpid():
                    yield f"process {process.pid}{_name(process.pid)} uses {uuid}"
    except SensorError as error:
        if error.code != "not-supported":  # a GPU that never tells is no news
            yield f"the GPUs' processes cannot be seen ({error.code})"


def _name(pid: int) -> str:
    try:
        return f" ({(Path('/proc') / str(pid) / 'comm').read_text(errors='replace').strip()})"
    except OSError:
        return ""
