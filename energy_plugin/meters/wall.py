"""Wall meters: what the whole machine draws, read from a plug over HTTP or from a command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from energy_plugin.clock import Clock, SystemClock
from energy_plugin.meters.pace import Pace
from energy_plugin.meters.polling import PollingMeter, SensorError
from energy_plugin.meters.wall_devices import DEVICES, Device, Shown, decode, read_command, recognise
from energy_plugin.meters.wall_sources import CommandSource, HttpSource
from energy_plugin.record.trace import Channel, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.meters.protocols import Sensor
    from energy_plugin.meters.wall_targets import Target
    from energy_plugin.record.trace import Trace

PERIOD_S = 0.5
"""Twice a second; and at each edge of a window at once ..."""
EDGE_SHARE = 0.2
"""... and again after this share of a period."""
LEAD_S = TAIL_S = 1.2
REFRESH_S = 1.0
"""How old a plug's number may be where its trace does not show it; a command counts when it is asked."""

FIXES = {
    "unreachable": "see that the device is on and in this network: curl {where}",
    "timeout": "see that the device is on and in this network: curl {where}",
    "no-permission": "write 'machine {host} login USER password WORD' into ~/.netrc (chmod 600)",
    "bad-netrc": "write 'machine {host} login USER password WORD' into ~/.netrc (chmod 600)",
    "http-error": "give the path the device answers at, such as {example}",
    "garbage": "see what it answers: curl '{where}'",
    "unknown-device": "give the path that meters, such as {base}/emeter/0 or {base}/rpc/PM1.GetStatus?id=0, "
    "or {name}=command:CMD for any other meter",
    "wrong-device": "leave the kind away: {name}={where}",
    "no-metering": "choose the channel that meters, such as {example}, or a device with a meter",
    "several-meters": "choose one by its path, such as {example}",
    "meter-invalid": "switch the device off and on again, or replace it",
    "implausible": "plug this machine into it and switch its relay on",
    "bad-unit": "print joules or watts, such as '123.4 J' or '45 W'",
    "no-command": "give a command that is on PATH",
    "command-failed": "run it by hand until it prints such as '45 W'",
}


class PlugSensor:
    """One wall meter: cumulative joules, and beside them watts and the resolution of each reading.

    Args:
        target: name, kind (empty: ask the device) and URL or command.
    """

    def __init__(self, target: Target, *, clock: Clock | None = None) -> None:
        self.target = target
        self._clock = clock or SystemClock()
        self._device: Device | None = DEVICES.get(target.kind)
        self._source: HttpSource | CommandSource | None = None
        self._summed_j = 0.0
        self._last: tuple[int, float] | None = None
        self.noted: dict[str, list[tuple[int, float]]] = {}
        self.channel = self._channel("wall-meter", alive=False, reason="not-probed")

    def begin(self) -> None:
        """Forget what the last attempt noted."""
        self.noted, self._last = {}, None

    # --- who is there ---

    def probe(self) -> Channel:
        """Ask once; the channel says what is there, or why it cannot be read."""
        try:
            said = self._first()
            if said.power_w == 0:
                raise SensorError("implausible", "0 W at the wall, though this machine runs")
        except SensorError as error:
            self.channel = self._dead(error)
        else:
            self.channel = self._living(said)
        return self.channel

    def _first(self) -> Shown:
        if self.target.kind == "command":
            self._source = CommandSource(self.target.where)
            return self.ask()
        if urlsplit(self.target.where).path not in ("", "/"):
            return self._try(self.target.where, [""])
        chosen = [DEVICES[self.target.kind]] if self.target.kind else DEVICES.values()
        return self._try(self.target.where.rstrip("/"), [device.path for device in chosen])

    def _try(self, base: str, paths: Sequence[str]) -> Shown:
        """The first path that is answered by a device we know."""
        trouble = SensorError("unknown-device", f"{base} answers none of {', '.join(paths)}")
        for path in paths:
            self._source = HttpSource(base + path)
            try:
                data = decode(self._source.ask())
                self._device = self._known(data)
                return self._device.read(data)
            except SensorError as error:
                if len(paths) == 1 or error.code in ("unreachable", "timeout", "no-permission", "bad-netrc"):
                    raise
                if error.code not in ("http-error", "garbage", "unknown-device"):
                    trouble = error
        raise trouble

    def _known(self, data: Any) -> Device:
        found, asked = recognise(data), DEVICES.get(self.target.kind)
        if asked and found is not asked:
            raise SensorError("wrong-device", f"asked for {asked.kind}, but it answers as {found.kind} does")
        return found

    def _living(self, said: Shown) -> Channel:
        kind = self._device.kind if self._device else "command"
        power = f"{said.power_w:g} W now" if said.power_w is not None else "no power reading"
        if said.joules is None:
            return self._channel(
                f"{kind}-power",
                detail=f"{self.target.where}: {power}; no counter: power is summed, an estimate",
            )
        counted = f"{said.joules:.12g} J counted, resolution {said.resolution_j:g} J now"
        tick_s = REFRESH_S if self._device else 0.0
        return self._channel(
            f"{kind}-counter", detail=f"{self.target.where}: {counted}, {power}", tick_s=tick_s
        )

    def _dead(self, error: SensorError) -> Channel:
        host = urlsplit(self.target.where).hostname if self.target.kind != "command" else ""
        base = "://".join(urlsplit(self.target.where)[:2]) if host else ""
        fix = FIXES.get(error.code, "").format(
            where=self.target.where,
            host=host,
            name=self.target.name,
            base=base,
            example=f"{base}{self._device.path if self._device else '/meter/0'}",
        )
        kind = self.target.kind or "wall-meter"
        return self._channel(kind, alive=False, reason=error.code, detail=str(error), fix=fix)

    def _channel(self, source: str, **known: Any) -> Channel:
        return Channel(id=f"mains:{self.target.name}", meter=WallMeter.name, source=source, **known)

    # --- what it says ---

    def ask(self) -> Shown:
        """One answer.

        Raises:
            SensorError: no answer, or one that says nothing.
        """
        assert self._source is not None, "ask() before probe()"
        text = self._source.ask()
        if self._device is None:
            return read_command(text)
        data = decode(text)
        if not self._device.looks(data):
            raise SensorError("garbage", f"no answer of a {self._device.kind}: {str(data)[:80]}")
        return self._device.read(data)

    def read(self) -> Sample:
        """Joules now: the device's counter, or where it has none the sum of its power."""
        before_ns = self._clock.now_ns()
        said = self.ask()
        after_ns = self._clock.now_ns()
        if self._counts and said.joules is None:
            raise SensorError("garbage", "the counter is gone from the answer")
        self._note("call_s", after_ns, (after_ns - before_ns) / 1e9)
        if said.power_w is not None:
            self._note("power_w", after_ns, said.power_w)
        if said.joules is not None and self._counts:
            self._note("resolution_j", after_ns, said.resolution_j)
            return Sample(after_ns, said.joules)
        if said.power_w is None:
            raise SensorError("garbage", "the power is gone from the answer")
        return Sample(after_ns, self._sum(after_ns, said.power_w))

    def finish(self, trace: Trace) -> Trace:
        """The trace of the polling thread with what was noted beside it."""
        gauges = {name: tuple(points) for name, points in list(self.noted.items())}
        return replace(trace, form="counter" if self._counts else "power", gauges=gauges)

    @property
    def _counts(self) -> bool:
        return self.channel.source.endswith("-counter")

    def _note(self, name: str, t_ns: int, value: float) -> None:
        self.noted.setdefault(name, []).append((t_ns, value))

    def _sum(self, t_ns: int, power_w: float) -> float:
        if self._last is not None:
            then_ns, then_w = self._last
            self._summed_j += (then_w + power_w) / 2 * (t_ns - then_ns) / 1e9
        self._last = (t_ns, power_w)
        return self._summed_j


class Steady(Pace):
    """The same rate all the time, and at once at an edge of a window."""

    def __init__(self, period_s: float = PERIOD_S) -> None:
        super().__init__(1 / period_s)
        self._period_ns = period_s * 1e9
        self._due_ns = 0.0
        self._near_edge = False

    def anew(self) -> Steady:
        """The same for another attempt."""
        return Steady(self._period_ns / 1e9)

    def edge(self, now_ns: int) -> None:
        """A window opens or closes: ask now, and soon after, so that the edge lies between two looks."""
        self._due_ns = now_ns
        self._near_edge = True

    def next_ns(self, now_ns: int) -> int:
        """When to ask next."""
        return round(self._due_ns)

    def polled(self, begun_ns: int, ended_ns: int, *, moved: bool, cpu_ns: int) -> None:
        """Half of the time at most is spent waiting for answers."""
        period_ns = self._period_ns * (EDGE_SHARE if self._near_edge else 1)
        self._near_edge = False
        self._due_ns = max(begun_ns + period_ns, 2 * ended_ns - begun_ns)

    def failed(self, begun_ns: int, ended_ns: int) -> None:
        """A device that does not answer is asked as before: it may come back before the window closes."""
        self._due_ns = ended_ns + self._period_ns


class WallMeter(PollingMeter):
    """Plugs and other meters in the mains: measured, the whole machine, never added to its parts.

    Each is asked in a thread of its own, so that a slow one does not hold up another.

    Args:
        targets: the meters, by name; see :func:`energy_plugin.meters.wall_targets.read_walls`.
        clock: the time of all samples.
    """

    name = "wall"

    def __init__(self, targets: Sequence[Target], *, clock: Clock | None = None) -> None:
        self._plugs = [PlugSensor(target, clock=clock) for target in targets]
        super().__init__(self._plugs, 1 / PERIOD_S, LEAD_S, TAIL_S, clock=clock)

    def probe(self) -> Sequence[Channel]:
        """``mains:<name>`` for each target; dead ones with their reason and mend."""
        self.close()
        self._polled = ()  # who is alive is found out anew
        if not self._plugs:
            return [
                Channel(
                    id="mains",
                    meter=self.name,
                    source="wall-meter",
                    alive=False,
                    reason="not-given",
                    detail="no wall meter was named",
                    fix="--energy-wall NAME=http://HOST (Shelly, Tasmota) or NAME=command:CMD",
                )
            ]
        return [plug.probe() for plug in self._plugs]

    def _groups(self) -> Sequence[Sequence[Sensor]]:
        return [[plug] for plug in self._plugs]

    def _new_pace(self, group: Sequence[Sensor], of: int) -> Pace:
        return Steady()

    def start(self) -> None:
        """Begin to ask every plug."""
        self.close()
        for plug in self._plugs:
            plug.begin()
        super().start()

    def stop(self) -> Sequence[Trace]:
        """One trace for each living plug, with power and the resolution of each reading as gauges."""
        noted = {plug.channel.id: plug for plug in self._plugs}
        return [noted[trace.channel.id].finish(trace) for trace in super().stop()]
