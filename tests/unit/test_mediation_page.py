"""The section of mediation on the page, and its figure."""

from __future__ import annotations

import re

import pytest

from causal_report.figures import paths
from causal_report.findings.mediation import Mediation, MediationPath
from causal_report.findings.sentence import Sentence
from tests.report import section

KNOWN = MediationPath(
    group="made/<up>",
    cause="design_epochs",
    mediator="energy_gpu_util_avg_percent",
    outcome="total_energy_joules",
    cause_label="epochs",
    mediator_label="GPU utilisation",
    outcome_label="energy",
    origin="declared",
    n=60,
    step=2.0,
    log_cause=True,
    log_outcome=True,
    a=4.0,
    a_p=0.001,
    b=0.05,
    b_p=0.001,
    indirect=0.2,
    lo=0.1,
    hi=0.3,
    plain=14.9,
    plain_lo=7.2,
    plain_hi=23.1,
    p=0.002,
    q=0.004,
    sobel_z=3.0,
    sobel_p=0.003,
    direct=0.9,
    direct_p=0.001,
    total=1.1,
    total_se=0.1,
    proportion=0.18,
    kind="complementary",
    rho=0.5,
    robustness=0.4,
    robustness_05=0.2,
    top2=0.1,
    draws=1000,
)
REFUSED = MediationPath(
    group="made",
    cause="design_dropout",
    mediator="energy_gpu_util_avg_percent",
    outcome="total_energy_joules",
    cause_label="dropout",
    mediator_label="GPU utilisation",
    outcome_label="energy",
    origin="declared",
    reason="too few rows",
)


def _section(found: Mediation) -> str:
    return section.render("mediation", found, mediation=paths.effects(found.paths))


def _found(*known: MediationPath, reason: str = "") -> Mediation:
    said = (Sentence(key="first", text="The answer."),)
    return Mediation(sentences=said, paths=known, differences=(), method="by moments", reason=reason)


def test_the_section_says_its_sentence_and_holds_every_path() -> None:
    page = _section(_found(KNOWN, REFUSED))
    assert page.index("The answer.") < page.index("<svg")
    assert "made/&lt;up&gt;" in page
    assert "too few rows" in page
    assert "18" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_a_path_without_a_proportion_prints_none() -> None:
    from dataclasses import replace

    page = _section(_found(replace(KNOWN, proportion=None, kind="inconsistent")))
    assert "18\u00a0%" not in page
    assert "suppression" in page


def test_without_paths_the_section_is_its_sentence_alone() -> None:
    page = _section(_found(reason="nothing was recorded"))
    assert "The answer." in page
    assert "<table" not in page
    assert "<svg" not in page


def test_long_tables_show_their_first_hundred_rows_and_say_so() -> None:
    page = _section(_found(*[KNOWN] * 130))
    assert "The first 100 of 130 paths" in page
    assert page.count('class="clear"><th scope="row">') == 100


def test_the_figure_places_the_interval_around_the_dot_on_a_ratio_scale() -> None:
    figure = paths.effects([KNOWN])
    assert figure is not None
    (line,) = figure.lines
    assert figure.left <= figure.zero < line.lo < line.x < line.hi <= figure.width
    assert "indirect +14.9" in line.words
    halved = figure.ticks
    assert [x for x, _ in halved] == sorted(x for x, _ in halved)
    assert (figure.zero, "0\u00a0%") in halved


def test_values_beyond_the_plot_are_left_out_of_it_but_said() -> None:
    figure = paths.effects([KNOWN])
    assert figure is not None
    assert figure.lines[0].total is None  # 114 % on an axis that ends near 25 %
    assert "total +114" in figure.lines[0].words


def test_a_load_is_drawn_only_where_there_is_nothing_else() -> None:
    from dataclasses import replace

    load = replace(KNOWN, cause="design_background", cause_label="background load")
    both, alone = paths.effects([KNOWN, load]), paths.effects([load])
    assert both is not None
    assert alone is not None
    assert [line.label for line in both.lines] == ["epochs → GPU utilisation → energy"]
    assert len(alone.lines) == 1
    assert paths.effects([REFUSED]) is None


@pytest.mark.parametrize("count", [1, 40])
def test_lines_lie_inside_the_figure(count: int) -> None:
    figure = paths.effects([KNOWN] * count)
    assert figure is not None
    assert len(figure.lines) == min(count, paths.MOST_LINES)
    assert all(0 < line.y < figure.bottom < figure.height for line in figure.lines)
