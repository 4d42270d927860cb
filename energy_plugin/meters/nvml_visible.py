"""Which of the GPUs that NVML lists CUDA gives to a program: ``CUDA_VISIBLE_DEVICES`` in UUIDs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from energy_plugin.meters.nvml_call import call
from energy_plugin.meters.tape import SensorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLE, ORDER, BY_BUS = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
PARENT = "MIG-GPU-"  # older drivers name a slice after its GPU: MIG-GPU-<uuid>/<gi>/<ci>


class Listed(NamedTuple):
    """One GPU in NVML's order, which is that of the bus."""

    uuid: str
    name: str


class Visible(NamedTuple):
    """What CUDA gives to programs.

    Attributes:
        uuids: of the GPUs; None where nothing is said, or nobody can tell: then all count.
        said: one sentence for people, empty where nothing is said.
    """

    uuids: frozenset[str] | None
    said: str = ""


def visible(environ: Mapping[str, str], listed: Sequence[Listed]) -> Visible:
    """The GPUs that *environ* leaves to a program.

    As CUDA does it: the list ends at the first entry that names no GPU, and an empty one hides all. An
    index counts in CUDA's order, the fastest first unless ``CUDA_DEVICE_ORDER=PCI_BUS_ID``: of unlike
    GPUs nobody can tell here which one it means.
    """
    if VARIABLE not in environ:
        return Visible(None)
    value = environ[VARIABLE]
    entries = [entry.strip() for entry in value.split(",")]
    alike = len({gpu.name for gpu in listed if gpu.name}) <= 1 or environ.get(ORDER) == BY_BUS
    if not alike and any(entry.isdecimal() for entry in entries):
        return Visible(
            None, f"{VARIABLE}={value}: which of unlike GPUs is not known without {ORDER}={BY_BUS}"
        )
    try:
        named = (_named(entry, listed) for entry in entries)
        found = list(itertools.takewhile(lambda uuid: uuid is not None, named))
    except SensorError as error:
        return Visible(None, f"{VARIABLE}={value}: whose slice that is cannot be told ({error.code})")
    return Visible(frozenset(uuid for uuid in found if uuid), f"not among {VARIABLE}={value}")


def _named(entry: str, listed: Sequence[Listed]) -> str | None:
    """The GPU that an entry means by its index, its UUID or the beginning of it, or a slice of it."""
    if entry.isdecimal():
        return listed[int(entry)].uuid if int(entry) < len(listed) else None
    if entry.startswith("MIG-") and not entry.startswith(PARENT):
        return _parent(entry)
    start = entry.removeprefix("MIG-").split("/")[0]
    matching = [gpu.uuid for gpu in listed if start.startswith("GPU-") and gpu.uuid.startswith(start)]
    return matching[0] if len(matching) == 1 else None


def _parent(entry: str) -> str:
    """The GPU of a MIG slice; raises :class:`SensorError` where NVML does not say."""
    import pynvml

    piece = call(pynvml.nvmlDeviceGetHandleByUUID, entry)
    whole = call(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, piece)
    return str(call(pynvml.nvmlDeviceGetUUID, whole))
