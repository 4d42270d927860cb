"""Preparing the graph's columns, the tiers, and the evidence table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causal_report import table
from causal_report.discovery import evidence
from causal_report.discovery.prepare import Prepared, allowed_edges, prepare
from causal_report.table import Column
from tests.report import tables

if TYPE_CHECKING:
    import pandas as pd

ENERGY = Column(name="total_energy_joules", label="energy", part="energy", log=True)


def _prepared(frame: pd.DataFrame, response: Column = ENERGY) -> Prepared:
    built = table.build([tables.source(frame)])
    return prepare(built.frame, built.columns, response)


def _dropped(prepared: Prepared) -> dict[str, str]:
    return dict(prepared.dropped)


@given(st.lists(st.sampled_from(["design", "mediator", "energy", "performance"]), min_size=1, max_size=12))
def test_tiers_allow_no_edge_into_what_was_set_nor_out_of_what_came_out(parts: list[str]) -> None:
    allowed = allowed_edges(parts)
    for parent, before in enumerate(parts):
        for child, after in enumerate(parts):
            expected = parent != child and after != "design" and before in ("design", "mediator")
            assert allowed[parent, child] == expected


def test_joules_watts_and_seconds_never_meet_in_one_graph() -> None:
    prepared = _prepared(tables.rows(60))
    names = {column.name for column in prepared.columns}
    assert "total_energy_joules" in names
    assert not names & {"duration_seconds", "energy_gpu_avg_watts"}
    assert "power × time" in _dropped(prepared)["duration"]


def test_duration_is_the_outcome_where_no_joules_exist() -> None:
    response = Column(name="duration_seconds", label="duration", part="energy", log=True)
    names = [column.name for column in _prepared(tables.rows(60), response).columns]
    assert names.count("duration_seconds") == 1


def test_constants_and_labels_are_dropped_with_a_reason() -> None:
    frame = tables.rows(60).assign(energy_gpu_util_avg_percent=60.0)
    dropped = _dropped(_prepared(frame))
    assert "same in every row" in dropped["GPU utilisation, mean"]
    assert "label" in dropped["random seed"]


def test_a_column_that_says_the_same_is_dropped() -> None:
    frame = tables.rows(60)
    frame["perf_test_loss"] = 1 - frame["perf_test_accuracy"]
    assert "says the same as test accuracy" in _dropped(_prepared(frame))["test loss"]


def test_an_exact_combination_is_dropped() -> None:
    frame = tables.rows(60)
    rng = np.random.default_rng(1)
    frame["energy_gpu_temp_avg_celsius"] = rng.normal(60, 3, 60)
    mix = frame["energy_gpu_temp_avg_celsius"] + frame["energy_gpu_util_avg_percent"]
    frame["energy_gpu_temp_max_celsius"] = mix
    assert "exact combination" in _dropped(_prepared(frame))["GPU temperature, highest"]


def test_an_exact_product_is_dropped_with_its_factors_named() -> None:
    frame = tables.rows(60)
    frame["energy_gpu_temp_avg_celsius"] = np.random.default_rng(1).uniform(30, 90, 60)
    product = frame["energy_gpu_temp_avg_celsius"] * frame["energy_gpu_util_avg_percent"]
    frame["energy_gpu_temp_max_celsius"] = product
    why = _dropped(_prepared(frame))["GPU temperature, highest"]
    assert why == "an exact product: GPU utilisation, mean × GPU temperature, mean"


def test_columns_with_many_holes_are_dropped_and_holes_are_never_filled() -> None:
    frame = tables.rows(60)
    frame.loc[:29, "energy_gpu_util_avg_percent"] = np.nan
    frame.loc[55:, "perf_test_accuracy"] = np.nan
    prepared = _prepared(frame)
    assert "missing in 50%" in _dropped(prepared)["GPU utilisation, mean"]
    assert len(prepared.x) == 55


def test_differences_between_models_are_taken_out() -> None:
    prepared = _prepared(tables.rows(60))
    for model in set(prepared.groups):
        rows = np.array([group == model for group in prepared.groups])
        assert np.abs(prepared.x[rows].mean(axis=0)).max() < 1e-9
    assert prepared.n_effective == 59
    assert prepared.x.std(axis=0) == pytest.approx(np.ones(prepared.x.shape[1]))


def test_differences_between_sessions_are_taken_out() -> None:
    frame = tables.rows(60)
    late = frame.index >= 30
    frame.loc[late, "session"] = "run_other"
    frame.loc[late, "total_energy_joules"] *= 10
    frame.loc[late, "energy_gpu_util_avg_percent"] += 30
    prepared = _prepared(frame)
    for group in set(prepared.groups):
        rows = np.array([mine == group for mine in prepared.groups])
        assert np.abs(prepared.x[rows].mean(axis=0)).max() < 1e-9
    assert len(set(prepared.groups)) == 4
    assert prepared.n_effective == 57
    assert any("2 sessions" in note for note in prepared.notes)


def test_under_twenty_rows_there_is_no_graph() -> None:
    graph = evidence.look(_prepared(tables.rows(18)), engine="exact", seed=0).graph
    assert "only described" in graph.reason
    assert graph.edges == ()
    assert not any(run.ran for run in graph.engines)


def test_dibs_is_refused_on_few_rows_and_the_others_still_run() -> None:
    graph = evidence.look(_prepared(tables.rows(30)), engine="dibs", seed=0).graph
    ran = {run.name: run.ran for run in graph.engines}
    assert ran == {"dibs": False, "exact": True, "ols": True}
    assert all(edge.dibs is None for edge in graph.edges)
    assert "effective rows" in next(run.reason for run in graph.engines if run.name == "dibs")


def test_the_evidence_finds_the_truth_and_nothing_that_tiers_forbid() -> None:
    graph = evidence.look(_prepared(tables.rows(60)), engine="exact", seed=0).graph
    supported = {(e.parent, e.child) for e in graph.edges if e.verdict == "supported"}
    assert supported == {
        ("design_epochs", "total_energy_joules"),
        ("design_epochs", "energy_gpu_util_avg_percent"),
        ("design_epochs", "perf_test_accuracy"),
    }
    assert not any(edge.child.startswith("design_") for edge in graph.edges)


def test_what_only_moves_energy_between_models_is_no_cause() -> None:
    """Both models differ 4.5-fold in energy and utilisation; within a model the two are unrelated."""
    frame = tables.rows(60)
    frame.loc[frame["model"] == "mnist_rnn", "energy_gpu_util_avg_percent"] += 30
    graph = evidence.look(_prepared(frame), engine="exact", seed=0).graph
    edge = next(e for e in graph.edges if (e.parent, e.child) == ("energy_gpu_util_avg_percent", ENERGY.name))
    assert edge.verdict == "absent"
