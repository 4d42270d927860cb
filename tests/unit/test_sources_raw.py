"""The raw form of the published table: fg_* copies merged, contradictions named, modes settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from causal_report import table
from causal_report.sources import load, published
from tests.report import tables

if TYPE_CHECKING:
    from pathlib import Path

    from causal_report.sources.source import Source

COPIED = ("repository", "model", "duration_seconds", "retries", "training_success", "error_message")
NEWER = ("perf_test_accuracy",)
"""A column that the older form of the raw table does not have."""


def merged(n: int = 48, seed: int = 3) -> pd.DataFrame:
    """Rows in the published form, every second one beside a background load."""
    frame = tables.rows(n, seed=seed)
    gone = [c for c in map(str, frame) if c.startswith(("total_energy_", "estimate_", "cpu_"))]
    gone += ["role", "session", "mode", "block", "data_source", "device"]
    frame = frame.drop(columns=gone)
    beside = np.arange(n) % 2 == 1
    frame["experiment_id"] = frame["experiment_id"] + np.where(beside, "_parallel", "")
    frame["is_parallel"] = beside
    frame["retries"] = 0.0
    frame["energy_cpu_total_joules"] = frame["energy_gpu_total_joules"] * 0.25
    for name, word in (("mode", "parallel"), ("bg_repository", "examples"), ("bg_model", "siamese")):
        frame[name] = np.where(beside, word, "")
    return frame


def raw(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows as they were before the study joined them.

    A third of the background runs has its values in the copies only, a third in both, a third in the
    plain columns only; nobody had written is_parallel yet.
    """
    found = frame.drop(columns="is_parallel").copy()
    beside = np.flatnonzero(frame["is_parallel"].to_numpy())
    values = [c for c in map(str, found) if c in COPIED or c.startswith(("hyperparam_", "perf_", "energy_"))]
    for name in values:
        copy = found[name].astype(object)
        copy[np.setdiff1d(np.arange(len(found)), beside)] = None
        copy.iloc[beside[2::3]] = None
        found[f"fg_{name}"] = copy
        if name not in ("repository", "model"):
            plain = found[name].astype(object)
            plain.iloc[beside[0::3]] = None
            found[name] = plain
    return found


def written(folder: Path, frame: pd.DataFrame, name: str = "table.csv") -> Path:
    path = folder / name
    frame.to_csv(path, index=False)
    return path


def read(path: Path) -> Source:
    (source,) = load([path])
    return source


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert set(one) == set(other)
    pd.testing.assert_frame_equal(one, other[list(one)], check_dtype=False)


def test_the_raw_form_gives_the_table_of_the_merged_form(tmp_path: Path) -> None:
    frame = merged()
    plain = read(written(tmp_path, frame, "t.csv"))
    joined = read(written(tmp_path, raw(frame), "r.csv"))
    same(plain.frame.drop(columns="session"), joined.frame.drop(columns="session"))
    assert joined.unread == ()
    assert "in 8 rows values stand in fg_* columns only" in " ".join(joined.notes)
    assert [c.name for c in table.build([plain]).columns] == [c.name for c in table.build([joined]).columns]


def test_the_older_raw_form_lacks_columns_and_loses_nothing_else(tmp_path: Path) -> None:
    frame = merged()
    older = raw(frame).drop(columns=[*NEWER, *(f"fg_{name}" for name in NEWER)])
    joined = read(written(tmp_path, older, "older.csv")).frame
    plain = read(written(tmp_path, frame.drop(columns=[*NEWER]), "plain.csv")).frame
    same(plain.drop(columns="session"), joined.drop(columns="session"))


def test_two_values_of_one_cell_are_named_and_neither_is_taken(tmp_path: Path) -> None:
    found = raw(merged())
    row = int(np.flatnonzero(found["fg_duration_seconds"].notna() & found["duration_seconds"].notna())[0])
    found.loc[row, "fg_duration_seconds"] = 1.5
    source = read(written(tmp_path, found))
    (note,) = source.unread
    run = found["experiment_id"].iloc[row]
    assert f"duration_seconds and fg_duration_seconds differ in row {row + 2} ({run})" in note
    assert "against 1.5" in note
    assert list(np.flatnonzero(source.frame["duration_seconds"].isna())) == [row]


def test_a_number_printed_twice_differently_is_one_number(tmp_path: Path) -> None:
    found = raw(merged())
    both = found["fg_duration_seconds"].notna() & found["duration_seconds"].notna()
    found.loc[both, "fg_duration_seconds"] *= 1 + 1e-12
    assert read(written(tmp_path, found)).unread == ()


def test_of_two_models_the_foreground_is_what_was_trained(tmp_path: Path) -> None:
    found = raw(merged())
    row = int(np.flatnonzero(found["fg_model"].notna())[0])
    trained = str(found["fg_model"].iloc[row])
    found["model"] = found["model"].astype(object)
    found.loc[row, "model"] = "outer"
    source = read(written(tmp_path, found))
    assert source.frame["model"].iloc[row] == trained
    assert "model and fg_model differ" in source.unread[0]
    assert "'outer against" in source.unread[0]


def modes(path: Path) -> list[str]:
    return list(read(path).frame["mode"])


def test_parallel_of_the_published_form_is_a_background_load(tmp_path: Path) -> None:
    frame = merged()
    path = written(tmp_path, frame)
    source = read(path)
    assert list(source.frame["mode"] == "background") == list(frame["is_parallel"])
    assert source.frame["is_parallel"].dtype == bool
    assert source.unread == ()


@pytest.mark.parametrize("gone", ["mode", "is_parallel"])
def test_either_column_tells_the_mode(tmp_path: Path, gone: str) -> None:
    frame = merged()
    source = read(written(tmp_path, frame.drop(columns=gone)))
    assert list(source.frame["is_parallel"]) == list(frame["is_parallel"])
    assert source.unread == ()
    assert ("no column is_parallel; taken from mode" in " ".join(source.notes)) == (gone == "is_parallel")


def test_without_both_the_background_program_tells_and_it_is_said(tmp_path: Path) -> None:
    frame = merged()
    source = read(written(tmp_path, frame.drop(columns=["mode", "is_parallel"])))
    assert list(source.frame["is_parallel"]) == list(frame["is_parallel"])
    assert "neither mode nor is_parallel is recorded" in " ".join(source.notes)


def test_a_mode_that_contradicts_itself_is_named_and_settled_by_the_rest(tmp_path: Path) -> None:
    frame = merged()
    frame.loc[1, "is_parallel"] = False  # its mode, its id and its background program say otherwise
    frame.loc[2, "is_parallel"] = True  # nothing else says so
    source = read(written(tmp_path, frame))
    (note,) = source.unread
    assert "row 3 (" in note
    assert "row 4 (" in note
    assert list(source.frame.loc[[1, 2], "mode"]) == ["background", "alone"]


def test_an_unknown_mode_is_named_with_those_there_are(tmp_path: Path) -> None:
    frame = merged()
    frame.loc[0, "mode"] = "turbo"
    (note,) = read(written(tmp_path, frame)).unread
    assert "mode is not known in row 2" in note
    assert "'turbo'" in note
    assert "concurrent" in note


def test_a_summary_outside_its_folder_keeps_sessions_and_pairs(tmp_path: Path) -> None:
    frame = pd.read_csv(tables.GOLDEN / "summary.csv")
    frame.loc[:1, "mode"] = "pair"
    source = read(written(tmp_path, frame, "summary.csv"))
    assert source.kind == "summary"
    assert source.unread == ()
    assert set(source.frame["session"]) == {"run_20261121_190000"}
    assert list(source.frame["mode"][:3]) == ["pair", "pair", "alone"]
    (golden,) = load([tables.GOLDEN])
    assert list(source.frame["total_energy_status"]) == list(golden.frame["total_energy_status"])


def test_a_summary_in_its_folder_is_the_session(tmp_path: Path) -> None:
    session = tables.golden(tmp_path)
    source = read(session / "summary.csv")
    assert source.kind == "session"
    assert source.readings


def test_a_sum_of_samples_is_named_only_where_the_numbers_show_it(tmp_path: Path) -> None:
    frame = merged()
    assert set(read(written(tmp_path, frame)).frame["total_energy_reason"]) == {published.NOT_SAID}
    samples = np.round(frame["duration_seconds"])
    summed = frame.assign(energy_gpu_total_joules=frame["energy_gpu_avg_watts"] * samples)
    assert set(read(written(tmp_path, summed)).frame["total_energy_reason"]) == {published.SUMMED}


def test_a_table_is_not_said_to_lack_settings_that_it_has(tmp_path: Path) -> None:
    frame = merged()
    assert "unknown" not in read(written(tmp_path, frame)).notes[0]
    frame.loc[3, "hyperparam_epochs"] = np.nan
    assert "not every hyperparameter was: there it is unknown" in read(written(tmp_path, frame)).notes[0]
