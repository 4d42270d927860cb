"""Discovery per repository: truth found, names of the table, asides, strata, order and the page."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from causal_report import response, table
from causal_report.discovery import classic, groups, validation
from causal_report.errors import InputError
from causal_report.figures import graph as drawing
from causal_report.text import Text
from tests.report import section, tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from causal_report.findings.discovery import Group, GroupEdge

TEXT = Text("en")


def _explore(frame: pd.DataFrame, engine: str = "exact", seed: int = 0) -> Mapping[str, Group]:
    built = table.build([tables.source(frame)])
    return groups.explore(built, response.choose(built.frame), engine=engine, seed=seed, text=TEXT)


def _frame(n: int = 80, *, seed: int = 5) -> pd.DataFrame:
    """Half of the runs beside a load that lengthens them by a half."""
    frame = tables.rows(n, seed=seed)
    loaded = np.random.default_rng(seed).permutation(n) < n // 2
    frame["mode"] = np.where(loaded, "background", "alone")
    frame["is_parallel"] = loaded
    for name in ("duration_seconds", "cpu_time_seconds", "total_energy_joules", "energy_gpu_total_joules"):
        frame.loc[loaded, name] *= 1.5
    return frame


def _edges(group: Group) -> dict[tuple[str, str], GroupEdge]:
    return {(e.cause, e.effect): e for e in group.edges}


def test_the_truth_is_validated_under_the_tables_own_names() -> None:
    edges = _edges(_explore(_frame())["examples"])
    for cause in ("hyperparam_epochs", "is_parallel"):
        edge = edges[cause, "total_energy_joules"]
        assert edge.verdict == "validated"
        assert edge.dibs is None
        assert edge.exact > 0.9
        assert edge.ols is not None
        assert edge.ols > 0
        assert edge.ols_q is not None
        assert edge.ols_q < 0.01
        assert edge.stability is not None
        assert edge.stability >= 0.7
    idle = edges["hyperparam_dropout", "total_energy_joules"]
    assert idle.verdict in ("absent", "not validated")
    assert idle.exact < 0.5


def test_chance_gives_few_edges_and_is_below_what_is_true() -> None:
    group = _explore(_frame())["examples"]
    assert group.chance is not None
    assert group.chance.false_share <= 0.05
    edge = _edges(group)["hyperparam_epochs", "total_energy_joules"]
    assert edge.null is not None
    assert edge.null < edge.exact


def test_each_mode_has_its_graph_and_the_mode_is_no_column_of_it() -> None:
    group = _explore(_frame())["examples"]
    assert list(group.graphs) == ["all", "alone", "background"]
    assert group.graphs["alone"].n + group.graphs["background"].n == group.graphs["all"].n
    names = {node.name for node in group.graphs["alone"].nodes}
    assert "design_background" not in names
    assert "design_background" in {node.name for node in group.graphs["all"].nodes}


def test_a_mode_with_few_rows_has_a_reason_and_a_sentence() -> None:
    frame = _frame()
    frame = pd.concat([frame[frame["mode"] == "alone"], frame[frame["mode"] == "background"].head(8)])
    group = _explore(frame)["examples"]
    assert "fewer than 20" in group.graphs["background"].reason
    assert any(s.key == "discovery.stratum" for s in group.sentences)


def test_neither_the_order_of_rows_nor_other_groups_change_a_number() -> None:
    frame = _frame(60)
    other = _frame(60, seed=9).assign(repository="another", session="run_other")
    other["experiment_id"] = "another_" + other["experiment_id"]
    alone = _explore(frame)["examples"]
    shuffled = pd.concat([other, frame.sample(frac=1, random_state=1)], ignore_index=True)
    beside = _explore(shuffled)["examples"]
    numbers = [(e.exact, e.ols, e.stability, e.null) for e in beside.edges if e.verdict != "absent"]
    expected = [(e.exact, e.ols, e.stability, e.null) for e in alone.edges if e.verdict != "absent"]
    assert np.array(numbers, dtype=float) == pytest.approx(
        np.array(expected, dtype=float), nan_ok=True, abs=1e-9
    )


def test_a_setting_that_most_rows_do_not_know_is_looked_at_on_its_own_rows() -> None:
    frame = _frame(100)
    frame.loc[frame.index >= 50, "hyperparam_epochs"] = np.nan
    group = _explore(frame)["examples"]
    edge = _edges(group)["hyperparam_epochs", "total_energy_joules"]
    assert edge.n == 50
    assert "50 of 100" in edge.aside
    assert edge.verdict == "validated"
    assert edge.dibs is None
    assert ("epochs", "missing in 50% of the rows") in group.graphs["all"].dropped


def test_a_metric_with_holes_does_not_cost_the_others_their_rows() -> None:
    frame = _frame(100)
    frame["perf_recall"] = np.where(np.arange(100) < 62, frame["perf_test_accuracy"] ** 2, np.nan)
    group = _explore(frame)["examples"]
    edges = _edges(group)
    assert edges["hyperparam_epochs", "total_energy_joules"].n == 100
    assert edges["hyperparam_epochs", "perf_recall"].n == 62


def test_no_edge_runs_into_what_was_set_nor_out_of_an_outcome() -> None:
    for edge in _explore(_frame())["examples"].edges:
        assert not edge.effect.startswith(("hyperparam_", "is_parallel"))
        assert not edge.cause.startswith(("perf_", "duration", "total_energy"))
        assert not edge.cause.endswith(("_joules", "_watts"))


def test_an_identity_between_energies_is_named_and_both_stay() -> None:
    frame = _frame()
    frame["energy_cpu_total_joules"] = frame["total_energy_joules"] - frame["energy_gpu_total_joules"] * (
        1 + 0.2 * np.random.default_rng(3).random(len(frame))
    )
    frame["energy_gpu_total_joules"] = frame["total_energy_joules"] - frame["energy_cpu_total_joules"]
    group = _explore(frame)["examples"]
    assert any("exact sum" in note for note in group.graphs["all"].notes)
    assert {"total_energy_joules", "energy_gpu_total_joules"} <= {e.effect for e in group.edges}


def test_too_few_rows_are_only_described() -> None:
    group = _explore(_frame(16))["examples"]
    assert group.edges == ()
    assert "fewer than 20" in group.reason
    assert group.sentences[0].key == "discovery.none"


def test_two_hundred_rows_are_split_to_test_what_was_found() -> None:
    group = _explore(_frame(240))["examples"]
    assert group.split is not None
    assert group.split.n_found_on == group.split.n_tested_on == 120
    assert 0 < group.split.confirmed <= group.split.found


@pytest.mark.parametrize(
    ("dibs", "exact", "q", "reverse", "assumed", "expected"),
    [
        (0.9, 0.9, 0.01, None, False, "validated"),
        (None, 0.9, 0.01, None, False, "validated"),
        (0.9, 0.9, 0.2, None, False, "not validated"),
        (0.9, 0.1, 0.2, None, False, "not validated"),
        (0.1, 0.9, 0.01, None, False, "not validated"),
        (0.1, 0.1, 0.01, None, False, "absent"),
        (0.6, 0.5, 0.01, 0.45, False, "direction not confirmed"),
        (0.9, 0.95, 0.01, 0.02, False, "validated"),
        (0.0, 0.02, 0.01, 0.95, False, "absent"),
        (0.9, 0.9, 0.01, None, True, "direction not confirmed"),
    ],
)
def test_verdicts(
    dibs: float | None, exact: float, q: float, reverse: float | None, assumed: bool, expected: str
) -> None:
    assert validation.verdict(dibs, exact, q, reverse, assumed=assumed) == expected


def test_a_temperature_is_not_said_to_cause_power() -> None:
    assert validation.assumed("energy_gpu_temp_avg_celsius", "energy_gpu_avg_watts")
    assert not validation.assumed("energy_gpu_temp_avg_celsius", "perf_test_accuracy")
    assert not validation.assumed("energy_gpu_util_avg_percent", "energy_gpu_avg_watts")


def test_an_engine_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"wattwhy\[more\]"):
        _explore(_frame(60), engine="pc")


def test_an_engine_that_refuses_the_data_is_named_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(*_: object) -> np.ndarray:
        raise ValueError("singular")

    monkeypatch.setattr(classic, "require", lambda _: None)
    monkeypatch.setattr(classic, "ges", refuses)
    group = _explore(_frame(60), engine="ges")["examples"]
    run = next(run for run in group.graphs["all"].engines if run.name == "ges")
    assert not run.ran
    assert "singular" in run.reason
    assert all(edge.classic is None for edge in group.edges)
    assert group.found > 0


def test_the_marks_of_causal_learn_are_read_as_edges() -> None:
    ends = np.array([[0, -1, -1], [1, 0, -1], [-1, -1, 0]])  # 0 → 1, 0 - 2, 1 - 2
    allowed = np.ones((3, 3), dtype=bool)
    np.fill_diagonal(allowed, False)
    score = classic._read(ends, allowed)
    assert score[0, 1] == 1.0
    assert score[1, 0] == 0.0
    assert score[0, 2] == score[2, 0] == 0.5
    allowed[2] = False  # nothing comes of 2: the tiers know the direction
    assert classic._read(ends, allowed)[0, 2] == 1.0


def test_the_page_shows_each_group_once() -> None:
    from markupsafe import escape

    found = _explore(_frame())
    drawn = {name: drawing.layout(group.graphs["all"]) for name, group in found.items()}
    page = section.render("groups", found, template="discovery", groups=drawn)
    assert page.count('<section id="discovery"') == 1
    assert page.count("<svg") == 1
    assert 'id="discovery-1-dag-t"' in page
    assert "url(#discovery-1-dag-plus)" in page
    said = found["examples"].sentences[0].text.removeprefix("examples: of ")  # the heading names the group
    assert str(escape(said)) in page


def test_the_figure_of_a_group_draws_supported_edges() -> None:
    layout = drawing.layout(_explore(_frame())["examples"].graphs["all"])
    assert layout is not None
    drawn = {(a.parent, a.child) for a in layout.arrows if a.verdict == "supported"}
    assert ("design_epochs", "total_energy_joules") in drawn
