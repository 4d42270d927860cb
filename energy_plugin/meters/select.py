"""From the names on the command line to meters; each module is imported only when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.errors import UnknownNameError, UsageError
from energy_plugin.meters.liveness import BusyLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.meters.protocols import Meter
    from energy_plugin.meters.wall_targets import Target
    from energy_plugin.options import Options

NAMES = ("perf", "rapl", "nvml", "wall", "zeus", "codecarbon", "calculator", "replay")
SYSFS = Path("/sys")


def make_meters(
    names: Sequence[str],
    *,
    tdp: Mapping[str, float] | None = None,
    replay: Path | None = None,
    country: str = "",
    gpus: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    sysfs: Path | None = None,
    walls: Sequence[Target] = (),
    log: Path | None = None,
    clock: Clock | None = None,
) -> list[Meter]:
    """Meters by name, in the order given, none of them probed yet.

    Args:
        names: some of :data:`NAMES`.
        tdp: rated watts by part, for ``calculator``.
        replay: folder or file of recorded energies, needed by ``replay``.
        country: three-letter ISO code, for ``codecarbon``; without effect on joules.
        gpus: UUIDs that ``nvml`` reads.
        environ: where ``nvml`` looks for ``CUDA_VISIBLE_DEVICES`` without *gpus*; our own when None.
        sysfs: where the kernel's ``/sys`` is mounted, for ``perf`` and ``rapl``.
        walls: the plugs and commands that ``wall`` reads.
        log: file for what CodeCarbon's helper writes.
        clock: the time all of them use.

    Raises:
        UnknownNameError: a name is none of :data:`NAMES`.
        UsageError: ``replay`` is asked for without a file.
        FileError: the file to replay is wrong.
    """
    busy = BusyLoop(clock=clock)
    tracing: list[Meter] = []  # what reads the processor's counters all through a window

    def perf() -> Meter:
        from energy_plugin.meters.perf import PerfMeter

        def alone() -> bool:
            return not any(channel.alive for meter in tracing for channel in meter.probe())

        return PerfMeter(sysfs=sysfs or SYSFS, busy=busy, intervals=alone, clock=clock)

    def rapl() -> Meter:
        from energy_plugin.meters.rapl import RaplMeter

        tracing.append(RaplMeter(sysfs=sysfs or SYSFS, busy=busy, clock=clock))
        return tracing[-1]

    def nvml() -> Meter:
        from energy_plugin.meters.nvml import NvmlMeter

        return NvmlMeter(gpus=gpus, environ=environ, clock=clock)

    def wall() -> Meter:
        from energy_plugin.meters.wall import WallMeter

        return WallMeter(walls, clock=clock)

    def zeus() -> Meter:
        from energy_plugin.meters.zeus import ZeusMeter

        return ZeusMeter(clock=clock)

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
        zip(NAMES, (perf, rapl, nvml, wall, zeus, codecarbon, calculator, replayed), strict=True)
    )
    for name in names:
        if name not in makers:
            raise UnknownNameError("meter", name, NAMES)
    return [makers[name]() for name in names]


def environ_of(options: Options) -> Mapping[str, str] | None:
    """Where programs find ``CUDA_VISIBLE_DEVICES``: None is our own, of which a container sees nothing."""
    return {} if options.executor == "docker" else None


def meters_of(options: Options) -> list[Meter]:
    """The meters that *options* choose, none of them probed yet; raises as :func:`make_meters`."""
    return make_meters(
        options.meters,
        tdp=options.tdp,
        replay=options.replay,
        gpus=options.gpus,
        environ=environ_of(options),
        country=options.country,
        sysfs=options.sysfs,
        walls=options.walls,
    )
