"""The generator of tables with a known graph, and the accuracy of exact averaging on a few of them."""

from __future__ import annotations

import numpy as np
import pytest

from causal_report.discovery import exact
from causal_report.discovery.prepare import allowed_edges
from tests.benchmarks import discovery, drawn


@pytest.mark.parametrize("kind", drawn.KINDS)
def test_a_drawn_table_is_standardised_and_its_graph_obeys_the_tiers(kind: drawn.Kind) -> None:
    table = drawn.draw(150, seed=2000, kind=kind)
    assert np.abs(table.x.mean(axis=0)).max() < 1e-9
    assert table.x.std(axis=0) == pytest.approx(np.ones(12))
    assert table.truth.sum() == (0 if kind == "noise" else drawn.EDGES)
    assert not (table.truth & ~allowed_edges(drawn.PARTS)).any()
    again = drawn.draw(150, seed=2000, kind=kind)
    assert (again.x == table.x).all()


def test_causes_come_before_their_effects_whatever_the_order_of_mediators() -> None:
    """R² of every child on its true parents is near what was drawn, so no parent was missing yet."""
    for seed in range(2000, 2020):
        table = drawn.draw(600, seed=seed)
        for child in np.flatnonzero(table.truth.any(axis=0)):
            x, y = table.x[:, table.truth[:, child]], table.x[:, child]
            rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
            assert 0.1 < 1 - rest.var() < 0.92


def test_exact_averaging_finds_the_graphs_and_chance_is_far_below() -> None:
    found: list[dict[str, float]] = []
    guessed: list[dict[str, float]] = []
    for seed in range(2000, 2012):
        table = drawn.draw(150, seed=seed)
        allowed = allowed_edges(table.parts)
        for name, scores in (("exact", found), ("random", guessed)):
            result = discovery.score(name, table.x, allowed, seed)
            scores.append(discovery.measures(result, table.truth, allowed))
    assert np.mean([m["auprc"] for m in found]) >= 0.95
    assert np.mean([m["f1"] for m in found]) >= 0.9
    assert np.mean([m["auprc"] for m in guessed]) < 0.5
    assert all(m["forbidden"] == 0 for m in found)


def test_exact_averaging_finds_few_edges_in_noise() -> None:
    shares = []
    for seed in range(2000, 2012):
        table = drawn.draw(150, seed=seed, kind="noise")
        allowed = allowed_edges(table.parts)
        shares.append((exact.edge_probabilities(table.x, allowed) >= 0.5)[allowed].mean())
    assert np.mean(shares) <= 0.05


def test_measures_count_a_reversed_edge_once() -> None:
    truth = np.zeros((3, 3), dtype=bool)
    truth[0, 1] = True
    allowed = ~np.eye(3, dtype=bool)
    assert discovery.measures(truth.T.astype(float), truth, allowed)["shd"] == 1.0
    perfect = discovery.measures(truth.astype(float), truth, allowed)
    assert perfect["auprc"] == perfect["f1"] == 1.0
