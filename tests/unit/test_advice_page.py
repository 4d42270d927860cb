"""The advice on the page: its setting, interval, design file and figure."""

from __future__ import annotations

from dataclasses import replace

from causal_report.figures import advice as drawing
from tests.report.advised import frame, given, render


def test_the_page_shows_setting_interval_design_and_how_close_it_came() -> None:
    page = render(given(frame(), country="DEU"))
    assert '<section id="advice"' in page
    assert "[[experiments]]" in page
    assert "epochs" in page
    assert "Germany" in page
    refused = render(given(frame(loss=0.15)))
    assert "not shown safe" in refused
    assert "no safe saving" in refused


def test_the_figure_cuts_what_runs_beyond_it_and_marks_what_is_safe() -> None:
    found = given(frame())
    figure = drawing.savings(found)
    assert figure is not None
    (line,) = figure.lines
    assert line.clear
    assert figure.left <= line.lo <= line.x <= line.hi <= figure.one
    setting = replace(found.groups[0].advised, lo=0.001, hi=50.0)  # type: ignore[type-var]
    wide = drawing.savings(replace(found, groups=(replace(found.groups[0], advised=setting),)))
    assert wide is not None
    assert wide.lines[0].cut_lo
    assert wide.lines[0].cut_hi
    assert drawing.savings(replace(found, groups=())) is None
