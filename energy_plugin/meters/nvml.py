"""GPU energy by NVML's total-energy counter, every GPU by its UUID."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energy_plugin.meters.polling import PollingMeter, SensorError
from energy_plugin.record.trace import Channel, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from energy_plugin.clock import Clock

PROBE_S = 0.35  # three updates of the slowest counter known (100 ms)
TICK_S = 0.1  # assumed where the probe saw too few updates to tell
MIN_W = 1.0
DRIVER = "install the NVIDIA driver and see that nvidia-smi lists the GPU"

# NVML return codes -> stable names; the numbers are part of NVML's ABI.
CODES = {
    1: "driver-unloaded",
    3: "not-supported",
    4: "no-permission",
    9: "no-driver",
    10: "timeout",
    12: "no-driver",
    15: "gpu-lost",
    16: "gpu-reset-required",
    18: "driver-mismatch",
    999: "nvml-unknown",
}


def _call(function: Callable[..., Any], *arguments: object) -> Any:
    """Call NVML; its error becomes a :class:`SensorError` with a stable code."""
    import pynvml

    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        number = getattr(error, "value", 999)
        raise SensorError(CODES.get(number, f"nvml-{number}"), str(error)) from error


class CounterSensor:
    """The total-energy counter of one GPU: millijoules since the driver was loaded, Volta and later."""

    def __init__(self, handle: object, channel: Channel, clock: Clock) -> None:
        self.channel = channel
        self._handle = handle
        self._clock = clock

    def read(self) -> Sample:
        """Cumulative joules now."""
        import pynvml

        millijoules = _call(pynvml.nvmlDeviceGetTotalEnergyConsumption, self._handle)
        return Sample(self._clock.now_ns(), millijoules / 1000)

    def gauges(self) -> Mapping[str, float]:
        """Power, temperature, utilisation and memory; those the GPU does not know are left out."""
        import pynvml

        asked: dict[str, Callable[[], float]] = {
            "power_w": lambda: pynvml.nvmlDeviceGetPowerUsage(self._handle) / 1000,
            "temperature_c": lambda: pynvml.nvmlDeviceGetTemperature(self._handle, 0),
            "utilization_percent": lambda: pynvml.nvmlDeviceGetUtilizationRates(self._handle).gpu,
            "memory_used_bytes": lambda: pynvml.nvmlDeviceGetMemoryInfo(self._handle).used,
        }
        known = {}
        for name, ask in asked.items():
            try:
                known[name] = float(_call(ask))
            except SensorError as error:
                if error.code != "not-supported":
                    raise
        return known


class PowerSensor(CounterSensor):
    """Power summed over time, for a GPU without a counter: an estimate and labelled so.

    What a GPU calls its power is a mean over 25 ms to 1 s of unknown phase, so the sum may be far off
    for loads that beat with it (Yang et al. 2024, "Part-time Power Measurements").
    """

    def __init__(self, handle: object, channel: Channel, clock: Clock) -> None:
        super().__init__(handle, channel, clock)
        self._last: tuple[int, float] | None = None
        self._joules = 0.0

    def read(self) -> Sample:
        """Joules since the first read, by the trapezoid rule."""
        import pynvml

        power_w = _call(pynvml.nvmlDeviceGetPowerUsage, self._handle) / 1000
        now_ns = self._clock.now_ns()
        if self._last is not None:
            self._joules += (now_ns - self._last[0]) / 1e9 * (self._last[1] + power_w) / 2
        self._last = (now_ns, power_w)
        return Sample(now_ns, self._joules)


LEAD_TICKS = 6


class NvmlMeter(PollingMeter):
    """Every NVIDIA GPU of this machine.

    Polls from six ticks before the window (idle power, the counter's edge) to one update after it.

    Args:
        rate_hz: polls a second near the edges of a window.
        gpus: UUIDs of the GPUs the programs are given; all when empty. What the others take is not
            the programs' and is not read.
    """

    name = "nvml"

    def __init__(
        self, *, rate_hz: float = 100.0, gpus: Sequence[str] = (), clock: Clock | None = None
    ) -> None:
        super().__init__((), rate_hz, lead_s=0.3, tail_s=0.25, clock=clock)
        self._gpus = tuple(gpus)
        self._channels: list[Channel] | None = None

    def probe(self) -> Sequence[Channel]:
        """One channel for each GPU, or one dead channel ``gpu`` that says why there is none."""
        if self._channels is None:
            self._channels = self._examine()
        return self._channels

    def start(self) -> None:
        """Begin to poll."""
        self.probe()
        super().start()

    def _examine(self) -> list[Channel]:
        try:
            handles = self._handles()
        except ImportError:
            return [_dead("gpu", "no-library", "nvidia-ml-py is not installed", "pip install nvidia-ml-py")]
        except SensorError as error:
            return [_dead("gpu", error.code, str(error), DRIVER)]
        if not handles:
            return [_dead("gpu", "no-gpu", "NVML lists no GPU", DRIVER)]
        sensors = [self._sensor(i, handle) for i, handle in enumerate(handles)]
        self._watch(sensors, handles)
        self._sensors = tuple(sensors)
        # Idle power needs four edges of the counter, and the lead's phase is anything.
        self.lead_s = max(self.lead_s, LEAD_TICKS * max(sensor.channel.tick_s for sensor in sensors))
        return [*(sensor.channel for sensor in sensors), *self._absent(sensors)]

    def _absent(self, sensors: Sequence[CounterSensor]) -> list[Channel]:
        """A dead channel for each GPU asked for that NVML does not list."""
        listed = {sensor.channel.id for sensor in sensors}
        wanted = (f"gpu:{uuid}" for uuid in self._gpus)
        return [
            _dead(channel, "no-such-gpu", "NVML lists no GPU of this UUID", "nvidia-smi -L")
            for channel in wanted
            if channel not in listed
        ]

    def _handles(self) -> list[object]:
        import pynvml

        _call(pynvml.nvmlInit)
        return [
            _call(pynvml.nvmlDeviceGetHandleByIndex, index)
            for index in range(_call(pynvml.nvmlDeviceGetCount))
        ]

    def _sensor(self, index: int, handle: object) -> CounterSensor:
        import pynvml

        try:
            channel = Channel(
                id=f"gpu:{_call(pynvml.nvmlDeviceGetUUID, handle)}",
                meter=self.name,
                source="nvml-counter",
                detail=_describe(handle),
                tick_s=TICK_S,
            )
        except SensorError as error:
            return CounterSensor(handle, _dead(f"gpu:index-{index}", error.code, str(error)), self._clock)
        sensor = CounterSensor(handle, channel, self._clock)
        try:
            sensor.read()
        except SensorError as error:
            return _without_counter(sensor, handle, error, self._clock)
        return sensor

    def _watch(self, sensors: Sequence[CounterSensor], handles: Sequence[object]) -> None:
        """Let every counter show for a moment that it moves, believably, and how often."""
        watched = [s for s in sensors if s.channel.alive and s.channel.kind == "direct"]
        seen: dict[str, list[Sample]] = {s.channel.id: [] for s in watched}
        end_ns = self._clock.now_ns() + int(PROBE_S * 1e9)
        while watched and self._clock.now_ns() < end_ns:
            for sensor in watched:
                try:
                    seen[sensor.channel.id].append(sensor.read())
                except SensorError as error:
                    dead = _dead(sensor.channel.id, error.code, str(error), detail_of=sensor.channel)
                    sensor.channel = dead
            watched = [s for s in watched if s.channel.alive]
            self._clock.sleep(0.004)
        for sensor, handle in zip(sensors, handles, strict=True):
            if sensor in watched:
                sensor.channel = _judge(sensor.channel, seen[sensor.channel.id], _limit_w(handle))
            if self._gpus and sensor.channel.id.removeprefix("gpu:") not in self._gpus:
                said = "not among --energy-gpus"
                sensor.channel = _dead(sensor.channel.id, "not-chosen", said, detail_of=sensor.channel)


def _without_counter(
    sensor: CounterSensor, handle: object, error: SensorError, clock: Clock
) -> CounterSensor:
    """A GPU whose counter cannot be read: its power may still do for an estimate."""
    summed = PowerSensor(
        handle,
        replace(
            sensor.channel,
            source="nvml-power",
            kind="model",
            detail=f"{sensor.channel.detail}; no energy counter ({error.code}): power is summed, an estimate",
            tick_s=0.0,
        ),
        clock,
    )
    try:
        summed.read()
    except SensorError:
        sensor.channel = _dead(sensor.channel.id, error.code, f"neither counter nor power: {error}")
        return sensor
    return summed


def _judge(channel: Channel, samples: Sequence[Sample], limit_w: float) -> Channel:
    moves = [b.t_ns for a, b in itertools.pairwise(samples) if b.joules != a.joules]
    if not moves:
        return replace(
            channel,
            alive=False,
            reason="dead-counter",
            detail=f"the counter stood at {samples[0].joules:g} J for {PROBE_S} s",
        )
    power_w = (samples[-1].joules - samples[0].joules) / ((samples[-1].t_ns - samples[0].t_ns) / 1e9)
    # The counter may tick once more or less than the time shows: allow that for the judgement.
    share = 1 + 1 / len(moves)
    if not MIN_W / share <= power_w <= 1.5 * limit_w * share:
        return replace(channel, alive=False, reason="implausible", detail=f"{power_w:.3g} W in the probe")
    gaps_s = [(b - a) / 1e9 for a, b in itertools.pairwise(moves)]
    return replace(channel, tick_s=statistics.median(gaps_s) if len(gaps_s) >= 2 else TICK_S)


def _limit_w(handle: object) -> float:
    import pynvml

    try:
        return float(_call(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)) / 1000
    except SensorError:
        return 2000.0


def _describe(handle: object) -> str:
    import pynvml

    name = str(_call(pynvml.nvmlDeviceGetName, handle))
    try:
        mig = _call(pynvml.nvmlDeviceGetMigMode, handle)[0] == 1
    except SensorError:
        mig = False
    return f"{name}; MIG is on: the energy is that of the whole GPU" if mig else name


def _dead(
    identity: str, reason: str, detail: str, fix: str = "", detail_of: Channel | None = None
) -> Channel:
    detail = f"{detail_of.detail}: {detail}" if detail_of else detail
    return Channel(
        id=identity,
        meter=NvmlMeter.name,
        source="nvml-counter",
        alive=False,
        reason=reason,
        detail=detail,
        fix=fix,
    )
