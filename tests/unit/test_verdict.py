"""The verdict's words and the flags on rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal_report import quality, table
from causal_report.analysis import analyse
from causal_report.options import Options
from causal_report.text import Text
from tests.report import tables

if TYPE_CHECKING:
    import pandas as pd

    from causal_report.findings import Findings, Flag


def _findings(frame: pd.DataFrame, *, keep_flagged: bool = False) -> Findings:
    options = Options(engine="exact", keep_flagged=keep_flagged)
    return analyse([tables.source(frame)], Text("en"), options)


def _flags(frame: pd.DataFrame, *, keep_flagged: bool = False, cpus: int = 8) -> list[Flag]:
    sources = [tables.source(frame, host={"cpus": cpus})]
    return list(quality.check(table.build(sources), sources, keep_flagged=keep_flagged))


def _keys(findings: Findings) -> list[str]:
    return [sentence.key for sentence in findings.verdict.sentences]


def test_the_first_sentence_says_what_the_joules_are() -> None:
    frame = tables.rows(40)
    assert _keys(_findings(frame))[0] == "measured"
    gone = frame.assign(total_energy_joules=np.nan, total_energy_status="unavailable")
    assert _keys(_findings(gone))[0] == "estimated"
    assert _keys(_findings(gone.drop(columns="estimate_codecarbon_joules")))[0] == "unavailable"
    assert _keys(_findings(frame.iloc[:0]))[0] == "nothing"
    assert _keys(_findings(frame.assign(training_success=False)))[0] == "none_usable"


def test_an_estimate_is_never_called_measured() -> None:
    frame = tables.rows(40).assign(total_energy_joules=np.nan, total_energy_status="unavailable")
    said = " ".join(sentence.text for sentence in _findings(frame).verdict.sentences)
    assert "no direct meter measured these runs" in said
    assert "energy estimated by codecarbon" in said


def test_a_null_effect_is_said_with_the_bound_that_the_runs_give() -> None:
    said = {s.key: s.text for s in _findings(tables.rows(60)).verdict.sentences}
    assert "batch size" in said["small"]
    assert "±" in said["small"]
    assert "unclear" not in said


def test_absence_of_evidence_is_not_called_no_effect() -> None:
    said = {s.key: s.text for s in _findings(tables.rows(24, noise=0.5)).verdict.sentences}
    assert "neither shown nor ruled out" in said["unclear"]


def test_models_whose_slopes_do_not_overlap_are_named() -> None:
    frame = tables.rows(60)
    steep = frame["model"] == "mnist_rnn"
    for name in ("total_energy_joules", "energy_gpu_total_joules", "duration_seconds"):
        frame.loc[steep, name] *= frame.loc[steep, "hyperparam_epochs"]
    (said,) = [s.text for s in _findings(frame).verdict.sentences if s.key == "apart"]
    assert "examples/mnist_rnn" in said


def test_an_effect_that_one_model_shows_is_said_of_that_model_only() -> None:
    frame = tables.rows(60)
    frame.loc[frame["model"] == "mnist_rnn", ["hyperparam_epochs", "hyperparam_dropout"]] = 1.0
    findings = _findings(frame)
    effects = [s.text for s in findings.verdict.sentences if s.key == "doubling_up"]
    assert "raises energy (examples/mnist)" in effects[0]
    rest = " ".join(s.text for s in findings.verdict.sentences if s.key in ("small", "unclear"))
    assert "dropout (examples/mnist)" in rest
    only = _findings(frame[frame["model"] == "mnist"].reset_index(drop=True))
    assert not any("(examples/mnist)" in s.text for s in only.verdict.sentences)


def test_stand_in_data_are_warned_of() -> None:
    findings = _findings(tables.rows(40).assign(data_source="synthetic-64"))
    assert "stand_in" in [w.key for w in findings.verdict.warnings]


def test_a_failed_run_is_listed_and_enters_nothing_even_with_keep_flagged() -> None:
    frame = tables.rows(40)
    frame.loc[3, "training_success"] = False
    frame.loc[3, "error_message"] = "exit-code: 1"
    findings = _findings(frame, keep_flagged=True)
    (flag,) = findings.quality.flagged
    (check,) = flag.checks
    assert (check.name, check.evidence, flag.excluded) == ("failed", "exit-code: 1", True)
    assert findings.data.used == 39


def test_a_success_without_a_metric_is_flagged() -> None:
    frame = tables.rows(40)
    frame.loc[5, "perf_test_accuracy"] = np.nan
    assert [(f.code, f.experiment_id) for f in _flags(frame)] == [("no-metric", "examples_mnist_rnn_006")]


def test_energy_that_is_not_power_times_time_is_flagged_with_both_numbers() -> None:
    frame = tables.rows(40)
    frame["energy_gpu_total_joules"] *= np.where(frame.index == 1, 0.4, 1.0)
    (flag,) = _flags(frame)
    assert flag.code == "energy-mismatch"
    assert "−60%" in flag.evidence.replace("-", "−")


def test_a_short_run_has_too_few_power_samples_to_be_held_against_it() -> None:
    frame = tables.rows(40)
    frame["duration_seconds"] = frame["duration_seconds"] / 1000
    frame["energy_gpu_total_joules"] = frame["energy_gpu_total_joules"] / 2000
    assert _flags(frame) == []


def test_load_before_a_run_is_flagged_against_the_session_not_its_own_tail() -> None:
    frame = tables.rows(40)
    frame.loc[7, "cpu_load_before"] = 6.0
    assert [f.code for f in _flags(frame)] == ["load-before"]
    assert _flags(frame.assign(cpu_load_before=6.0)) == []


def test_load_that_the_sessions_own_trainings_leave_behind_is_no_flag() -> None:
    frame = tables.rows(40)
    own = frame.assign(cpu_load_before=[1.0 if row % 5 else 1.2 for row in range(40)])
    assert _flags(own, cpus=2) == []
    own.loc[7, "cpu_load_before"] = 1.9
    assert [f.code for f in _flags(own, cpus=2)] == ["load-before"]


def test_runs_that_went_on_beside_another_measured_run_are_flagged() -> None:
    frame = tables.rows(40).assign(shared_with="")
    assert _flags(frame) == []
    frame.loc[7, "shared_with"] = "code-train-alone-default-r1 (pid 7)"
    (flag,) = _flags(frame)
    assert (flag.code, flag.excluded) == ("shared", True)
    assert "code-train-alone" in flag.evidence


@pytest.mark.parametrize("keep", [False, True])
def test_flagged_rows_are_left_out_unless_asked_for(keep: bool) -> None:
    frame = tables.rows(40)
    frame.loc[7, "cpu_load_before"] = 6.0
    findings = _findings(frame, keep_flagged=keep)
    assert findings.data.used == (40 if keep else 39)
    assert ("flagged_kept" if keep else "flagged") in [w.key for w in findings.verdict.warnings]


def test_rows_of_pairs_stay_out_of_effects_on_energy() -> None:
    frame = tables.rows(40)
    frame.loc[:9, "mode"] = "pair"
    findings = _findings(frame)
    assert findings.data.used == 30
    assert {e.n for e in findings.effects if e.scope == "all models"} == {30}
    assert any("pairs" in note for note in findings.data.notes)


def test_a_text_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        Text("en")("verdict.nonsense")
    with pytest.raises(KeyError):
        Text("en")("verdict.measured", n=1)
