"""AMD GPUs, Apple chips and RAPL through Zeus (ml.energy/zeus), where the user has it installed.

Only by name (``--energy-meters zeus``), and not verified on hardware: it is tested with a stand-in for the
package. Zeus is asked for counters alone; threads, edges and bounds are those of every polled meter here.
"""

from __future__ import annotations

import importlib
import itertools
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.meters.polling import PollingMeter, SensorError
from energy_plugin.record.trace import Channel, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

UNVERIFIED = "through Zeus, not verified on hardware"
PROBE_S, PROBE_PERIOD_S = 0.5, 0.01
TICK_S = 0.1
"""Where the probe saw too few updates to tell."""
SOC_PARTS = {"cpu_total_mj": "cpu:package:0", "dram_mj": "cpu:dram:0", "gpu_mj": "gpu:soc-0"}
"""Apple's counters that do not contain one another. Jetson's are power summed by Zeus itself: not read."""


class ZeusSensor:
    """One of Zeus's cumulative counters.

    Args:
        read_mj: millijoules counted so far.
    """

    def __init__(self, channel: Channel, read_mj: Callable[[], Any], clock: Clock) -> None:
        self.channel = channel
        self._read_mj = read_mj
        self._clock = clock

    def read(self) -> Sample:
        """Joules counted so far.

        Raises:
            SensorError: ``zeus-failed``, with what Zeus says.
        """
        try:
            counted_mj = self._read_mj()
        except Exception as error:  # Zeus has an exception class for every error of every vendor
            raise SensorError("zeus-failed", f"{type(error).__name__}: {error}") from None
        if not isinstance(counted_mj, int | float):
            raise SensorError("not-supported", f"Zeus gives {counted_mj!r} and no number")
        return Sample(self._clock.now_ns(), counted_mj / 1000)


class ZeusMeter(PollingMeter):
    """Every counter Zeus finds here, but for NVIDIA's: those the meter ``nvml`` reads better."""

    name = "zeus"

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__([], clock=clock)
        self._clock = clock or SystemClock()
        self._dead: list[Channel] = []

    def probe(self) -> Sequence[Channel]:
        """What lives, what does not and why; takes half a second and the import of Zeus (two seconds)."""
        self.close()
        self._dead, self._sensors = [], ()
        try:
            device = importlib.import_module("zeus.device")
        except ImportError:
            fix = "pip install zeus-ml (AMD: with amdsmi; Apple: zeus-ml[apple])"
            return [_dead("zeus", "not-installed", "the package zeus is not installed here", fix)]
        except Exception as error:
            return [_dead("zeus", "zeus-failed", f"import zeus.device: {type(error).__name__}: {error}")]
        found = [
            *self._found("gpu", device, "get_gpus", _gpus),
            *self._found("cpu", device, "get_cpus", _cpus),
            *self._found("soc", device, "get_soc", _soc),
        ]
        self._sensors = tuple(self._alive(found))
        return [*(sensor.channel for sensor in self._sensors), *self._dead]

    def _found(
        self, part: str, device: Any, getter: str, parts: Callable[[Any], Iterator[tuple[Channel, Any]]]
    ) -> list[ZeusSensor]:
        """The counters of one of Zeus's managers; a manager that fails is a dead channel."""
        try:
            pairs = list(parts(getattr(device, getter)()))
        except SensorError as error:
            self._dead.append(_dead(part, error.code, str(error), "--energy-meters nvml"))
        except Exception as error:
            self._dead.append(_dead(part, f"no-{part}", f"{getter}(): {type(error).__name__}: {error}"))
        else:
            return [ZeusSensor(channel, read_mj, self._clock) for channel, read_mj in pairs]
        return []

    def _alive(self, sensors: Sequence[ZeusSensor]) -> list[ZeusSensor]:
        """Those that can be read and move within the probe; the rest are dead channels."""
        seen: dict[str, list[Sample]] = {sensor.channel.id: [] for sensor in sensors}
        watched, until_ns = list(sensors), self._clock.now_ns() + int(PROBE_S * 1e9)
        while watched and self._clock.now_ns() < until_ns:
            for sensor in list(watched):
                try:
                    seen[sensor.channel.id].append(sensor.read())
                except SensorError as error:
                    watched.remove(sensor)
                    self._dead.append(
                        replace(sensor.channel, alive=False, reason=error.code, detail=str(error))
                    )
            self._clock.sleep(PROBE_PERIOD_S)
        living = []
        for sensor in watched:
            samples = seen[sensor.channel.id]
            moves = [b.t_ns for a, b in itertools.pairwise(samples) if b.joules != a.joules]
            if moves:
                gaps_s = [(b - a) / 1e9 for a, b in itertools.pairwise(moves)]
                tick_s = statistics.median(gaps_s) if len(gaps_s) >= 2 else TICK_S
                sensor.channel = replace(sensor.channel, tick_s=tick_s)
                living.append(sensor)
            else:
                said = f"the counter stood at {samples[0].joules:g} J for {PROBE_S} s"
                self._dead.append(replace(sensor.channel, alive=False, reason="dead-counter", detail=said))
        return living


def _gpus(manager: Any) -> Iterator[tuple[Channel, Any]]:
    """AMD's; NVIDIA's are refused, for nvml reads the same counter and knows its edges and UUIDs."""
    if "nvidia" in f"{type(manager).__module__}.{type(manager).__name__}".lower():
        raise SensorError("read-by-nvml", "NVIDIA GPUs: the meter nvml reads the same counters")
    for gpu in manager.gpus:
        index = gpu.gpu_index
        name = _call(gpu, "get_name", "getName")()
        read_mj = _call(gpu, "get_total_energy_consumption", "getTotalEnergyConsumption")
        yield _channel(f"gpu:zeus-{index}", "amdsmi-counter", f"{name}, {UNVERIFIED}"), read_mj


def _cpus(manager: Any) -> Iterator[tuple[Channel, Any]]:
    for index, cpu in enumerate(manager.cpus):
        read = _call(cpu, "get_total_energy_consumption", "getTotalEnergyConsumption")
        parts = {f"cpu:package:{index}": "cpu_mj"}
        if _call(cpu, "supports_get_dram_energy_consumption", "supportsGetDramEnergyConsumption")():
            parts[f"cpu:dram:{index}"] = "dram_mj"
        for identity, field in parts.items():
            yield _channel(identity, "rapl-powercap", f"RAPL {UNVERIFIED}"), _part(read, field)


def _soc(manager: Any) -> Iterator[tuple[Channel, Any]]:
    read = _call(manager, "get_total_energy_consumption", "getTotalEnergyConsumption")
    metrics = _call(manager, "get_available_metrics", "getAvailableMetrics")()
    known = {identity: field for field, identity in SOC_PARTS.items() if field in metrics}
    if not known:
        raise LookupError(f"none of {', '.join(SOC_PARTS)} among {', '.join(sorted(metrics))}")
    for identity, field in known.items():
        yield _channel(identity, "apple-energy-model", f"{field} {UNVERIFIED}"), _part(read, field)


def _part(read: Callable[[], Any], field: str) -> Callable[[], Any]:
    return lambda: getattr(read(), field)


def _call(owner: Any, *names: str) -> Any:
    """The method by its new name or by its old one (before Zeus 0.13)."""
    return next(getattr(owner, name) for name in names if hasattr(owner, name))


def _channel(identity: str, source: str, detail: str) -> Channel:
    return Channel(id=identity, meter=ZeusMeter.name, source=source, detail=detail)


def _dead(part: str, reason: str, detail: str, fix: str = "") -> Channel:
    return Channel(
        id=part, meter=ZeusMeter.name, source="zeus", alive=False, reason=reason, detail=detail, fix=fix
    )
