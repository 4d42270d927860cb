"""What NVML tells of one GPU: its energy counter, or else its power summed, and gauges beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_plugin.meters.nvml_call import call, field_w, first_of
from energy_plugin.meters.nvml_processes import Crowd
from energy_plugin.meters.poller import Ask
from energy_plugin.meters.tape import SensorError
from energy_plugin.record.trace import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.meters.protocols import GpuProcess
    from energy_plugin.record.trace import Channel

POWER_S = 0.2  # power is a check on the counter and a curve on the page
ONCE_S = 1.0
RARELY_S = 4.0  # in the calm: what changes slowly
AVERAGE_S = 1.0
AVERAGE_FIELD = 185  # NVML_FI_DEV_POWER_AVERAGE: the mean of the last second
SM_CLOCK, MEMORY_CLOCK = 1, 2
GPU_TEMPERATURE = 0
MHZ = 1e6
MAY_COME_BACK = {"driver-unloaded", "no-driver", "gpu-lost", "gpu-reset-required", "not-found"}
REOPEN_S = 1.0
REASONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")


class CounterSensor:
    """The total-energy counter of one GPU: millijoules since the driver was loaded, Volta and later."""

    def __init__(self, handle: object, channel: Channel, clock: Clock) -> None:
        import pynvml

        self.channel = channel
        self.handle = handle
        self._clock = clock
        self._energy = getattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", None)
        self._crowd = Crowd(handle, channel.id, clock)
        self._reopened_ns = 0

    def read(self) -> Sample:
        """Cumulative joules now.

        Raises:
            SensorError: NVML says no. A GPU or driver that comes back is read again.
        """
        try:
            return self._read()
        except SensorError as error:
            if error.code in MAY_COME_BACK:
                self._reopen(error.code)
            raise

    def _read(self) -> Sample:
        if self._energy is None:
            raise SensorError("no-function", "this nvidia-ml-py knows no energy counter")
        return Sample(self._clock.now_ns(), call(self._energy, self.handle) / 1000)

    def _reopen(self, code: str) -> None:
        """Look for the GPU again, once a second at most; what fails is found out by the next read."""
        import pynvml

        now_ns = self._clock.now_ns()
        if now_ns - self._reopened_ns < REOPEN_S * 1e9:
            return
        self._reopened_ns = now_ns
        try:
            if code in ("driver-unloaded", "no-driver"):
                call(pynvml.nvmlInit)
            self.handle = call(pynvml.nvmlDeviceGetHandleByUUID, self.channel.id.removeprefix("gpu:"))
        except SensorError:
            return

    def begin(self) -> None:
        """A new attempt."""
        self._crowd = Crowd(self.handle, self.channel.id, self._clock)

    def processes(self) -> Sequence[GpuProcess]:
        """Everyone seen on this GPU since :meth:`begin`."""
        return self._crowd.processes()

    # --- gauges ---

    def asks(self) -> Sequence[Ask]:
        """Processes, power, and what a GPU knows beside, the urgent ones first."""
        once = [
            lambda: {"temperature_c": self._ask("nvmlDeviceGetTemperature", GPU_TEMPERATURE)},
            lambda: {"memory_used_bytes": self._ask("nvmlDeviceGetMemoryInfo").used},
            lambda: {"power_average_w": field_w(self.handle, AVERAGE_FIELD)},
            lambda: {"clock_sm_hz": self._ask("nvmlDeviceGetClockInfo", SM_CLOCK) * MHZ},
            lambda: {"clock_memory_hz": self._ask("nvmlDeviceGetClockInfo", MEMORY_CLOCK) * MHZ},
            lambda: {"throttle_reasons": float(first_of(REASONS, self.handle))},
        ]
        return [
            Ask(ONCE_S, self._look),
            Ask(POWER_S, lambda: {"power_w": self._ask("nvmlDeviceGetPowerUsage") / 1000}),
            Ask(ONCE_S, self._utilization),
            *(Ask(ONCE_S, ask, RARELY_S) for ask in once),
        ]

    def _ask(self, name: str, *arguments: object) -> Any:
        return first_of([name], self.handle, *arguments)

    def _look(self) -> Mapping[str, float]:
        return self._crowd.look()

    def _utilization(self) -> Mapping[str, float]:
        return {"utilization_percent": float(self._ask("nvmlDeviceGetUtilizationRates").gpu)}


class PowerSensor(CounterSensor):
    """Power summed over time, for a GPU without a counter: an estimate and labelled so.

    What a GPU calls its power is a mean over 25 ms to 1 s of unknown phase. The mean of a whole second
    misses nothing but is late, so it wants polling on past the end; one over 25 ms of every 100 ms may be
    far off for loads that beat with it (Yang et al. 2024, "Part-time Power Measurements").

    Args:
        power_w: asks the GPU of *handle* for its watts.
    """

    def __init__(
        self, handle: object, channel: Channel, clock: Clock, power_w: Callable[[object], float]
    ) -> None:
        super().__init__(handle, channel, clock)
        self._power_w = power_w
        self.told: Mapping[str, float] = {}
        self._last: tuple[int, float] | None = None
        self._joules = 0.0

    def begin(self) -> None:
        """A new attempt: what flowed since the last one is nobody's."""
        super().begin()
        self._last = None

    def asks(self) -> Sequence[Ask]:
        """As of any GPU, but for the power: every read brings it."""
        return [ask for ask in super().asks() if ask.period_s != POWER_S]

    def _read(self) -> Sample:
        """Joules since the first read, by the trapezoid rule.

        A gap is summed over like any other step: whoever asks for a window sees it in the samples' times
        and takes it out.
        """
        power_w = self._power_w(self.handle)
        if power_w <= 0:
            raise SensorError("zero-power", "the GPU says that it draws nothing")
        now_ns = self._clock.now_ns()
        if self._last is not None:
            self._joules += (now_ns - self._last[0]) / 1e9 * (self._last[1] + power_w) / 2
        self._last = (now_ns, power_w)
        self.told = {"power_w": power_w}
        return Sample(now_ns, self._joules)


def average_power_w(handle: object) -> float:
    """Mean watts of the last second (Ampere and later).

    Raises:
        SensorError: this GPU or driver keeps none.
    """
    return field_w(handle, AVERAGE_FIELD)


def usage_power_w(handle: object) -> float:
    """Watts "now": of the last second on newer GPUs, of some 25 ms on others.

    Raises:
        SensorError: this GPU or driver tells none.
    """
    import pynvml

    return float(call(pynvml.nvmlDeviceGetPowerUsage, handle) / 1000)
