"""Holes in states of the hardware: what is filled, what never is, and what that is worth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from causal_report import imputation, regression, response, table
from causal_report.discovery import dibs, evidence, groups
from causal_report.discovery.prepare import Prepared, prepare
from causal_report.table import Column
from causal_report.text import Text
from tests.benchmarks.drawn import draw
from tests.report import tables

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.findings.discovery import Group, GroupEdge

UTIL, TEMP = "energy_gpu_util_avg_percent", "energy_gpu_temp_max_celsius"
COLUMNS = (
    ("hyperparam_epochs", 50, 10),
    ("hyperparam_batch_size", 128, 20),
    ("hyperparam_learning_rate", 0.1, 0.02),
    ("hyperparam_dropout", 0.3, 0.05),
    ("is_parallel", 0, 1),
    (UTIL, 60, 5),
    (TEMP, 65, 3),
    ("energy_gpu_util_max_percent", 70, 4),
    ("energy_gpu_total_joules", 6e4, 0.2),
    ("energy_cpu_total_joules", 2e4, 0.2),
    ("perf_test_accuracy", 0.8, 0.02),
    ("perf_test_loss", 1.0, 0.1),
)
"""As tests/benchmarks/drawn.py draws them: name, middle and size."""
ENERGY = Column(name="total_energy_joules", label="energy", part="energy", log=True)


def _frame(n: int = 150, *, seed: int = 1, acting: bool = True) -> pd.DataFrame:
    """Batch size moves utilisation, it and temperature move energy; both gauges miss cheap runs."""
    frame = tables.rows(n, seed=seed)
    rng = np.random.default_rng(seed)
    load = (np.log(frame["hyperparam_batch_size"]) - 3.8) / 0.78
    use = (0.6 * load if acting else 0.0) + rng.normal(size=n)
    heat = rng.normal(size=n)
    gain = np.exp(0.2 * ((0.6 * use + 0.4 * heat if acting else 0.0) + rng.normal(size=n)))
    frame[UTIL], frame[TEMP] = 60 + 5 * use, 65 + 3 * heat
    frame["total_energy_joules"] = 5e4 * gain * np.where(frame["model"] == tables.MODELS[0], 1.0, 4.0)
    frame["energy_gpu_total_joules"] = 0.8 * frame["total_energy_joules"]
    frame = frame.drop(columns=["energy_gpu_avg_watts", "cpu_time_seconds"])
    cheap = np.log(gain) < np.quantile(np.log(gain), 0.5)
    for name in (UTIL, TEMP):
        frame.loc[cheap & (rng.random(n) < 0.55), name] = np.nan
    return frame


def _prepared(frame: pd.DataFrame, seed: int = 0) -> Prepared:
    built = table.build([tables.source(frame)])
    return prepare(built.frame, built.columns, ENERGY, seed=seed)


def _group(frame: pd.DataFrame) -> Group:
    built = table.build([tables.source(frame)])
    return groups.explore(built, response.choose(built.frame), engine="exact", text=Text("en"))["examples"]


def _edge(group: Group, cause: str, effect: str) -> GroupEdge:
    return next(e for e in group.edges if (e.cause, e.effect) == (cause, effect))


def _slope(y: NDArray[np.float64], x: NDArray[np.float64]) -> regression.Coefficient:
    return regression.ols(y, {"x": x}, {}).coefficients["x"]


def test_rows_that_know_all_but_a_state_of_the_hardware_stay_in() -> None:
    prepared = _prepared(_frame())
    assert len(prepared.x) == 150
    assert prepared.n_effective == 149
    assert len(prepared.fillings) == imputation.TIMES
    assert any("filled 5 times" in note and "GPU utilisation, mean" in note for note in prepared.notes)
    assert all(np.isfinite(x).all() for x in prepared.fillings)
    for x in prepared.fillings:
        assert x.std(axis=0) == pytest.approx(np.ones(x.shape[1]))


def test_only_cells_that_were_empty_differ_between_fillings() -> None:
    x = np.random.default_rng(2).normal(size=(80, 4))
    x[:30, 3] = np.nan
    made = imputation.fill(x, np.zeros(80, dtype=np.intp), [1])
    again = imputation.fill(x, np.zeros(80, dtype=np.intp), [1])
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    known = ~np.isnan(x)
    assert all(full[known] == pytest.approx(x[known]) for full in made)
    assert float(np.std([full[0, 3] for full in made])) > 0.1
    other = imputation.fill(x, np.zeros(80, dtype=np.intp), [2])
    assert made[0][0, 3] != other[0][0, 3]


def test_few_holes_are_left_out_as_before() -> None:
    frame = tables.rows(60)
    frame.loc[:9, UTIL] = np.nan
    prepared = _prepared(frame)
    assert prepared.fillings == ()
    assert len(prepared.x) == 50


@pytest.mark.parametrize("column", ["hyperparam_dropout", "perf_test_accuracy"])
def test_neither_what_was_set_nor_what_came_out_is_filled(column: str) -> None:
    frame = _frame()
    frame.loc[frame.index % 5 == 0, column] = np.nan
    prepared = _prepared(frame)
    assert len(prepared.x) == 120
    assert len(prepared.fillings) == imputation.TIMES


def test_a_gauge_that_no_run_of_a_model_has_read_is_not_invented() -> None:
    frame = tables.rows(120)
    second = frame["model"] == tables.MODELS[1]
    frame.loc[second, UTIL] = np.nan
    prepared = _prepared(frame.drop(index=frame.index[second][:30]))  # a third of the rows has the hole
    assert prepared.fillings == ()
    assert set(prepared.groups) == {f"examples/{tables.MODELS[0]}"}


def test_leaving_runs_out_by_what_came_out_bends_the_slope_and_filling_does_not() -> None:
    """The state is unknown where the outcome is low: complete rows alone halve its slope."""
    left_out, filled, held = [], [], 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        m = rng.normal(size=200)
        y = m + rng.normal(size=200)
        x = np.column_stack([np.where(y < 0, np.where(rng.random(200) < 0.8, np.nan, m), m), y])
        known = ~np.isnan(x[:, 0])
        left_out.append(_slope(y[known], m[known]).estimate)
        each = [_slope(full[:, 1], full[:, 0]) for full in imputation.fill(x, np.zeros(200, int), [seed])]
        whole = imputation.pooled(each, 198)
        filled.append(whole.estimate)
        held += whole.lo <= 1.0 <= whole.hi
    assert np.mean(left_out) < 0.85
    assert np.mean(filled) == pytest.approx(1.0, abs=0.06)
    assert held >= 10


def test_pooling_adds_what_fillings_differ_by() -> None:
    slopes = [
        regression.Coefficient(estimate=v, lo=0.0, hi=0.0, p=0.5, top2=0.1, se=0.2) for v in (0.8, 1.0, 1.2)
    ]
    found = imputation.pooled(slopes, 50)
    variance = 0.04 + 4 / 3 * 0.04
    assert found.estimate == pytest.approx(1.0)
    assert found.se == pytest.approx(math.sqrt(variance))
    share = (4 / 3 * 0.04) / variance
    observed = 51 / 53 * 50 * (1 - share)
    df = 1 / (share**2 / 2 + 1 / observed)
    assert found.lo == pytest.approx(regression.interval(1.0, found.se, df)[0])


def _drawn(seed: int) -> tuple[pd.DataFrame, set[tuple[str, str]]]:
    """Sixty rows of a known graph, two of three gauges missing the runs with little energy; and its edges."""
    drawn = draw(60, seed=seed)
    loaded = drawn.x[:, 4] > 0
    frame = tables.rows(60, models=tables.MODELS[:1]).drop(columns="cpu_time_seconds")
    frame = frame.assign(is_parallel=loaded, mode=np.where(loaded, "background", "alone"))
    for at, (name, middle, size) in enumerate(COLUMNS):
        if name != "is_parallel":
            z = drawn.x[:, at]
            frame[name] = middle * np.exp(size * z) if name.endswith("_joules") else middle + size * z
    cheap = 1 / (1 + np.exp(1.2 + 1.8 * drawn.x[:, 8]))
    for name in (UTIL, TEMP):
        frame.loc[np.random.default_rng([seed, len(name)]).random(60) < cheap, name] = np.nan
    names = [name.replace("hyperparam_", "design_") for name, _, _ in COLUMNS]
    names[4] = "design_background"
    return frame, {(names[i], names[j]) for i, j in np.argwhere(drawn.truth)}


def _f1(prepared: Prepared, truth: set[tuple[str, str]]) -> float:
    edges = evidence.look(prepared, engine="exact", seed=0).graph.edges
    found = {(e.parent, e.child) for e in edges if e.exact >= 0.5}
    return 2 * len(found & truth) / (len(found) + len(truth))


def test_edges_that_complete_rows_have_lost_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = Column(name="energy_cpu_total_joules", label="CPU energy", part="energy", log=True)
    gpu = replace(cpu, name="energy_gpu_total_joules", label="GPU energy")
    gained = []
    for seed in range(300, 308):
        frame, truth = _drawn(seed)
        built = table.build([tables.source(frame)])
        filled = prepare(built.frame, built.columns, gpu, [cpu])
        if filled.fillings:
            with monkeypatch.context() as patch:
                patch.setattr(imputation, "COMPLETE", 0.0)
                left_out = prepare(built.frame, built.columns, gpu, [cpu])
            assert len(left_out.x) < len(filled.x) == 60
            gained.append(_f1(filled, truth) - _f1(left_out, truth))
    assert len(gained) >= 3
    assert np.mean(gained) > 0.05


def test_dibs_runs_once_on_each_filling_and_the_mean_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    def discover(x: NDArray[np.float64], allowed: NDArray[np.bool_], **given: Any) -> dibs.Particles:
        seen.append((given["name"], given["seeds"]))
        edges = np.where(allowed, 0.2 * len(seen), 0.0)
        return dibs.Particles(
            edge_probability=edges,
            share=edges,
            seed_sd=edges,
            cyclic=0.0,
            weight=5.0,
            settings={"seeds": 1},
            warnings=(),
        )

    monkeypatch.setattr(dibs, "discover", discover)
    graph = evidence.look(_prepared(_frame()), engine="dibs", seed=0, name="examples/all").graph
    assert seen == [(f"examples/all#{number}", 1) for number in range(imputation.TIMES)]
    assert {round(edge.dibs or 0.0, 6) for edge in graph.edges} == {0.6}
    run = next(run for run in graph.engines if run.name == "dibs")
    assert run.settings["fillings"] == imputation.TIMES
    assert all("between fillings" in warning for warning in run.warnings)


def test_what_is_filled_makes_no_edges_of_noise() -> None:
    frames = [_frame(seed=seed, acting=False) for seed in range(6)]
    graphs = [evidence.look(_prepared(frame), engine="exact", seed=0).graph for frame in frames]
    edges = [e for g in graphs for e in g.edges if {UTIL, TEMP} & {e.parent, e.child}]
    assert len(edges) > 60
    assert np.mean([e.exact >= 0.5 for e in edges]) <= 0.05
    assert np.mean([e.verdict == "supported" for e in edges]) <= 0.01


def test_the_same_table_gives_the_same_numbers_in_any_order_of_rows() -> None:
    frame = _frame(90)
    one, two = _group(frame), _group(frame.sample(frac=1, random_state=4))
    assert [(e.exact, e.ols, e.stability) for e in one.edges] == [
        (e.exact, e.ols, e.stability) for e in two.edges
    ]
    assert one.split is None
