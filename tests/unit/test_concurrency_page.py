"""The section of pairs on the page: sentences, tables and figures render, within their bounds."""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict
from functools import cache

import jsonschema
import pytest

from causal_report import concurrency, contract, response, table
from causal_report.figures import concurrency as drawing
from causal_report.findings.concurrency import Concurrency
from causal_report.text import Text
from tests.report import paired, section, tables

TEXT = Text("en")


@cache
def _found(replicates: int = 3) -> Concurrency:
    source = paired.session(replicates=replicates)
    whole = table.build([source])
    chosen = response.choose(whole.frame[whole.frame["mode"] != "pair"])
    return concurrency.analyse(whole, chosen, [source], TEXT)


@cache
def _none() -> Concurrency:
    source = tables.source(tables.rows())
    whole = table.build([source])
    return concurrency.analyse(whole, response.choose(whole.frame), [source], TEXT)


def _page(found: Concurrency, *, figures: bool = True) -> str:
    drawn = {"concurrency": drawing.saved(found.pairs), "concurrency_shares": drawing.shares(found.pairs)}
    return section.render("concurrency", found, **(drawn if figures else dict.fromkeys(drawn)))


def test_the_page_shows_sentences_tables_and_figures_once_each() -> None:
    page = _page(_found())
    read = html.unescape(re.sub("</?span[^>]*>", "", page))
    for sentence in _found().sentences:
        assert sentence.text in read
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {"concurrency", "concurrency-table", "cc-saved-t", "cc-shares-t", "concurrency-anova"} <= set(ids)
    assert page.count("<svg") == 2


@pytest.mark.parametrize("found", [_none, lambda: _found(1)])
def test_without_pairs_or_replicates_the_section_still_stands(found: object) -> None:
    result = found()  # type: ignore[operator]
    page = _page(result, figures=bool(result.pairs))
    assert result.sentences[0].text in html.unescape(page)


def test_findings_have_the_form_of_their_schema() -> None:
    definitions: dict[str, object] = {}
    contract._type(Concurrency, definitions)
    schema = {"$ref": "#/$defs/Concurrency", "$defs": definitions}
    for found in (_found(), _none()):
        jsonschema.validate(json.loads(json.dumps(asdict(found), allow_nan=False)), schema)


def test_a_pair_has_two_marks_left_and_right_of_nothing_saved() -> None:
    plot = drawing.saved(_found().pairs)
    assert plot is not None
    assert plot.zero is not None
    assert len(plot.marks) == 2 * len(_found().pairs) == 2 * len(plot.headings)
    for pair, energy, time in zip(_found().pairs, plot.marks[::2], plot.marks[1::2], strict=True):
        assert (energy.square, time.square) == (False, True)
        assert (energy.x > plot.zero) == ((pair.saving.value or 0.0) > 0)
        assert (time.x > plot.zero) == ((pair.makespan.value or 0.0) < 0)
        for mark in (energy, time):
            assert mark.lo is not None
            assert mark.hi is not None
            assert plot.left <= mark.lo <= mark.x <= mark.hi <= plot.width
            assert 0 < mark.y < plot.bottom


def test_without_intervals_there_are_marks_and_no_bars() -> None:
    plot = drawing.saved(_found(1).pairs)
    assert plot is not None
    assert all(mark.lo is None and not mark.clear for mark in plot.marks)
    assert "no interval" in plot.marks[0].words


def test_shares_lie_within_their_bounds_and_are_called_estimated() -> None:
    plot = drawing.shares(_found().pairs)
    assert plot is not None
    assert len(plot.marks) == 9
    for mark in plot.marks:
        assert mark.lo is not None
        assert mark.hi is not None
        assert mark.lo <= mark.x <= mark.hi
        assert mark.words.endswith("estimated")


def test_more_pairs_than_fit_are_counted() -> None:
    plot = drawing.saved(_found().pairs * 10)
    assert plot is not None
    assert (len(plot.headings), plot.left_out) == (drawing.MOST_PAIRS, 30 - drawing.MOST_PAIRS)


def test_nothing_to_draw_is_no_figure() -> None:
    assert drawing.saved(()) is None
    assert drawing.shares(()) is None
