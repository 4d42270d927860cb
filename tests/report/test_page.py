"""The page in a real browser: one request, no error, sorting, both themes, narrow and wide."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from causal_report.__main__ import main
from causal_report.page import SECTIONS
from tests.report import moded, paired, tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.chromium
FAULTS = """() => {
  document.querySelectorAll("details").forEach((d) => { d.open = true; });
  const all = (selector) => [...document.querySelectorAll(selector)];
  const ids = all("[id]").map((e) => e.id);
  const figures = all("svg[role=img]");
  const outside = (box, whole) => box.left < whole.left - 1 || box.right > whole.right + 1
    || box.top < whole.top - 1 || box.bottom > whole.bottom + 1;
  const level = (h) => Number(h.tagName[1]);
  return {
    twice: ids.filter((id, i) => ids.indexOf(id) !== i),
    dangling: all("[aria-labelledby]").flatMap((e) => e.getAttribute("aria-labelledby").split(" "))
      .filter((id) => !document.getElementById(id)),
    nowhere: all("nav a, .answers a").map((a) => a.hash.slice(1))
      .filter((id) => document.getElementById(id)?.tagName !== "SECTION"),
    untitled: figures
      .filter((s) => !s.querySelector("title").textContent || !s.querySelector("desc").textContent)
      .map((s) => s.outerHTML.slice(0, 99)),
    empty: figures.filter((s) => !s.querySelector("path, circle, rect") || !s.getBoundingClientRect().width)
      .map((s) => s.outerHTML.slice(0, 99)),
    clipped: figures.flatMap((s) => [...s.querySelectorAll("text")]
      .filter((t) => outside(t.getBoundingClientRect(), s.getBoundingClientRect()))
      .map((t) => t.textContent)),
    uncaptioned: all("table").filter((t) => !t.caption?.textContent.trim()).map((t) => t.id),
    skipped: all("h1, h2, h3").filter((h, i, heads) => i && level(h) > level(heads[i - 1]) + 1)
      .map((h) => h.textContent),
    sideways: document.documentElement.scrollWidth > innerWidth ? [document.documentElement.scrollWidth] : [],
  };
}"""
"""What no page may have, each with the places where it has it, all details opened."""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    session = tables.golden(tmp_path_factory.mktemp("page"))
    assert main([str(session), "--engine", "exact"]) == 0
    return session / "report.html"


@pytest.fixture(scope="module")
def full_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every section: pairs, runs with and without a load, the published recipe."""
    loaded = moded.rows("main effect only", 80)
    frame = pd.concat([paired.session(replicates=1).frame, loaded], ignore_index=True)
    session = tables.write(tmp_path_factory.mktemp("full") / "run_full", frame)
    assert main([str(session), "--engine", "exact", "--recipe", "seed"]) == 0
    return session / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


def test_one_request_no_error_and_no_sideways_scrolling(browser: Any, page_file: Path) -> None:
    for width in (1280, 400):
        page = browser.new_page(viewport={"width": width, "height": 900})
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.goto(page_file.as_uri())
        assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()


@pytest.mark.parametrize("width", [1280, 400])
def test_every_section_is_whole(browser: Any, full_file: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(full_file.as_uri())
    sections = page.evaluate("[...document.querySelectorAll('main > section')].map((s) => s.id)")
    assert sections == ["verdict", *SECTIONS]
    assert page.evaluate("document.querySelectorAll('svg[role=img]').length") > 10
    faults = page.evaluate(FAULTS)
    assert {name: places for name, places in faults.items() if places} == {}
    assert said == []
    page.close()


def test_a_column_sorts_both_ways_by_its_number(browser: Any, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    head = page.locator("#effects-table th", has_text="Change")
    read = "[...document.querySelectorAll('#effects-table tbody tr')].map(r => Number(r.cells[3].dataset.v))"
    head.locator("button").click()
    rising = page.evaluate(read)
    assert rising == sorted(rising)
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert page.evaluate(read) == sorted(rising, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    page.close()


def test_both_themes_are_readable(browser: Any, page_file: Path) -> None:
    """Contrast of the body text and of the soft text against the paper: at least 4.5 to 1."""
    contrast = """() => {
      const rgb = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number).map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
      const light = (c) => { const [r, g, b] = rgb(c); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const paper = light(getComputedStyle(document.body).backgroundColor);
      return ["body", ".meta", "nav a"].map((s) => light(getComputedStyle(document.querySelector(s)).color))
        .map((ink) => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05));
    }"""
    papers = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(page_file.as_uri())
        assert min(page.evaluate(contrast)) >= 4.5
        papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert papers[0] != papers[1]


def test_the_verdict_is_on_the_first_screen(browser: Any, page_file: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(page_file.as_uri())
    first = page.locator("#verdict p.first").bounding_box()
    assert first["y"] + first["height"] < 720
    page.close()
