"""Live work: lets the power of simulated hardware follow what really runs.

In a program: ``with activity(path, watts): train()``. Around any command, with power for a GPU and a CPU:
``python tests/simulated/activity.py --gpu FILE:WATTS --cpu FILE:WATTS -- python train.py ...``.
For trainings that something else starts: :func:`hook`. A file holds lines of CLOCK_MONOTONIC nanoseconds:
``B ns pid watts [device]``, ``E ns pid [device]``, and ``L`` for a ``B`` that ends with its process.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

HOOK = '''"""Tells simulated hardware of the programs that run, by their names; written by tests/simulated."""
import atexit, os, sys, time
PROGRAMS = {programs!r}

def tell(path, line):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, line.encode())
    os.close(file)

def end(path, device):
    tell(path, f"E {{time.monotonic_ns()}} {{os.getpid()}} {{device}}\\n")

names = [os.path.basename(word) for word in sys.orig_argv[1:]]
for name, works in PROGRAMS.items():
    if name in names:
        for path, watts, device in works:
            tell(path, f"L {{time.monotonic_ns()}} {{os.getpid()}} {{watts}} {{device}}\\n")
            atexit.register(end, path, device)
'''


def write(path: Path | str, line: str) -> None:
    """Append one line in one write: any number of processes may."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def begin(path: Path | str, power_w: float, *, pid: int = 0, device: int = 0, tied: bool = False) -> int:
    """Work of *pid* (default: this process) begins now; the moment. ``tied``: it ends with the process."""
    now_ns = time.monotonic_ns()
    write(path, f"{'L' if tied else 'B'} {now_ns} {pid or os.getpid()} {power_w} {device}")
    return now_ns


def end(path: Path | str, *, pid: int = 0, device: int = 0) -> int:
    """The work that *pid* began last ends now; the moment."""
    now_ns = time.monotonic_ns()
    write(path, f"E {now_ns} {pid or os.getpid()} {device}")
    return now_ns


@contextmanager
def activity(path: Path | str, power_w: float, *, pid: int = 0, device: int = 0) -> Iterator[None]:
    """While inside, the hardware that reads *path* takes *power_w* more."""
    begin(path, power_w, pid=pid, device=device)
    try:
        yield
    finally:
        end(path, pid=pid, device=device)


def hook(folder: Path, programs: Mapping[str, list[tuple[Path, float, int]]]) -> dict[str, str]:
    """Make every Python program of these file names tell of itself while it runs; the environment for it.

    Args:
        folder: takes a ``sitecustomize.py``.
        programs: file name (``train.py``) -> (activity file, watts, device), several if it heats several.
    """
    site = folder / "site"
    site.mkdir(exist_ok=True)
    listed = {name: [(str(p), w, d) for p, w, d in works] for name, works in programs.items()}
    (site / "sitecustomize.py").write_text(HOOK.format(programs=listed))
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{site}{os.pathsep}{before}" if before else str(site)}


def main() -> int:
    """Run a command and tell of its work from spawn to reap; its exit code."""
    parser = argparse.ArgumentParser(description="run a command that heats simulated hardware")
    for part in ("--gpu", "--cpu"):
        parser.add_argument(part, action="append", default=[], metavar="FILE:WATTS[:DEVICE]")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    works = [[*one.split(":"), "0"][:3] for one in (*asked.gpu, *asked.cpu)]
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: child.send_signal(n))
    for path, watts, device in works:
        begin(path, float(watts), pid=child.pid, device=int(device), tied=True)
    code = child.wait()
    for path, _, device in works:
        end(path, pid=child.pid, device=int(device))
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
