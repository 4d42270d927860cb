"""Which processes use a GPU, and how much of it, as the driver tells."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.meters.nvml_call import call
from energy_plugin.meters.protocols import GpuProcess
from energy_plugin.meters.tape import SensorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from energy_plugin.clock import Clock

NEVER_AGAIN = {"not-supported", "no-function", "no-permission"}
OLD_S = 1.0  # shares of longer ago belong to what ran before the attempt


@dataclass(slots=True)
class _Seen:
    first_ns: int
    last_ns: int
    name: str
    memory_bytes: int = 0
    sm_percent: list[tuple[int, float]] = field(default_factory=list)


class Crowd:
    """The processes on one GPU during one attempt; ask about once a second.

    Args:
        handle: of the GPU.
        channel: its id.
        procfs: where the host tells a process's name.
    """

    def __init__(self, handle: object, channel: str, clock: Clock, procfs: Path = Path("/proc")) -> None:
        self._handle = handle
        self._channel = channel
        self._clock = clock
        self._procfs = procfs
        self._seen: dict[int, _Seen] = {}
        self._begun_ns = clock.now_ns()
        self._told_us = 0  # shares up to here are known
        self._mute: set[str] = set()

    def look(self) -> Mapping[str, float]:
        """Ask the driver; no gauges come of it.

        Raises:
            SensorError: code ``not-supported`` when this GPU tells nothing at all.
        """
        import pynvml

        lists = (pynvml.nvmlDeviceGetComputeRunningProcesses, pynvml.nvmlDeviceGetGraphicsRunningProcesses)
        for function in lists:
            for process in self._ask(function, self._handle):
                seen = self._meet(process.pid, self._clock.now_ns())
                seen.memory_bytes = max(seen.memory_bytes, process.usedGpuMemory or 0)
        self._shares(pynvml.nvmlDeviceGetProcessUtilization)
        if len(self._mute) == len(lists) + 1:
            raise SensorError("not-supported", "this GPU tells no processes")
        return {}

    def _shares(self, function: Callable[..., Any]) -> None:
        # NVML stamps shares with the wall clock: its distance from ours is taken anew each time, so
        # that a clock that was set in between moves no share.
        now_ns = self._clock.now_ns()
        utc_us = int(self._clock.utc().timestamp() * 1e6)
        known = 0 < self._told_us <= utc_us
        since_us = latest_us = self._told_us if known else utc_us - int(OLD_S * 1e6)
        for share in self._ask(function, self._handle, since_us):
            t_ns = now_ns - (utc_us - share.timeStamp) * 1000
            if share.pid and share.timeStamp > since_us and t_ns > self._begun_ns - OLD_S * 1e9:
                bisect.insort(self._meet(share.pid, t_ns).sm_percent, (t_ns, float(share.smUtil)))
                latest_us = max(latest_us, share.timeStamp)
        self._told_us = latest_us

    def _ask(self, function: Callable[..., Any], *arguments: object) -> list[Any]:
        name = getattr(function, "__name__", str(function))
        if name in self._mute:
            return []
        try:
            return list(call(function, *arguments))
        except SensorError as error:
            if error.code in NEVER_AGAIN:
                self._mute.add(name)
            return []  # no process is an error, too: NVML says "not found"

    def _meet(self, pid: int, t_ns: int) -> _Seen:
        seen = self._seen.get(pid)
        if seen is None:
            seen = self._seen[pid] = _Seen(t_ns, t_ns, self._name(pid))
        seen.first_ns, seen.last_ns = min(seen.first_ns, t_ns), max(seen.last_ns, t_ns)
        return seen

    def _name(self, pid: int) -> str:
        try:
            return (self._procfs / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return self._name_by_driver(pid)

    def _name_by_driver(self, pid: int) -> str:
        import pynvml

        try:
            name = call(pynvml.nvmlSystemGetProcessName, pid)
        except (SensorError, AttributeError):
            return ""
        return Path(name.decode(errors="replace") if isinstance(name, bytes) else str(name)).name

    def processes(self) -> list[GpuProcess]:
        """Everyone seen."""
        return [
            GpuProcess(
                channel=self._channel,
                pid=pid,
                name=seen.name,
                memory_bytes=seen.memory_bytes,
                first_ns=seen.first_ns,
                last_ns=seen.last_ns,
                sm_percent=tuple(seen.sm_percent),
            )
            for pid, seen in list(self._seen.items())
        ]
