"""What the journal costs: appending 100,000 events, and resuming over 10,000 finished cases.

``python tests/benchmarks/journal.py [--events N] [--folder DIR]`` prints seconds and microseconds; the
folder decides what a forced write to the disk costs. The records are of the golden session, made as long
as those of a session with four meters and twenty epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.record.journal import Journal, read_journal
from energy_plugin.run.resume import read_trail

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "run_20261121_190000"
PARTS = 10
SLOWER = 1.5
"""The last tenth may take so much longer than the first: other programs use the disk, too."""
T = "2026-11-21T19:00:00+00:00"


def events(count: int, record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Half of them begins, half ends with a whole record; every case has a key of its own."""
    yield "session-begin", {"session": {"planned": count // 2, "catalogue": {"examples": {}}}}
    for number in range(count // 2):
        names = {"experiment_id": f"examples_mnist_{number:05d}", "case_key": f"{number:016x}", "attempt": 1}
        yield "attempt-begin", {**names, "case_id": f"examples-mnist-alone-default-r{number}"}
        head = {"success": True, "reason": "", "failure": "", "duration_s": 7.5}
        yield "attempt-end", {**names, **head, "record": {**record, **names}}


def long_record(kib: float) -> dict[str, Any]:
    """A golden record with its readings repeated until it is so long."""
    record: dict[str, Any] = next(e["record"] for e in read_journal(GOLDEN) if e["event"] == "attempt-end")
    readings = record["readings"]
    times = max(1, round(kib * 1024 / len(json.dumps(readings))))
    return {**record, "readings": readings * times}


def append_all(folder: Path, count: int, kib: float) -> list[float]:
    """Seconds of every append of a record; the others are short."""
    journal, spent = Journal(folder), []
    for kind, fields in events(count, long_record(kib)):
        began = time.perf_counter()
        journal.append(kind, T, **fields)
        if kind == "attempt-end":
            spent.append(time.perf_counter() - began)
    journal.close()
    return spent


def tenths(spent: list[float]) -> list[float]:
    """Median microseconds of each tenth: a slowing would be seen."""
    size = len(spent) // PARTS
    return [statistics.median(spent[i * size : (i + 1) * size]) * 1e6 for i in range(PARTS)]


def main() -> int:
    """Print the figures; 1 where the journal slows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kib", type=float, default=20.0, help="length of a record")
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        began = time.perf_counter()
        parts = tenths(append_all(folder, given.events, given.kib))
        took = time.perf_counter() - began
        print(
            f"append: {given.events} events, every other one a record of {given.kib:g} KiB, in {took:.1f} s"
        )
        print("  a record, median of each tenth: " + " ".join(f"{part:.0f}" for part in parts) + " us")
        print(f"  last tenth / first tenth: {parts[-1] / parts[0]:.2f}")
        size = (folder / "journal.jsonl").stat().st_size
        began = time.perf_counter()
        trail = read_trail(folder)
        took = time.perf_counter() - began
        print(f"resume: {len(trail.cases)} finished cases of {size / 2**20:.0f} MiB read in {took:.2f} s")
        began = time.perf_counter()
        Journal(folder).close()
        print(f"resume: opened for the next event in {(time.perf_counter() - began) * 1e3:.1f} ms")
    return int(parts[-1] > SLOWER * parts[0])


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main())
