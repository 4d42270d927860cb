"""The kernel calls behind the ``rapl`` meter: everything it asks of the system goes through here."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

# perf_event_open(2): numbers of the system call and the layout of the first version of its attribute.
SYSCALLS = {"x86_64": 298, "aarch64": 241, "i686": 336, "i386": 336, "riscv64": 241, "ppc64le": 319}
ATTRIBUTE = struct.Struct("=IIQQQQQQQ")  # type, size, config, period, sample, read format, flags, 2 spare
TIMES = 3  # read format: also time enabled and time running
CLOSE_ON_EXEC = 8
VALUE = struct.Struct("=QQQ")
TEXT_BYTES = 64
NESTED = ("*", "*/*", "*/*:*/*:*:*")


class EventValue(NamedTuple):
    """What a counter of the kernel says: counts, and for how long it was on and really counting."""

    counted: int
    enabled_ns: int
    running_ns: int


class Kernel:
    """The system calls themselves. Every method may raise :class:`OSError`."""

    def open_event(self, type_: int, config: int, processor: int) -> int:
        """A running counter of everything on *processor*; its descriptor.

        Raises:
            OSError: EACCES without permission, EINVAL or ENOENT for an unknown counter, ENOSYS where
                the kernel has no such call.
        """
        number = SYSCALLS.get(platform.machine())
        if number is None:
            raise OSError(38, f"perf_event_open is not known for {platform.machine()}")
        attribute = ATTRIBUTE.pack(type_, ATTRIBUTE.size, config, 0, 0, TIMES, 0, 0, 0)
        libc = ctypes.CDLL(None, use_errno=True)
        everyone, group = ctypes.c_int(-1), ctypes.c_int(-1)
        descriptor: int = libc.syscall(
            ctypes.c_long(number),
            ctypes.create_string_buffer(attribute, ATTRIBUTE.size),
            everyone,
            ctypes.c_int(processor),
            group,
            ctypes.c_ulong(CLOSE_ON_EXEC),
        )
        if descriptor < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return descriptor

    def read_event(self, descriptor: int) -> EventValue:
        """The counter's value now."""
        return EventValue(*VALUE.unpack(os.read(descriptor, VALUE.size)))

    def close(self, descriptor: int) -> None:
        """Give the counter back."""
        os.close(descriptor)

    def read_text(self, file: Path) -> str:
        """The first line of a small file of the kernel's, opened anew, in one read."""
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, TEXT_BYTES).decode("ascii").partition("\n")[0].strip()
        finally:
            os.close(descriptor)

    def zones(self, folder: Path) -> list[Path]:
        """Folders that hold an energy counter: side by side in *folder*, or each within what contains it."""
        found = [file for depth in NESTED for file in sorted(folder.glob(f"{depth}/energy_uj"))]
        return list({file.parent.name: file.parent for file in reversed(found)}.values())
