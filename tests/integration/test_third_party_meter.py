"""The example meter of docs/meters.md, taken from there, in a user's own project."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Project

ROOT = Path(__file__).resolve().parents[2]
POWER_W = 30.0
COUNTER = """
import os, sys, time
while True:
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(str(int(time.monotonic() * {power} * 1e6)))
    os.replace(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(0.02)
"""


def example() -> str:
    """The code block of the section on another meter."""
    section = (ROOT / "docs" / "meters.md").read_text().partition("## Another meter")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Path]:
    """A file that counts microjoules at 30 W, as hwmon would."""
    file = tmp_path / "energy1_input"
    file.write_text("0")
    child = subprocess.Popen([sys.executable, "-S", "-c", COUNTER.format(power=POWER_W), str(file)])
    try:
        yield file
    finally:
        child.kill()
        child.wait()


def install(project: Project, file: Path) -> None:
    code = example().replace("/sys/class/hwmon/hwmon0/energy1_input", str(file))
    assert str(file) in code
    conftest = project.folder / "conftest.py"
    conftest.write_text(conftest.read_text() + code)


def test_the_example_is_as_short_as_it_claims() -> None:
    body = example().partition("class BoardSensor")[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 15


@pytest.mark.slow
def test_it_appears_in_session_summary_trace_and_page(project: Project, counter: Path) -> None:
    install(project, counter)
    project.case("good")
    done = project.run(
        "--energy-cooldown=0", "--energy-idle=0", "--energy-report=always", "--energy-meters=calculator"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mains:board" in done.stdout
    session = json.loads((project.session / "session.json").read_text())
    (channel,) = [c for c in session["channels"] if c["meter"] == "board"]
    assert (channel["id"], channel["source"], channel["alive"]) == ("mains:board", "hwmon-energy", True)
    with (project.session / "summary.csv").open() as file:
        (row,) = list(csv.DictReader(file))
    assert row["energy_wall_status"] == "measured"
    assert row["energy_wall_source"] == "hwmon-energy (mains:board)"
    lo, joules, hi = (float(row[f"energy_wall_{part}joules"]) for part in ("lo_", "", "hi_"))
    truth = POWER_W * float(row["duration_seconds"])
    assert lo <= truth <= hi
    assert joules == pytest.approx(truth, rel=0.2)
    assert row["total_energy_joules"] == ""
    (attempt,) = [path for path in project.session.iterdir() if path.is_dir()]
    readings = json.loads((attempt / "energy" / "readings.json").read_text())
    assert {r["window"] for r in readings if r["channel"] == "mains:board"} >= {"process", "training"}
    assert "board,mains:board,direct,hwmon-energy,counter" in (attempt / "energy" / "trace.csv").read_text()
    assert "mains:board" in (project.session / "report.html").read_text()


@pytest.mark.slow
def test_where_its_file_is_missing_the_run_goes_on_and_says_so(project: Project, tmp_path: Path) -> None:
    install(project, tmp_path / "no-such-file")
    project.case("good")
    done = project.run("--energy-cooldown=0", "--energy-idle=0")
    assert done.returncode == 0, done.stdout + done.stderr
    with (project.session / "summary.csv").open() as file:
        (row,) = list(csv.DictReader(file))
    assert row["energy_wall_joules"] == ""
    assert row["energy_wall_status"] == "unavailable: mains:board read-failed"
