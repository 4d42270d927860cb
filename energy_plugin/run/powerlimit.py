"""The GPUs' power limit as a factor of a case: set before its attempt, put back after it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import ExecutorError, UsageError
from energy_plugin.meters.nvml_call import call
from energy_plugin.meters.nvml_visible import VARIABLE, Listed, visible
from energy_plugin.meters.tape import SensorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OPTION = "--energy-power-limit"
MENDS = {
    "no-permission": "only root may set it: run as root, or set one limit for the whole session yourself "
    "(sudo nvidia-smi -pl WATTS) and leave the option away",
    "not-supported": "this GPU has no limit that can be set; leave the option away",
}
PART_W = 1.0
"""A limit read back counts as the one that was set when it differs by no more."""


class PowerLimits:
    """Power limits of the GPUs that programs may use, through NVML.

    Args:
        gpus: their UUIDs; when empty those of ``CUDA_VISIBLE_DEVICES``, and without that all.
        environ: of the programs; this process's own by default.
    """

    def __init__(self, gpus: Sequence[str] = (), *, environ: Mapping[str, str] | None = None) -> None:
        self._gpus = tuple(gpus)
        self._environ = environ
        self._handles: dict[str, Any] = {}
        self.before: dict[str, float] = {}

    def open(self, wanted_w: Sequence[float]) -> Mapping[str, float]:
        """Find the GPUs and prove that each of these limits may be set.

        Returns:
            Watts by UUID as they are now, which :meth:`restore` puts back.

        Raises:
            UsageError: no such GPU, no permission, or a limit outside of what the GPU takes.
        """
        try:
            self._handles = _find(self._gpus, os.environ if self._environ is None else self._environ)
            self.before = {uuid: _now_w(handle) for uuid, handle in self._handles.items()}
            for uuid, handle in self._handles.items():
                _refuse_outside(uuid, handle, wanted_w)
                _set_w(handle, self.before[uuid])  # changes nothing, and shows whether it may be
        except ImportError:
            raise UsageError(f"{OPTION}: nvidia-ml-py is not installed") from None
        except SensorError as error:
            raise UsageError(f"{OPTION}: {error}: {_mend(error)}") from None
        return self.before

    @contextlib.contextmanager
    def at(self, watts: float | None) -> Iterator[dict[str, float]]:
        """Every GPU at this limit; what NVML says the limits are is filled in by GPU at the end.

        Raises:
            ExecutorError: a limit could not be set.
        """
        seen: dict[str, float] = {}
        if watts is None:
            yield seen
            return
        try:
            for handle in self._handles.values():
                _set_w(handle, watts)
        except SensorError as error:
            self.restore()
            raise ExecutorError(f"power limit of {watts:g} W not set: {error}") from None
        try:
            yield seen
        finally:
            # Read after the run, which a reset of the GPU or another tool could have changed it in.
            with contextlib.suppress(SensorError):
                seen |= {uuid: _now_w(handle) for uuid, handle in self._handles.items()}
            self.restore()

    def restore(self, before_w: Mapping[str, float] | None = None) -> list[str]:
        """Put back what was there; the GPUs where that failed. Safe twice.

        Args:
            before_w: watts by UUID, of a session that could not do so itself.
        """
        wanted = self.before if before_w is None else before_w
        failed = []
        for uuid, watts in wanted.items():
            try:
                handles = self._handles if uuid in self._handles else _find((uuid,), {})
                if abs(_now_w(handles[uuid]) - watts) > PART_W / 2:
                    _set_w(handles[uuid], watts)
            except (SensorError, ImportError, UsageError):
                failed.append(uuid)
        return failed


def is_at(seen_w: Mapping[str, float], watts: float) -> bool:
    """Whether every GPU still had this limit at the end of a run."""
    return bool(seen_w) and all(abs(now_w - watts) <= PART_W for now_w in seen_w.values())


def _find(gpus: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
    """Handles by UUID of these GPUs, or of those that *environ* leaves to programs."""
    import pynvml

    call(pynvml.nvmlInit)
    handles = [call(pynvml.nvmlDeviceGetHandleByIndex, i) for i in range(call(pynvml.nvmlDeviceGetCount))]
    found = {str(call(pynvml.nvmlDeviceGetUUID, handle)): handle for handle in handles}
    missing = [uuid for uuid in gpus if uuid not in found]
    if missing or not found:
        raise UsageError(f"{OPTION}: NVML lists no GPU {', '.join(missing)}".rstrip())
    if gpus:
        return {uuid: found[uuid] for uuid in gpus}
    listed = [Listed(uuid, str(call(pynvml.nvmlDeviceGetName, handle))) for uuid, handle in found.items()]
    given = visible(environ, listed).uuids
    if given is not None and not given:
        raise UsageError(f"{OPTION}: the programs see no GPU, by {VARIABLE}={environ[VARIABLE]}")
    return {uuid: handle for uuid, handle in found.items() if given is None or uuid in given}


def _now_w(handle: object) -> float:
    import pynvml

    return float(call(pynvml.nvmlDeviceGetPowerManagementLimit, handle)) / 1000


def _set_w(handle: object, watts: float) -> None:
    import pynvml

    call(pynvml.nvmlDeviceSetPowerManagementLimit, handle, round(watts * 1000))


def _refuse_outside(uuid: str, handle: object, wanted_w: Sequence[float]) -> None:
    import pynvml

    low_w, high_w = (mw / 1000 for mw in call(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, handle))
    outside = [watts for watts in wanted_w if not low_w <= watts <= high_w]
    if outside:
        listed = ", ".join(f"{watts:g}" for watts in outside)
        raise UsageError(f"{OPTION} {listed}: GPU {uuid} takes {low_w:g} to {high_w:g} W")


def _mend(error: SensorError) -> str:
    return MENDS.get(error.code, "see whether nvidia-smi -q -d POWER shows a limit, or leave the option away")
