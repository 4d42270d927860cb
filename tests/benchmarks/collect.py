"""What collecting and leaving out cost: ``python tests/benchmarks/collect.py [CASES] [FINISHED]``.

A design file of CASES cases (50,000) is collected by pytest in a process of its own; then again with an
earlier session of FINISHED successful cases (10,000) beside it, once left out by ``--energy-earlier`` and
once gone on with by ``--energy-resume`` up to the plan. CPU seconds of the whole process.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.declare.collect import Defaults, expand
from energy_plugin.declare.designtoml import read_design_file
from energy_plugin.record.journal import Journal
from energy_plugin.record.record import record_from_json
from energy_plugin.run.executors.local import LocalExecutor
from energy_plugin.run.host import host_facts

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "run_20261121_190000"
TOTAL, FINISHED = 50_000, 10_000
DESIGN = """
name = "many"
[[experiments]]
name = "grid"
select = "examples/mnist"
[experiments.design]
kind = "factorial"
values = {{ epochs = {epochs}, batch_size = {sizes}, learning_rate = {rates}, seed = {seeds} }}
"""


def design(folder: Path, total: int) -> Path:
    """A design file of *total* cases, a multiple of 1000."""
    text = DESIGN.format(
        epochs=list(range(1, 11)),
        sizes=list(range(16, 26)),
        rates=[round(0.01 * n, 3) for n in range(1, 11)],
        seeds=list(range(1, total // 1000 + 1)),
    )
    path = folder / "many.toml"
    path.write_text(text)
    return path


def session(results: Path, file: Path, count: int) -> Path:
    """A session in which the first *count* cases of the file succeeded, with records of usual size."""
    catalog = load_catalog()
    (declaration,) = read_design_file(file).values()
    cases = expand(declaration, catalog, Defaults(seed=0, limit=None, mutate=(), runs=1))[:count]
    sources = {name: repository.sources for name, repository in catalog.repositories.items()}
    base = LocalExecutor.base.__get__(object.__new__(LocalExecutor))()
    begin, like = _golden()
    folder = results / "run_20260101_000000"
    folder.mkdir(parents=True)
    journal, like_record = Journal(folder), record_from_json(like)
    os.fsync = lambda _: None  # type: ignore[assignment]  # of the writing nothing is measured here
    here = {"executor": "local", "host": host_facts(), "options": {}}
    journal.append("session-begin", "t", session={**begin, **here, "order": {"kind": "blocks", "seed": 0}})
    for number, case in enumerate(cases, start=1):
        key = case.key(sources=sources, base=base, executor="local")
        name = f"examples_mnist_{number:05d}"
        outcome = replace(like_record.outcomes[0], program=case.programs[0])
        record = replace(like_record, case=case, case_key=key, experiment_id=name, outcomes=(outcome,))
        names = {"experiment_id": name, "case_id": case.id, "case_key": key, "attempt": 1}
        journal.append("attempt-begin", "t", **names)
        journal.end("t", record)
    journal.close()
    return folder


def _golden() -> tuple[dict[str, object], dict[str, object]]:
    """The head of the golden session, and one of its records."""
    events = [json.loads(line) for line in (GOLDEN / "journal.jsonl").read_text().splitlines()]
    record = next(event["record"] for event in events if event["event"] == "attempt-end")
    return events[0]["session"], record


def seconds(folder: Path, *arguments: str) -> tuple[float, float, str]:
    """CPU and wall seconds of a pytest run, the better of two, and its last lines."""
    return min(_seconds(folder, *arguments) for _ in range(2))


def _seconds(folder: Path, *arguments: str) -> tuple[float, float, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "energy_plugin.plugin"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode not in (0, 5):
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return used, time.monotonic() - began, done.stdout[-2000:]


def measured(total: int = TOTAL, finished: int = FINISHED) -> dict[str, float]:
    """CPU seconds: of collecting, and what --energy-earlier and --energy-resume add.

    ``resume``: over going on in a session of one finished case. ``resume_all``: over no resuming, which
    also asks the programs whether they can run and makes the keys of all cases before the plan is shown.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        file = design(folder, total)
        found: dict[str, float] = {}
        found["collect"], found["collect_wall"], _ = seconds(folder, "--collect-only", "-qq", file.name)
        past = session(folder / "results", file, finished)
        found["earlier"], _, out = seconds(
            folder, "--collect-only", "-qq", file.name, f"--energy-earlier={past}"
        )
        session(folder / "few", file, 1)
        go_on = ("--energy-plan", "--energy-resume=latest", file.name)
        few, _, _ = seconds(folder, *go_on, "--energy-results=few")
        many, _, out = seconds(folder, *go_on)
        assert f"plan of {total - finished} cases" in out, out
        found["earlier"] -= found["collect"]
        found["resume"] = many - few
        plan, _, _ = seconds(folder, "--energy-plan", "--energy-results=none", file.name)
        found["resume_all"] = many - plan
    return found


if __name__ == "__main__":
    for label, value in measured(*map(int, sys.argv[1:])).items():
        print(f"{label:14s} {value:6.2f} s")
