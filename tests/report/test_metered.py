"""The page of a session with everything meters can leave, its truth made up."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from causal_report import contract
from causal_report.__main__ import main
from tests.report import metered
from tests.report.test_report import Outline

if TYPE_CHECKING:
    from pathlib import Path


def _run(session: Path) -> tuple[dict[str, Any], str]:
    assert main([str(session), "--engine", "exact"]) == 0
    found = json.loads((session / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, contract.schema())
    return found, (session / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    return _run(metered.session(tmp_path_factory.mktemp("simulated"), simulated=True, mains=True))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    return _run(metered.session(tmp_path_factory.mktemp("real")))


def test_a_simulated_session_never_calls_a_joule_measured(simulated: tuple[dict[str, Any], str]) -> None:
    found, page = simulated
    assert found["simulated"] == metered.LABEL
    assert found["response"]["simulated"] == 23
    assert found["verdict"]["sentences"][0]["key"] == "simulated"
    assert "<title>SIMULATED" in page
    assert page.index('class="banner"') < page.index("<header")
    assert "status measured" not in page
    assert "All joules are measured" not in page
    assert "Against the simulated meters of the CPU, codecarbon" in page


def test_every_table_and_figure_with_joules_is_marked(simulated: tuple[dict[str, Any], str]) -> None:
    _, page = simulated
    mark = '<span class="simulated">'
    captions = re.findall(r"<figcaption>.*?</figcaption>", page, flags=re.DOTALL)
    assert len(captions) == 12
    assert [caption for caption in captions if mark not in caption] == [captions[0]]
    assert "fail a check" in captions[0]  # holds no joules
    tables = dict(re.findall(r'<table class="sortable" id="([\w-]+)">\s*<caption>(.*?)</caption>', page))
    for name in (
        "effects-table",
        "discovery-1-evidence",
        "advice-table",
        "agreement-table",
        "agreement-evidence",
        "net",
        "states",
    ):
        assert mark in tables[name], name


def test_a_real_session_carries_no_such_mark(real: tuple[dict[str, Any], str]) -> None:
    found, page = real
    assert (found["simulated"], found["response"]["simulated"]) == ("", 0)
    assert 'class="simulated"' not in page
    assert 'class="banner"' not in page
    assert "<title>Energy report" in page
    assert "status measured" in page


def test_one_simulated_session_marks_the_whole_page(tmp_path: Path) -> None:
    played = metered.session(tmp_path, simulated=True)
    facts = json.loads((played / "session.json").read_text())
    (played / "session.json").write_text(json.dumps({**facts, "session": "run_played"}))
    (tmp_path / "other").mkdir()
    real = metered.session(tmp_path / "other")
    assert main([str(real), str(played), "--out", str(tmp_path / "out"), "--engine", "exact"]) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The meters of 23 of 46 usable runs were simulated" in page
    assert "<title>SIMULATED" in page


def test_the_page_is_well_formed_and_small(simulated: tuple[dict[str, Any], str]) -> None:
    _, page = simulated
    outline = Outline()
    outline.feed(page)
    assert (outline.wrong, outline.open) == ([], [])
    assert len(outline.ids) == len(set(outline.ids))
    assert len(page.encode()) < 500_000


def test_gross_and_net_stand_side_by_side_with_their_uncertainty(real: tuple[dict[str, Any], str]) -> None:
    (model,) = real[0]["metering"]["models"]
    assert model["n"] == 23
    assert model["idle_w"] == pytest.approx(sum(metered.IDLE_W.values()))
    assert model["idle_unc_w"] == pytest.approx(metered.IDLE_UNC_W)
    assert model["gross_lo_j"] < model["gross_j"] < model["gross_hi_j"]
    assert model["net_j"] < model["gross_j"]
    assert model["tail_j"] == pytest.approx(metered.TAIL_W * metered.TAIL_S)
    for run in real[0]["metering"]["runs"]:
        assert run["net_j"] == pytest.approx(run["gross_j"] - model["idle_w"] * run["duration_s"], rel=1e-3)
        assert "perf exact-window" in run["methods"]


def test_a_session_without_a_baseline_says_so(tmp_path: Path) -> None:
    session = metered.session(tmp_path)
    table = (session / "summary.csv").read_text().replace("energy_net_joules", "energy_other_joules")
    (session / "summary.csv").write_text(table)
    found, page = _run(session)
    assert found["metering"]["models"] == []
    assert "No idle baseline was recorded" in page


def test_the_readings_are_counted_by_status_and_reason(real: tuple[dict[str, Any], str]) -> None:
    counted = {(c["meter"], c["channel"], c["window"]): c for c in real[0]["metering"]["channels"]}
    lost = counted["rapl", "cpu:package:0", "training"]
    assert (lost["unavailable"], lost["n"]) == (24, 24)
    assert lost["reasons"] == [["unavailable", "lost", 24]]
    assert lost["covered"] is None
    whole = counted["perf", "cpu:package:0", "process"]
    assert whole["measured"] == whole["n"] == 24
    assert whole["half_width_pct"] == pytest.approx(1.0, rel=0.01)
    assert counted["calculator", "cpu", "process"]["unavailable"] == 24
    assert "lost <small>" in re.sub("</span>", "", real[1])


def test_readers_of_one_sensor_stay_out_and_the_mains_judge_all(
    simulated: tuple[dict[str, Any], str],
) -> None:
    found = {(a["estimator"], a["part"]): a for a in simulated[0]["agreement"]}
    gpu = found["codecarbon", "gpu"]
    assert (gpu["same_sensor"], gpu["bias_pct"], gpu["left_out"]) == (True, None, 23)
    assert gpu["edges_pct"] == pytest.approx(100 * (metered.CODECARBON_SHARE - 1))
    assert found["codecarbon", "cpu"]["meter_sources"] == ["rapl-pmu"]  # rapl reads the same, less exactly
    direct = found["direct", "mains"]
    assert direct["sums_hi_pct"] < -25
    assert direct["sure"] == direct["bounded"] == 23
    assert "the sum of the direct meters" in simulated[1]


def test_the_traces_of_three_runs_are_drawn(real: tuple[dict[str, Any], str]) -> None:
    found, page = real
    traces = found["metering"]["traces"]
    joules = [t["joules"] for t in traces]
    assert [t["rank"] for t in traces] == ["least", "median", "most"]
    assert joules == sorted(joules)
    for rank in ("least", "median", "most"):
        assert f'aria-labelledby="power-{rank}-t' in page
    assert page.count('class="shade tail"') == 3


def test_idle_baselines_are_shown_with_what_was_refused(tmp_path: Path) -> None:
    session = metered.session(tmp_path)
    levels = [(20.0, ""), (22.0, ""), (None, "cpu-busy")]
    events = [
        {
            "event": "idle",
            "baseline": {
                "name": "idle:between",
                "t0_ns": 1,
                "t1_ns": 2,
                "levels": [
                    {
                        "meter": "perf",
                        "channel": "cpu:package:0",
                        "power_w": watts,
                        "unc_w": watts and 0.5,
                        "seconds": 5.0,
                        "reason": reason,
                    }
                ],
            },
        }
        for watts, reason in levels
    ]
    journal = session / "journal.jsonl"
    first, *rest = (
        line for line in journal.read_text().splitlines(keepends=True) if json.loads(line)["event"] != "idle"
    )
    journal.write_text("".join([first, *(json.dumps(e) + "\n" for e in events), *rest]))
    found, page = _run(session)
    (line,) = found["metering"]["idle"]
    assert (line["n"], line["known"], line["power_w"], line["unc_w"]) == (3, 2, 21.0, 0.5)
    assert line["reasons"] == [["cpu-busy", 1]]
    assert "cpu-busy <small>(1)" in page
