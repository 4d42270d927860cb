"""The real perf of this machine: it obeys as the simulated one does, and never lets a dead counter live."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from energy_plugin.meters import perf_process
from energy_plugin.meters.perf import PerfMeter
from energy_plugin.meters.perf_process import PerfProcess
from tests.integration.test_meters_perf import POWERS, ROOT, attempt
from tests.simulated.hardware import Cpu

if TYPE_CHECKING:
    from energy_plugin.meters.perf_output import Count, Dialect

EVENTS = Path("/sys/bus/event_source/devices/power/events")


def counted_ms(counts: list[Count]) -> float:
    """Milliseconds of all processors, for each of them."""
    return sum(count.value or 0.0 for count in counts) / (os.cpu_count() or 1)


@pytest.mark.perf
@pytest.mark.root
@pytest.mark.parametrize("dialect", ["json", "csv"])
@pytest.mark.parametrize("by_die", [False, True])
def test_the_real_perf_obeys_the_same_commands_as_the_simulated_one(dialect: Dialect, by_die: bool) -> None:
    process = PerfProcess("perf", ["cpu-clock"], dialect=dialect, by_die=by_die)
    assert process.command("disable").done
    time.sleep(0.2)
    opened = process.command("enable")
    time.sleep(0.3)
    closed = process.command("disable")
    time.sleep(0.2)
    counts, code, text = process.finish()
    assert code == -signal.SIGINT, text
    assert (counts[0].event, counts[0].unit, counts[0].at_s) == ("cpu-clock", "msec", None)
    assert (closed.sent_ns - opened.got_ns) / 1e6 - 5 < counted_ms(counts)
    assert counted_ms(counts) < (closed.got_ns - opened.sent_ns) / 1e6 + 5
    assert counts[0].run_ns / 1e6 == pytest.approx(counted_ms(counts), rel=0.02)
    assert not process.command("enable").done


@pytest.mark.perf
@pytest.mark.root
@pytest.mark.parametrize("dialect", ["json", "csv"])
def test_the_real_intervals_sum_to_the_time_between_the_edges_and_tell_when_they_end(
    dialect: Dialect,
) -> None:
    process = PerfProcess("perf", ["cpu-clock"], dialect=dialect, interval_ms=100)
    process.command("disable")
    time.sleep(0.15)
    opened = process.command("enable")
    time.sleep(0.37)
    closed = process.command("disable")
    time.sleep(0.25)
    counts, _, _ = process.finish()
    known = [count for count in counts if count.value is not None]
    assert 4 <= len(known) <= 6
    assert counts[0].value is None, "switched off, perf writes <not counted>"
    span_ms = (closed.got_ns - opened.sent_ns) / 1e6
    assert counted_ms(known) == pytest.approx(span_ms, abs=5)
    assert sum(count.run_ns for count in known) / 1e6 == pytest.approx(span_ms, abs=5)
    whole = known[1:-1]
    for before, after in itertools.pairwise([known[0], *whole]):
        assert after.run_ns / 1e9 == pytest.approx((after.at_s or 0) - (before.at_s or 0), abs=0.01)


@pytest.mark.perf
@pytest.mark.root
def test_the_real_perf_killed_amid_its_intervals_leaves_those_it_wrote() -> None:
    process = PerfProcess("perf", ["cpu-clock"], interval_ms=100)
    process.command("enable")
    time.sleep(0.45)
    os.kill(process._process.pid, signal.SIGKILL)
    assert not process.command("disable").done
    assert not process.silent
    counts, code, _ = process.finish()
    assert code == -signal.SIGKILL
    assert 2 <= len([c for c in counts if c.value]) <= 5


@pytest.mark.perf
@pytest.mark.root
def test_the_real_perf_stopped_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_process, "ACK_TIMEOUT_S", 0.2)
    process = PerfProcess("perf", ["cpu-clock"])
    assert process.command("enable").done
    os.kill(process._process.pid, signal.SIGSTOP)
    start = time.monotonic()
    assert not process.command("disable").done
    assert process.silent
    process.command("disable")
    assert process.finish().code == -signal.SIGKILL
    assert time.monotonic() - start < 1


@pytest.mark.perf
@pytest.mark.root
@pytest.mark.slow
def test_the_real_perf_writing_intervals_costs_next_to_nothing() -> None:
    process = PerfProcess("perf", ["cpu-clock"], interval_ms=100)
    process.command("enable")
    fields = Path(f"/proc/{process._process.pid}/stat")
    ticks = [sum(map(int, fields.read_text().rpartition(")")[2].split()[11:13]))]
    time.sleep(10)
    ticks.append(sum(map(int, fields.read_text().rpartition(")")[2].split()[11:13])))
    process.kill()
    assert (ticks[1] - ticks[0]) / os.sysconf("SC_CLK_TCK") / 10 < 0.005


@pytest.mark.perf
def test_the_real_perf_never_makes_a_channel_live_that_counts_nothing() -> None:
    meter = PerfMeter()
    channels = meter.probe()
    assert {"cpu:package:0", "cpu:dram:0"} <= {c.id for c in channels}
    for channel in channels:
        assert channel.alive or channel.reason
    for reading in attempt(meter).values():
        assert reading.joules != 0.0


@pytest.mark.perf
@pytest.mark.root
def test_the_real_psys_is_listed_where_the_kernel_has_it_and_never_read() -> None:
    listed = [c for c in PerfMeter().probe() if c.id == "cpu:psys:0"]
    assert bool(listed) == (EVENTS / "energy-psys").exists()
    for psys in listed:
        assert not psys.alive
        assert psys.reason in ("dead-counter", "not-used")


@pytest.mark.perf
@pytest.mark.root
def test_the_real_perf_tells_a_plain_user_that_permission_is_missing(tmp_path: Path) -> None:
    paranoid = int(Path("/proc/sys/kernel/perf_event_paranoid").read_text())
    assert paranoid > 0, "plain users may count here: the test has nothing to see"
    listed = Cpu(folder=tmp_path, power_w=POWERS).install()["sysfs"]
    program = (
        "import sys; from pathlib import Path; from energy_plugin.meters.perf import PerfMeter\n"
        "print(*[c.reason for c in PerfMeter(sysfs=Path(sys.argv[1])).probe()])"
    )
    shutil.copytree(ROOT / "energy_plugin", tmp_path / "code" / "energy_plugin")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)  # added, not set: with --basetemp one may be /tmp itself
    command = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c", program, str(listed)]
    done = subprocess.run(command, cwd=tmp_path / "code", capture_output=True, text=True)
    # Without a power unit in the real kernel perf stumbles over the event's name first.
    expected = "no-permission" if EVENTS.exists() else "no-event"
    assert set(done.stdout.split()) == {expected}, done.stderr
