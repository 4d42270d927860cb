r"""GPU energy of short windows, ours and its peers, on one simulated GPU of known truth.

    python -m tests.benchmarks.accuracy --peers .peers/bin/python --markdown docs/accuracy.md

``--peers`` is an interpreter with ``tests/benchmarks/peers.txt`` installed; without it only ours is
run. Every tool runs unmodified in a process of its own, against a simulated GPU of its own of the same
make, through nvidia-ml-py; the windows have the same lengths and random phases for all. The truth is the
closed-form integral over the load's own window. Every seed and value is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.benchmarks import gpu_tools
from tests.simulated.hardware import H100, PESSIMISTIC, Counter, Gpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IDLE_W = 60.0
TICK_S = 0.1
LIMITS = {0.2: 2.0, 1.0: 0.5, 5.0: 0.1}
"""Wanted: 95th percentile of our absolute error, in percent, by the window's seconds."""
WIDTHS = {1.0: 6.0, 5.0: 1.2}
"""Wanted: median half-width of our bracket on constant load, in percent."""
SENSOR_DUTY, LIMIT_W = 0.25, 700.0
"""Of the simulated sensor: the share of the time it looks, and the power limit NVML enforces."""
COUNTERS: dict[str, Counter] = {"integrating": Counter(), "sampling": PESSIMISTIC}
"""What the energy counter sums: the power itself, or its own 25 ms samples of each 100 ms."""


class Cell(NamedTuple):
    """What is compared: one counter, one load, one length."""

    counter: str
    load: str
    duration_s: float


def schedule(cells: Sequence[Cell], phases: int, seed: int) -> list[tuple[Cell, dict[str, Any]]]:
    """Every cell *phases* times in random order, after random rests: all phases of the counter's tick."""
    source = random.Random(seed)
    windows = [cell for cell in cells for _ in range(phases)]
    source.shuffle(windows)
    return [
        (
            cell,
            {
                "gap_s": 0.3 + source.random() * TICK_S * 3,
                "duration_s": cell.duration_s,
                "load": cell.load,
            },
        )
        for cell in windows
    ]


def run_tool(
    name: str, interpreter: str, counter: str, plan: Sequence[tuple[Cell, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """One tool over one plan, with its own hardware; each answer with its true joules."""
    with tempfile.TemporaryDirectory() as folder:
        gpu = Gpu(
            folder=Path(folder),
            t0_ns=time.monotonic_ns(),
            idle_w=IDLE_W,
            tick_s=TICK_S,
            sensor=H100,
            counter=COUNTERS[counter],
        )
        environment = {**os.environ, **gpu.install()}
        program = [interpreter, str(Path(gpu_tools.__file__)), name, str(gpu.activity)]
        with (
            (Path(folder) / "tool.log").open("w+") as log,
            subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, text=True
            ) as tool,
        ):
            answers = list(_ask(tool, plan))
            if len(answers) < len(plan):
                log.seek(0)
                raise RuntimeError(f"{name} ended with code {tool.wait()}: {log.read()[-2000:]}")
        # The truth at the end: the activity file then holds every load, in closed form.
        for answer in answers:
            answer["truth"] = gpu.energy_j(answer["t0_ns"], answer["t1_ns"])
    return answers


def _ask(
    tool: subprocess.Popen[str], plan: Sequence[tuple[Cell, dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    assert tool.stdin is not None
    assert tool.stdout is not None
    for cell, window in plan:
        try:
            print(json.dumps(window), file=tool.stdin, flush=True)
        except BrokenPipeError:
            return
        line = tool.stdout.readline()
        if not line:
            return
        yield {**json.loads(line), **cell._asdict()}
    tool.stdin.close()


def percent(answer: dict[str, Any]) -> float | None:
    """The error in percent of the truth; None where the tool gave no joules."""
    return None if answer.get("joules") is None else (answer["joules"] / answer["truth"] - 1) * 100


def percentile95(errors: Sequence[float]) -> float:
    """Of absolute values, by linear interpolation."""
    ordered = sorted(map(abs, errors))
    place = 0.95 * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def spread95(errors: Sequence[float], seed: int = 1, times: int = 400) -> tuple[float, float]:
    """A bootstrap interval of the 95th percentile (percentile method, 95 %)."""
    source = random.Random(seed)
    found = sorted(percentile95(source.choices(errors, k=len(errors))) for _ in range(times))
    return found[int(0.025 * times)], found[int(0.975 * times) - 1]


class Judged(NamedTuple):
    """One tool in one cell."""

    n: int
    missing: int
    mean: float
    p95: float
    interval: tuple[float, float]
    inside: float | None
    half_width: float | None
    inside_part_time: float | None


def judge(answers: Sequence[dict[str, Any]]) -> Judged:
    """Errors, and what the tool's own bounds were worth."""
    errors = [error for answer in answers if (error := percent(answer)) is not None]
    bounded = [a for a in answers if a.get("lo") is not None and a.get("hi") is not None]
    inside = [a["lo"] <= a["truth"] <= a["hi"] for a in bounded]
    widths = [(a["hi"] - a["lo"]) / 2 / a["truth"] * 100 for a in bounded]
    wide = [a for a in bounded if a["counter"] == "sampling"]
    return Judged(
        n=len(errors),
        missing=len(answers) - len(errors),
        mean=statistics.fmean(errors) if errors else float("nan"),
        p95=percentile95(errors) if errors else float("nan"),
        interval=spread95(errors) if errors else (float("nan"), float("nan")),
        inside=sum(inside) / len(inside) if inside else None,
        half_width=statistics.median(widths) if widths else None,
        inside_part_time=sum(map(in_part_time_bounds, wide)) / len(wide) if wide else None,
    )


def in_part_time_bounds(answer: dict[str, Any]) -> bool:
    """Whether the truth is within the bounds for a counter that may look part of the time only."""
    from energy_plugin.record.parttime import part_time_bounds
    from energy_plugin.record.trace import Reading, Window

    window = Window(program="a", name="process", t0_ns=answer["t0_ns"], t1_ns=answer["t1_ns"])
    reading = Reading(
        meter="nvml",
        channel="gpu",
        window=window,
        status="measured",
        joules=answer["joules"],
        lo_j=answer["lo"],
        hi_j=answer["hi"],
        covered_s=window.duration_s,
    )
    wide = part_time_bounds(reading, SENSOR_DUTY, IDLE_W, LIMIT_W)
    assert wide.lo_j is not None
    assert wide.hi_j is not None
    return bool(wide.lo_j <= answer["truth"] <= wide.hi_j)


def verdicts(table: dict[tuple[Cell, str], Judged]) -> list[str]:
    """Each figure wanted of ours, kept or missed, and each cell where a peer is better."""
    said = []
    for (cell, tool), mine in table.items():
        if tool != "wattwhy" or cell.counter != "integrating":
            continue
        where = f"{cell.load} load, {cell.duration_s:g} s"
        if cell.duration_s in LIMITS:
            limit = LIMITS[cell.duration_s]
            said.append(_line(mine.p95 <= limit, f"{where}: error p95 {mine.p95:.3f} % (wanted {limit:g} %)"))
        if mine.inside is not None:
            said.append(_line(mine.inside >= 0.99, f"{where}: truth inside the bracket {mine.inside:.1%}"))
        if cell.load == "constant" and cell.duration_s in WIDTHS and mine.half_width is not None:
            width = WIDTHS[cell.duration_s]
            told = f"{where}: median half-width {mine.half_width:.2f} % (wanted {width:g} %)"
            said.append(_line(mine.half_width <= width, told))
        for (other, peer), theirs in table.items():
            if other == cell and peer != "wattwhy" and theirs.n:
                better = theirs.interval[1] < mine.interval[0]
                told = f"{where}: {peer} p95 {theirs.p95:.2f} % against ours {mine.p95:.2f} %"
                said.append(_line(not better, told))
    return said


def _line(kept: bool, text: str) -> str:
    return f"{'kept  ' if kept else 'MISSED'} {text}"


def markdown(table: dict[tuple[Cell, str], Judged], facts: Sequence[str], said: Sequence[str]) -> str:
    """The page for docs/."""
    lines = ["# GPU energy of short windows: errors against known truth", ""]
    lines += [
        "Made by `python -m tests.benchmarks.accuracy`. The simulated GPU (tests/simulated) takes 60 W idle,",
        "+300 W constant, or bursts of +400 W for 45 ms every 130 ms; its energy counter ticks every 100 ms",
        "and its power sensor looks at 25 ms of every 100 ms. No silicon was measured here. A tool's window",
        "is the load's own; every tool ran unmodified, through nvidia-ml-py, in a process of its own.",
        "",
        *(f"- {fact}" for fact in facts),
        "",
    ]
    for counter, title in (
        ("integrating", "Counter that integrates power"),
        ("sampling", "Pessimistic counter: sums its own 25 ms samples of each 100 ms"),
    ):
        rows = {key: value for key, value in table.items() if key[0].counter == counter}
        if rows:
            lines += [f"## {title}", "", *_rows(rows), ""]
    lines += ["## Figures wanted", "", "```", *said, "```", ""]
    return "\n".join(lines)


def _rows(table: dict[tuple[Cell, str], Judged]) -> Iterator[str]:
    head = "| load | s | tool | n | no answer | mean error % | p95 of \\|error\\| % [95 % interval] "
    yield head + "| inside | half-width % | inside part-time bounds |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for (cell, tool), j in table.items():
        inside = "" if j.inside is None else f"{j.inside:.1%}"
        width = "" if j.half_width is None else f"{j.half_width:.2f}"
        part_time = "" if j.inside_part_time is None else f"{j.inside_part_time:.1%}"
        interval = f"[{j.interval[0]:.2f}, {j.interval[1]:.2f}]"
        yield (
            f"| {cell.load} | {cell.duration_s:g} | {tool} | {j.n} | {j.missing} | {j.mean:+.2f} "
            f"| {j.p95:.2f} {interval} | {inside} | {width} | {part_time} |"
        )


def versions(interpreter: str) -> str:
    """The peers' versions, as their interpreter's pip tells."""
    code = (
        "from importlib.metadata import version; "
        "print(', '.join(f'{n} {version(n)}' for n in "
        "('codecarbon','zeus','carbontracker','pyJoules','nvidia-ml-py')))"
    )
    return subprocess.run(
        [interpreter, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every tool over every cell; a few tools at a time."""
    tools = {"wattwhy": sys.executable}
    if options.peers:
        tools |= {name: options.peers for name in gpu_tools.TOOLS if name != "wattwhy"}
    jobs = []
    for number, counter in enumerate(options.counters):
        cells = [Cell(counter, load, s) for load in options.loads for s in options.durations]
        plan = schedule(cells, options.phases, options.seed + number)
        jobs += [(name, interpreter, counter, plan) for name, interpreter in tools.items()]
    with ThreadPoolExecutor(options.at_once) as pool:
        results = list(pool.map(lambda job: (job[0], run_tool(*job)), jobs))
    return [{"tool": name, **answer} for name, answers in results for answer in answers]


def tabulate(windows: Sequence[dict[str, Any]]) -> dict[tuple[Cell, str], Judged]:
    """Each tool in each cell, ours first."""
    found: dict[tuple[Cell, str], list[dict[str, Any]]] = defaultdict(list)
    for one in windows:
        found[Cell(one["counter"], one["load"], one["duration_s"]), one["tool"]].append(one)
    order = list(gpu_tools.TOOLS)
    keys = sorted(found, key=lambda key: (*key[0], order.index(key[1])))
    return {key: judge(found[key]) for key in keys}


def main() -> int:
    """Run, print, and say which wanted figures were kept; exit code 1 when one was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default="", metavar="PYTHON", help="interpreter that has the peers")
    parser.add_argument("--phases", type=int, default=40, help="windows a cell")
    parser.add_argument("--durations", type=float, nargs="+", default=[0.2, 1.0, 5.0])
    parser.add_argument("--loads", nargs="+", default=["constant", "bursts"])
    parser.add_argument("--counters", nargs="+", default=list(COUNTERS), choices=list(COUNTERS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=3, help="tools that run at the same time")
    parser.add_argument("--markdown", type=Path, default=None)
    parser.add_argument("--raw", type=Path, default=None, help="keep every window as JSON lines")
    parser.add_argument("--again", type=Path, default=None, metavar="RAW", help="judge such a file again")
    options = parser.parse_args()
    began = time.monotonic()
    if options.again:
        kept = [json.loads(line) for line in options.again.read_text(encoding="utf-8").splitlines()]
        facts, windows = kept[0]["facts"], kept[1:]
    else:
        windows = run(options)
        facts = [
            f"seed {options.seed}, {options.phases} windows a cell in random order, {options.at_once} tools "
            f"at once, {os.cpu_count()} processors, {time.monotonic() - began:.0f} s in all",
            *(f"peers: {versions(options.peers)}" for _ in range(bool(options.peers))),
        ]
    table = tabulate(windows)
    raw = [{"facts": facts}, *windows]
    facts = [
        *facts,
        *(f"{name}: `{tool.call}`" for name, tool in gpu_tools.TOOLS.items()),
    ]
    said = verdicts(table)
    page = markdown(table, facts, said)
    print(page)
    for path, text in ((options.markdown, page), (options.raw, "\n".join(map(json.dumps, raw)) + "\n")):
        if path:
            path.write_text(text, encoding="utf-8")
    return 1 if any(line.startswith("MISSED") for line in said) else 0


if __name__ == "__main__":
    sys.exit(main())
