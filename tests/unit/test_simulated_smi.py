"""The simulated nvidia-smi answers in the forms that scripts parse."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.simulated.hardware import Fault, Gpu, Segment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.compiler
LOAD = Segment(start_s=-10, end_s=3600, power_w=240)


def smi(gpu: Gpu, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **gpu.install()}
    return subprocess.run(["nvidia-smi", *arguments], env=environment, capture_output=True, text=True)


def test_values_come_with_header_and_units_or_without(tmp_path: Path) -> None:
    gpu = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), segments=(LOAD,), gpus=2)
    fields = "--query-gpu=index,power.draw,utilization.gpu,memory.used,pstate"
    whole = smi(gpu, fields, "--format=csv").stdout.splitlines()
    assert whole[0] == "index, power.draw [W], utilization.gpu [%], memory.used [MiB], pstate"
    assert whole[1:] == ["0, 300.00 W, 100 %, 1024 MiB, P0", "1, 300.00 W, 100 %, 1024 MiB, P0"]
    assert smi(gpu, fields, "--format=csv,noheader", "--id=1").stdout == "1, 300.00 W, 100 %, 1024 MiB, P0\n"
    bare = smi(gpu, "--query-gpu=power.draw", "--format=csv,noheader,nounits", "-i", "0")
    assert bare.stdout == "300.00\n"


def test_gpus_and_their_processes_are_listed(tmp_path: Path) -> None:
    gpu = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), extra=("process 4242 1048576 -inf inf",))
    (line,) = smi(gpu, "-L").stdout.splitlines()
    assert line == "GPU 0: Simulated GPU (UUID: GPU-00000000-0000-0000-0000-000000000001)"
    apps = smi(gpu, "--query-compute-apps=pid,used_memory", "--format=csv,noheader")
    assert apps.stdout == "4242, 1 MiB\n"


def test_what_is_unknown_or_gone_is_said_as_the_real_one_says_it(tmp_path: Path) -> None:
    gpu = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), faults=(Fault(name="PowerUsage", code=3),))
    assert smi(gpu, "--query-gpu=power.draw", "--format=csv,noheader").stdout == "[N/A]\n"
    unknown = smi(gpu, "--query-gpu=nonsense", "--format=csv")
    assert unknown.returncode == 2
    assert 'Field "nonsense" is not a valid field to query.' in unknown.stdout
    off = Gpu(folder=tmp_path, t0_ns=0, faults=(Fault(name="InitWithFlags", code=9),))
    gone = smi(off)
    assert (gone.returncode, gone.stdout[:25]) == (9, "NVIDIA-SMI has failed bec")
    assert smi(off, "--help").returncode == 0


def test_a_call_takes_as_long_as_told_and_a_loop_goes_on(tmp_path: Path) -> None:
    gpu = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), smi_s=0.2)
    start = time.monotonic()
    smi(gpu, "-L")
    assert time.monotonic() - start >= 0.2
    environment = {**os.environ, **gpu.install()}
    command = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader", "-lms", "50"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as loop:
        assert loop.stdout is not None
        lines = [loop.stdout.readline() for _ in range(3)]
        loop.terminate()
    assert lines == ["60.00 W\n"] * 3
