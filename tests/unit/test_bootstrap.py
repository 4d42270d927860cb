"""Intervals by resampling: cover the truth, hold back with few runs, know that neighbours depend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causal_report import bootstrap


def _mean(values: bootstrap.Array) -> bootstrap.Array:
    return np.asarray(values.mean(axis=-1))


def _width(values: bootstrap.Array) -> float:
    found = bootstrap.interval(values, _mean, seed=0)
    assert found is not None
    return found[1] - found[0]


def test_fewer_than_three_runs_give_no_interval() -> None:
    assert bootstrap.interval(np.array([1.0, 2.0]), _mean, seed=0) is None


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=30))
def test_an_interval_of_a_mean_lies_within_the_data(values: list[float]) -> None:
    found = bootstrap.interval(np.array(values), _mean, seed=1)
    assert found is not None
    assert min(values) - 1e-6 <= found[0] <= found[1] <= max(values) + 1e-6


def test_three_runs_claim_no_more_than_their_range() -> None:
    assert bootstrap.interval(np.array([1.0, 2.0, 6.0]), _mean, seed=0) == (1.0, 6.0)


@pytest.mark.parametrize("n", [6, 20])
def test_about_nineteen_of_twenty_intervals_hold_the_truth(n: int) -> None:
    rng = np.random.default_rng(4)
    held = 0
    for draw in range(200):
        found = bootstrap.interval(rng.normal(size=n), _mean, seed=draw)
        assert found is not None
        held += found[0] <= 0 <= found[1]
    assert 176 <= held <= 199


def test_runs_that_resemble_their_neighbours_count_for_less() -> None:
    rng = np.random.default_rng(5)
    drifting = np.repeat(rng.normal(size=16), 4)  # four runs in a row share what went wrong
    assert _width(drifting) > 1.25 * _width(rng.permutation(drifting))


def test_the_method_is_named_with_its_numbers() -> None:
    assert bootstrap.describe(27) == (
        "block bootstrap: 2,000 draws of 3 runs in a row, percentiles widened for n = 27"
    )
