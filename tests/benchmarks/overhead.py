"""How long the plugin takes between two programs, and to load and collect.

``python -m tests.benchmarks.overhead`` prints a table. The gap is from one program's end to the next
one's start: all of the plugin's own work on both sides of a case, on the programs' own clock.
Targets: gap under 150 ms beside cooldown and meter edges; loading under 100 ms CPU; 10,000 cases
collected in under 4 s.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from energy_plugin.record.journal import records
from tests import tinyimages
from tests.conftest import ROOT

CASES = 30


def run(project: Path, images: Path, body: str, *arguments: str) -> float:
    """Run pytest on *body*; CPU seconds of it all."""
    (project / "test_it.py").write_text(f"from energy_plugin import experiments, one_at_a_time\n{body}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            f"--energy-images={images}",
            "--energy-report=never",
            *arguments,
        ],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(project / "cache")},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def gaps_ms(session: Path) -> list[float]:
    """From each program's end to the next one's start."""
    spans = [record.outcomes[0].windows[0] for record in records(session)]
    return [(new.t0_ns - old.t1_ns) / 1e6 for old, new in pairwise(spans)]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        (project / "pytest.ini").write_text("[pytest]\n")
        (project / "conftest.py").write_text('pytest_plugins = ["energy_plugin.plugin"]\n')
        images = tinyimages.write(project / "images")
        test = f"@experiments('tiny/good', replicates={CASES})\ndef test_a(case, measure): measure(case)\n"
        for meters in ("calculator", "codecarbon"):
            run(project, images, test, f"--energy-meters={meters}")
            found = sorted(gaps_ms(project / "results" / "latest"))
            median, worst = statistics.median(found), found[int(0.95 * len(found))]
            print(f"gap between programs, {meters}: median {median:.0f} ms, 95th percentile {worst:.0f} ms")
        many = (
            "@experiments('tiny/good', design=one_at_a_time('learning_rate', levels=2000), replicates=5)\n"
            "def test_a(case, measure): measure(case)\n"
        )
        print(f"collect 10,000 cases: {run(project, images, many, '--collect-only'):.1f} s CPU")
    print(f"loading the plugin: {loading_ms():.0f} ms CPU beside pytest itself")


def loading_ms() -> float:
    """CPU time to import the plugin once pytest is there; the least of five."""
    code = (
        "import pytest, time; t = time.process_time(); import energy_plugin.plugin; "
        "print((time.process_time() - t) * 1e3)"
    )
    command = [sys.executable, "-c", code]
    return min(float(subprocess.check_output(command, cwd=ROOT, text=True)) for _ in range(5))


if __name__ == "__main__":
    main()
