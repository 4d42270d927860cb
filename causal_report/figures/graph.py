"""Layout of the causal graph: by ``dot`` where it is installed, else in layers of our own."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.discovery import Edge, Graph

    Point = tuple[float, float]

INCH, MARGIN, LINE = 72.0, 14.0, 46.0
CHAR, HEIGHT = 7.6, 34.0
TIERS = {"design": 0, "mediator": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node in pixels, by its centre."""

    name: str
    label: str
    part: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """An edge as an SVG path; width grows with the coefficient."""

    path: str
    parent: str
    child: str
    verdict: str
    positive: bool
    width: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Everything the template places."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    by: str


def layout(graph: Graph) -> Layout | None:
    """Nodes and the edges that some engine holds; None when there is no graph."""
    if graph.reason or not graph.nodes:
        return None
    shown = [edge for edge in graph.edges if edge.verdict != "absent"]
    boxes, by = _by_dot(graph, shown), "dot"
    if boxes is None:
        boxes, by = _by_layers(graph, shown), "layers"
    place = {box.name: box for box in boxes}
    return Layout(
        width=round(max(b.x + b.width / 2 for b in boxes) + MARGIN, 1),
        height=round(max(b.y + b.height / 2 for b in boxes) + MARGIN, 1),
        boxes=tuple(boxes),
        arrows=tuple(_arrow(edge, place[edge.parent], place[edge.child]) for edge in shown),
        by=by,
    )


def _width(graph: Graph, part: str) -> float:
    """Wide enough for the longest label of the tier: boxes of a tier line up."""
    labels = [n.label for n in graph.nodes if TIERS.get(n.part, 2) == TIERS.get(part, 2)]
    return round(max(map(len, labels)) * CHAR + 28, 1)


def _by_dot(graph: Graph, shown: Sequence[Edge]) -> list[Box] | None:
    """Positions from ``dot -Tplain``; None when dot is absent or fails."""
    program = shutil.which("dot")
    if not program:
        return None
    lines = ["digraph g {", "rankdir=LR; nodesep=0.25; ranksep=1.1; node [shape=box, fixedsize=true];"]
    for tier in (0, 1, 2):
        members = [n for n in graph.nodes if TIERS.get(n.part, 2) == tier]
        if tier != 1 and members:
            lines.append("{rank=" + ("source" if tier == 0 else "sink") + ";")
        for node in members:
            size = f"width={_width(graph, node.part) / INCH:.3f}, height={HEIGHT / INCH:.3f}"
            lines.append(f'"{node.name}" [{size}];')
        if tier != 1 and members:
            lines.append("}")
    lines += [f'"{edge.parent}" -> "{edge.child}";' for edge in shown]
    first, last = (
        next((n.name for n in graph.nodes if (n.part == "design") == design), "") for design in (True, False)
    )
    lines.append(f'"{first}" -> "{last}" [style=invis]; }}')
    try:
        done = subprocess.run(
            [program, "-Tplain"],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return read_plain(done.stdout, graph)


def read_plain(plain: str, graph: Graph) -> list[Box]:
    """Boxes from the text of ``dot -Tplain``, whose y axis points up."""
    known = {node.name: node for node in graph.nodes}
    boxes, height = [], 0.0
    for line in plain.splitlines():
        words = shlex.split(line)
        if words[0] == "graph":
            height = float(words[3]) * INCH
        if words[0] == "node":
            x, y, width, tall = (float(w) * INCH for w in words[2:6])
            node = known[words[1]]
            boxes.append(
                Box(
                    name=node.name,
                    label=node.label,
                    part=node.part,
                    x=round(x + MARGIN, 1),
                    y=round(height - y + MARGIN, 1),
                    width=round(width, 1),
                    height=round(tall, 1),
                )
            )
    return boxes


def _by_layers(graph: Graph, shown: Sequence[Edge]) -> list[Box]:
    """Columns by longest path, rows by the mean height of a node's parents."""
    layer = layers(graph, shown)
    columns = sorted(set(layer.values()))
    widths = {c: max(_width(graph, n.part) for n in graph.nodes if layer[n.name] == c) for c in columns}
    boxes: list[Box] = []
    rows: dict[str, float] = {}
    left = MARGIN
    for column in columns:
        members = [n for n in graph.nodes if layer[n.name] == column]
        parents = {
            n.name: [rows[e.parent] for e in shown if e.child == n.name and e.parent in rows] for n in members
        }
        middle = {name: sum(ys) / len(ys) if ys else float("inf") for name, ys in parents.items()}
        members.sort(key=lambda n: middle[n.name])
        for index, node in enumerate(members):
            rows[node.name] = MARGIN + HEIGHT / 2 + index * LINE
            boxes.append(
                Box(
                    name=node.name,
                    label=node.label,
                    part=node.part,
                    x=round(left + widths[column] / 2, 1),
                    y=round(rows[node.name], 1),
                    width=_width(graph, node.part),
                    height=HEIGHT,
                )
            )
        left += widths[column] + 80
    return boxes


def layers(graph: Graph, shown: Sequence[Edge]) -> dict[str, int]:
    """Column of each node: design first, outcomes last, mediators behind their longest path."""
    found = {n.name: 0 if n.part == "design" else 1 for n in graph.nodes}
    middle = {n.name for n in graph.nodes if n.part == "mediator"}
    for _ in middle:  # a longest path has at most so many steps; cycles stop here too
        for edge in shown:
            if edge.parent in middle and edge.child in middle:
                found[edge.child] = min(max(found[edge.child], found[edge.parent] + 1), len(middle))
    last = max((found[name] for name in middle), default=0) + 1
    return found | {n.name: last for n in graph.nodes if TIERS.get(n.part, 2) == 2}


def _arrow(edge: Edge, start: Box, end: Box) -> Arrow:
    strength = min(1.0, abs(edge.ols or 0.0))
    positive = (edge.ols or 0.0) >= 0
    return Arrow(
        path=_curve(start, end),
        parent=edge.parent,
        child=edge.child,
        verdict=edge.verdict,
        positive=positive,
        width=round(1.2 + 3.0 * strength, 1),
        words=f"{start.label} to {end.label}: {'more' if positive else 'less'}, {edge.verdict}",
    )


def _curve(start: Box, end: Box) -> str:
    """From the right side of one box to the left of the other; around where they share a column."""
    if abs(start.x - end.x) < (start.width + end.width) / 2:
        sign = 1 if end.y > start.y else -1
        y1, y2 = start.y + sign * start.height / 2, end.y - sign * (end.height / 2 + 5)
        bend = max(start.width, end.width) / 3
        middle = (y1 + y2) / 2
        return _path((start.x, y1), (start.x + bend, middle), (end.x + bend, middle), (end.x, y2))
    sign = 1 if end.x > start.x else -1
    x1, x2 = start.x + sign * start.width / 2, end.x - sign * (end.width / 2 + 6)
    bend = (x2 - x1) * 0.45
    return _path((x1, start.y), (x1 + bend, start.y), (x2 - bend, end.y), (x2, end.y))


def _path(*points: Point) -> str:
    """A cubic curve: start, two handles, end."""
    start, *rest = (f"{x:.1f} {y:.1f}" for x, y in points)
    return f"M{start}C{' '.join(rest)}"
