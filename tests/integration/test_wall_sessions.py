"""Wall meters in whole sessions: from the command line to the summary."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from tests.plugs import Plug

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.slow
def test_a_session_records_the_wall_and_never_adds_it_to_a_total(project: Project) -> None:
    project.case("good")
    with Plug("shelly2") as plug:
        done = project.run(
            f"--energy-wall=desk={plug.host}", "--energy-cooldown=0", "--energy-idle=1", "--energy-limit=0"
        )
    assert done.returncode == 0, done.stdout + done.stderr
    session = json.loads((project.session / "session.json").read_text())
    (channel,) = [c for c in session["channels"] if c["id"] == "mains:desk"]
    assert (channel["alive"], channel["meter"], channel["source"]) == (True, "wall", "shelly2-counter")
    assert session["options"]["wall"] == f"desk={plug.host}"
    with (project.session / "summary.csv").open() as file:
        (row,) = list(csv.DictReader(file))
    assert row["energy_wall_status"] == "measured"
    assert row["energy_wall_source"] == "shelly2-counter (mains:desk)"
    lo, joules, hi = (float(row[f"energy_wall_{part}joules"]) for part in ("lo_", "", "hi_"))
    truth = 60 * float(row["duration_seconds"])
    assert lo <= truth <= hi
    assert lo <= joules <= hi
    assert row["total_energy_joules"] == ""
    assert row["total_energy_status"] == "unavailable"


@pytest.mark.slow
def test_a_dead_plug_is_a_reason_and_strictness_refuses_it(project: Project) -> None:
    project.case("good")
    with Plug("shelly2") as plug:
        gone = plug.host
    done = project.run(f"--energy-wall=desk={gone}", "--energy-cooldown=0", "--energy-idle=0")
    assert done.returncode == 0, done.stdout + done.stderr
    with (project.session / "summary.csv").open() as file:
        (row,) = list(csv.DictReader(file))
    assert row["energy_wall_joules"] == ""
    assert row["energy_wall_status"] == "unavailable: mains:desk unreachable"
    living = "--energy-wall=rack=command:echo 45 W"
    strict = project.run(f"--energy-wall=desk={gone}", living, "--energy-strict", "--energy-tdp=cpu=9,gpu=9")
    assert strict.returncode == 4
    assert "unreachable" in strict.stdout + strict.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--energy-wall=desk"], "write NAME=http://HOST"),
        (["--energy-wall=desk=ftp://host"], "shelly1, shelly2, tasmota"),
        (["--energy-wall=desk=http://a", "--energy-wall=desk=http://b"], "given twice"),
        (["--energy-wall=desk=http://admin:secret@plug"], "~/.netrc"),
        (["--energy-wall=desk=command:"], "nothing after command:"),
        (["--energy-meters=wall"], "--energy-wall NAME=http://HOST"),
        (["--energy-wall=desk=http://a", "--energy-replay=x"], "replay alone"),
    ],
)
def test_a_plug_that_cannot_be_asked_is_refused_before_anything_runs(
    project: Project, given: list[str], said: str
) -> None:
    project.case("good")
    if "--energy-replay=x" in given:
        given = [*given, "--energy-meters=replay"]
    done = project.run(*given)
    assert done.returncode == 4
    assert said in done.stdout + done.stderr
    assert not (project.folder / "results").exists()


@pytest.mark.slow
def test_plugs_can_be_named_in_the_ini_file_one_a_line(project: Project) -> None:
    project.case("good")
    (project.folder / "pytest.ini").write_text(
        "[pytest]\nenergy_wall =\n    desk=command:echo 45 W\n    rack=command:printf '1,2'\n"
    )
    done = project.run("--energy-cooldown=0", "--energy-idle=0")
    assert done.returncode == 0, done.stdout + done.stderr
    channels = json.loads((project.session / "session.json").read_text())["channels"]
    found = {c["id"]: c["reason"] for c in channels if c["meter"] == "wall"}
    assert found == {"mains:desk": "", "mains:rack": "garbage"}
