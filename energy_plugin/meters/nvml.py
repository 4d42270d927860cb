"""GPU energy by NVML's total-energy counter, every GPU by its UUID."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from energy_plugin.meters.nvml_probe import METER, all_within, count_gpus, identify, settle
from energy_plugin.meters.nvml_visible import Listed, Visible, visible
from energy_plugin.meters.polling import PollingMeter
from energy_plugin.record.trace import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.meters.nvml_sensors import CounterSensor
    from energy_plugin.meters.protocols import GpuProcess, Sensor

LEAD_TICKS = 6  # idle power needs four edges of the counter, and the lead's phase is anything
TAIL_TICKS = 5.5  # ... and so does the power right after the end
LEAD_S, TAIL_S = 0.3, 0.25
POWER_LEAD_S, DRAIN_S = 0.6, 1.6  # power that is a mean of the last second is right a second late
PROBE_TIMEOUT_S = 30.0  # a driver without persistence mode wakes its GPUs for some seconds each
OF_OPTION, NO_SUCH = "not among --energy-gpus", "NVML lists no GPU of this UUID"
DRIVER = "install the NVIDIA driver and see that nvidia-smi lists the GPU"


class NvmlMeter(PollingMeter):
    """Every NVIDIA GPU of this machine, each in a thread of its own: one that hangs holds up no other.

    Polls from six ticks before the window (idle power, the counter's edge) to five ticks after it. A GPU
    without a believable counter has its power summed instead, as an estimate.

    Args:
        rate_hz: polls a second near the edges of a window.
        gpus: UUIDs of the GPUs the programs are given. What the others take is not the programs' and is
            not read.
        environ: what the programs find there; without *gpus* its ``CUDA_VISIBLE_DEVICES`` says which
            GPUs they are given, and without that it is all. This process's own when None.
        clock: the time of all samples.
        probe_timeout_s: a driver that does not answer for so long is given up.
    """

    name = METER
    weight = 2.0  # a GPU is asked for its power and its processes, too

    def __init__(
        self,
        *,
        rate_hz: float = 100.0,
        gpus: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        probe_timeout_s: float = PROBE_TIMEOUT_S,
    ) -> None:
        super().__init__((), rate_hz, lead_s=LEAD_S, tail_s=TAIL_S, clock=clock)
        self._gpus = tuple(gpus)
        self._environ = environ
        self._channels: list[Channel] | None = None
        self._cards: tuple[CounterSensor, ...] = ()
        self._probe_timeout_s = probe_timeout_s

    def probe(self) -> Sequence[Channel]:
        """One channel for each GPU, or one dead channel ``gpu`` that says why there is none."""
        if self._channels is None:
            self._channels = self._examine()
        return self._channels

    def start(self) -> None:
        """Begin to poll."""
        self.probe()
        self.close()
        for card in self._cards:
            card.begin()
        super().start()

    def processes(self) -> Sequence[GpuProcess]:
        """Every process seen on the meter's GPUs since ``start``, foreign ones too."""
        return [process for card in self._cards for process in card.processes()]

    def _groups(self) -> Sequence[Sequence[Sensor]]:
        return [[sensor] for sensor in self._sensors]

    def _examine(self) -> list[Channel]:
        (count,) = all_within(self._probe_timeout_s, [count_gpus])
        if isinstance(count, ImportError):
            return [_dead("gpu", "no-library", "nvidia-ml-py is not installed", "pip install nvidia-ml-py")]
        if isinstance(count, Exception):
            return [_dead("gpu", getattr(count, "code", "read-failed"), str(count), DRIVER)]
        if not count:
            return [_dead("gpu", "no-gpu", "NVML lists no GPU", DRIVER)]
        found = all_within(
            self._probe_timeout_s, [partial(identify, index, self._clock) for index in range(count)]
        )
        named = [card for card in found if not isinstance(card, Exception)]
        given = self._given(found)
        chosen = [card for card in named if given.uuids is None or _uuid(card.channel) in given.uuids]
        settled = all_within(self._probe_timeout_s, [partial(settle, card, self._clock) for card in chosen])
        self._use([card for card in settled if not isinstance(card, Exception)])
        channels = {id(card): _unsettled(card, answer) for card, answer in zip(chosen, settled, strict=True)}
        return [
            *(self._tell(index, card, channels, given) for index, card in enumerate(found)),
            *(_dead(f"gpu:{uuid}", "no-such-gpu", NO_SUCH, "nvidia-smi -L") for uuid in self._missing(named)),
        ]

    def _given(self, found: Sequence[CounterSensor | Exception]) -> Visible:
        """The GPUs that the programs are given."""
        if self._gpus:
            return Visible(frozenset(self._gpus), OF_OPTION)
        listed = [
            Listed("", "")
            if isinstance(card, Exception)
            else Listed(_uuid(card.channel), _model(card.channel))
            for card in found
        ]
        return visible(os.environ if self._environ is None else self._environ, listed)

    def _use(self, cards: Sequence[CounterSensor]) -> None:
        """Poll the living ones of these, and long enough before and after for the slowest."""
        self._cards = tuple(card for card in cards if card.channel.alive)
        self._sensors = self._cards
        for card in self._cards:
            counts = card.channel.kind == "direct"
            self.lead_s = max(self.lead_s, LEAD_TICKS * card.channel.tick_s if counts else POWER_LEAD_S)
            self.tail_s = max(self.tail_s, TAIL_TICKS * card.channel.tick_s if counts else DRAIN_S)

    def _tell(
        self, index: int, card: CounterSensor | Exception, settled: Mapping[int, Channel], given: Visible
    ) -> Channel:
        """The channel of the GPU that NVML lists at *index*."""
        if not isinstance(card, Exception):
            not_chosen = replace(card.channel, alive=False, reason="not-chosen", detail=given.said)
            channel = settled.get(id(card), not_chosen)
            unclear = given.uuids is None and given.said
            return replace(channel, detail=f"{channel.detail}; {given.said}") if unclear else channel
        return _dead(f"gpu:index-{index}", getattr(card, "code", "read-failed"), str(card), DRIVER)

    def _missing(self, named: Sequence[CounterSensor]) -> list[str]:
        """The UUIDs asked for that NVML does not name."""
        listed = {_uuid(card.channel) for card in named}
        return [uuid for uuid in self._gpus if uuid not in listed]


def _uuid(channel: Channel) -> str:
    return channel.id.removeprefix("gpu:")


def _model(channel: Channel) -> str:
    return channel.detail.partition(";")[0]


def _unsettled(card: CounterSensor, answer: CounterSensor | Exception) -> Channel:
    """The channel of a GPU after the probe, which itself may have failed."""
    if not isinstance(answer, Exception):
        return answer.channel
    reason = getattr(answer, "code", "read-failed")
    return replace(card.channel, alive=False, reason=reason, detail=f"{card.channel.detail}: {answer}")


def _dead(identity: str, reason: str, detail: str, fix: str = "") -> Channel:
    return Channel(
        id=identity, meter=METER, source="nvml-counter", alive=False, reason=reason, detail=detail, fix=fix
    )
