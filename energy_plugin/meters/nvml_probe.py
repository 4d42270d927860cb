"""What each GPU can be asked for, found out once: a counter that lives, or power, or nothing and why."""

from __future__ import annotations

import itertools
import re
import statistics
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from energy_plugin.meters.nvml_call import call
from energy_plugin.meters.nvml_sensors import (
    AVERAGE_S,
    CounterSensor,
    PowerSensor,
    average_power_w,
    usage_power_w,
)
from energy_plugin.meters.tape import SensorError
from energy_plugin.record.trace import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.record.trace import Sample

METER = "nvml"
WATCH_S, WATCH_MOST_S = 0.35, 1.2  # long enough for three updates of 100 ms; longer where they are slow
SHARPNESS = 0.05  # ... or where calls are: until the tick is known to this share of it
WATCH_GAP_S = 0.004
ENOUGH_MOVES = 3
MIN_W, MAX_W = 1.0, 2000.0  # no GPU draws less switched on; none more, where it does not tell its limit
LIMIT_FACTOR = 1.5  # a GPU may exceed its limit for a moment
AMPERE, UNKNOWN = 7, 0xFFFFFFFF
GA100 = re.compile(r"\b(A100X?|A800|A30X?|CMP 170HX)\b")
MIG = "scope whole-gpu: MIG is on, and the energy of its slices cannot be told apart"
T = TypeVar("T")


def all_within(seconds: float, works: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Do all of it at once; what fails, or does not come back in time, gives an exception in its place.

    Work that hangs is left behind in its thread: a driver's call cannot be ended.
    """
    answers: dict[int, T | Exception] = {}

    def run(index: int, work: Callable[[], T]) -> None:
        try:
            answers[index] = work()
        except Exception as error:  # the answer is told to the caller, in the place of this work
            answers[index] = error

    threads = [
        threading.Thread(target=run, args=entry, name="energy-nvml-probe", daemon=True)
        for entry in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    silent = SensorError("sensor-hangs", f"NVML did not answer within {seconds:g} s")
    return [answers.get(index, silent) for index in range(len(works))]


def count_gpus() -> int:
    """How many GPUs NVML lists.

    Raises:
        ImportError: nvidia-ml-py is not installed.
        SensorError: no driver, or one that says no.
    """
    import pynvml

    call(pynvml.nvmlInit)
    return int(call(pynvml.nvmlDeviceGetCount))


def identify(index: int, clock: Clock) -> CounterSensor:
    """The GPU of this index by its UUID, not yet looked at.

    Raises:
        SensorError: it cannot be asked even for its name.
    """
    import pynvml

    handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
    uuid = call(pynvml.nvmlDeviceGetUUID, handle)
    limit_w = _limit_w(handle)
    channel = Channel(
        id=f"gpu:{uuid}",
        meter=METER,
        source="nvml-counter",
        detail=_describe(handle, limit_w),
        limit_w=limit_w,
    )
    return CounterSensor(handle, channel, clock)


def settle(sensor: CounterSensor, clock: Clock) -> CounterSensor:
    """The sensor to use: this one where its counter lives believably, else its power, else a dead one."""
    try:
        channel = judge(sensor.channel, watch(sensor, clock))
    except SensorError as error:
        channel = replace(sensor.channel, alive=False, reason=error.code, detail=str(error))
    if channel.alive:
        sensor.channel = channel
        return sensor
    return _by_power(sensor, channel.reason, channel.detail, clock)


def watch(sensor: CounterSensor, clock: Clock) -> list[Sample]:
    """Let the counter show for a moment that it moves, believably, and how often.

    Raises:
        SensorError: it could not be read twice.
    """
    samples: list[Sample] = []
    failed = SensorError("no-samples", "the counter could not be read twice")
    begun_ns = clock.now_ns()
    while True:
        try:
            samples.append(sensor.read())
        except SensorError as error:
            failed = error
            if error.code in ("not-supported", "no-function", "no-permission"):
                raise
        span_s = (clock.now_ns() - begun_ns) / 1e9
        if span_s >= WATCH_MOST_S or (span_s >= WATCH_S and _is_clear(samples)):
            break
        clock.sleep(WATCH_GAP_S)
    if len(samples) < 2:
        raise failed
    return samples


def _moves(samples: Sequence[Sample]) -> list[int]:
    return [b.t_ns for a, b in itertools.pairwise(samples) if b.joules != a.joules]


def _is_clear(samples: Sequence[Sample]) -> bool:
    """Whether the tick is known well: each move is seen up to a gap between polls late."""
    moves = _moves(samples)
    if len(moves) < ENOUGH_MOVES:
        return False
    gap_ns = statistics.median(b.t_ns - a.t_ns for a, b in itertools.pairwise(samples))
    return gap_ns / (len(moves) - 1) <= SHARPNESS * _mean_gap(moves)


def _mean_gap(moves: Sequence[int]) -> float:
    return (moves[-1] - moves[0]) / (len(moves) - 1)


def judge(channel: Channel, samples: Sequence[Sample]) -> Channel:
    """The channel with its counter's tick, or dead with the reason why these samples are not believed."""
    moves, span_s = _moves(samples), (samples[-1].t_ns - samples[0].t_ns) / 1e9
    if not moves:
        said = f"the counter stood at {samples[0].joules:g} J for {span_s:.2g} s"
        return replace(channel, alive=False, reason="dead-counter", detail=said)
    power_w = (samples[-1].joules - samples[0].joules) / span_s
    # The counter may tick once more or less than the time shows: allow that for the judgement.
    share = 1 + 1 / len(moves)
    if not MIN_W / share <= power_w <= _most_w(channel) * share:
        said = f"the counter rose by {power_w:.3g} W while it was probed"
        return replace(channel, alive=False, reason="implausible", detail=said)
    return replace(channel, tick_s=_tick_ns(samples, moves) / 1e9)


def _tick_ns(samples: Sequence[Sample], moves: Sequence[int]) -> float:
    """Mean time between moves; of fewer than three the longest time that the counter stood."""
    if len(moves) >= ENOUGH_MOVES:
        return _mean_gap(moves)
    stood = itertools.pairwise((samples[0].t_ns, *moves, samples[-1].t_ns))
    return float(max(b - a for a, b in stood))


def _by_power(sensor: CounterSensor, reason: str, why: str, clock: Clock) -> CounterSensor:
    """A GPU whose counter is not to be used: its power may still do for an estimate."""
    channel = sensor.channel
    ways = (
        ("nvml-power-average", average_power_w, AVERAGE_S),
        ("nvml-power", usage_power_w, _usage_average_s(sensor.handle)),
    )
    said = ""
    for source, power_w, average_s in ways:
        try:
            watts = power_w(sensor.handle)
        except SensorError as error:
            said = said or f"power: {error.code}"
            continue
        if not MIN_W <= watts <= _most_w(channel):
            said = f"power: {watts:.3g} W is implausible"
            continue
        detail = f"{channel.detail}; no energy counter ({reason}: {why}): power is summed, an estimate"
        fallback = replace(channel, source=source, kind="model", detail=detail, average_s=average_s)
        return PowerSensor(sensor.handle, fallback, clock, power_w)
    sensor.channel = replace(
        channel, alive=False, reason=reason, detail=f"{channel.detail}; counter: {why}; {said}"
    )
    return sensor


def _most_w(channel: Channel) -> float:
    return LIMIT_FACTOR * channel.limit_w or MAX_W


def _usage_average_s(handle: object) -> float:
    """What ``nvmlDeviceGetPowerUsage`` is a mean of: one second from Ampere on but for the GA100 chip."""
    import pynvml

    try:
        architecture = call(pynvml.nvmlDeviceGetArchitecture, handle)
        name = str(call(pynvml.nvmlDeviceGetName, handle))
    except (SensorError, AttributeError):
        return 0.0
    newer = AMPERE <= architecture < UNKNOWN and not GA100.search(name)
    return AVERAGE_S if newer else 0.0


def _limit_w(handle: object) -> float:
    import pynvml

    try:
        return float(call(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)) / 1000
    except SensorError:
        return 0.0


def _describe(handle: object, limit_w: float) -> str:
    import pynvml

    try:
        words = [str(call(pynvml.nvmlDeviceGetName, handle))]
    except SensorError as error:
        words = [f"GPU that does not tell its name ({error.code})"]
    if limit_w:
        words.append(f"power limit {limit_w:g} W")
    try:
        mig = call(pynvml.nvmlDeviceGetMigMode, handle)[0] == 1
    except SensorError:
        mig = False
    return "; ".join([*words, MIG] if mig else words)
