"""NVML's errors by name, with a library that is not there or answers nonsense."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from energy_plugin.meters.nvml import NvmlMeter


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


def library(code: int) -> SimpleNamespace:
    """An nvidia-ml-py whose initialisation fails with *code*."""

    def fail() -> None:
        raise NVMLError(code)

    return SimpleNamespace(NVMLError=NVMLError, nvmlInit=fail)


def test_without_the_python_library_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    (channel,) = NvmlMeter().probe()
    assert (channel.id, channel.alive, channel.reason) == ("gpu", False, "no-library")
    assert channel.fix == "pip install nvidia-ml-py"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(12, "no-driver"), (9, "no-driver"), (18, "driver-mismatch"), (4, "no-permission"), (777, "nvml-777")],
)
def test_an_error_of_the_library_is_a_stable_reason(
    monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library(code))
    meter = NvmlMeter()
    assert [channel.reason for channel in meter.probe()] == [reason]
    meter.start()
    meter.edge("open")
    meter.edge("close")
    assert meter.stop() == []
    meter.close()
