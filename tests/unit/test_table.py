"""The typed table: roles, parts, keys and what a reader refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal_report import table
from causal_report.errors import InputError
from causal_report.sources import load, rows
from causal_report.sources.notes import Notes
from tests.report import tables

if TYPE_CHECKING:
    from pathlib import Path


def _catalogue(**roles: str) -> dict[str, object]:
    hyperparameters = {name: {"role": role} for name, role in roles.items()}
    return {
        "examples": {
            "metrics": {},
            "models": {m: {"hyperparameters": hyperparameters} for m in tables.MODELS},
        }
    }


def test_each_column_gets_its_part() -> None:
    built = table.build([tables.source(tables.rows(12))])
    parts = {column.name: column.part for column in built.columns}
    assert parts["design_epochs"] == "design"
    assert parts["energy_gpu_util_avg_percent"] == "mediator"
    assert parts["duration_seconds"] == "mediator"
    assert parts["perf_test_accuracy"] == "performance"
    assert "total_energy_joules" not in parts  # the response is chosen later, by its status


def test_hyperparameters_of_one_role_meet_in_one_column() -> None:
    frame = tables.rows(12).rename(columns={"hyperparam_epochs": "hyperparam_max_iter"})
    built = table.build([tables.source(frame, catalogue=_catalogue(max_iter="epochs"))])
    assert (built.frame["design_epochs"] == frame["hyperparam_max_iter"]).all()
    assert "design_max_iter" not in built.frame


def test_a_dose_below_zero_stays_on_its_plain_scale() -> None:
    frame = tables.rows(12)
    frame.loc[0, "hyperparam_learning_rate"] = -1.0
    logged = {column.name: column.log for column in table.build([tables.source(frame)]).columns}
    assert logged["design_epochs"]
    assert not logged["design_learning_rate"]


def test_the_order_of_the_rows_in_the_file_does_not_matter() -> None:
    frame = tables.rows(20)
    mixed = frame.sample(frac=1, random_state=1)
    one, two = (table.build([tables.source(rows)]).frame for rows in (frame, mixed))
    assert list(one["experiment_id"]) == list(two["experiment_id"])
    assert list(one.index) == list(range(len(frame)))


def test_background_is_a_factor_only_where_modes_differ() -> None:
    frame = tables.rows(12)
    assert "design_background" not in [c.name for c in table.build([tables.source(frame)]).columns]
    frame.loc[::2, "mode"] = "background"
    assert "design_background" in [c.name for c in table.build([tables.source(frame)]).columns]


def test_log_of_a_value_that_is_not_positive_is_missing() -> None:
    frame = tables.rows(4)
    frame.loc[0, "duration_seconds"] = 0.0
    column = table.Column(name="duration_seconds", label="duration", part="mediator", log=True)
    assert np.isnan(table.values(frame, column).iloc[0])
    assert table.values(frame, column).iloc[1] == pytest.approx(np.log(frame["duration_seconds"].iloc[1]))


def _csv(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


HEAD = "experiment_id,timestamp,repository,model,training_success,duration_seconds"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "columns missing"),
        (f"{HEAD}\nx,t,r,m,True,1.0\nx,t,r,m,True,2.0\n", "two rows have the same"),
        ("", "the file is empty"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rows.read(_csv(tmp_path, text), Notes())


def test_a_folder_that_is_no_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no journal\.jsonl"):
        load([tmp_path])


def test_the_same_session_twice_is_refused() -> None:
    with pytest.raises(InputError, match="given twice"):
        load([tables.GOLDEN, tables.GOLDEN])


def test_the_golden_session_is_read_whole() -> None:
    (source,) = load([tables.GOLDEN])
    assert source.complete
    assert (source.planned, source.done, len(source.frame)) == (24, 24, 24)
    assert {r["meter"] for r in source.readings} == {"perf", "nvml", "codecarbon", "calculator"}


def test_a_torn_last_line_of_the_journal_is_passed_over(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    journal = session / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"event":"attempt-be')
    (source,) = load([session])
    assert source.done == 24


def test_damage_within_the_journal_is_said(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    first, *lines = (session / "journal.jsonl").read_text().splitlines(keepends=True)
    torn = '{"event":"attempt-end","t_u'  # an event was written behind the tear
    (session / "journal.jsonl").write_text("".join([first, "{broken\n", torn + lines[0], *lines[1:]]))
    (source,) = load([session])
    assert source.done == 24
    assert source.notes == ("journal.jsonl is damaged in line 2, 3: what it held is missing",)


def test_lines_of_the_journal_that_are_no_events_are_damage(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    journal = session / "journal.jsonl"
    odd = '5\n{"event":"attempt-end"}\n{"event":"idle"}\n{"event":"session-begin"}\n'
    journal.write_text(odd + journal.read_text())
    (session / "session.json").unlink()
    (source,) = load([session])
    assert source.done == 24
    assert source.facts["planned"] == 24
    assert source.notes == ("journal.jsonl is damaged in line 1: what it held is missing",)


def test_a_newer_session_is_read_as_far_as_it_goes_and_said(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    facts = json.loads((session / "session.json").read_text())
    newer = {**facts, "schema_version": 9, "host": None, "catalogue": []}
    (session / "session.json").write_text(json.dumps(newer))
    (source,) = load([session])
    version, shape = source.unread
    assert "session.json: schema_version 9, but this version of wattwhy reads 1" in version
    assert shape.endswith("session.json: host, catalogue cannot be read and is left out")
    assert "host" not in source.facts
    assert len(table.build([source]).frame) == 24


@pytest.mark.parametrize("content", ["[]", '{"a":', "5"])
def test_a_session_file_that_is_no_object_is_damaged(tmp_path: Path, content: str) -> None:
    session = tables.golden(tmp_path)
    (session / "session.json").write_text(content)
    with pytest.raises(InputError, match=r"session\.json: damaged"):
        load([session])


@pytest.mark.parametrize("content", ["[5]", "{}", '[{"meter": "perf"}]'])
def test_readings_of_another_shape_are_missing(tmp_path: Path, content: str) -> None:
    session = tables.golden(tmp_path)
    (session / "examples_mnist_001" / "energy" / "readings.json").write_text(content)
    (source,) = load([session])
    assert source.notes == ("readings.json is missing or damaged for 1 run: examples_mnist_001",)
    assert "examples_mnist_001" not in {r["experiment_id"] for r in source.readings}


def test_a_resumed_session_is_complete_once_its_last_part_is(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    journal = session / "journal.jsonl"
    begun = json.loads(journal.read_text().splitlines()[0])
    resumed = {**begun, "event": "session-resume"}
    journal.write_text(journal.read_text() + json.dumps(resumed) + "\n")
    assert not load([session])[0].complete
    end = {"event": "session-end", "t_utc": "", "complete": True, "exit_code": 0}
    journal.write_text(journal.read_text() + json.dumps(end) + "\n")
    assert load([session])[0].complete


def test_a_session_that_stopped_early_is_not_complete(tmp_path: Path) -> None:
    (source,) = load([tables.cut_short(tables.golden(tmp_path), 10)])
    assert not source.complete
    assert (source.done, source.planned) == (10, 24)


def test_a_published_table_totals_cpu_and_gpu_and_calls_them_partial(tmp_path: Path) -> None:
    frame = tables.rows(6).drop(columns=["total_energy_joules", "total_energy_status", "total_energy_reason"])
    frame["energy_cpu_total_joules"] = 10.0
    path = tmp_path / "published.csv"
    frame.drop(columns=["role", "session"]).to_csv(path, index=False)
    (source,) = load([path])
    expected = frame["energy_gpu_total_joules"] + 10.0
    assert source.frame["total_energy_joules"].to_numpy() == pytest.approx(expected.to_numpy())
    assert set(source.frame["total_energy_status"]) == {"partial"}


def test_blocks_may_be_numbers_or_words() -> None:
    for given, expected in (("A", "run_made:A"), (2, "run_made:2"), (2.0, "run_made:2")):
        frame = tables.rows(4).drop(columns="block")
        built = table.build([tables.source(frame.assign(block=given))])
        assert set(built.frame["block_id"]) == {expected}


def test_columns_that_nobody_knows_change_nothing(tmp_path: Path) -> None:
    frame = tables.rows(6).drop(columns=["role"])
    extra = frame.assign(
        estimate_codecarbon_status="partial", estimate_calculator_status="", anything="words", power_note=""
    )
    paths = [tmp_path / "plain.csv", tmp_path / "extra.csv"]
    for path, content in zip(paths, (frame, extra), strict=True):
        content.to_csv(path, index=False)
    plain, more = (table.build([*load([path])]) for path in paths)
    assert plain.columns == more.columns


def test_a_sample_is_the_same_rows_whatever_their_order() -> None:
    built = table.build([tables.source(tables.rows(50))])
    drawn = table.sample(built, 20, 3)
    backwards = table.Table(frame=built.frame.iloc[::-1], columns=built.columns)
    assert len(drawn.frame) == 20
    assert set(table.sample(backwards, 20, 3).frame["experiment_id"]) == set(drawn.frame["experiment_id"])
    assert drawn.frame["timestamp"].is_monotonic_increasing
    assert table.sample(built, 50, 3) is built
