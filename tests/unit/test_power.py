"""Power over time: from counters to steps that keep the energy, and the runs that are shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from causal_report import power
from causal_report.figures import power as drawing
from causal_report.figures.scale import Scale
from causal_report.findings.metering import NetRun
from causal_report.power import BINS, Segment, binned, panels, rates, representative
from causal_report.sources import load, trace
from causal_report.sources.trace import Trace
from tests.report import metered

if TYPE_CHECKING:
    from pathlib import Path

ALL = (-1e9, 1e9)


def _run(name: str, joules: float | None, status: str = "measured") -> NetRun:
    return NetRun(
        session="s",
        experiment_id=name,
        model="m",
        role="a",
        status=status,
        reason="",
        duration_s=1.0,
        gross_j=joules,
        lo_j=None,
        hi_j=None,
        net_j=None,
        net_unc_j=None,
        net_reason="",
        idle_w=None,
        idle_unc_w=None,
        tail_j=None,
        tail_s=None,
    )


@given(
    st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(0.0, 500.0)), min_size=1, max_size=900),
    st.floats(0.0, 3.0),
)
@example([(1.0, 0.0), (1.0, 0.0)], 5e-324)
def test_steps_keep_the_energy_whatever_their_number(raw: list[tuple[float, float]], least_s: float) -> None:
    segments, at = [], 0.0
    for length_s, watts in raw:
        segments.append(Segment(at, at + length_s, watts))
        at += length_s
    steps = binned(segments, ALL, least_s)
    assert len(steps) <= BINS
    true = sum((s.end_s - s.start_s) * s.value for s in segments)
    assert sum((b - a) * mean for a, b, mean, _, _ in steps) == pytest.approx(true, rel=0.02, abs=1.0)
    assert all(least - 1e-3 <= mean <= most + 1e-3 for _, _, mean, least, most in steps)


def test_a_counter_read_between_its_ticks_shows_the_true_power() -> None:
    """100 W, a tick of 100 ms, read every 30 ms: single ticks look like 83 to 111 W, their mean is right."""
    points = [(i * 0.03, 10.0 * int(i * 0.03 / 0.1 + 1e-9)) for i in range(400)]
    steps = binned(list(rates(points, 0.1)), ALL, 0.3)
    assert all(mean == pytest.approx(100, rel=0.12) for _, _, mean, _, _ in steps[1:-1])
    seconds = steps[-1][1] - steps[0][0]
    energy = sum((b - a) * mean for a, b, mean, _, _ in steps)
    assert energy / seconds == pytest.approx(100, rel=0.01)


def test_a_counter_that_is_always_current_keeps_its_rests() -> None:
    found = list(rates([(0.0, 0.0), (1.0, 5.0), (2.0, 5.0), (3.0, 7.0)], 0.001))
    assert [s.value for s in found] == [5.0, 0.0, 2.0]


def test_a_counter_that_was_reset_leaves_a_gap() -> None:
    found = list(rates([(0.0, 50.0), (1.0, 60.0), (2.0, 1.0), (3.0, 11.0)], 0.0))
    assert found == [Segment(0.0, 1.0, 10.0), Segment(2.0, 3.0, 10.0)]
    steps = binned(found, ALL, 0.0)
    assert drawing._stairs([s[:3] for s in steps], *_scales()).count("M") == 2


def _scales() -> tuple[Scale, Scale]:
    return Scale(low=0, high=3, start=0, end=300), Scale(low=0, high=20, start=100, end=0)


def test_what_lies_outside_is_cut_off() -> None:
    assert binned([Segment(-20.0, 5.0, 7.0)], (-3.0, 2.0), 0.0) == ((-3.0, 2.0, 7.0, 7.0, 7.0),)
    assert binned([Segment(5.0, 6.0, 7.0)], (-3.0, 2.0), 0.0) == ()


def test_least_median_and_most_are_chosen_each_run_once() -> None:
    runs = [_run(str(i), joules) for i, joules in enumerate((50.0, 10.0, 30.0, 20.0, 40.0))]
    assert [(r.gross_j, rank) for r, rank in representative(runs)] == [
        (10.0, "least"),
        (30.0, "median"),
        (50.0, "most"),
    ]
    assert [rank for _, rank in representative(runs[:1])] == ["median"]
    assert representative([]) == ()


def test_a_partial_run_is_shown_only_where_none_is_whole() -> None:
    partial = [_run("p", 1.0, "partial"), _run("q", 2.0, "partial")]
    assert {r.status for r, _ in representative([*partial, _run("m", 5.0)])} == {"measured"}
    assert {r.status for r, _ in representative(partial)} == {"partial"}


def test_estimators_lie_in_the_panel_of_their_part_and_the_unmetered_have_none() -> None:
    def two(meter: str, channel: str, kind: str) -> Trace:
        values = {"energy_j": ((0, 0.0), (2_000_000_000, 60.0))}
        return Trace(
            meter=meter, channel=channel, kind=kind, form="window", tick_s=0, values=values, faults=()
        )

    recorded = [
        two("codecarbon", "cpu", "model"),
        two("codecarbon", "gpu", "model"),
        two("perf", "cpu:package:0", "direct"),
    ]
    (panel,) = panels(recorded, 0, ())
    assert [(line.meter, line.form) for line in panel.lines] == [("perf", "window"), ("codecarbon", "window")]
    assert panel.lines[0].points == ((0.0, 2.0, 30.0, 30.0, 30.0),)


def test_a_torn_trace_keeps_what_stands_before_the_tear(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    head = ",".join(trace.COLUMNS)
    line = "nvml,gpu:0,direct,nvml-counter,counter,energy_j,{},{}\n"
    path.write_text(f"{head}\n" + line.format(1, 2.0) + line.format(5, 3.0) + "nvml,gpu:0,dir")
    (found,) = trace.read(path)
    assert found.values["energy_j"] == ((1, 2.0), (5, 3.0))
    assert trace.read(tmp_path / "none.csv") == ()
    path.write_text("t,watts\n1,2\n")
    assert trace.read(path) == ()


def test_the_made_up_session_shows_its_true_powers(tmp_path: Path) -> None:
    (source,) = load([metered.session(tmp_path)])
    runs = [
        _run(str(r["experiment_id"]), float(r["total_energy_joules"]))
        for r in source.frame.to_dict("records")
    ]
    (named,) = [run for run in runs if run.experiment_id == "examples_mnist_004"]
    (shown,) = power.traces([source], [replace(named, session=source.name)])
    watts = {panel.channel: panel for panel in shown.panels if panel.unit == "W"}
    gpu = {line.form: line for line in watts[metered.GPU].lines}
    inside = [p for p in gpu["counter"].points if p[0] > 0.5 and p[1] < 3.0]
    assert inside
    assert all(p[2] == pytest.approx(110, rel=0.04) for p in inside)
    before = [p for p in gpu["counter"].points if p[1] < -0.5]
    assert all(p[2] == pytest.approx(metered.IDLE_W[metered.GPU], rel=0.02) for p in before)
    assert {s.name for s in shown.spans} >= {"process", "idle:before", "tail"}
    drawn = drawing.figure(shown)
    assert {"idle", "process", "tail"} <= set(drawn.kinds)
    assert all(drawn.left <= s.x <= s.x + s.width <= drawn.right + 0.1 for s in drawn.shades)
    assert all(plot.bottom <= drawn.bottom for plot in drawn.plots)
