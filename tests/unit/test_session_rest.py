"""Baselines and cooldowns with scripted power and a clock that only moves when someone waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.meters.protocols import GpuProcess
from energy_plugin.record.baseline import Baseline, Level, net, net_of
from energy_plugin.record.trace import Channel, Reading, Sample, Trace, Window
from energy_plugin.run import idle
from energy_plugin.run.guard import Guarded
from energy_plugin.run.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_plugin.meters.protocols import Edge


class Clock:
    """Time passes only in sleep."""

    def __init__(self) -> None:
        self.t_ns = 10**12

    def now_ns(self) -> int:
        return self.t_ns

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.t_ns / 1e9, UTC)

    def sleep(self, seconds: float) -> None:
        self.t_ns += round(seconds * 1e9)

    @property
    def s(self) -> float:
        return self.t_ns / 1e9 - 1000


class Scripted:
    """Counts what ``watts`` takes over the clock's time, in ticks of 0.1 s (``counter``) or exactly."""

    lead_s = tail_s = 0.0

    def __init__(
        self, clock: Clock, channel: str, watts: Callable[[float], float], form: str = "counter"
    ) -> None:
        self.name = f"meter-{channel}"
        self.clock, self.watts, self.form = clock, watts, form
        self.channel = Channel(id=channel, meter=self.name, source="scripted", tick_s=0.1)
        self.celsius: Callable[[float], float] | None = None
        self.used: Callable[[float], float] = lambda _: 0.0
        self.moments: list[float] = []

    def probe(self) -> Sequence[Channel]:
        return [self.channel]

    def start(self) -> None:
        self.moments = [self.clock.s]

    def edge(self, kind: Edge) -> None:
        self.moments.append(self.clock.s)

    def stop(self) -> Sequence[Trace]:
        gauges: dict[str, Any] = {"utilization_percent": ((self.clock.t_ns, self.used(self.clock.s)),)}
        if self.celsius:
            gauges["temperature_c"] = ((self.clock.t_ns, self.celsius(self.clock.s)),)
        first, last = (
            (self.moments[1], self.moments[2]) if self.form == "window" else (self.moments[0], self.clock.s)
        )
        times = [first, last] if self.form == "window" else polls(first, last)
        joules = {t: self.joules(t if self.form == "window" else int(t * 10) / 10) for t in times}
        samples = tuple(Sample(round((t + 1000) * 1e9), j) for t, j in joules.items())
        return [Trace(meter=self.name, channel=self.channel, form=self.form, samples=samples, gauges=gauges)]  # type: ignore[arg-type]

    def joules(self, t: float) -> float:
        steps = [i / 100 for i in range(int(t * 100) + 1)] + [t]
        return sum((b - a) * self.watts((a + b) / 2) for a, b in pairwise(steps))

    def close(self) -> None: ...


class Crowded(Scripted):
    """A GPU that others use."""

    crowd: tuple[GpuProcess, ...] = ()

    def processes(self) -> Sequence[GpuProcess]:
        return self.crowd


def polls(first: float, last: float) -> list[float]:
    return [first + i * 0.01 for i in range(int((last - first) * 100) + 1)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(idle, "LoadWatch", lambda _: Quiet)
    monkeypatch.setattr(Quiet, "load", 0.01)
    return made


class Quiet:
    """The host's load, as the test says."""

    load: float | None = 0.01

    @classmethod
    def share(cls) -> float | None:
        return cls.load


def rest_of(clock: Clock, *meters: Scripted, idle_s: float = 5.0, cooldown_s: float = 60.0) -> Rest:
    guarded = [Guarded(meter, clock) for meter in meters]
    for meter in guarded:
        meter.probe()
    return Rest(guarded, clock, idle_s, cooldown_s)


def test_waits_longer_than_three_seconds_are_told_once_each(clock: Clock) -> None:
    told: list[str] = []
    begin_s = 30.0

    def watts(t: float) -> float:
        return 200.0 if begin_s <= t < begin_s + 20 else 40.0

    meter = Guarded(Scripted(clock, "gpu:x", watts), clock)
    meter.probe()
    rest = Rest([meter], clock, 5.0, 60.0, told.append)
    rest.before()
    assert [line.partition(",")[0] for line in told] == ["watching the machine at rest for 7 s"]
    rest.between()  # back at once
    assert len(told) == 1
    clock.sleep(begin_s - clock.s)
    rest.between()
    assert len(told) == 2
    assert told[1].startswith("waiting until the machine is back at rest (gpu:x +160 W), ")
    rest.after()
    assert len(told) == 3
    Rest([meter], clock, 0.5, 0.0, told.append).before()
    assert len(told) == 3


@pytest.mark.parametrize("form", ["counter", "window"])
def test_baseline_is_the_idle_power_with_its_uncertainty(clock: Clock, form: str) -> None:
    rest = rest_of(clock, Scripted(clock, "cpu:package:0", lambda _: 40.0, form))
    (level,) = rest.before().levels
    assert level.power_w == pytest.approx(40.0, rel=0.01)
    assert level.median_w == pytest.approx(40.0, rel=0.02)
    assert level.power_w is not None
    assert level.unc_w is not None
    assert abs(level.power_w - 40.0) <= 3 * level.unc_w + 1e-9
    assert level.drift_w == pytest.approx(0.0, abs=0.5)
    assert level.seconds == pytest.approx(5.0)
    assert rest.held.name == "idle:before"
    assert clock.s == pytest.approx(7.0)  # two to settle, five to watch


def test_baseline_that_drifts_is_taken_again_and_its_drift_is_kept(clock: Clock) -> None:
    falls = rest_of(clock, Scripted(clock, "gpu:x", lambda t: 60.0 + max(0.0, 40 - 8 * t)))
    (level,) = falls.before().levels
    assert level.power_w == pytest.approx(60.0, rel=0.01)  # the second try saw it settled
    assert clock.s == pytest.approx(12.0)


def test_drift_that_goes_on_widens_the_uncertainty(clock: Clock) -> None:
    (level,) = rest_of(clock, Scripted(clock, "gpu:x", lambda t: 60.0 + 4 * t)).before().levels
    assert level.drift_w == pytest.approx(10.0, rel=0.05)
    assert level.unc_w is not None
    assert level.unc_w >= 10 / 12**0.5 * 0.95
    assert clock.s == pytest.approx(17.0)


def test_meter_without_updates_says_so(clock: Clock) -> None:
    (level,) = rest_of(clock, Scripted(clock, "gpu:x", lambda _: 0.0)).before().levels
    assert (level.power_w, level.reason) == (None, "too-few-updates")


@pytest.mark.parametrize(
    ("channel", "load", "busy", "process", "reason"),
    [
        ("cpu:package:0", 0.2, 0.0, False, "cpu-busy"),
        ("cpu:package:0", 0.01, 90.0, False, ""),
        ("cpu:package:0", None, 0.0, False, ""),
        ("gpu:x", 0.2, 0.0, False, ""),
        ("gpu:x", 0.01, 9.0, False, "gpu-busy"),
        ("gpu:x", 0.01, 0.0, True, "foreign-gpu-process"),
        ("mains:desk", 0.2, 0.0, False, "cpu-busy"),
        ("mains:desk", 0.01, 0.0, True, "foreign-gpu-process"),
    ],
)
def test_baseline_of_a_machine_that_is_not_idle_is_refused(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    channel: str,
    load: float | None,
    busy: float,
    process: bool,
    reason: str,
) -> None:
    monkeypatch.setattr(Quiet, "load", load)
    gpu = Crowded(clock, "gpu:x", lambda _: 60.0)
    gpu.used = lambda _: busy
    gpu.crowd = (GpuProcess(channel="gpu:x", pid=7, first_ns=0, last_ns=10**15),) if process else ()
    meters = [gpu] if channel == "gpu:x" else [gpu, Scripted(clock, channel, lambda _: 60.0)]
    baseline = rest_of(clock, *meters).before()
    (level,) = [level for level in baseline.levels if level.channel == channel]
    assert level.reason == reason
    assert (level.power_w is None) == bool(reason)
    assert baseline.gpu_processes == int(process)


def test_process_that_ended_before_is_no_reason(clock: Clock) -> None:
    gpu = Crowded(clock, "gpu:x", lambda _: 60.0)
    gpu.crowd = (GpuProcess(channel="gpu:x", pid=7, first_ns=0, last_ns=10**12 - 1),)
    (level,) = rest_of(clock, gpu).before().levels
    assert level.reason == ""


def cooled(clock: Clock, meter: Scripted, cooldown_s: float = 60.0) -> tuple[Rest, Any]:
    """A rest whose first baseline was taken quietly, at the end of a training at t = 100 s."""
    rest = rest_of(clock, meter, cooldown_s=cooldown_s)
    rest.before()
    clock.sleep(100 - clock.s)
    return rest, rest.between()


def test_cooldown_ends_when_power_is_back_and_is_the_next_baseline(clock: Clock) -> None:
    rest, cooldown = cooled(clock, Scripted(clock, "gpu:x", lambda t: 160.0 if 50 < t < 106 else 60.0))
    assert cooldown.reason == "back at idle"
    assert 7.0 < cooldown.seconds <= 9.0
    assert rest.held.name == "idle:between"
    assert rest.held.levels[0].power_w == pytest.approx(60.0, rel=0.02)


def test_cooldown_waits_for_the_temperature(clock: Clock) -> None:
    meter = Scripted(clock, "gpu:x", lambda _: 60.0)
    meter.celsius = lambda t: 35.0 if t < 50 else max(35.0, 70 - (t - 100) * 2)
    _, cooldown = cooled(clock, meter)
    assert cooldown.reason == "back at idle"
    assert 16.0 <= cooldown.seconds <= 18.0


def test_cooldown_ends_at_its_limit_and_says_what_is_not_back(clock: Clock) -> None:
    rest, cooldown = cooled(clock, Scripted(clock, "gpu:x", lambda t: 60.0 if t < 50 else 80.0), 10.0)
    assert cooldown.reason.startswith("not back at idle: gpu:x +20")
    assert cooldown.seconds == pytest.approx(10.0)
    (level,) = rest.held.levels
    assert level.power_w == pytest.approx(80.0, rel=0.02)
    assert (level.unc_w or 0) >= 20 / 12**0.5 * 0.95  # it moved by 20 W since the first baseline


def test_cooldown_of_a_machine_that_cooled_is_two_slices(clock: Clock) -> None:
    _, cooldown = cooled(clock, Scripted(clock, "gpu:x", lambda _: 60.0))
    assert cooldown.seconds == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("channel", "idle_s", "cooldown_s", "seconds", "reason"),
    [
        ("", 5.0, 60.0, 0.0, "no temperature or power channel lives here"),
        ("gpu:x", 0.0, 60.0, 60.0, "fixed rest"),
        ("cpu:package:0", 0.0, 60.0, 0.0, "no idle level to come back to: --energy-idle 0"),
        ("gpu:x", 5.0, 0.0, 0.0, "--energy-cooldown 0"),
    ],
)
def test_cooldown_is_none_where_nothing_can_tell(
    clock: Clock, channel: str, idle_s: float, cooldown_s: float, seconds: float, reason: str
) -> None:
    meters = [Scripted(clock, channel, lambda _: 60.0)] if channel else []
    rest = rest_of(clock, *meters, idle_s=idle_s, cooldown_s=cooldown_s)
    rest.before()
    cooldown = rest.between()
    assert (cooldown.seconds, cooldown.reason) == (seconds, reason)


@pytest.mark.parametrize(
    ("idle_s", "reason"), [(5.0, "no direct meter lives here"), (0.0, "no direct meter lives here")]
)
def test_nothing_is_waited_for_where_no_direct_meter_lives(clock: Clock, idle_s: float, reason: str) -> None:
    model = Scripted(clock, "cpu", lambda _: 60.0)
    model.channel = replace(model.channel, kind="model")
    rest = rest_of(clock, model, idle_s=idle_s)
    assert rest.before() == Baseline(name="idle:before", reason=reason)
    assert rest.between().seconds == 0.0
    assert rest.after().reason == reason
    assert clock.s == 0.0
    assert rest.most_s == 0.0


def test_replay_has_no_idle_power(clock: Clock) -> None:
    meter = Scripted(clock, "gpu:x", lambda _: 60.0)
    meter.select = lambda case_id: None  # type: ignore[attr-defined]
    assert rest_of(clock, meter).before().reason == "no direct meter lives here"


def reading(**changes: Any) -> Reading:
    window = Window(program="a", name="process", t0_ns=0, t1_ns=10 * 10**9)
    given: dict[str, Any] = {
        "meter": "nvml", "channel": "gpu:x", "window": window, "status": "measured", "joules": 3000.0,
        "lo_j": 2990.0, "hi_j": 3010.0, "covered_s": 10.0, "idle_w": 60.0, "idle_unc_w": 0.5,
    }  # fmt: skip
    return Reading(**given | changes)


def test_net_is_gross_less_idle_with_both_uncertainties() -> None:
    found = net(reading())
    assert found.joules == 2400.0
    assert found.unc_j == pytest.approx((5.0**2 + (10 / 3**0.5) ** 2) ** 0.5)
    assert net(reading(unc_j=2.0)).unc_j == pytest.approx((5.0**2 + 2.0**2) ** 0.5)


def test_net_of_a_part_takes_off_idle_of_the_covered_seconds_only() -> None:
    assert net(reading(status="partial", joules=1500.0, covered_s=5.0)).joules == 1200.0


def test_net_is_unknown_where_idle_or_joules_are_and_never_cut_at_zero() -> None:
    assert net(reading(idle_w=None)).reason == "gpu:x idle power unknown"
    assert net(reading(status="unavailable", joules=None, reason="gpu-lost")) == (None, None, "gpu-lost")
    assert net(reading(joules=500.0)).joules == -100.0
    assert net_of([reading(), reading(channel="cpu:package:0", idle_w=None)]).joules is None
    assert net_of([]).joules is None
    assert net_of([reading(), reading(channel="gpu:y")]).joules == 4800.0


def test_level_of_another_meter_is_none() -> None:
    level = Level(meter="nvml", channel="gpu:x", power_w=60.0, unc_w=1.0)
    baseline = Baseline(name="idle:before", levels=(level,))
    assert baseline.level("rapl", "gpu:x") is None
