"""The part on the page: its sentences, tables and figures render, and the figures keep within bounds."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import re
from functools import cache
from typing import Any

import jsonschema
import pandas as pd
import pytest

from causal_report import contract, findings, modes
from causal_report.figures import modes as drawing
from causal_report.findings.modes import Modes
from causal_report.text import Text
from tests.report import moded, section

TEXT = Text("en")


@cache
def _found() -> Modes:
    frame = pd.concat(
        [
            moded.rows("structure changes", 96, repository="a<b>"),
            moded.rows("main effect only", 40, repository="plain", models=("only",)),
        ],
        ignore_index=True,
    )
    table, response, graphs = moded.built(frame)
    return modes.compare(table, response, graphs, (), TEXT)


def _page(found: Modes, *, figures: bool = True) -> str:
    slopes = drawing.slopes(found.interactions, "total_energy_joules")
    drawn = {"modes": drawing.ratios(found.effects, 10.0), "modes_slopes": slopes}
    return section.render("modes", found, **(drawn if figures else dict.fromkeys(drawn)))


def test_the_page_shows_verdicts_tables_and_figures_once_each() -> None:
    page = _page(_found())
    read = html.unescape(re.sub("</?span[^>]*>", "", page))
    for sentence in _found().sentences:
        assert sentence.text in read
    assert "a&lt;b&gt;" in page
    assert "a<b>" not in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {"modes", "modes-verdicts", "modes-effects", "modes-interactions", "modes-ratio-t"} <= set(ids)
    assert page.count("<svg") == 2
    assert "4 structure changes" in page
    assert "2 main effect only" in page
    assert not re.search(r"\b(nan|None|inf)\b", page)


def test_a_session_of_one_mode_shows_its_reason_alone() -> None:
    table, response, _ = moded.built_without_graphs(moded.rows("no effect").query("mode == 'alone'"))
    found = modes.compare(table, response, {}, (), TEXT)
    page = _page(found, figures=False)
    assert found.reason in page
    assert "<table" not in page
    assert "<svg" not in page


def test_ratios_stand_left_or_right_of_no_change_as_their_numbers_do() -> None:
    plot = drawing.ratios(_found().effects, 10.0)
    assert plot is not None
    effects = {
        (e.label, e.model or e.group): e for e in _found().effects if e.scale == "log-ratio" and e.estimate
    }
    assert len(plot.lines) >= 6
    for line in plot.lines:
        assert plot.left <= line.lo <= line.x <= line.hi <= plot.width
        effect = next(
            e for (label, name), e in effects.items() if line.words.startswith(f"{label} of {name}:")
        )
        assert effect.estimate is not None
        assert (line.x > plot.reference) == (effect.estimate > 0) or line.x == plot.reference
    assert plot.band is not None
    assert plot.band[0] < plot.reference < plot.band[1]
    assert [y for y, _ in plot.headings] == sorted(y for y, _ in plot.headings)


def test_a_ratio_far_out_is_cut_and_marked_and_has_no_dot() -> None:
    effects = list(_found().effects)
    far = dataclasses.replace(
        next(e for e in effects if e.metric == "duration_seconds" and e.estimate is not None),
        estimate=math.log(50),
        lo=math.log(20),
        hi=math.log(90),
        model="",
    )
    plot = drawing.ratios([far], 10.0)
    assert plot is not None
    (line,) = plot.lines
    assert line.outside
    assert line.cut_hi
    assert line.hi <= plot.width


def test_slopes_of_both_modes_stand_one_above_the_other() -> None:
    plot = drawing.slopes(_found().interactions, "total_energy_joules")
    assert plot is not None
    alone, loaded = plot.lines[:2]
    assert (alone.series, loaded.series) == (0, 1)
    assert alone.y < loaded.y
    assert alone.label
    assert not loaded.label
    assert {label for _, label in plot.headings} == {"epochs", "batch size", "learning rate"}
    assert drawing.slopes([], "x") is None
    assert drawing.ratios([], 10.0) is None


def test_the_findings_are_plain_data_under_the_schema_of_their_types() -> None:
    definitions: dict[str, Any] = {}
    contract._type(Modes, definitions)
    assert {"Modes", "ModeEffect", "ModeVerdict"} <= set(definitions)
    plain = json.loads(json.dumps(findings._plain(dataclasses.asdict(_found()))))
    jsonschema.validate(plain, {"$ref": "#/$defs/Modes", "$defs": definitions})


@pytest.mark.parametrize("metric", ["total_energy_joules", "duration_seconds"])
def test_each_metric_has_its_lines_in_the_figure(metric: str) -> None:
    plot = drawing.ratios(_found().effects, 10.0)
    assert plot is not None
    label = {"total_energy_joules": "energy, whole machine", "duration_seconds": "duration"}[metric]
    assert label in [text for _, text in plot.headings]
