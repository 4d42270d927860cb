"""The child process in which CodeCarbon lives: JSON lines in, JSON lines out.

It is run by path with the interpreter of the plugin and imports nothing of this package. The parent
asks ``{"op": "begin", "id": 1}`` and ``{"op": "end", "id": 1}``; the answer to ``end`` holds joules by
channel. Whatever CodeCarbon prints goes to stderr, the answers go to a copy of the first stdout.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import IO, Any

JOULES_PER_KWH = 3.6e6


def main(country: str) -> None:
    """Build the tracker, warm it with one task, then serve the parent until end of file."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Must be set before the import: the import itself sets the level of its logger.
    os.environ["CODECARBON_LOG_LEVEL"] = "critical"
    try:
        tracker, version = _tracker(country)
    except Exception as error:  # any failure of a third party is one answer: not here
        _say(answers, ready=False, detail=f"{type(error).__name__}: {error}")
        return
    _say(answers, ready=True, version=version, channels=_channels(tracker))
    for line in sys.stdin:
        _serve(tracker, json.loads(line), answers)


def _say(answers: IO[str], **fields: object) -> None:
    answers.write(json.dumps(fields) + "\n")


def _tracker(country: str) -> tuple[Any, str]:
    import importlib.metadata

    import codecarbon

    tracker = codecarbon.OfflineEmissionsTracker(
        country_iso_code=country,
        save_to_file=False,
        tracking_mode="machine",
        allow_multiple_runs=True,
        log_level="critical",
    )
    tracker.start_task("warm-up")  # the first task looks for hardware: seconds
    tracker.stop_task("warm-up")
    return tracker, importlib.metadata.version("codecarbon")


def _channels(tracker: Any) -> dict[str, dict[str, str]]:
    """What each part of the tracker really is, read from its hardware list."""
    found = {}
    for hardware in tracker._hardware:
        part, source = _identify(hardware)
        found[part] = {"source": source, "detail": hardware.description()}
    return found


def _identify(hardware: Any) -> tuple[str, str]:
    kind = type(hardware).__name__
    if kind == "CPU":
        modes = {"cpu_load": "load-model", "constant": "tdp", "intel_rapl": "rapl-powercap"}
        return "cpu", modes.get(hardware._mode, hardware._mode)
    if kind == "GPU":
        makers = {type(device).__name__ for device in hardware.devices.devices}
        return "gpu", "nvml-counter" if makers == {"NvidiaGPUDevice"} else "+".join(sorted(makers))
    return (
        ("ram", "ram-model")
        if kind == "RAM"
        else (getattr(hardware, "chip_part", kind).lower(), kind.lower())
    )


def _serve(tracker: Any, request: dict[str, Any], answers: IO[str]) -> None:
    task = str(request["id"])
    try:
        if request["op"] == "begin":
            tracker.start_task(task)
            _say(answers, id=request["id"], t_ns=time.monotonic_ns())
            return
        data = tracker.stop_task(task)
        joules = {part: getattr(data, f"{part}_energy") * JOULES_PER_KWH for part in ("cpu", "ram", "gpu")}
        _say(answers, id=request["id"], t_ns=time.monotonic_ns(), joules=joules)
    except Exception as error:
        _say(answers, id=request["id"], error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
