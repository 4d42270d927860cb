"""GPU power limits on the simulated NVML: set for a case, seen by others, put back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT
from tests.simulated.hardware import Fault, Gpu

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.compiler
HEAD = """
import os, signal, subprocess, sys
from pathlib import Path
from energy_plugin.errors import ExecutorError, UsageError
from energy_plugin.run.hold import Hold
from energy_plugin.run.powerlimit import PowerLimits, is_at
def seen():
    return subprocess.run(["nvidia-smi", "--query-gpu=power.limit", "--format=csv,noheader,nounits"],
        capture_output=True, text=True).stdout.split()
limits = PowerLimits()
"""


def gpu(folder: Path, **given: Any) -> dict[str, str]:
    made = Gpu(folder=folder, t0_ns=time.monotonic_ns(), extra=("limits 100 600 700",), gpus=2, **given)
    return made.install()


def run(environment: dict[str, str], body: str, code: int = 0) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + body],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_a_limit_holds_for_every_program_during_a_case_and_is_put_back(tmp_path: Path) -> None:
    body = """
print(list(limits.open([150, 250]).values()))
with limits.at(150) as told:
    print(seen())
print(sorted(told.values()), is_at(told, 150), is_at(told, 250), seen())
with limits.at(None) as told:
    print(seen(), told)
try:
    with limits.at(250):
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print(seen())
"""
    assert run(gpu(tmp_path), body) == [
        "[600.0, 600.0]",
        "['150.00', '150.00']",
        "[150.0, 150.0] True False ['600.00', '600.00']",
        "['600.00', '600.00'] {}",
        "['600.00', '600.00']",
    ]


def test_only_the_gpus_that_programs_use_are_limited(tmp_path: Path) -> None:
    body = """
limits = PowerLimits(["GPU-00000000-0000-0000-0000-000000000002"])
limits.open([150])
with limits.at(150) as told:
    print(seen())
print(list(told), seen())
"""
    assert run(gpu(tmp_path), body) == [
        "['600.00', '150.00']",
        "['GPU-00000000-0000-0000-0000-000000000002'] ['600.00', '600.00']",
    ]


def test_a_limit_that_somebody_changed_during_the_run_did_not_hold(tmp_path: Path) -> None:
    body = """
limits.open([150])
with limits.at(150) as told:
    subprocess.run(["nvidia-smi", "-i", "1", "-pl", "300"], stdout=subprocess.DEVNULL)
print(is_at(told, 150), seen())
"""
    assert run(gpu(tmp_path), body) == ["False ['600.00', '600.00']"]


@pytest.mark.parametrize(
    ("faults", "watts", "said"),
    [
        ((), 50, "GPU-00000000-0000-0000-0000-000000000001 takes 100 to 700 W"),
        ((Fault(name="SetPowerManagementLimit", code=4),), 150, "only root may set it: run as root"),
        ((Fault(name="GetPowerManagementLimit", code=3),), 150, "no limit that can be set"),
    ],
)
def test_a_limit_that_may_not_be_set_is_refused_with_the_mend(
    tmp_path: Path, faults: tuple[Fault, ...], watts: int, said: str
) -> None:
    body = f"""
try:
    limits.open([{watts}])
except UsageError as error:
    print(error)
"""
    (line,) = run(gpu(tmp_path, faults=faults), body)
    assert line.startswith("--energy-power-limit")
    assert said in line


def test_without_a_gpu_it_is_refused(tmp_path: Path) -> None:
    body = "try:\n    limits.open([150])\nexcept UsageError as error:\n    print(error)\n"
    (line,) = run({"LD_LIBRARY_PATH": str(tmp_path)}, body)
    assert line.startswith("--energy-power-limit: ")


def test_a_gpu_that_fails_later_is_a_fault_of_the_infrastructure_and_others_are_put_back(
    tmp_path: Path,
) -> None:
    fault = Fault(name="SetPowerManagementLimit", code=15, gpu=1)
    body = f"""
limits.open([150])
with open(os.environ["SIMULATED_NVML"], "a") as world:
    world.write({fault.line()!r} + chr(10))
try:
    with limits.at(150):
        print("ran")
except ExecutorError as error:
    print(error, seen())
"""
    (line,) = run(gpu(tmp_path), body)
    assert line.startswith("power limit of 150 W not set")
    assert line.endswith("['600.00', '600.00']")


def test_the_limit_of_a_killed_session_is_put_back_by_the_next(tmp_path: Path) -> None:
    environment = gpu(tmp_path)
    lock = f"lock=Path({str(tmp_path / 'host.lock')!r})"
    body = f"""
hold = Hold({lock}, limits_w=[150])
hold.take(Path())
hold.change(Path())
with hold.limits.at(150):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    run(environment, body, code=-9)
    body = f"""
print(seen())
hold = Hold({lock})
hold.take(Path())
print(hold.notes)
hold.release()
print(seen())
"""
    before, notes, after = run(environment, body)
    assert (before, after) == ("['150.00', '150.00']", "['600.00', '600.00']")
    assert "put back the power limit that a session that was killed (pid" in notes
