"""The published recipe's validated edges, with duration held fixed and without: two marks a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures.labels import room
from causal_report.figures.rows import Plot
from causal_report.figures.scale import Scale, padded

if TYPE_CHECKING:
    from causal_report.findings.recipe import Recipe, RecipeEdge

WIDTH, RIGHT, TOP, ROW, AXIS = 720, 24, 8, 26, 30
LEAST_LEFT, MOST_LEFT = 140, 420
MOST_LINES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One edge: ``x`` as published, ``free`` without duration."""

    y: float
    x: float
    free: float
    label: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients(Plot):
    """Everything the template places."""

    zero: float
    lines: tuple[Line, ...]


def coefficients(recipe: Recipe) -> Coefficients | None:
    """Coefficients of the edges the recipe calls validated, the smallest p first; None without any."""
    edges = sorted((e for e in recipe.edges if e.validated), key=lambda e: (e.p, e.effect))[:MOST_LINES]
    if not edges:
        return None
    low, high = padded([0.0, *(v for e in edges for v in (e.coefficient, e.without_duration))])
    left = room([label(edge) for edge in edges], LEAST_LEFT, MOST_LEFT)
    scale = Scale(low=low, high=high, start=left, end=WIDTH - RIGHT)
    bottom = float(TOP + ROW * len(edges))
    return Coefficients(
        width=WIDTH,
        height=round(bottom + AXIS),
        left=left,
        bottom=bottom,
        zero=scale(0.0),
        lines=tuple(
            Line(
                y=TOP + ROW * (index + 0.5),
                x=scale(edge.coefficient),
                free=scale(edge.without_duration),
                label=label(edge),
                words=f"{edge.repository}, {label(edge)}: {edge.coefficient:.2f} as published, "
                f"{edge.without_duration:.2f} without duration",
            )
            for index, edge in enumerate(edges)
        ),
        ticks=tuple((scale(v), number.tick(v)) for v in scale.ticks(8)),
    )


def label(edge: RecipeEdge) -> str:
    """Repository cut short, cause and effect."""
    cause = edge.cause.removeprefix("hyperparam_").replace("_", " ")
    effect = edge.effect.removeprefix("energy_").replace("_", " ")
    name = edge.repository if len(edge.repository) <= 18 else f"{edge.repository[:17]}…"
    return f"{name}: {cause} → {effect}"
