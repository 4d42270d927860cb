"""Geometry of the figures, and numbers as people read them."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from causal_report import number
from causal_report.figures import graph as drawing
from causal_report.figures import intervals, scatter, strips
from causal_report.figures.scale import Scale, log_ticks, padded, ticks
from causal_report.findings import Dose, Edge, Effect, Graph, Node, Point
from causal_report.findings.metering import Agreement

FINITE = st.floats(-1e9, 1e9, allow_nan=False)


def test_a_scale_maps_its_ends_to_its_ends() -> None:
    plain = Scale(low=0, high=10, start=100, end=200)
    assert (plain(0), plain(5), plain(10)) == (100, 150, 200)
    log = Scale(low=1, high=100, start=0, end=200, log=True)
    assert (log(1), log(10), log(100)) == (0, 100, 200)


@given(FINITE, FINITE)
def test_ticks_lie_within_the_bounds_and_are_not_too_many(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assume(high - low > 1e-3 * max(1.0, abs(low), abs(high)))
    found = ticks(low, high, 6)
    room = (high - low) * 1e-6
    assert 2 <= len(found) <= 11
    assert all(low - room <= tick <= high + room for tick in found)


@given(st.floats(1e-6, 1e6), st.floats(1.5, 1e4))
def test_logarithmic_ticks_lie_within_the_bounds(low: float, factor: float) -> None:
    found = log_ticks(low, low * factor)
    assert found
    assert all(low * (1 - 1e-9) <= tick <= low * factor * (1 + 1e-9) for tick in found)


def test_a_single_value_still_has_room_around_it() -> None:
    low, high = padded([5.0])
    assert low < 5 < high
    assert padded([]) == (0.0, 1.0)


def _effect(estimate: float, half: float, *, outcome: str = "energy", scope: str = "m") -> Effect:
    return Effect(
        outcome=outcome,
        outcome_label=outcome,
        outcome_part="energy",
        scope=scope,
        factor="design_epochs",
        factor_label="epochs",
        scale="elasticity",
        n=30,
        method="",
        estimate=estimate,
        lo=estimate - half,
        hi=estimate + half,
        q=0.01,
    )


def test_interval_lines_keep_their_order_and_long_ones_are_cut_and_marked() -> None:
    found = intervals.elasticities([_effect(0.9, 0.1), _effect(0.5, 40.0)])
    assert found is not None
    short, long = found.lines
    assert short.lo < short.x < short.hi
    assert not short.cut_lo
    assert long.cut_lo
    assert long.cut_hi
    assert all(found.left <= line.lo <= line.hi <= found.width for line in found.lines)


def test_too_many_lines_leave_the_first_outcome_only() -> None:
    many = [_effect(0.9, 0.1, outcome=o, scope=f"m{i}") for o in ("energy", "duration") for i in range(30)]
    found = intervals.elasticities(many)
    assert found is not None
    assert len(found.lines) == 30
    assert all("energy" in line.words for line in found.lines)


def test_no_effects_draw_nothing() -> None:
    assert intervals.elasticities([]) is None
    assert scatter.scatter(None) is None
    assert strips.strips([], {}) is None


def test_a_larger_response_is_drawn_higher_and_each_model_has_its_shape() -> None:
    points = tuple(
        Point(experiment_id=f"r{i}", model="ab"[i % 2], x=i + 1.0, y=10.0 ** (i + 1)) for i in range(4)
    )
    dose = Dose(
        factor="f",
        factor_label="f",
        outcome="e",
        outcome_label="energy",
        unit="J",
        log_x=True,
        of=4,
        points=points,
    )
    drawn = scatter.scatter(dose)
    assert drawn is not None
    heights = [mark.y for mark in drawn.marks]
    assert heights == sorted(heights, reverse=True)
    assert drawn.marks[0].shape != drawn.marks[1].shape
    assert all(drawn.top <= mark.y <= drawn.bottom for mark in drawn.marks)


def test_agreement_lies_between_an_estimator_that_is_low_and_one_that_is_high() -> None:
    def found(name: str, ratio: float) -> Agreement:
        return Agreement(
            estimator=name,
            part="cpu",
            estimator_covers=("cpu",),
            meter_covers=("cpu",),
            n=3,
            ratio=ratio,
            bias_pct=(ratio - 1) * 100,
            bias_lo_pct=(ratio - 1.1) * 100,
            bias_hi_pct=(ratio - 0.9) * 100,
            ratios=(ratio, ratio * 1.1, ratio * 0.9),
        )

    drawn = strips.strips([found("low", 0.5), found("high", 2.0)], {"cpu": "CPU"})
    assert drawn is not None
    low, high = drawn.strips
    assert low.mean < drawn.agreement < high.mean
    assert low.lo < low.mean < low.hi
    assert low.label == "low, CPU"


def _graph() -> Graph:
    nodes = [("a", "design"), ("b", "design"), ("m", "mediator"), ("n", "mediator"), ("e", "energy")]
    edges = [("a", "m"), ("m", "n"), ("n", "e"), ("b", "e")]
    return Graph(
        reason="",
        n=50,
        n_effective=50,
        nodes=tuple(Node(name=name, label=f"label {name}", part=part) for name, part in nodes),
        edges=tuple(
            Edge(parent=i, child=j, dibs=None, exact=1.0, ols=0.5, p=0.0, q=0.0, verdict="supported")
            for i, j in edges
        ),
        engines=(),
        dropped=(),
        notes=(),
    )


def test_layers_put_causes_left_of_their_effects() -> None:
    found = drawing.layers(_graph(), _graph().edges)
    assert found["a"] == found["b"] == 0
    assert found["a"] < found["m"] < found["n"] < found["e"]


@pytest.mark.parametrize("dot", [True, False])
def test_every_box_is_inside_and_boxes_do_not_overlap(monkeypatch: pytest.MonkeyPatch, dot: bool) -> None:
    if dot and shutil.which("dot") is None:
        pytest.skip("graphviz is not installed")
    if not dot:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    found = drawing.layout(_graph())
    assert found is not None
    assert found.by == ("dot" if dot else "layers")
    assert len(found.arrows) == 4
    for box in found.boxes:
        assert box.x - box.width / 2 >= 0
        assert box.x + box.width / 2 <= found.width
        assert box.y + box.height / 2 <= found.height
    for i, one in enumerate(found.boxes):
        for other in found.boxes[i + 1 :]:
            apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2
            apart_y = abs(one.y - other.y) >= (one.height + other.height) / 2
            assert apart_x or apart_y


def test_edges_that_no_engine_holds_are_not_drawn() -> None:
    from dataclasses import replace

    graph = _graph()
    absent = replace(graph, edges=tuple(replace(edge, verdict="absent") for edge in graph.edges))
    found = drawing.layout(absent)
    assert found is not None
    assert found.arrows == ()
    assert drawing.layout(replace(graph, reason="too few rows")) is None


@pytest.mark.parametrize(
    ("joules", "words"),
    [
        (None, "–"),
        (0.0, "0 J"),
        (0.0123, "12.3 mJ"),
        (999.0, "999 J"),
        (1143.2, "1.14 kJ"),
        (4.56e6, "4.56 MJ"),
    ],
)
def test_energy_in_the_unit_people_read(joules: float | None, words: str) -> None:
    assert number.energy(joules).replace("\u00a0", " ") == words


def test_small_p_values_are_never_zero() -> None:
    assert number.probability(1e-30) == "< 0.001"
    assert number.probability(0.0425) == "0.043" or number.probability(0.0425) == "0.042"
    assert number.probability(float("nan")) == "–"


def test_signs_are_typographic_and_zero_has_none() -> None:
    assert number.percent(-4.26).startswith("\u22124.3")
    assert number.percent(4.26).startswith("+4.3")
    assert number.fixed(-0.001) == "0.00"
    assert number.signed(0.0) == "0"


@given(st.floats(1e-12, 1e12))
def test_significant_digits_keep_the_value(value: float) -> None:
    assert float(number.significant(value).replace(",", "").replace(number.MINUS, "-")) == pytest.approx(
        value, rel=6e-3
    )
