"""What a case in a container costs beside the container itself.

``python -m tests.benchmarks.container_overhead`` runs the same image in turns: by ``measure(case)``, from
its call to its return, and by a bare ``docker run --rm --network none``, and prints both and the medians of
their differences. No meter that waits before or after a program is in it. Target: under 150 ms.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.errors import UsageError
from energy_plugin.run import baseimage, images
from energy_plugin.run.executors.engine import connect
from tests.boxes import write_boxed
from tests.conftest import ROOT
from tests.engine import private_engine

CASES = 20
TARGET_MS = 150.0

STUDY = """
import json, os, subprocess, time
from energy_plugin import experiments

BARE = json.loads(os.environ["BARE"])

@experiments("boxed/good", replicates={cases})
def test_case(case, measure):
    start = time.perf_counter()
    assert measure(case).success
    middle = time.perf_counter()
    subprocess.run(BARE, check=True, stdout=subprocess.DEVNULL)
    end = time.perf_counter()
    with open("times.jsonl", "a") as file:
        file.write(json.dumps([middle - start, end - middle]) + "\\n")
"""


def prepared(folder: Path) -> str:
    """An images folder with one repository, built; the image's tag."""
    (folder / "base").mkdir(parents=True)
    for module in (ROOT / "images" / "base").glob("*.py"):
        shutil.copy(module, folder / "base")
    write_boxed(folder)
    client = connect()
    try:
        base = baseimage.ensure(client, "plain", print)
        return images.build(client, load_catalog(folder).repositories["boxed"], base, print)[0]
    finally:
        client.close()


def bare(tag: str, folder: Path) -> list[str]:
    """The same program without us: nothing read, nothing limited, nothing kept."""
    (folder / "data").mkdir()
    (folder / "data" / "rows.txt").write_text("a row")
    (folder / "out").mkdir()
    mounts = ["-v", f"{folder}/data:/data:ro", "-v", f"{folder}/out:/out"]
    program = ["--model", "good", "--data", "/data", "--output", "/out"]
    return ["docker", "run", "--rm", "--network", "none", *mounts, tag, *program]


def run(folder: Path) -> list[tuple[float, float]]:
    """Seconds of every case and of the bare run beside it; the first pair warms up."""
    tag = prepared(folder / "images")
    (folder / "test_it.py").write_text(STUDY.format(cases=CASES + 1))
    (folder / "pytest.ini").write_text("[pytest]\nenergy_executor = docker\nenergy_cooldown = 0\n")
    (folder / "conftest.py").write_text('pytest_plugins = ["energy_plugin.plugin"]\n')
    options = ["--energy-images=images", "--energy-meters=calculator", "--energy-report=never"]
    own = {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "BARE": json.dumps(bare(tag, folder)),
    }
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options], cwd=folder, env={**os.environ, **own}, check=True
    )
    lines = (folder / "times.jsonl").read_text().splitlines()
    return [(ours, theirs) for ours, theirs in map(json.loads, lines)][1:]


def main() -> int:
    """Print the table; 1 when the target is missed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            connect().close()
        except UsageError:
            os.environ["DOCKER_HOST"] = stack.enter_context(private_engine())
        pairs = run(folder)
    print("case ms  bare ms  difference ms")
    for ours, theirs in pairs:
        print(f"{1e3 * ours:7.0f}  {1e3 * theirs:7.0f}  {1e3 * (ours - theirs):+13.0f}")
    found = 1e3 * statistics.median(ours - theirs for ours, theirs in pairs)
    print(f"median difference {found:+.0f} ms over {len(pairs)} pairs (target: under {TARGET_MS:.0f} ms)")
    return int(found >= TARGET_MS)


if __name__ == "__main__":
    sys.exit(main())
