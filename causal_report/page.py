"""Findings to one self-contained HTML file."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.effects import widest
from causal_report.figures import (
    advice,
    concurrency,
    decomposition,
    difference,
    flagged,
    graph,
    heterogeneity,
    intervals,
    modes,
    pareto,
    paths,
    power,
    recipe,
    scatter,
    strips,
)
from causal_report.modes import rules
from causal_report.regression import significant
from causal_report.text import Text, templates
from causal_report.verdict import ESTIMATORS, PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from causal_report.findings import Effect, Findings, Sentence

SECTIONS = (
    *("data", "quality", "keeping", "effects", "question1", "tradeoff", "mediation", "discovery"),
    *("modes", "concurrency", "heterogeneity", "advice", "recipe", "agreement", "meters", "provenance"),
)
"""In the order of the page."""
OPTIONAL = ("modes", "concurrency", "heterogeneity", "recipe")
"""Left out where there is nothing to say: no second mode, no pairs, not asked for."""
ANSWERING = ("tradeoff", "mediation", "modes", "concurrency", "advice")
"""Parts whose first sentence may stand in the verdict."""
BROKEN = (
    (r"(\d) %", "\\1\u00a0%"),
    (r"\b([pq]) &lt; (\d)", "\\1\u00a0&lt;\u00a0\\2"),
    (r"\b([pq]) (\d)", "\\1\u00a0\\2"),
)
"""Where no line may end: between a number and its per cent sign, a letter and its number."""


def environment(language: str) -> Environment:
    """What templates are rendered by: every value is escaped, an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = Text(language)
    made.globals |= {
        "t": text,
        "heads": text.heads,
        "significant": significant,
        "fmt": number,
        "style": (templates() / "style.css").read_text(encoding="utf-8"),
        "script": (templates() / "table.js").read_text(encoding="utf-8"),
    }
    return made


def render(findings: Findings) -> str:
    """The page in the findings' language."""
    main, rest = _effects(findings)
    page = (
        environment(findings.language)
        .get_template("report.html.j2")
        .render(
            f=findings,
            fig=_figures(findings),
            answers=_answers(findings),
            main_effects=main,
            other_effects=rest,
            sections=[name for name in SECTIONS if _shown(findings, name)],
            intervals=intervals.elasticities(findings.effects),
            dose=scatter.scatter(findings.dose),
            strips=strips.strips(findings.agreement, PARTS, ESTIMATORS),
            pairs=difference.differences(findings.agreement, PARTS, ESTIMATORS),
            powers=[power.figure(trace) for trace in findings.metering.traces],
            parts=PARTS,
            named=ESTIMATORS,
        )
    )
    for broken, joined in BROKEN:
        page = re.sub(broken, joined, page)
    return page


def _answers(findings: Findings) -> list[tuple[str, list[Sentence]]]:
    """The verdict after its first sentence, by the section that each sentence comes from."""
    parts = {name: getattr(findings, name).sentences for name in ANSWERING}
    firsts = {sentences[0]: name for name, sentences in parts.items() if sentences}
    found: list[tuple[str, list[Sentence]]] = []
    for sentence in findings.verdict.sentences[1:]:
        section = "agreement" if sentence.key.startswith("bias") else firsts.get(sentence, "effects")
        if not found or found[-1][0] != section:
            found.append((section, []))
        found[-1][1].append(sentence)
    return found


def _effects(findings: Findings) -> tuple[Sequence[Effect], Sequence[Effect]]:
    """Effects on what is analysed, one a factor, and all the others."""
    outcome = findings.response.column or "duration_seconds"
    first = widest(effect for effect in findings.effects if effect.outcome == outcome)
    return first, [effect for effect in findings.effects if effect not in first]


def _shown(findings: Findings, section: str) -> bool:
    if section not in OPTIONAL:
        return True
    part = getattr(findings, section)
    return part is not None and not getattr(part, "reason", "")


def _figures(f: Findings) -> SimpleNamespace:
    """The geometry of each part's figures; None where there is nothing to draw."""
    main = f.response.column or "duration_seconds"
    return SimpleNamespace(
        advice=advice.savings(f.advice),
        concurrency=concurrency.saved(f.concurrency.pairs),
        concurrency_shares=concurrency.shares(f.concurrency.pairs),
        groups={name: graph.layout(group.graphs["all"]) for name, group in f.groups.items()},
        heterogeneity=heterogeneity.learning(f.heterogeneity),
        mediation=paths.effects(f.mediation.paths),
        modes=modes.ratios(f.modes.effects, 100 * rules.MARGIN),
        modes_slopes=modes.slopes(f.modes.interactions, main),
        question1=decomposition.decomposition(f.question1.parts),
        quality=flagged.flagged(f.quality.days),
        recipe=recipe.coefficients(f.recipe) if f.recipe else None,
        tradeoff=pareto.planes(f.tradeoff.fronts, joules=bool(f.response.column)),
    )
