"""The advice on the page: its setting, interval, design file and figure."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import jinja2

from causal_report import number
from causal_report.figures import advice as drawing
from causal_report.text import templates
from tests.report.advised import TEXT, frame, given

if TYPE_CHECKING:
    from causal_report.findings.advice import Advice


def render(found: Advice) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "t": TEXT,
        "fmt": number,
        "f": SimpleNamespace(advice=found, simulated=""),
        "fig": SimpleNamespace(advice=drawing.savings(found)),
    }
    source = '{% import "partials/macros.html.j2" as m with context %}{% include "partials/advice.html.j2" %}'
    return environment.from_string(source).render()


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
    assert line.safe
    assert figure.left <= line.lo <= line.x <= line.hi <= figure.one
    setting = replace(found.groups[0].advised, lo=0.001, hi=50.0)  # type: ignore[type-var]
    wide = drawing.savings(replace(found, groups=(replace(found.groups[0], advised=setting),)))
    assert wide is not None
    assert wide.lines[0].cut_lo
    assert wide.lines[0].cut_hi
    assert drawing.savings(replace(found, groups=())) is None
