"""A real session on simulated meters, and its page: every table filled, everything labelled.

``WATTWHY_SAMPLE`` names a session made by ``python -m tests.simulated.sample``; else a short one is made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from tests.report.browser import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.compiler, pytest.mark.chromium]

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("-k", "r1 and (kfold or max_iter)")
LABEL = "simulated hardware (tests/simulated)"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if named := os.environ.get("WATTWHY_SAMPLE"):
        return Path(named).resolve()
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("sample")
    command = [sys.executable, "-m", "tests.simulated.sample", str(folder / "results")]
    command += ["--hardware", str(folder / "hardware"), *SHORT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return (folder / "results" / "latest").resolve()


@pytest.fixture(scope="module")
def report(session: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((session / "report.json").read_text())
    return found


@pytest.fixture(scope="module")
def page(session: Path) -> Iterator[Any]:
    with opened(session / "report.html") as found:
        yield found


def test_every_run_is_measured_by_meters_that_say_they_are_simulated(session: Path) -> None:
    table = pd.read_csv(session / "summary.csv")
    assert len(table) >= 8
    assert set(table["simulated"]) == {LABEL}
    assert set(table["total_energy_status"]) == {"measured"}
    assert (table["total_energy_lo_joules"] <= table["total_energy_joules"]).all()
    assert (table["total_energy_joules"] <= table["total_energy_hi_joules"]).all()
    explained = table["energy_net_reason"].notna()  # a column without any reason is read as numbers
    assert (table["energy_net_joules"].notna() | explained).all()  # a busy host has no baseline, and says so
    assert json.loads((session / "session.json").read_text())["simulated"] == LABEL
    for path in session.glob("*/experiment.json"):
        assert json.loads(path.read_text())["simulated"] == LABEL


def test_joules_follow_the_work_that_the_trainings_really_did(session: Path) -> None:
    """Above idle the hardware draws 285 W and a little for each second of CPU time."""
    table = pd.read_csv(session / "summary.csv")
    idle_w = 60 + 20 + 3
    above = table["total_energy_joules"] - idle_w * table["duration_seconds"]
    per_s = above / table["cpu_time_seconds"]
    long = per_s[table["duration_seconds"] > 1.0]
    assert ((long > 200) & (long < 330)).all(), per_s.describe()


def test_all_meters_read_and_the_estimator_on_the_same_sensor_is_left_out(report: dict[str, Any]) -> None:
    whole = {
        (c["meter"], c["channel"].split("-")[0]): c
        for c in report["metering"]["channels"]
        if c["window"] == "process"
    }
    for meter, channel in (("perf", "cpu:package:0"), ("rapl", "cpu:package:0"), ("nvml", "gpu:GPU")):
        assert whole[meter, channel]["measured"] == whole[meter, channel]["n"]
    agreement = {(a["estimator"], a["part"]): a for a in report["agreement"]}
    assert agreement["codecarbon", "gpu"]["same_sensor"]
    assert abs(agreement["codecarbon", "gpu"]["edges_pct"]) < 15
    for part in ("cpu", "gpu", "total"):
        found = agreement["calculator", part]
        assert found["bias_lo_pct"] <= found["bias_pct"] <= found["bias_hi_pct"]
        assert found["mape_pct"] >= abs(found["bias_pct"]) - 1e-9
        assert found["bounded"] == found["n"]
    assert agreement["codecarbon", "cpu"]["bias_pct"] is not None


def test_three_runs_are_drawn_over_time_with_their_windows(report: dict[str, Any]) -> None:
    traces = report["metering"]["traces"]
    assert [t["rank"] for t in traces] == ["least", "median", "most"]
    for trace in traces:
        assert trace["status"] == "simulated"
        names = {span["name"].split(":")[0] for span in trace["spans"]}
        assert {"process", "training", "epoch", "tail"} <= names
        watts = {panel["channel"].split("-")[0] for panel in trace["panels"] if panel["unit"] == "W"}
        assert {"cpu:package:0", "cpu:dram:0", "gpu:GPU"} <= watts
        area = sum(
            (end - start) * mean
            for panel in trace["panels"]
            for line in panel["lines"]
            if line["form"] == "counter" and line["unit"] == "W"
            for start, end, mean, _, _ in line["points"]
        )
        assert area > trace["joules"] * 0.9


def test_the_page_is_small_and_the_labels_stand_where_joules_are(session: Path, page: Any) -> None:
    assert (session / "report.html").stat().st_size < 2_000_000
    assert page.said == []
    assert page.title().startswith("SIMULATED")
    banner = page.locator(".banner")
    assert banner.is_visible()
    assert banner.bounding_box()["y"] == 0
    assert LABEL in banner.inner_text()
    for table in ("agreement-table", "agreement-evidence", "net-runs", "states", "effects-table"):
        assert page.locator(f"#{table} caption .simulated").count() == 1, table
    measured = page.locator("figure").count()
    # Runs beside others' load are left out, and with them a figure may have nothing to show.
    assert page.locator("figure figcaption .simulated").count() == measured >= 5
    assert page.locator(".status.measured").count() == 0


def test_the_tables_are_filled(page: Any, report: dict[str, Any]) -> None:
    runs = len(report["metering"]["runs"])  # without those beside others' load
    assert runs >= 3
    for table, least in {
        "agreement-table": 5,
        "agreement-evidence": 7,
        "states": 9,
        "net-runs": runs,
    }.items():
        rows = page.locator(f"#{table} tbody tr")
        assert rows.count() >= least, table
        assert all(text.strip() for text in rows.all_text_contents())
    for figure in ("df", "power-least", "power-median", "power-most"):
        assert page.locator(f"svg[aria-labelledby^='{figure}-t']").bounding_box()["height"] > 150


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_scrolls_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.said == []
