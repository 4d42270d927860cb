"""Findings to one self-contained HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures import difference, graph, intervals, power, scatter, strips
from causal_report.text import Text, templates
from causal_report.verdict import ESTIMATORS, PARTS

if TYPE_CHECKING:
    from causal_report.findings import Findings


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
        label={node.name: node.label for node in findings.graph.nodes},
        graph=graph.layout(findings.graph),
        intervals=intervals.elasticities(findings.effects),
        dose=scatter.scatter(findings.dose),
        strips=strips.strips(findings.agreement, PARTS, ESTIMATORS),
        pairs=difference.differences(findings.agreement, PARTS, ESTIMATORS),
        powers=[power.figure(trace) for trace in findings.metering.traces],
        parts=PARTS,
        named=ESTIMATORS,
    )
