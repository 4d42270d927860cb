"""Graphs of two modes: a changed edge is found, a changed level or louder noise is none."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from causal_report.modes import structure
from tests.report import moded

if TYPE_CHECKING:
    from causal_report.findings.modes import ModeEdge, ModeStructure


@cache
def _structure(truth: moded.Truth, louder: float = 1.0) -> ModeStructure:
    table, response, graphs = moded.built(moded.rows(truth, louder=louder))
    return structure.compare(table, response, "made", graphs["made"], seed=0)


def _edge(found: ModeStructure, parent: str) -> ModeEdge:
    return next(e for e in found.edges if (e.parent, e.child) == (parent, "total_energy_joules"))


def test_edges_in_one_mode_only_are_found_beyond_chance() -> None:
    found = _structure("structure changes")
    assert found.distance is not None
    assert found.expected is not None
    assert found.distance >= 2
    assert found.distance > found.expected
    assert found.p is not None
    assert found.p < 0.05
    epochs, batch = _edge(found, "design_epochs"), _edge(found, "design_batch_size")
    assert (epochs.where, batch.where) == ("alone only", "background only")
    assert epochs.changed
    assert batch.changed
    assert epochs.difference_p is not None
    assert epochs.difference_p < 0.05
    assert epochs.strength is not None
    assert epochs.strength < -0.5
    assert found.edges[0].changed  # changes stand first


def test_a_slope_that_weakens_is_an_edge_of_both_with_another_strength() -> None:
    epochs = _edge(_structure("interaction"), "design_epochs")
    assert epochs.where == "both"
    assert abs(epochs.difference) < 0.1
    assert epochs.strength_q is not None
    assert epochs.strength_q < 0.001
    assert epochs.changed


@pytest.mark.parametrize("louder", [1.0, 3.0])
def test_neither_a_changed_level_nor_louder_noise_is_a_change_of_slope(louder: float) -> None:
    found = _structure("main effect only", louder)
    assert found.p is not None
    assert found.p > 0.05
    assert not [e for e in found.edges if e.child == "total_energy_joules" and e.changed]


def test_every_edge_shows_what_the_graphs_say() -> None:
    table, response, graphs = moded.built(moded.rows("interaction"))
    found = structure.compare(table, response, "made", graphs["made"], seed=0)
    said = {(e.parent, e.child): e for e in graphs["made"]["background"].edges}
    assert {(e.parent, e.child) for e in found.edges} == set(said)
    for edge in found.edges:
        assert edge.exact_background == said[edge.parent, edge.child].exact
        assert edge.ols_background == said[edge.parent, edge.child].ols


def test_a_missing_or_refused_graph_is_a_reason() -> None:
    table, response, graphs = moded.built(moded.rows("no effect"))
    mine = graphs["made"]
    assert (
        structure.compare(table, response, "made", {}, seed=0).reason == "there is no graph of the runs alone"
    )
    refused = {**mine, "background": dataclasses.replace(mine["background"], reason="9 rows are too few")}
    found = structure.compare(table, response, "made", refused, seed=0)
    assert found.reason == "no graph of the runs with a load: 9 rows are too few"
    assert found.edges == ()
    assert found.p is None


def test_columns_of_one_graph_only_are_named_and_left_out() -> None:
    table, response, graphs = moded.built(moded.rows("no effect"))
    mine = graphs["made"]
    without = dataclasses.replace(
        mine["alone"], nodes=tuple(n for n in mine["alone"].nodes if n.name != "perf_test_accuracy")
    )
    found = structure.compare(table, response, "made", {**mine, "alone": without}, seed=0)
    assert found.left_out == ("test accuracy",)
    assert all(e.child != "perf_test_accuracy" for e in found.edges)


@pytest.mark.slow
def test_the_permutation_has_its_level_when_modes_are_alike() -> None:
    """Tables without a change: of 40 p-values, at most 6 below 0.05."""
    small = 0
    rng = np.random.default_rng(3)
    for _ in range(40):
        n = 60
        x = rng.normal(size=(n, 3))
        x[:, 2] += 0.5 * x[:, 0] + 0.25 * x[:, 1]
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        table, response, graphs = _frame_of(x)
        found = structure.compare(table, response, "made", graphs, seed=1)
        small += found.p is not None and found.p < 0.05
    assert small <= 6


def _frame_of(x: np.ndarray[Any, Any]) -> tuple[Any, Any, Any]:
    """A table with two factors and energy out of *x*, half of the rows with a load."""
    frame = moded.rows("no effect", len(x), models=("only",))
    frame["hyperparam_epochs"] = np.exp(x[:, 0])
    frame["hyperparam_batch_size"] = np.exp(x[:, 1])
    frame["total_energy_joules"] = np.exp(x[:, 2])
    frame = frame.drop(
        columns=["energy_gpu_util_avg_percent", "perf_test_accuracy", "hyperparam_learning_rate"]
    )
    table, response, graphs = moded.built(frame)
    return table, response, graphs["made"]
