"""The doctor names what lives, why the rest does not, and the exact mend."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin import doctor
from energy_plugin import trial as trials
from energy_plugin.__main__ import main
from energy_plugin.meters.calculator import CalculatorMeter
from energy_plugin.record.trace import Channel, Sample, Trace
from energy_plugin.run.host import host_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.meters.protocols import Edge

ROOT = Path(__file__).parents[2]
LIVE = Channel(id="gpu:G", meter="nvml", source="nvml-counter", detail="Some GPU")
DEAD = Channel(
    id="cpu:package:0",
    meter="perf",
    source="rapl-pmu",
    alive=False,
    reason="no-permission",
    detail="perf_event_paranoid is 2",
    fix="sysctl kernel.perf_event_paranoid=0",
)


class Fixed:
    """A meter with given channels that remembers what was done to it."""

    name = "fixed"
    lead_s = tail_s = 0.0

    def __init__(self, *channels: Channel) -> None:
        self.channels = channels
        self.calls: list[str] = []

    def warm(self) -> None:
        self.calls.append("warm")

    def probe(self) -> Sequence[Channel]:
        self.calls.append("probe")
        return self.channels

    def start(self) -> None: ...

    def edge(self, kind: Edge) -> None: ...

    def stop(self) -> Sequence[Trace]:
        return ()

    def close(self) -> None:
        self.calls.append("close")


def report(*meters: Fixed | CalculatorMeter, strict: bool = False) -> tuple[int, str]:
    out = io.StringIO()
    return doctor.run(meters, out, strict=strict), out.getvalue()


def test_a_living_channel_names_its_sensor_and_a_dead_one_its_mend() -> None:
    code, text = report(Fixed(DEAD), Fixed(LIVE))
    assert code == 0
    assert "ok   gpu:G" in text
    assert "reads nvml-counter" in text
    assert "no-permission: perf_event_paranoid is 2" in text
    assert "fix: sysctl kernel.perf_event_paranoid=0" in text
    assert "1 direct and 0 estimating" in text


@pytest.mark.parametrize(("strict", "code"), [(False, 0), (True, 1)])
def test_only_strict_minds_that_nothing_is_measured(strict: bool, code: int) -> None:
    got, text = report(Fixed(DEAD), CalculatorMeter({"cpu": 65}), strict=strict)
    assert got == code
    assert "never measured" in text
    assert "estimates by tdp-table" in text


def test_slow_helpers_are_warmed_first_and_every_meter_is_closed() -> None:
    first, second = Fixed(LIVE), Fixed(DEAD)
    report(first, second)
    assert first.calls == second.calls == ["warm", "probe", "close"]


def test_inside_a_container_the_missing_flag_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(doctor, "MOUNTINFO", mounts)
    mounts.write_text("22 1 254:0 / / rw - ext4 /dev/vda rw\n")
    outside, inside = io.StringIO(), io.StringIO()
    doctor.run([Fixed(DEAD)], outside)
    mounts.write_text(f"613 599 254:0 /c/containers/{'ab' * 32}/hostname /etc/hostname rw - ext4 /d rw\n")
    doctor.run([Fixed(DEAD)], inside)
    assert "docker run" not in outside.getvalue()
    assert "in this container: docker run --cap-add=PERFMON" in inside.getvalue()


class Counting(Fixed):
    """A counter of 20 W, and of 50 W from the second attempt on."""

    def __init__(self, *channels: Channel) -> None:
        super().__init__(*channels)
        self.attempts = 0
        self.edges_ns: list[int] = []

    def start(self) -> None:
        self.attempts += 1
        self.edges_ns = []

    def edge(self, kind: Edge) -> None:
        self.edges_ns.append(time.monotonic_ns())

    def stop(self) -> Sequence[Trace]:
        power_w = 20.0 if self.attempts == 1 else 50.0
        samples = tuple(Sample(t, power_w * (t - self.edges_ns[0]) / 1e9) for t in self.edges_ns)
        return [Trace(meter="fixed", channel=c, form="window", samples=samples) for c in self.channels]


MODEL = Channel(id="gpu", meter="fixed", source="load-model", kind="model")


def trial(
    *meters: Fixed, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.3
) -> tuple[int, str, list[subprocess.Popen[bytes]]]:
    """What the doctor writes, and the loops it started."""
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def note(*arguments: Any, **named: Any) -> subprocess.Popen[bytes]:
        started.append(real(*arguments, **named))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", note)
    monkeypatch.setattr(trials, "SETTLE_S", 0.05)
    out = io.StringIO()
    code = doctor.run(meters, out, measure_s=seconds)
    return code, out.getvalue(), started


def row(text: str, *parts: str) -> str:
    (found,) = [line for line in text.splitlines() if all(part in line for part in parts)]
    return found


def test_idle_and_busy_stand_side_by_side_estimates_beside_measurements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, text, loops = trial(Counting(LIVE, MODEL), Fixed(DEAD), monkeypatch=monkeypatch)
    assert code == 0
    assert re.search(r"gpu:G\s+fixed\s+nvml-counter\s+20\.0 ± \d+\.\d+\s+50\.0 ± \d", text)
    assert re.search(r"gpu\s+fixed\s+load-model\s+20\.0\s+50\.0\s+estimated", text)
    assert "measured" in row(text, "gpu:G", "50.0")
    assert text.index("nvml-counter  2") < text.index("load-model    2")
    assert "GPUs do nothing" in text
    assert f"all {len(loops)} processors" in text
    assert len(loops) == trials.processors()
    assert all(loop.poll() is not None for loop in loops)


def test_without_a_direct_meter_it_says_that_nothing_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text, _ = trial(Counting(MODEL), Fixed(DEAD), monkeypatch=monkeypatch)
    assert code == 0
    assert "every watt above is an estimate, none was measured" in text


def test_without_any_meter_there_is_nothing_to_measure_with(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text, loops = trial(Fixed(DEAD), monkeypatch=monkeypatch)
    assert code == 0
    assert "Nothing to measure with" in text
    assert loops == []


def test_ctrl_c_ends_the_load_and_shows_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Counting):
        def edge(self, kind: Edge) -> None:
            super().edge(kind)
            if self.attempts == 2 and kind == "open":
                os.kill(os.getpid(), signal.SIGINT)

    code, text, loops = trial(Impatient(LIVE), monkeypatch=monkeypatch, seconds=0.5)
    assert code == 130
    assert "Interrupted" in text
    assert re.search(r"gpu:G .* 20\.0 ± \d+\.\d+\s+--\s+measured", text)
    assert loops
    assert all(loop.poll() is not None for loop in loops)


def test_the_load_ends_by_itself_where_nobody_is_left_to_end_it() -> None:
    load = trials.Load(0.3)
    load.start()
    loops = list(load._loops)
    try:
        assert [loop.wait(timeout=20) for loop in loops] == [0] * trials.processors()
    finally:
        load.stop()


def test_simulated_hardware_is_named_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTWHY_SIMULATED", "two GPUs of tests/simulated")
    second = report(Fixed(LIVE))[1].splitlines()[1]
    assert "SIMULATED: two GPUs of tests/simulated (WATTWHY_SIMULATED is set)" in second
    monkeypatch.delenv("WATTWHY_SIMULATED")
    assert "SIMULATED" not in report(Fixed(LIVE))[1]


def test_what_was_not_asked_for_is_named_with_the_option_that_asks() -> None:
    _, text = report(Fixed(LIVE))
    assert "--wall NAME=http://HOST" in row(text, "not asked", "mains")
    assert "not verified on hardware" in row(text, "not asked", "--meters zeus")
    plug = Channel(id="mains:desk", meter="wall", source="shelly2-counter")
    assert "mains measures" not in report(Fixed(plug))[1]


def test_the_command_line_reads_a_command_as_a_wall_meter(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["doctor", "--meters", "calculator", "--tdp", "cpu=65", "--wall", "desk=command:echo 45 W"]) == 0
    )
    text = capsys.readouterr().out
    assert "reads command-power" in row(text, "mains:desk")
    assert "1 direct and 1 estimating" in text


@pytest.mark.parametrize("wrong", [["--measure", "-1"], ["--wall", "desk"], ["--meters", "nvlm"]])
def test_a_wrong_option_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *wrong]) == 2
    assert capsys.readouterr().err.startswith("wattwhy: ")


def test_the_host_line_tells_a_virtual_machine() -> None:
    facts = {"cpu_model": "Some CPU", "cpus": 8, "memory_bytes": 2**34, "system": "Linux", "kernel": "6.1"}
    assert host_line({**facts, "virtual": True}) == "Some CPU, 8 CPUs, 16 GiB, virtual machine, Linux 6.1"
    assert "virtual" not in host_line({**facts, "virtual": False, "cpu_model": None})


def test_the_meters_import_nothing_heavy() -> None:
    modules = ["select", "perf", "nvml", "wall", "zeus", "codecarbon", "calculator", "replay", "polling"]
    program = "import sys\n" + "".join(f"import energy_plugin.meters.{name}\n" for name in modules)
    heavy = "{'numpy', 'pandas', 'pynvml', 'jax', 'docker', 'psutil', 'torch'}"
    program += (
        f"import energy_plugin.doctor\nprint(sorted({heavy} & set(sys.modules)), 'codecarbon' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "[] False"
