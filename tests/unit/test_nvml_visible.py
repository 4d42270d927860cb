"""Which GPUs a program is given by CUDA_VISIBLE_DEVICES, as CUDA reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.meters.nvml_visible import Listed, visible
from tests.conftest import ROOT
from tests.simulated.hardware import Gpu

if TYPE_CHECKING:
    from pathlib import Path

ALIKE = [Listed("GPU-aa11", "H"), Listed("GPU-aa22", "H"), Listed("GPU-bb33", "H")]
UNLIKE = [Listed("GPU-aa11", "T400"), Listed("GPU-bb33", "H")]


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("0", {"GPU-aa11"}),
        ("2, 1", {"GPU-bb33", "GPU-aa22"}),
        ("GPU-bb33,GPU-aa11", {"GPU-bb33", "GPU-aa11"}),
        ("GPU-b", {"GPU-bb33"}),
        ("MIG-GPU-aa22/3/0", {"GPU-aa22"}),
        ("1,-1,0", {"GPU-aa22"}),
        ("1,7,0", {"GPU-aa22"}),
        ("GPU-aa", set()),
        ("GPU-none", set()),
        ("NoDevFiles", set()),
        ("-1", set()),
        ("", set()),
    ],
)
def test_the_list_is_read_as_cuda_reads_it(value: str, given: set[str]) -> None:
    found = visible({"CUDA_VISIBLE_DEVICES": value}, ALIKE)
    assert set(found.uuids or ()) == given
    assert found.uuids is not None
    assert found.said == f"not among CUDA_VISIBLE_DEVICES={value}"


def test_without_the_variable_all_count_and_nothing_is_said() -> None:
    assert visible({}, ALIKE) == (None, "")


def test_an_index_of_unlike_gpus_means_nothing_without_their_order() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "1"}
    unknown = visible(environ, UNLIKE)
    assert unknown.uuids is None
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in unknown.said
    assert visible(environ | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, UNLIKE).uuids == frozenset({"GPU-bb33"})
    assert visible({"CUDA_VISIBLE_DEVICES": "GPU-aa11"}, UNLIKE).uuids == frozenset({"GPU-aa11"})


def test_a_gpu_that_fell_off_the_bus_makes_no_others_unlike_and_hides_none() -> None:
    listed = [ALIKE[0], Listed("", ""), ALIKE[2]]
    assert visible({"CUDA_VISIBLE_DEVICES": "0"}, listed).uuids == frozenset({"GPU-aa11"})
    assert visible({"CUDA_VISIBLE_DEVICES": "1,2"}, listed).uuids == frozenset({"GPU-bb33"})


CODE = """
import os
from energy_plugin.errors import UsageError
from energy_plugin.meters.nvml import NvmlMeter
from energy_plugin.run.powerlimit import PowerLimits
for value in ("1", "MIG-none", ""):
    os.environ["CUDA_VISIBLE_DEVICES"] = value
    print(*((c.alive, c.reason) for c in NvmlMeter().probe()))
print(*(c.alive for c in NvmlMeter(environ={}).probe()))
try:
    PowerLimits().open([200])
except UsageError as error:
    print(error)
print(len(PowerLimits(environ={}).open([200])))
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
print(*PowerLimits().open([200]))
"""


@pytest.mark.compiler
def test_what_the_program_is_not_given_is_neither_counted_nor_limited(tmp_path: Path) -> None:
    hardware = Gpu(folder=tmp_path, t0_ns=time.monotonic_ns(), extra=("limits 100 600 700",), gpus=2)
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        env={**os.environ, **hardware.install()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    one, slice_, none, every, refused, contained, limited = done.stdout.splitlines()
    assert one == "(False, 'not-chosen') (True, '')"
    assert slice_ == "(True, '') (True, '')"  # whose slice it is cannot be told: nothing is left out
    assert none == "(False, 'not-chosen') (False, 'not-chosen')"
    assert every == "True True"
    assert refused == "--energy-power-limit: the programs see no GPU, by CUDA_VISIBLE_DEVICES="
    assert contained == "2"  # a container does not see the variable
    assert limited == "GPU-00000000-0000-0000-0000-000000000002"
