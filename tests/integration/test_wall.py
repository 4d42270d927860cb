"""Wall meters against real HTTP servers on loopback that answer as the devices do."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.meters.wall import WallMeter
from energy_plugin.meters.wall_targets import read_walls
from energy_plugin.record.trace import Channel, Reading, Trace, Window, integrate
from tests.plugs import PATHS, Plug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


KINDS = tuple(PATHS)


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty file of logins, so that the tester's own is left alone."""
    file = tmp_path / "netrc"
    file.touch(mode=0o600)
    monkeypatch.setenv("NETRC", str(file))
    return file


def probe(*given: str) -> list[Channel]:
    return list(WallMeter(read_walls(given)).probe())


# --- who is there ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["{host}", "{host}/", "{url}", "{kind}:{host}", "{kind}:{url}"])
def test_a_device_is_recognised_by_asking_it(kind: str, form: str, netrc: Path) -> None:
    with Plug(kind) as plug:
        (channel,) = probe("desk=" + form.format(host=plug.host, url=plug.url, kind=kind))
    assert (channel.alive, channel.reason) == (True, "")
    assert (channel.id, channel.source, channel.kind) == ("mains:desk", f"{kind}-counter", "direct")
    assert "60 W now" in channel.detail


def test_the_status_page_of_a_shelly_does_as_well(netrc: Path) -> None:
    with Plug("shelly1") as plug:
        assert probe(f"desk={plug.host}/status")[0].source == "shelly1-counter"


def test_a_proxy_is_never_asked_for_a_neighbour(netrc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Plug("shelly2") as plug:
        assert probe(f"desk={plug.host}")[0].alive


@pytest.mark.parametrize("kind", KINDS)
def test_a_password_is_asked_for_named_and_found_in_netrc(kind: str, netrc: Path) -> None:
    with Plug(kind) as plug:
        plug.password = "secret"
        (refused,) = probe(f"desk={plug.host}")
        netrc.write_text("machine 127.0.0.1 login admin password wrong\n")
        (wrong,) = probe(f"desk={kind}:{plug.host}")
        netrc.write_text("machine 127.0.0.1 login admin password secret\n")
        (let_in,) = probe(f"desk={kind}:{plug.host}")
    assert (refused.reason, wrong.reason) == ("no-permission", "no-permission")
    assert "machine 127.0.0.1 login USER password WORD" in refused.fix
    assert "~/.netrc" in refused.fix
    assert let_in.alive, let_in.detail
    assert "secret" not in repr(let_in)


def test_a_netrc_that_cannot_be_read_is_named(netrc: Path) -> None:
    netrc.write_text("machine 127.0.0.1 log\n")
    with Plug("shelly2") as plug:
        (channel,) = probe(f"desk={plug.host}")
    assert channel.reason == "bad-netrc"
    assert str(netrc) in channel.detail


@pytest.mark.parametrize(
    ("kind", "fault", "reason", "fix"),
    [
        ("shelly2", "garbage", "garbage", "curl"),
        ("tasmota", 500, "http-error", "/cm?cmnd"),
        ("shelly1", 403, "no-permission", "~/.netrc"),
        ("shelly2", "unmetered", "no-metering", "/rpc/Switch.GetStatus?id=0"),
        ("shelly1", "broken", "meter-invalid", "off and on"),
        ("shelly2", "nan", "garbage", "curl"),
        ("tasmota", "dark", "implausible", "plug this machine into it"),
        ("shelly1", "hang", "timeout", "curl"),
        ("shelly1", "drip", "timeout", "curl"),
    ],
)
def test_a_device_that_cannot_be_read_says_why_and_what_mends_it(
    kind: str, fault: int | str, reason: str, fix: str, netrc: Path
) -> None:
    with Plug(kind) as plug:
        plug.fault = fault
        began = time.monotonic()
        (channel,) = probe(f"desk={kind}:{plug.host}")
    assert time.monotonic() - began < 4
    assert (channel.alive, channel.reason) == (False, reason)
    assert channel.detail
    assert fix in channel.fix


def test_nobody_there_and_the_wrong_kind_are_told_apart(netrc: Path) -> None:
    with Plug("shelly2") as plug:
        (other,) = probe(f"desk=tasmota:{plug.url}")
        (lost,) = probe(f"desk={plug.host}/nothing/here")
    (gone,) = probe(f"desk={plug.host}")
    (nowhere,) = probe("desk=http://no-such-host.invalid")
    assert (other.reason, other.fix) == ("wrong-device", f"leave the kind away: desk={plug.url}")
    assert (lost.reason, f"{plug.host}/meter/0" in lost.fix) == ("http-error", True)
    assert (gone.reason, nowhere.reason) == ("unreachable", "unreachable")


def test_no_answer_is_waited_for_once_not_once_for_each_kind(netrc: Path) -> None:
    with Plug("tasmota") as plug:
        plug.fault = "hang"
        began = time.monotonic()
        assert probe(f"desk={plug.host}")[0].reason == "timeout"
    assert time.monotonic() - began < 3


# --- what they say ---

Seen = dict[str, tuple[Plug | None, Trace, Reading]]
IDLE_S, BUSY_S = 1.5, 4.0


def watch(
    targets: dict[str, str], plugs: dict[str, Plug], during: Callable[[], None] | None = None
) -> tuple[Seen, Window]:
    """Idle, a load of some seconds, idle again; *during* runs in the middle of the load."""
    meter = WallMeter(read_walls(f"{name}={where}" for name, where in targets.items()))
    channels = meter.probe()
    assert all(channel.alive for channel in channels), channels
    meter.start()
    time.sleep(IDLE_S)
    meter.edge("open")
    t0_ns = time.monotonic_ns()
    for plug in plugs.values():
        plug.loaded = (t0_ns / 1e9, t0_ns / 1e9 + BUSY_S)
    if during:
        threading.Timer(BUSY_S / 2, during).start()
    time.sleep(BUSY_S)
    t1_ns = time.monotonic_ns()
    meter.edge("close")
    time.sleep(meter.tail_s)
    window = Window(program="a", name="process", t0_ns=t0_ns, t1_ns=t1_ns)
    traces = {trace.channel.id.removeprefix("mains:"): trace for trace in meter.stop()}
    meter.close()
    return {
        name: (plugs.get(name), trace, integrate(trace, window, None)) for name, trace in traces.items()
    }, window


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Seen, Window]]:
    """Every kind of meter at once, each in a thread of its own."""
    counter = tmp_path_factory.mktemp("command") / "counter.py"
    counter.write_text("import time\nprint(f'{time.monotonic() * 100:.3f} J')\n")
    power = counter.with_name("power.py")
    power.write_text("print('{\"watts\": 45.5}')\n")
    with contextlib.ExitStack() as stack:
        plugs = {
            "fine": Plug("shelly2"),
            "minute": Plug("shelly1"),
            "kilo": Plug("tasmota"),
            "coarse": Plug("tasmota", digits=3, start_j=35_999_900.0),
            "slow": Plug("shelly2"),
            "wide": Plug("tasmota", digits=1),
        }
        plugs["slow"].refresh_s = 1.0
        targets = {name: stack.enter_context(plug).host for name, plug in plugs.items()}
        targets["joules"] = f"command:{sys.executable} -S {counter}"
        targets["watts"] = f"command:{sys.executable} -S {power}"
        yield watch(targets, plugs)


@pytest.mark.parametrize("name", ["fine", "minute", "kilo", "coarse", "slow"])
def test_the_truth_is_within_the_bounds_of_every_device(name: str, seen: tuple[Seen, Window]) -> None:
    plug, trace, reading = seen[0][name]
    assert plug is not None
    window = reading.window
    truth = plug.energy_j(window.t1_ns / 1e9) - plug.energy_j(window.t0_ns / 1e9)
    assert (reading.status, reading.reason) == ("measured", ""), trace.faults
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.lo_j <= truth <= reading.hi_j
    assert reading.joules == pytest.approx(truth, rel=0.15)
    assert reading.covered_s == pytest.approx(BUSY_S, abs=0.2)


def test_a_fine_counter_is_close_and_a_coarse_one_leaves_the_value_to_its_power(
    seen: tuple[Seen, Window],
) -> None:
    fine, coarse = seen[0]["fine"][2], seen[0]["coarse"][2]
    assert fine.method == "linear-edges"
    assert fine.joules == pytest.approx(240 * BUSY_S, rel=0.05)
    assert coarse.method == "power-integral"
    assert {quantum for _, quantum in seen[0]["coarse"][1].gauges["resolution_j"]} == {3600.0}
    assert {round(quantum, 6) for _, quantum in seen[0]["fine"][1].gauges["resolution_j"]} == {3.6}


def test_a_counter_that_did_not_move_is_not_called_measured(seen: tuple[Seen, Window]) -> None:
    _, _, reading = seen[0]["wide"]
    assert (reading.status, reading.reason) == ("estimated", "below-resolution")


def test_a_command_that_counts_measures_and_one_that_prints_power_estimates(
    seen: tuple[Seen, Window],
) -> None:
    counted, sampled = seen[0]["joules"][2], seen[0]["watts"][2]
    assert (counted.status, counted.source) == ("measured", "command-counter")
    assert counted.lo_j is not None
    assert counted.hi_j is not None
    assert counted.lo_j <= 100 * counted.window.duration_s <= counted.hi_j
    assert (sampled.status, sampled.reason, sampled.kind) == ("estimated", "power-sampled", "direct")
    assert sampled.joules == pytest.approx(45.5 * sampled.window.duration_s, rel=0.01)
    assert sampled.lo_j is None


def test_each_is_asked_about_twice_a_second(seen: tuple[Seen, Window]) -> None:
    plug = seen[0]["fine"][0]
    assert plug is not None
    assert 8 <= len(plug.asked) <= 30


@pytest.fixture(scope="module")
def broken() -> Iterator[Seen]:
    """What goes wrong in the middle of a load."""
    with contextlib.ExitStack() as stack:
        names = ("vanishes", "resets", "garbage", "locked", "lags", "hiccup")
        plugs = {name: Plug("shelly2") for name in names}
        targets = {name: stack.enter_context(plug).host for name, plug in plugs.items()}

        def strike() -> None:
            plugs["resets"].start_j = -plugs["resets"].energy_j(time.monotonic()) + plugs["resets"].start_j
            plugs["garbage"].fault = "garbage"
            plugs["locked"].fault = 401
            plugs["lags"].fault = "hang"
            plugs["hiccup"].fault = 503
            threading.Timer(1.0, lambda: setattr(plugs["hiccup"], "fault", "")).start()
            plugs["vanishes"].vanish()

        try:
            yield watch(targets, plugs, strike)[0]
        finally:
            stack.pop_all()
            for name, plug in plugs.items():
                if name != "vanishes":
                    plug.vanish()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("vanishes", "unreachable"),
        ("garbage", "garbage"),
        ("locked", "no-permission"),
        ("lags", "timeout"),
    ],
)
def test_a_plug_lost_under_load_covers_what_it_saw_and_says_why(name: str, code: str, broken: Seen) -> None:
    _, trace, reading = broken[name]
    assert (reading.status, reading.reason) == ("partial", code)
    assert code in {fault.code for fault in trace.faults}
    assert 1.2 <= reading.covered_s <= 2.6
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.lo_j <= 240 * reading.covered_s <= reading.hi_j


def test_a_plug_that_was_switched_off_and_on_under_load_is_a_reset(broken: Seen) -> None:
    _, _, reading = broken["resets"]
    assert (reading.status, reading.reason) == ("partial", "counter-reset")
    assert 3.0 <= reading.covered_s < BUSY_S
    assert reading.joules == pytest.approx(240 * reading.covered_s, rel=0.12)


def test_a_second_without_answers_is_bridged_by_the_counter(broken: Seen) -> None:
    plug, trace, reading = broken["hiccup"]
    assert plug is not None
    assert "http-error" in {fault.code for fault in trace.faults}
    assert reading.status == "measured"
    window = reading.window
    truth = plug.energy_j(window.t1_ns / 1e9) - plug.energy_j(window.t0_ns / 1e9)
    assert reading.lo_j is not None
    assert reading.hi_j is not None
    assert reading.lo_j <= truth <= reading.hi_j


def test_threads_end_and_a_second_attempt_begins_empty(netrc: Path) -> None:
    with Plug("shelly2") as plug:
        meter = WallMeter(read_walls([f"desk={plug.host}"]))
        meter.close()
        meter.probe()
        for _ in range(2):
            meter.start()
            meter.edge("open")
            time.sleep(0.6)
            meter.edge("close")
            (trace,) = meter.stop()
            assert 2 <= len(trace.gauges["resolution_j"]) <= 5
        meter.close()
        meter.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("energy-wall")]
