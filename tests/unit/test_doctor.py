"""The doctor names what lives, why the rest does not, and the exact mend."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from energy_plugin import doctor
from energy_plugin.meters.calculator import CalculatorMeter
from energy_plugin.record.trace import Channel
from energy_plugin.run.host import host_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.meters.protocols import Edge
    from energy_plugin.record.trace import Trace

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


def test_the_host_line_tells_a_virtual_machine() -> None:
    facts = {"cpu_model": "Some CPU", "cpus": 8, "memory_bytes": 2**34, "system": "Linux", "kernel": "6.1"}
    assert host_line({**facts, "virtual": True}) == "Some CPU, 8 CPUs, 16 GiB, virtual machine, Linux 6.1"
    assert "virtual" not in host_line({**facts, "virtual": False, "cpu_model": None})


def test_the_meters_import_nothing_heavy() -> None:
    modules = ["select", "perf", "nvml", "codecarbon", "calculator", "replay", "polling"]
    program = "import sys\n" + "".join(f"import energy_plugin.meters.{name}\n" for name in modules)
    heavy = "{'numpy', 'pandas', 'pynvml', 'jax', 'docker', 'psutil', 'torch'}"
    program += (
        f"import energy_plugin.doctor\nprint(sorted({heavy} & set(sys.modules)), 'codecarbon' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "[] False"
