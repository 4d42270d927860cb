"""The governor on a made-up sysfs: set for all processors or none, and put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from energy_plugin.errors import UsageError
from energy_plugin.run.governor import Governor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    for cpu, governor in (("cpu0", "schedutil"), ("cpu1", "powersave")):
        folder = tmp_path / "devices/system/cpu" / cpu / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
        (folder / "scaling_available_governors").write_text("performance powersave schedutil \n")
    (tmp_path / "devices/system/cpu/cpufreq").mkdir()
    return tmp_path


def test_every_processor_is_set_and_gets_its_own_back(sysfs: Path) -> None:
    governor = Governor(sysfs)
    assert governor.set("performance") == {"cpu0": "schedutil", "cpu1": "powersave"}
    assert set(governor.now().values()) == {"performance"}
    assert governor.restore() == []
    assert governor.now() == {"cpu0": "schedutil", "cpu1": "powersave"}
    assert governor.restore() == []


def test_unknown_governor_is_refused_with_the_nearest_name(sysfs: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'performance'"):
        Governor(sysfs).set("performence")
    assert set(Governor(sysfs).now().values()) == {"schedutil", "powersave"}


def test_kernel_without_frequency_scaling_is_said(tmp_path: Path) -> None:
    assert Governor(tmp_path).now() == {}
    with pytest.raises(UsageError, match="does not scale frequencies"):
        Governor(tmp_path).set("performance")


def test_processor_that_refuses_leaves_none_changed(sysfs: Path) -> None:
    # A folder in place of the file refuses a write whoever asks, root too.
    file = sysfs / "devices/system/cpu/cpu1/cpufreq/scaling_governor"
    governor = Governor(sysfs)
    real_now = governor.now()
    file.unlink()
    file.mkdir()
    governor.now = lambda: real_now  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="run as root"):
        governor.set("performance")
    assert (sysfs / "devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text() == "schedutil"


def test_governors_of_a_killed_session_can_be_put_back(sysfs: Path) -> None:
    before = dict(Governor(sysfs).set("performance"))
    assert Governor(sysfs).restore(before) == []
    assert Governor(sysfs).now() == {"cpu0": "schedutil", "cpu1": "powersave"}
    assert Governor(sysfs).restore({"cpu9": "powersave"}) == ["cpu9"]
