"""The processors' frequency governor: set for a session, put back after it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

CPU = Path("devices/system/cpu")


class Governor:
    """``scaling_governor`` of every processor (Linux, Documentation/admin-guide/pm/cpufreq.rst).

    Args:
        sysfs: where the kernel's tree is.
    """

    def __init__(self, sysfs: Path = Path("/sys")) -> None:
        self._cpu = sysfs / CPU
        self._before: dict[str, str] = {}

    def now(self) -> dict[str, str]:
        """Governor by processor (``cpu0``); empty where the kernel does not scale frequencies."""
        found = {}
        for file in sorted(self._cpu.glob("cpu[0-9]*/cpufreq/scaling_governor")):
            with contextlib.suppress(OSError):  # a processor that is switched off
                found[file.parts[-3]] = file.read_text().strip()
        return found

    def set(self, name: str) -> Mapping[str, str]:
        """Give every processor the governor *name*; what each had before, for :meth:`restore`.

        Raises:
            UsageError: the kernel has none of that name, or it may not be set; nothing stays changed.
        """
        before = self.now()
        if not before:
            raise UsageError(
                f"--energy-governor {name}: this kernel does not scale frequencies "
                f"({self._cpu}/cpu*/cpufreq is missing, as on most virtual machines); leave it away"
            )
        known = {governor for cpu in before for governor in self._available(cpu)}
        if known and name not in known:
            raise UnknownNameError("governor of this kernel", name, known)
        self._before = before
        try:
            for cpu in before:
                self._file(cpu).write_text(name)
        except OSError as error:
            self.restore()
            raise UsageError(
                f"--energy-governor {name}: {error.filename}: {error.strerror}; run as root, or leave it away"
            ) from error
        return before

    def restore(self, before: Mapping[str, str] | None = None) -> list[str]:
        """Put back what was there before; the processors where that failed. Safe twice."""
        wanted, self._before = (before or self._before), {}
        failed = []
        for cpu, governor in wanted.items():
            try:
                self._file(cpu).write_text(governor)
            except OSError:
                failed.append(cpu)
        return failed

    def _available(self, cpu: str) -> list[str]:
        try:
            return (self._file(cpu).with_name("scaling_available_governors")).read_text().split()
        except OSError:
            return []

    def _file(self, cpu: str) -> Path:
        return self._cpu / cpu / "cpufreq" / "scaling_governor"
