"""One section of the page by itself."""

from __future__ import annotations

from types import SimpleNamespace

from causal_report.page import environment


def render(part: str, found: object, *, template: str = "", **figures: object) -> str:
    """The section of *part* over its findings.

    Args:
        part: name of the findings.
        found: the findings.
        template: name of the partial where it is another.
        figures: geometry by name, None where there is nothing to draw.
    """
    source = '{% import "partials/macros.html.j2" as m with context %}{% include name %}'
    return (
        environment("en")
        .from_string(source)
        .render(
            name=f"partials/{template or part}.html.j2",
            f=SimpleNamespace(**{part: found}, simulated=""),
            fig=SimpleNamespace(**figures),
        )
    )
