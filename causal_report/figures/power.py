"""Power over time: one panel a channel, the windows shaded behind all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_report import number
from causal_report.figures.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.metering import Line, Panel, PowerTrace, Span

WIDTH, LEFT, RIGHT, TOP = 720, 60, 10, 10
TALL, SMALL, GAP, AXIS, HEAD = 92, 54, 12, 40, 16
COLOURS = {"perf": 0, "rapl": 1, "nvml": 2, "codecarbon": 3, "wall": 4, "calculator": 5, "usage": 5}
"""Each meter keeps its colour in every panel; others share the last."""
HEADROOM = 1.06
KINDS = ("idle", "process", "training", "epoch", "tail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A line as an SVG path; ``band`` is the path of its least and greatest values, or empty."""

    colour: int
    form: str
    path: str
    band: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One panel in pixels."""

    top: float
    bottom: float
    label: str
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[Drawn, ...]
    faults: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """A window: ``kind`` is ``idle``, ``process``, ``training``, ``epoch`` or ``tail``."""

    kind: str
    x: float
    width: float
    words: str
    odd: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Everything the template places."""

    id: str
    width: int
    height: float
    left: int
    right: int
    top: int
    bottom: float
    plots: tuple[Plot, ...]
    shades: tuple[Shade, ...]
    ticks: tuple[tuple[float, str], ...]
    legend: tuple[tuple[int, str, str], ...]
    kinds: tuple[str, ...]
    words: str


def figure(trace: PowerTrace) -> Power:
    """The geometry of one run's traces; seconds after the start of the process run to the right."""
    points = [p for panel in trace.panels for line in panel.lines for p in line.points]
    low, high = min(p[0] for p in points), max(p[1] for p in points)
    across = Scale(low=low, high=high, start=LEFT, end=WIDTH - RIGHT)
    y, plots = float(TOP), []
    for panel in trace.panels:
        height = TALL if panel.unit == "W" else SMALL
        plots.append(_plot(panel, across, y + HEAD, y + HEAD + height))
        y += HEAD + height + GAP
    bottom = y - GAP
    shades = tuple(_shades(trace.spans, across))
    lines = [line for panel in trace.panels for line in panel.lines]
    legend = dict.fromkeys((_colour(line), line.form, _name(line)) for line in lines)
    return Power(
        id=f"power-{trace.rank}",
        width=WIDTH,
        height=bottom + AXIS,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=bottom,
        plots=tuple(plots),
        shades=shades,
        ticks=tuple((across(v), f"{v:g}".replace("-", number.MINUS)) for v in across.ticks(8)),
        legend=tuple(legend),
        kinds=tuple(dict.fromkeys(shade.kind for shade in shades)),
        words=_words(trace),
    )


def _plot(panel: Panel, across: Scale, top: float, bottom: float) -> Plot:
    most = max(p[4] for line in panel.lines for p in line.points)
    least = min(0.0, *(p[3] for line in panel.lines for p in line.points))
    up = Scale(low=least, high=(most * HEADROOM) or 1.0, start=bottom, end=top)
    order = {form: i for i, form in enumerate(("gauge", "counter", "window"))}
    lines = sorted(panel.lines, key=lambda line: order[line.form])
    return Plot(
        top=top,
        bottom=bottom,
        label=f"{number.channel(panel.channel).replace('program:', 'program ')}, {panel.unit}",
        ticks=tuple((up(v), f"{v:,g}") for v in up.ticks(4 if bottom - top > SMALL else 3)),
        lines=tuple(_drawn(line, across, up) for line in lines),
        faults=tuple((across(t), words) for t, words in panel.faults if across.low <= t <= across.high),
    )


def _drawn(line: Line, across: Scale, up: Scale) -> Drawn:
    return Drawn(
        colour=_colour(line),
        form=line.form,
        path=_stairs([(p[0], p[1], p[2]) for p in line.points], across, up),
        band=_band(line, across, up),
        words=f"{_name(line)}: {len(line.points)} steps from {line.samples} samples",
    )


def _stairs(steps: Sequence[tuple[float, float, float]], across: Scale, up: Scale) -> str:
    """A staircase; where one step does not begin at the end of the last there is a gap."""
    parts: list[str] = []
    ended = None
    for start, end, value in steps:
        joined = ended is not None and abs(start - ended) < 1e-6
        parts.append(f"V{up(value):g}" if joined else f"M{across(start):g} {up(value):g}")
        parts.append(f"H{across(end):g}")
        ended = end
    return "".join(parts)


def _band(line: Line, across: Scale, up: Scale) -> str:
    """One box for each step between its least and its greatest value; empty where they never differ."""
    wide = [p for p in line.points if up(p[3]) - up(p[4]) > 1.0]
    return "".join(
        f"M{across(p[0]):g} {up(p[4]):g}H{across(p[1]):g}V{up(p[3]):g}H{across(p[0]):g}z" for p in wide
    )


def _shades(spans: Sequence[Span], across: Scale) -> list[Shade]:
    found: list[Shade] = []
    if across.low < 0 and not any(s.name.startswith("idle") and s.start_s < 0 for s in spans):
        found.append(_shade("idle", across.low, 0.0, "before the start", across))
    for span in spans:
        kind = "idle" if span.name.startswith("idle") else span.name.split(":")[0]
        start, end = max(span.start_s, across.low), min(span.end_s, across.high)
        if kind not in KINDS or end <= start:
            continue
        found.append(_shade(kind, start, end, span.name, across, odd=span.name.endswith(tuple("13579"))))
    return found


def _shade(kind: str, start: float, end: float, name: str, across: Scale, *, odd: bool = False) -> Shade:
    x = across(start)
    words = f"{name}: {number.significant(start)} to {number.significant(end)} s"
    return Shade(kind=kind, x=x, width=round(across(end) - x, 1), words=words, odd=odd)


def _colour(line: Line) -> int:
    return COLOURS.get(line.meter, 5)


def _name(line: Line) -> str:
    if line.meter == "usage":
        return "CPU time of the program"
    if line.quantity == "idle_w":
        return f"{line.meter}, mean at rest"
    what = {"counter": "from its counter", "window": "mean of its window"}.get(line.form)
    return f"{line.meter}, {what or line.quantity.rsplit('_', 1)[0].replace('_', ' ')}"


def _words(trace: PowerTrace) -> str:
    """Mean power of every line that is joules over time, for those who do not see the figure."""
    said = []
    for panel in trace.panels:
        for line in panel.lines:
            inside = [p for p in line.points if p[1] > 0]
            seconds = sum(p[1] - p[0] for p in inside)
            if line.unit == "W" and seconds > 0:
                mean = sum((p[1] - p[0]) * p[2] for p in inside) / seconds
                said.append(f"{panel.channel} by {_name(line)}: mean {number.power(mean)}")
    return "; ".join(said)
