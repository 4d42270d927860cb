"""The findings of the checks, their figure, and their part of the page."""

from __future__ import annotations

from itertools import count

import pytest

from causal_report import quality, table
from causal_report.figures.flagged import MOST_DAYS, flagged
from causal_report.findings.quality import Day, Quality
from causal_report.text import Text
from tests.report import flawed, section, study, tables


def _found(kind: str, *, keep: bool = False) -> Quality:
    source = tables.source(flawed.plant(kind, 3).frame)
    made = table.build([source])
    return quality.findings(quality.check(made, [source], keep_flagged=keep), made, Text("en"))


def _page(found: Quality) -> str:
    return section.render("quality", found, quality=flagged(found.days))


def test_the_first_sentence_says_how_many_rows_are_false_and_what_becomes_of_them() -> None:
    found = _found("mismatch")
    assert f"{len(found.flagged)} of 180 rows" in found.sentences[0].text
    assert "left out" in found.sentences[0].text
    assert all(row.excluded for row in found.flagged)


def test_rows_kept_on_demand_are_still_listed_as_false() -> None:
    kept = _found("mismatch", keep=True)
    assert "--keep-flagged" in kept.sentences[0].text
    assert kept.flagged
    assert not any(row.excluded for row in kept.flagged)


def test_rows_with_notes_only_are_not_among_the_false_ones() -> None:
    found = _found("mismatch")
    false = {(row.experiment_id, row.timestamp) for row in found.flagged}
    assert found.noted
    assert not any((row.experiment_id, row.timestamp) in false or row.excluded for row in found.noted)


def test_every_check_is_described_with_the_numbers_it_decides_by() -> None:
    facts = {check.name: check for check in _found("parts").checks}
    assert facts["energy-parts"].rows == 10
    assert facts["energy-parts"].bounds[0].value == 0.001
    assert all(check.title and check.looks for check in facts.values())


@pytest.mark.parametrize("kind", ["episode", "mute"])
def test_the_page_shows_each_false_row_with_its_evidence(kind: str) -> None:
    found = _found(kind)
    page = _page(found)
    assert page.count('id="quality"') == 1
    assert 'role="img"' in page
    assert all(row.experiment_id in page for row in found.flagged)


def test_a_clean_table_says_so_and_has_no_figure() -> None:
    source = tables.source(study.clean(study.SHAPES[0], 1))
    made = table.build([source])
    found = quality.findings(quality.check(made, [source], keep_flagged=False), made, Text("en"))
    assert found.flagged == ()
    assert "None of the 30 rows" in found.sentences[0].text
    assert flagged(found.days) is None
    assert "quality-rows" not in _page(found)


def test_a_bar_is_as_high_as_the_share_of_the_days_rows_that_are_false() -> None:
    figure = flagged(
        [
            Day(model="a", day="2026-01-01", rows=4, false=4),
            Day(model="a", day="2026-01-03", rows=4, false=1),
        ]
    )
    assert figure is not None
    whole, quarter = figure.lines[0].bars
    assert whole.height == 4 * quarter.height
    assert whole.y + whole.height == quarter.y + quarter.height == figure.lines[0].y
    assert quarter.x > whole.x + whole.width


def test_years_of_days_share_their_bars() -> None:
    years = count(2020)
    days = [Day(model="a", day=f"{next(years)}-01-01", rows=2, false=1) for _ in range(6)]
    figure = flagged(days)
    assert figure is not None
    assert len(figure.lines[0].bars) <= MOST_DAYS
    assert max(bar.x + bar.width for bar in figure.lines[0].bars) <= figure.right + 1


def test_timestamps_that_are_no_dates_have_no_figure() -> None:
    assert flagged([Day(model="a", day="yesterday", rows=2, false=1)]) is None
