"""Exact averaging: the truth, acyclicity and agreement with counting every graph."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from causal_report.discovery import exact
from causal_report.discovery.prepare import allowed_edges
from causal_report.errors import EngineError

PARTS = ["design", "design", "mediator", "mediator", "energy"]
TRUTH = {(0, 2), (0, 3), (2, 4), (3, 4)}


def five_nodes(n: int = 300, seed: int = 1) -> np.ndarray:
    """0 → 2, 0 → 3, 2 → 4, 3 → 4; node 1 stands alone. Standardised, shape (n, 5)."""
    rng = np.random.default_rng(seed)
    x0, x1 = rng.normal(size=(2, n))
    x2 = 0.8 * x0 + 0.6 * rng.normal(size=n)
    x3 = -0.7 * x0 + 0.6 * rng.normal(size=n)
    x4 = 0.6 * x2 + 0.6 * x3 + 0.5 * rng.normal(size=n)
    x = np.column_stack([x0, x1, x2, x3, x4])
    standard: np.ndarray = (x - x.mean(axis=0)) / x.std(axis=0)
    return standard


@pytest.mark.parametrize("seed", range(5))
def test_the_five_node_truth_is_found(seed: int) -> None:
    found = exact.edge_probabilities(five_nodes(seed=seed), allowed_edges(PARTS))
    assert {(int(i), int(j)) for i, j in np.argwhere(found > 0.5)} == TRUTH


def test_what_the_tiers_forbid_has_probability_zero() -> None:
    allowed = allowed_edges(PARTS)
    assert (exact.edge_probabilities(five_nodes(60), allowed)[~allowed] == 0).all()


def test_mediators_never_cause_each_other_in_both_directions() -> None:
    found = exact.edge_probabilities(five_nodes(60), allowed_edges(PARTS))
    assert found[2, 3] + found[3, 2] <= 1 + 1e-9


def test_the_sum_over_orders_is_what_counting_every_order_gives() -> None:
    """Two mediators: both orders written out by hand from the same local scores."""
    x = five_nodes(40)[:, [0, 2, 3]]
    allowed = allowed_edges(["design", "mediator", "mediator"])
    grams = (x.T @ x / len(x))[None]
    scores = {}
    for j in (1, 2):
        sets, values = exact.scored(grams, j, [int(i) for i in np.flatnonzero(allowed[:, j])], len(x))
        scores[j] = dict(zip(sets, values[0], strict=True))
    total, with_edge = 0.0, 0.0
    for first, second in ((1, 2), (2, 1)):
        for a, b in product(scores[first], scores[second]):
            if second in a:
                continue  # the later mediator cannot cause the earlier
            weight = np.exp(scores[first][a] + scores[second][b] - 50)
            total += weight
            with_edge += weight * (first == 1 and 1 in b)
    assert exact.edge_probabilities(x, allowed)[1, 2] == pytest.approx(with_edge / total, rel=1e-9)


def test_a_cell_that_is_no_number_is_refused() -> None:
    x = five_nodes()
    x[3, 2] = np.nan
    with pytest.raises(EngineError, match="not numbers"):
        exact.edge_probabilities(x, allowed_edges(PARTS))


def test_more_mediators_than_orders_can_be_summed_over_are_refused() -> None:
    x = np.random.default_rng(0).normal(size=(50, 10))
    with pytest.raises(EngineError, match="9 mediators"):
        exact.edge_probabilities(x, allowed_edges(["design", *["mediator"] * 9]))


def test_a_hundred_candidates_are_weighed_without_weighing_millions_of_sets() -> None:
    x = np.random.default_rng(0).normal(size=(200, 101))
    x[:, 100] += 2 * x[:, 3] - 2 * x[:, 70]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    found = exact.edge_probabilities(x, allowed_edges([*["design"] * 100, "energy"]))[:, 100]
    assert set(np.flatnonzero(found > 0.5)) == {3, 70}


def test_pure_noise_finds_few_edges() -> None:
    """Ten tables of noise with 10 allowed edges each: at most three of the hundred reach one half."""
    found = 0
    for seed in range(10):
        x = np.random.default_rng(seed).normal(size=(100, 5))
        found += int((exact.edge_probabilities(x - x.mean(axis=0), allowed_edges(PARTS)) > 0.5).sum())
    assert found <= 3


def test_many_resamples_at_once_are_each_alone() -> None:
    allowed = allowed_edges(PARTS)
    tables = [five_nodes(60, seed) for seed in range(3)]
    together = exact.from_grams(np.array([x.T @ x / 60 for x in tables]), allowed, 60)
    for x, found in zip(tables, together, strict=True):
        assert found == pytest.approx(exact.edge_probabilities(x, allowed), abs=1e-12)
