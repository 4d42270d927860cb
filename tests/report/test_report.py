"""The whole way: a session folder in, report.html and report.json out."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import jsonschema
import pandas as pd
import pytest

from causal_report import contract
from causal_report.__main__ import NO_RUN, main
from tests.report import tables

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "link", "br", "hr", "img", "input", "line", "circle", "path", "rect"}


class Outline(HTMLParser):
    """Collects text, ids and unbalanced tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def _run(*arguments: object) -> int:
    return main([*map(str, arguments), "--engine", "exact"])


def _outline(page: str) -> Outline:
    outline = Outline()
    outline.feed(page)
    return outline


def _json(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    session = tables.golden(tmp_path)
    assert _run(session) == 0
    return session


def test_the_path_of_the_page_is_printed_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = tables.golden(tmp_path)
    assert _run(session) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(session / "report.html")


def test_the_golden_truth_is_on_the_page(golden: Path) -> None:
    """Time is 2 s + 1.5 s an epoch: an elasticity between 0.60 (2 epochs) and 0.82 (6 epochs)."""
    found = _json(golden)
    assert found["verdict"]["sentences"][0]["text"].startswith("All joules are measured")
    effects = {(e["outcome"], e["factor"]): e for e in found["effects"]}
    epochs = effects["total_energy_joules", "design_epochs"]
    assert 0.60 < epochs["lo"] < epochs["hi"] < 0.82
    assert epochs["q"] < 0.001
    for factor in ("design_batch_size", "design_learning_rate"):
        assert effects["total_energy_joules", factor]["q"] > 0.05
    assert found["quality"]["flagged"][0]["experiment_id"] == "examples_mnist_010"
    page = (golden / "report.html").read_text(encoding="utf-8")
    assert "examples_mnist_010" in page
    assert "Doubling epochs raises energy" in page


def test_the_page_is_well_formed_and_named(golden: Path) -> None:
    outline = _outline((golden / "report.html").read_text(encoding="utf-8"))
    assert outline.wrong == []
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    sections = {"verdict", "data", "quality", "effects", "question1", "tradeoff", "mediation", "discovery"}
    sections |= {"advice", "agreement", "meters", "provenance"}
    assert sections <= set(outline.ids)
    tags = [tag for tag, _ in outline.tags]
    assert tags.count("table") == tags.count("caption")
    assert tags.count("h1") == 1


def test_every_figure_has_a_title_and_a_description(golden: Path) -> None:
    page = (golden / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r"<svg[^>]*role=\"img\".*?</svg>", page, flags=re.DOTALL)
    assert len(figures) == 9
    for figure in figures:
        title, description = (
            re.search(rf"<{tag} id=[^>]*>(.+?)</{tag}>", figure) for tag in ("title", "desc")
        )
        assert title
        assert description


def test_the_page_can_ask_nothing_of_the_network(golden: Path) -> None:
    page = (golden / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|@import|url\((?!#)", page)
    assert len(page.encode()) < 2_000_000


def test_report_json_keeps_its_published_schema(golden: Path) -> None:
    schema = json.loads(contract.PATH.read_text(encoding="utf-8"))
    assert schema == contract.schema(), "causal_report/schema/report.json is not what the types say"
    jsonschema.validate(_json(golden), schema)


def test_without_direct_meters_the_first_sentence_says_so(tmp_path: Path) -> None:
    session = tables.without_meters(tables.golden(tmp_path))
    assert _run(session) == 0
    found = _json(session)
    first = found["verdict"]["sentences"][0]["text"]
    assert first.startswith("All joules on this page are estimates by codecarbon")
    assert found["response"]["status"] == "estimated"
    page = (session / "report.html").read_text(encoding="utf-8")
    assert "Nothing can be validated" in page
    assert "sysctl kernel.perf_event_paranoid=0" in page
    assert "status measured" not in page


def test_replayed_joules_are_not_called_measured(tmp_path: Path) -> None:
    session = tables.replayed(tables.golden(tmp_path))
    assert _run(session) == 0
    first = _json(session)["verdict"]["sentences"][0]["text"]
    assert first.startswith("The joules of 23 of 23 usable runs are replayed")
    page = (session / "report.html").read_text(encoding="utf-8")
    assert "status measured" not in page
    assert "All joules are measured" not in page


def test_a_session_cut_short_is_marked(tmp_path: Path) -> None:
    session = tables.cut_short(tables.golden(tmp_path), 10)
    assert _run(session) == 0
    warnings = {w["key"]: w["text"] for w in _json(session)["verdict"]["warnings"]}
    assert "10 of 24 cases" in warnings["incomplete"]
    assert warnings["incomplete"] in (session / "report.html").read_text(encoding="utf-8")


def test_an_empty_table_still_gives_a_page(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    head = (session / "summary.csv").read_text().splitlines()[0]
    (session / "summary.csv").write_text(head + "\n")
    assert _run(session) == NO_RUN
    assert "Nothing was measured" in (session / "report.html").read_text(encoding="utf-8")
    jsonschema.validate(_json(session), contract.schema())


def test_names_from_files_are_escaped(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    table = pd.read_csv(session / "summary.csv")
    table.loc[~table["training_success"], "error_message"] = "<script>alert(1)</script>"
    table.to_csv(session / "summary.csv", index=False)
    assert _run(session) == 0
    page = (session / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_two_sessions_are_analysed_together(tmp_path: Path) -> None:
    other = tables.write(tmp_path / "made", tables.rows(40))
    assert _run(tables.golden(tmp_path), other, "--out", tmp_path / "out") == 0
    found = _json(tmp_path / "out")
    assert [s["name"] for s in found["provenance"]["sources"]] == ["run_20261121_190000", "run_made"]
    assert found["data"]["runs"] == 64


def test_several_sessions_need_a_folder_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = tables.golden(tmp_path), tables.write(tmp_path / "made", tables.rows(40))
    (first / "report.html").write_text("mine")
    assert _run(first, other) == 2
    assert "--out" in capsys.readouterr().err
    assert (first / "report.html").read_text() == "mine"


def test_an_estimate_of_zero_still_gives_a_page(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    path = next(session.glob("*_001/energy/readings.json"))
    readings = json.loads(path.read_text())
    for reading in readings:
        if reading["kind"] == "model" and reading["joules"] is not None:
            reading["joules"] = 0.0
    path.write_text(json.dumps(readings))
    assert _run(session) == 0
    assert "zero or below" in (session / "report.html").read_text(encoding="utf-8")


def test_the_same_input_gives_the_same_page(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    pages = []
    for _ in range(2):
        assert _run(session) == 0
        pages.append(re.sub(r"\d+\.\d+ s", "", (session / "report.html").read_text(encoding="utf-8")))
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "missing", "no such folder"),
        (lambda folder: folder, "no journal.jsonl"),
    ],
)
def test_bad_input_ends_with_two_and_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, words: str
) -> None:
    assert _run(make(tmp_path)) == 2
    assert words in capsys.readouterr().err


def test_a_session_without_its_summary_says_how_to_rebuild_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = tables.golden(tmp_path)
    (session / "summary.csv").unlink()
    assert _run(session) == 2
    assert "wattwhy report" in capsys.readouterr().err


def test_an_unknown_language_names_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(tables.golden(tmp_path), "--language", "xx") == 2
    assert "there are: en" in capsys.readouterr().err


@pytest.mark.slow
def test_all_three_engines_stand_side_by_side(tmp_path: Path) -> None:
    session = tables.write(tmp_path / "made", tables.rows(56))
    assert main([str(session)]) == 0
    found = _json(session)
    group = found["groups"]["examples"]
    dibs = next(run for run in group["graphs"]["all"]["engines"] if run["name"] == "dibs")
    assert dibs["ran"], dibs["reason"]
    assert dibs["settings"]["seeds"] >= 2
    edges = {(e["cause"], e["effect"]): e for e in group["edges"]}
    true = edges["hyperparam_epochs", "total_energy_joules"]
    assert (true["verdict"], true["dibs"] > 0.8, true["exact"] > 0.8) == ("validated", True, True)
    assert not any(effect.startswith("hyperparam_") for _, effect in edges)
    jsonschema.validate(found, contract.schema())
