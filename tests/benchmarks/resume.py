"""What --energy-resume adds to a pytest whose cases are nearly all done.

``python -m tests.benchmarks.resume [--cases N]`` prints seconds: collecting and planning N cases of a
repository without torch, and the same with a session to resume in which all but one are finished.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from energy_plugin.declare.case import Case, Program
from energy_plugin.declare.catalog import load_catalog
from energy_plugin.record.journal import Journal
from energy_plugin.run.data import DataStore
from energy_plugin.run.executors.local import LocalExecutor
from energy_plugin.run.host import host_facts
from tests import tinyimages
from tests.benchmarks.journal import T, long_record
from tests.conftest import ROOT

TEST = """
from energy_plugin import experiments

@experiments("tiny/good", replicates={cases})
def test_case(case, measure):
    assert measure(case).success
"""


def make(folder: Path, cases: int) -> Path:
    """A project whose session has finished all cases but one; its images."""
    images = tinyimages.write(folder / "images")
    (folder / "conftest.py").write_text('pytest_plugins = ["energy_plugin.plugin"]\n')
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_study.py").write_text(TEST.format(cases=cases))
    return images


def fill(folder: Path, images: Path, cases: int) -> None:
    """The journal of a session in which one case is left."""
    session = folder / "results" / "run_20261121_190000"
    session.mkdir(parents=True)
    catalog = load_catalog(images)
    repository = catalog.repositories["tiny"]
    defaults = {name: h.default for name, h in repository.models["good"].hyperparameters.items()}
    base = LocalExecutor(catalog, DataStore(catalog, None)).base()
    program = Program(repository="tiny", model="good", values=defaults)
    journal, record = Journal(session), long_record(20)
    facts: dict[str, Any] = {"catalogue": {"tiny": {}}, "host": host_facts()}
    facts |= {"executor": "local", "order": {"kind": "blocks", "seed": 0}}
    journal.append("session-begin", T, session={**facts, "planned": cases})
    for number in range(1, cases):
        case = Case(programs=(program,), replicate=number)
        key = case.key(sources={"tiny": repository.sources}, base=base, executor="local")
        names = {"experiment_id": f"tiny_good_{number:05d}", "case_key": key, "attempt": 1}
        journal.append("attempt-begin", T, **names, case_id=case.id)
        head = {"success": True, "reason": "", "failure": "", "duration_s": 0.2}
        journal.append("attempt-end", T, **names, **head, record=record)
    journal.close()


def plan(folder: Path, images: Path, *arguments: str) -> tuple[float, str]:
    """Seconds of ``--energy-plan``, and what it printed."""
    command = [sys.executable, "-m", "pytest", f"--energy-images={images}", "--energy-plan", *arguments]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    return time.perf_counter() - began, done.stdout + done.stderr


def main() -> int:
    """Print the figures; 1 where resuming adds more than two seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = make(folder, given.cases)
        fill(folder, images, given.cases)
        fresh, resumed = [], []
        for _ in range(3):
            fresh.append(plan(folder, images)[0])
            seconds, said = plan(folder, images, "--energy-resume=latest")
            resumed.append(seconds)
        print(
            f"{given.cases} cases: planned in {min(fresh):.2f} s, with --energy-resume {min(resumed):.2f} s"
        )
        print("\n".join(line for line in said.splitlines() if "resum" in line))
    return int(min(resumed) - min(fresh) > 2.0)


if __name__ == "__main__":
    sys.exit(main())
