"""From the names on the command line to meters; each module is imported only when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from energy_plugin.clock import Clock
    from energy_plugin.meters.protocols import Meter

NAMES = ("perf", "nvml", "codecarbon", "calculator", "replay")


def make_meters(
    names: Sequence[str],
    *,
    tdp: Mapping[str, float] | None = None,
    replay: Path | None = None,
    country: str = "",
    gpus: Sequence[str] = (),
    log: Path | None = None,
    clock: Clock | None = None,
) -> list[Meter]:
    """Meters by name, in the order given, none of them probed yet.

    Args:
        names: some of :data:`NAMES`.
        tdp: rated watts by part, for ``calculator``.
        replay: folder or file of recorded energies, needed by ``replay``.
        country: three-letter ISO code, for ``codecarbon``; without effect on joules.
        gpus: UUIDs that ``nvml`` reads; all when empty.
        log: file for what CodeCarbon's helper writes.
        clock: the time all of them use.

    Raises:
        UnknownNameError: a name is none of :data:`NAMES`.
        UsageError: ``replay`` is asked for without a file.
        FileError: the file to replay is wrong.
    """

    def perf() -> Meter:
        from energy_plugin.meters.perf import PerfMeter

        return PerfMeter(clock=clock)

    def nvml() -> Meter:
        from energy_plugin.meters.nvml import NvmlMeter

        return NvmlMeter(gpus=gpus, clock=clock)

    def codecarbon() -> Meter:
        from energy_plugin.meters.codecarbon import CodeCarbonMeter

        return CodeCarbonMeter(country=country or "USA", log=log, clock=clock)

    def calculator() -> Meter:
        from energy_plugin.meters.calculator import CalculatorMeter

        return CalculatorMeter(tdp, clock=clock)

    def replayed() -> Meter:
        from energy_plugin.meters.replay import ReplayMeter

        if replay is None:
            raise UsageError("the meter 'replay' needs what to replay: --energy-replay FILE")
        return ReplayMeter(replay, clock=clock)

    makers: dict[str, Callable[[], Meter]] = dict(
        zip(NAMES, (perf, nvml, codecarbon, calculator, replayed), strict=True)
    )
    for name in names:
        if name not in makers:
            raise UnknownNameError("meter", name, NAMES)
    return [makers[name]() for name in names]
