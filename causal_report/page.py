"""Findings to one self-contained HTML file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from causal_report import number
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
from causal_report.text import Text, templates
from causal_report.verdict import ESTIMATORS, PARTS

if TYPE_CHECKING:
    from causal_report.findings import Findings

SECTIONS = (
    *("data", "quality", "keeping", "effects", "question1", "tradeoff", "mediation", "discovery"),
    *("modes", "concurrency", "heterogeneity", "advice", "recipe", "agreement", "meters", "provenance"),
)
"""In the order of the page."""
OPTIONAL = ("modes", "concurrency", "heterogeneity", "recipe")
"""Left out where there is nothing to say: no second mode, no pairs, not asked for."""


def render(findings: Findings) -> str:
    """The page in the findings' language. Every value is escaped; an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "t": Text(findings.language),
        "fmt": number,
        "style": (templates() / "style.css").read_text(encoding="utf-8"),
        "script": (templates() / "table.js").read_text(encoding="utf-8"),
    }
    return environment.get_template("report.html.j2").render(
        f=findings,
        fig=_figures(findings),
        sections=[name for name in SECTIONS if _shown(findings, name)],
        intervals=intervals.elasticities(findings.effects),
        dose=scatter.scatter(findings.dose),
        strips=strips.strips(findings.agreement, PARTS, ESTIMATORS),
        pairs=difference.differences(findings.agreement, PARTS, ESTIMATORS),
        powers=[power.figure(trace) for trace in findings.metering.traces],
        parts=PARTS,
        named=ESTIMATORS,
    )


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
