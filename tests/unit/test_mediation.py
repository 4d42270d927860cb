"""Mediation on made-up tables: the truth is recovered, nothing is claimed that cannot be."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from causal_report import mediation, response, table
from causal_report.findings import Edge, Graph
from causal_report.mediation import block, instrument, paths, sensitivity
from causal_report.mediation.fit import Adjusted
from causal_report.text import Text
from tests.report import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings.mediation import Mediation, MediationPath

UTILISATION = "energy_gpu_util_avg_percent"
A, B = 4.0, 0.05
"""Doubled epochs raise utilisation by 4 log 2 points; a point of it makes energy 5 % dearer."""


def _rows(n: int = 120, *, b: float = B, seed: int = 5, spread: float = 1.0) -> pd.DataFrame:
    """Epochs act on energy directly (0.9) and by way of utilisation (4 b); nothing else does anything."""
    frame = tables.rows(n, seed=seed)
    rng = np.random.default_rng(seed + 1)
    use = 50 + A * np.log(frame["hyperparam_epochs"]) + spread * rng.normal(size=n)
    frame[UTILISATION] = use
    for name in ("total_energy_joules", "energy_gpu_total_joules"):
        frame[name] *= np.exp(b * (use - 55))
    return frame.drop(columns="cpu_time_seconds")


def _asked(
    frame: pd.DataFrame,
    *,
    graphs: dict[str, Graph] | None = None,
    declared: Sequence[tuple[str, str, str]] = (),
    seed: int = 0,
) -> Mediation:
    built = table.build([tables.source(frame)])
    chosen = response.choose(built.frame)
    return mediation.estimate(built, chosen, graphs or {}, Text("en"), declared=declared, seed=seed)


def _path(found: Mediation, cause: str = "epochs", outcome: str = "total_energy_joules") -> MediationPath:
    (path,) = (
        p
        for p in found.paths
        if (p.cause, p.mediator, p.outcome) == (f"design_{cause}", UTILISATION, outcome)
    )
    return path


def test_a_path_is_recovered_with_its_parts() -> None:
    path = _path(_asked(_rows()))
    assert path.reason == ""
    assert path.n == 120
    assert path.a == pytest.approx(A, abs=0.3)
    assert path.b == pytest.approx(B, abs=0.01)
    assert path.lo is not None
    assert path.hi is not None
    assert path.lo < A * B < path.hi < 0.3
    assert path.direct == pytest.approx(tables.ELASTICITY, abs=0.06)
    assert path.total == pytest.approx(tables.ELASTICITY + A * B, abs=0.06)
    assert path.proportion == pytest.approx(A * B / (tables.ELASTICITY + A * B), abs=0.04)
    assert path.plain == pytest.approx(100 * (2 ** (A * B) - 1), abs=3)
    assert (path.kind, path.clear, path.agreement) == ("complementary", True, "")
    assert path.controls == ("batch size", "learning rate", "dropout")


def test_a_mediator_that_does_nothing_mediates_nothing() -> None:
    path = _path(_asked(_rows(b=0.0)))
    assert path.kind == "none"
    assert path.proportion is None
    assert path.a_p is not None
    assert path.a_p < 0.001  # the cause does move the mediator


def test_settings_without_effect_have_no_path() -> None:
    found = _asked(_rows())
    assert not any(p.clear for p in found.paths if p.cause != "design_epochs")


def test_opposite_signs_are_suppression_and_have_no_share() -> None:
    found = _asked(_rows(b=-B))
    path = _path(found)
    assert path.kind == "inconsistent"
    assert path.indirect == pytest.approx(-A * B, abs=0.06)
    assert path.direct == pytest.approx(tables.ELASTICITY, abs=0.06)
    assert path.proportion is None
    assert "suppression" in found.sentences[0].text
    assert "suppressed" in {s.key for s in found.sentences}


def test_without_a_direct_effect_the_path_is_indirect_only() -> None:
    frame = _rows()
    frame["total_energy_joules"] /= frame["hyperparam_epochs"] ** tables.ELASTICITY
    path = _path(_asked(frame))
    assert path.kind == "indirect-only"
    assert path.proportion is None or path.proportion == pytest.approx(1, abs=0.4)


def test_the_first_sentence_is_the_answer_with_interval_and_n() -> None:
    first = _asked(_rows()).sentences[0].text
    assert "in examples, doubling epochs changes GPU energy by +" in first
    assert "by way of GPU utilisation, mean (95 % interval +" in first
    assert "120 runs" in first


def test_nothing_found_is_said_with_what_is_ruled_out() -> None:
    found = _asked(_rows(b=0.0))
    assert found.sentences[0].key == "none_clear"
    assert "are bounded within ±5 %" in found.sentences[0].text


def test_a_load_does_not_hide_that_no_hyperparameter_has_a_path() -> None:
    """The load heats the machine and energy follows; epochs do not go this way."""
    frame = _rows(b=0.0).drop(columns="energy_gpu_avg_watts")
    load = frame.assign(mode="background", is_parallel=True)
    load["experiment_id"] += "_load"
    both = pd.concat([frame, load], ignore_index=True)
    heat = np.random.default_rng(2).normal(size=240) + 8 * (both["mode"] == "background")
    both["energy_gpu_temp_avg_celsius"] = 60 + heat
    both["total_energy_joules"] *= np.exp(0.1 * heat)
    said = [s.key for s in _asked(both).sentences]
    assert said[:2] == ["none_clear", "more"]
    assert "load_counted" in said


def test_neither_the_order_of_rows_nor_another_group_changes_anything() -> None:
    frame = _rows()
    plain = _asked(frame)
    shuffled = _asked(frame.sample(frac=1, random_state=3).reset_index(drop=True))
    assert [asdict(p) for p in shuffled.paths] == [asdict(p) for p in plain.paths]
    other = _rows(60, seed=9).assign(repository="another")
    other["experiment_id"] += "_other"
    both = _asked(pd.concat([other, frame], ignore_index=True))
    mine = [replace(p, q=None, origin="declared") for p in both.paths if p.group == "examples"]
    assert mine == [replace(p, q=None, origin="declared") for p in plain.paths]


def test_a_seed_fixes_the_resamples() -> None:
    frame = _rows(60)
    assert _asked(frame, seed=4) == _asked(frame, seed=4)
    assert _path(_asked(frame, seed=4)).lo != _path(_asked(frame, seed=5)).lo


def test_models_with_levels_of_their_own_are_taken_out() -> None:
    frame = _rows()
    dear = frame["model"] == "mnist_rnn"
    frame.loc[dear, UTILISATION] += 30
    frame.loc[dear, "total_energy_joules"] *= 50
    plain, moved = _path(_asked(_rows())), _path(_asked(frame))
    assert moved.indirect == pytest.approx(plain.indirect, abs=1e-9)
    assert moved.lo == pytest.approx(plain.lo, abs=1e-9)


def test_parts_of_energy_are_never_its_mediators() -> None:
    declared = [("epochs", "duration_seconds", "energy"), ("epochs", "gpu_avg_watts", "energy")]
    found = _asked(_rows(60), declared=declared)
    identities = [p for p in found.paths if p.mediator in paths.PARTS_OF_ENERGY]
    assert {p.mediator for p in identities} == set(paths.PARTS_OF_ENERGY)
    assert all("identity" in p.reason and p.indirect is None for p in identities)
    assert len(_asked(_rows(60)).paths) == len(found.paths) - 2


def test_a_declared_name_that_no_column_has_is_told() -> None:
    found = _asked(_rows(60), declared=[("epochs", "phlogiston", "energy")])
    assert found.paths[-1].mediator == "phlogiston"
    assert "no column answers to phlogiston" in found.paths[-1].reason


def _graph(*pairs: tuple[str, str, float]) -> Graph:
    edges = [
        Edge(
            parent=a,
            child=b,
            dibs=None,
            exact=strength,
            ols=0.5,
            p=0.001,
            q=0.01,
            verdict="supported" if strength > 0.5 else "absent",
        )
        for a, b, strength in pairs
    ]
    return Graph(
        reason="", n=120, n_effective=118, nodes=(), edges=tuple(edges), engines=(), dropped=(), notes=()
    )


def test_paths_of_the_graph_are_marked_and_new_ones_added() -> None:
    graph = _graph(
        ("design_epochs", UTILISATION, 0.9),
        (UTILISATION, "total_energy_joules", 0.8),
        (UTILISATION, "perf_test_accuracy", 0.7),
        ("design_dropout", UTILISATION, 0.2),
    )
    found = _asked(_rows(60), graphs={"examples": graph})
    assert _path(found).origin == "both"
    assert _path(found, "dropout").origin == "declared"
    assert _path(found, outcome="perf_test_accuracy").origin == "discovered"
    assert not any(p.outcome == "perf_test_accuracy" and p.cause != "design_epochs" for p in found.paths)


def test_what_most_rows_do_not_know_is_left_out_and_said() -> None:
    """One setting at a time: each row knows its own and the defaults are not recorded."""
    frame = _rows()
    own = np.arange(120) % 3
    for at, name in enumerate(("epochs", "learning_rate", "dropout")):
        frame.loc[own != at, f"hyperparam_{name}"] = np.nan
    frame["hyperparam_batch_size"] = np.nan
    found = _asked(frame)
    path = _path(found)
    assert path.n == 40
    assert path.controls == ()
    assert path.unknown == ("learning rate", "dropout")
    assert path.indirect == pytest.approx(A * B, abs=0.12)
    assert "unknown" in {s.key for s in found.sentences}


def test_a_setting_one_model_lacks_does_not_cost_its_rows_as_a_control() -> None:
    frame = _rows()
    frame.loc[frame["model"] == "mnist_rnn", "hyperparam_dropout"] = np.nan
    found = _asked(frame)
    assert _path(found).n == 120
    assert "dropout" in _path(found).controls
    assert _path(found, "dropout").n == 60


def test_too_few_rows_get_a_reason_and_few_are_exploratory() -> None:
    assert "at least 20 are needed" in _path(_asked(_rows(18))).reason
    assert _path(_asked(_rows(30))).exploratory
    assert not _path(_asked(_rows(48))).exploratory


def test_a_mediator_that_stands_still_or_moves_with_the_cause_gets_a_reason() -> None:
    assert "same throughout" in _path(_asked(_rows().assign(**{UTILISATION: 97.0}))).reason
    assert "only together" in _path(_asked(_rows(spread=0.0))).reason


def test_pairs_are_left_out() -> None:
    frame = _rows()
    frame.loc[:29, "mode"] = "pair"
    assert _path(_asked(frame)).n == 90


def test_tables_without_the_columns_say_so() -> None:
    bare = _rows(60).drop(columns=[UTILISATION, "energy_gpu_avg_watts"])
    found = _asked(bare)
    assert found.paths == ()
    assert "no state of the hardware" in found.sentences[0].text
    empty = _asked(_rows(60).iloc[:0])
    assert empty.reason == "there are no usable rows"
    assert [s.key for s in _asked(_rows(12)).sentences] == ["unanswerable"]


def test_without_joules_paths_lead_to_duration() -> None:
    frame = _rows(60).drop(columns=["energy_gpu_total_joules", "estimate_codecarbon_joules"])
    frame = frame.assign(total_energy_joules=np.nan, total_energy_status="unavailable")
    outcomes = {p.outcome for p in _asked(frame).paths}
    assert outcomes == {"duration_seconds", "energy_gpu_avg_watts"}


def test_large_tables_fall_back_on_normal_theory(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = _path(_asked(_rows()))
    monkeypatch.setattr(block, "MOST_ROWS", 50)
    path = _path(_asked(_rows()))
    assert (path.draws, path.bca_lo, path.agreement) == (0, None, "")
    assert path.lo == pytest.approx(drawn.lo, abs=0.03)
    assert path.kind == drawn.kind


def test_many_paths_get_more_resamples() -> None:
    assert (block.draws(40), block.draws(41)) == (1_000, 10_000)
    assert _path(_asked(_rows(60))).draws == 1_000


def test_robustness_values_are_those_of_the_published_example() -> None:
    """Cinelli and Hazlett 2020, table 1: t = 4.18 on 783 degrees of freedom, 13.9 % and 7.6 %."""
    rho = 4.184 / np.sqrt(4.184**2 + 783)
    found = sensitivity.of(float(rho), 783)
    assert found.robustness == pytest.approx(0.139, abs=5e-4)
    assert found.robustness_05 == pytest.approx(0.076, abs=5e-4)


def test_rho_is_the_correlation_of_errors_that_a_hidden_cause_made() -> None:
    """True b is nought; a hidden cause correlates the errors by 0.5: there the indirect effect is nought."""
    rng = np.random.default_rng(0)
    n, shared = 20_000, np.sqrt(0.5)
    hidden, x = rng.normal(size=n), rng.normal(size=n)
    m = x + shared * hidden + np.sqrt(0.5) * rng.normal(size=n)
    y = 0.3 * x + shared * hidden + np.sqrt(0.5) * rng.normal(size=n)
    adjusted = Adjusted(np.empty((n, 0)), np.zeros(n, dtype=np.intp))
    path = adjusted.path(*map(adjusted.column, (x, m, y)))
    assert path.b.estimate > 0.4  # spurious
    assert path.rho == pytest.approx(0.5, abs=0.02)


def _instrument(direct: float, strength: float, other: float) -> str:
    rng = np.random.default_rng(1)
    x, other_way = rng.normal(size=(2, 400))
    m = strength * x + rng.normal(size=400)
    y = 0.5 * m + direct * x + rng.normal(size=400)
    adjusted = Adjusted(np.empty((400, 0)), np.zeros(400, dtype=np.intp))
    x, m, y, way = map(adjusted.column, (x, m, y, other * x + other_way))
    return instrument.judge(adjusted.path(x, m, y), {"duration": adjusted.slope(x, way)}).answer


def test_an_instrument_is_refused_for_the_right_reason_and_never_proved() -> None:
    assert _instrument(direct=0.0, strength=0.05, other=0.0) == "weak"
    assert _instrument(direct=0.0, strength=1.0, other=1.0) == "another-way"
    assert _instrument(direct=1.0, strength=1.0, other=0.0) == "contradicted"
    assert _instrument(direct=0.0, strength=1.0, other=0.0) == "unproven"


def test_an_instrument_for_energy_fails_by_duration() -> None:
    path = _path(_asked(_rows()))
    assert path.instrument == "another-way"
    assert path.wald is None
    assert "duration" in path.instrument_answer


def _two_modes(gain: float, *, n_load: int = 120) -> pd.DataFrame:
    """Under a background load utilisation costs *gain* as much energy."""
    load = _rows(n_load, b=gain * B, seed=8).assign(mode="background", is_parallel=True)
    load["experiment_id"] += "_load"
    return pd.concat([_rows(), load], ignore_index=True)


def test_a_path_that_differs_between_modes_is_found() -> None:
    found = _asked(_two_modes(4.0))
    (apart,) = (
        d for d in found.differences if (d.cause, d.outcome) == ("design_epochs", "total_energy_joules")
    )
    assert apart.alone.indirect == pytest.approx(A * B, abs=0.06)
    assert apart.background.indirect == pytest.approx(4 * A * B, abs=0.1)
    assert apart.lo is not None
    assert apart.hi is not None
    assert apart.lo < 3 * A * B < apart.hi
    assert apart.clear
    assert "modes_clear" in {s.key for s in found.sentences}


def test_equal_modes_do_not_differ() -> None:
    found = _asked(_two_modes(1.0))
    assert found.differences
    assert not any(d.clear for d in found.differences)
    assert "modes_none" in {s.key for s in found.sentences}


def test_a_mode_with_few_rows_gets_a_reason_or_is_exploratory() -> None:
    few = _asked(_two_modes(1.0, n_load=14))
    assert all(d.difference is None and "background: 14 rows" in d.reason for d in few.differences)
    assert all(d.exploratory for d in _asked(_two_modes(1.0, n_load=30)).differences)


def test_the_load_itself_is_a_cause_but_not_compared_by_mode() -> None:
    found = _asked(_two_modes(1.0))
    assert _path(found, "background").n == 240
    assert not any(d.cause == "design_background" for d in found.differences)


def test_findings_are_plain_json() -> None:
    content = json.dumps(asdict(_asked(_two_modes(1.0, n_load=30))), allow_nan=False)
    assert json.loads(content)["paths"]


@pytest.mark.data
@pytest.mark.slow
def test_the_studys_own_paths_do_not_stand_without_duration_as_a_control() -> None:
    """The study declared epochs, mean utilisation, GPU energy: -0.063 of 0.141, Sobel p < 0.001."""
    from pathlib import Path

    from causal_report import load

    published = Path(__file__).resolve().parents[3] / "shared/data/training-energy/experiments.csv"
    if not published.exists():
        pytest.skip("the published table is not beside the checkout")
    built = table.build(load([published]))
    usable = built.where(built.frame["training_success"])
    found = mediation.estimate(usable, response.choose(usable.frame), {}, Text("en"))
    declared = [
        p
        for p in found.paths
        if (p.cause, p.mediator, p.outcome) == ("design_epochs", UTILISATION, "energy_gpu_total_joules")
        and p.indirect is not None
    ]
    assert len(declared) >= 4
    assert not any(p.clear for p in declared)
    assert all(p.total == pytest.approx(1.0, abs=0.15) for p in declared)
