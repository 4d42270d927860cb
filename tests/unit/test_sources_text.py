"""CSV of any common dialect, and what is said of cells, rows and columns that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal_report.errors import InputError
from causal_report.sources import rows
from causal_report.sources.notes import Notes

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

NAMES = "experiment_id,timestamp,repository,model,training_success,duration_seconds,energy_gpu_total_joules"
RUNS = (
    "r1,2026-01-01T00:00:00,lab,net,True,10.5,100",
    "r2,2026-01-01T01:00:00,lab,net,True,11.5,110",
    "r3,2026-01-01T02:00:00,lab,net,True,12.5,120",
)
PLAIN = "\n".join((NAMES, *RUNS)) + "\n"


def _read(folder: Path, content: str | bytes) -> tuple[pd.DataFrame, Notes]:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    notes = Notes()
    return rows.read(path, notes), notes


def _cell(column: str, value: str, row: int = 1) -> str:
    """The plain table with one cell changed."""
    lines = [line.split(",") for line in PLAIN.splitlines()]
    lines[row + 1][NAMES.split(",").index(column)] = value
    return "\n".join(",".join(line) for line in lines) + "\n"


def _without(column: str) -> str:
    at = NAMES.split(",").index(column)
    lines = [line.split(",") for line in PLAIN.splitlines()]
    return "\n".join(",".join(line[:at] + line[at + 1 :]) for line in lines) + "\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PLAIN, ""),
        (b"\xef\xbb\xbf" + PLAIN.encode(), ""),
        (b"\xff\xfe" + PLAIN.encode("utf-16-le"), "read as UTF-16"),
        (PLAIN.replace("\n", "\r\n"), ""),
        (PLAIN.replace("\n", "\r"), ""),
        (PLAIN.rstrip("\n"), ""),
        ("\n\n" + PLAIN, ""),
        (PLAIN.replace("\nr2", "\n\nr2"), ""),
        (PLAIN.replace(",", "\t"), "separated by tabs"),
        (PLAIN.replace(",", ";"), "separated by semicolons"),
        (PLAIN.replace(",", ";").replace(".", ","), "numbers have a decimal comma"),
        (PLAIN.replace("r1,", '"r1",').replace("10.5", '"10.5"').replace("11.5", " 11.5 "), ""),
        (PLAIN.replace("experiment_id,", " experiment_id ,"), ""),
    ],
)
def test_dialects_give_one_table(tmp_path: Path, content: str | bytes, said: str) -> None:
    frame, notes = _read(tmp_path, content)
    assert list(frame["experiment_id"]) == ["r1", "r2", "r3"]
    assert list(frame["duration_seconds"]) == [10.5, 11.5, 12.5]
    assert list(frame["energy_gpu_total_joules"]) == [100, 110, 120]
    assert frame["training_success"].all()
    assert said in " ".join(notes.sentences)
    assert bool(notes.sentences) == bool(said)
    assert not notes.unread


@pytest.mark.parametrize("value", ["n/a", "ERROR", '"1,234"', "12 s", "0x1F", "-", "True"])
def test_text_in_a_number_becomes_missing_and_is_named(tmp_path: Path, value: str) -> None:
    line = PLAIN.replace(",11.5,", f",{value},")
    frame, notes = _read(tmp_path, line)
    assert list(frame["duration_seconds"].isna()) == [False, True, False]
    (note,) = notes.unread
    bare = value.strip('"')
    for part in ("table.csv", "duration_seconds", "row 3", "r2", repr(bare), "such as 1234.5"):
        assert part in note


@pytest.mark.parametrize("value", ["", "nan", "NaN", "NA", "null", "None"])
def test_what_programs_write_for_missing_is_missing(tmp_path: Path, value: str) -> None:
    frame, notes = _read(tmp_path, _cell("energy_gpu_total_joules", value))
    assert list(frame["energy_gpu_total_joules"].isna()) == [False, True, False]
    assert not notes.sentences


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("energy_gpu_total_joules", "inf", "infinite"),
        ("energy_gpu_total_joules", "-inf", "infinite"),
        ("energy_gpu_total_joules", "1e999", "infinite"),
        ("energy_gpu_total_joules", "-3", "below zero"),
        ("duration_seconds", "-0.5", "below zero"),
    ],
)
def test_values_that_cannot_be_become_missing(tmp_path: Path, column: str, value: str, what: str) -> None:
    frame, notes = _read(tmp_path, _cell(column, value))
    assert list(frame[column].isna()) == [False, True, False]
    assert what in notes.unread[0]
    assert "row 3 (r2)" in notes.unread[0]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("perf_reward", [-1.0, 0.0, 1.0]),
        ("energy_net_joules", [-1.0, 0.0, 1.0]),
        ("energy_cpu_lo_joules", [-1.0, 0.0, 1.0]),
        ("energy_gpu_temp_avg_celsius", [-5.0, 20.0, 90.0]),
        ("energy_gpu_util_avg_percent", [0.0, 50.0, 100.0]),
        ("hyperparam_momentum", [-1.0, 0.0, 1e9]),
    ],
)
def test_values_that_may_be_stay(tmp_path: Path, column: str, values: list[float]) -> None:
    head, *lines = PLAIN.splitlines()
    content = [f"{head},{column}", *(f"{line},{v}" for line, v in zip(lines, values, strict=True))]
    frame, notes = _read(tmp_path, "\n".join(content))
    assert list(frame[column]) == values
    assert not notes.sentences


def test_a_temperature_and_a_share_have_bounds(tmp_path: Path) -> None:
    head, *lines = PLAIN.splitlines()
    names = "energy_gpu_temp_max_celsius,energy_gpu_util_max_percent"
    frame, notes = _read(tmp_path, "\n".join([f"{head},{names}", *(f"{line},900,140" for line in lines)]))
    assert frame[names.split(",")].isna().all(axis=None)
    assert len(notes.unread) == 2


@pytest.mark.parametrize("column", ["experiment_id", "repository", "model"])
def test_rows_without_a_name_cannot_be_used(tmp_path: Path, column: str) -> None:
    with pytest.raises(InputError, match=rf"columns missing: {column}.*docs/tables\.md"):
        _read(tmp_path, _without(column))
    frame, notes = _read(tmp_path, _cell(column, ""))
    assert len(frame) == 2
    assert f"{column} is empty in row 3" in notes.unread[0]


@pytest.mark.parametrize("column", ["timestamp", "duration_seconds", "training_success"])
def test_rows_without_the_rest_are_kept_and_it_is_said(tmp_path: Path, column: str) -> None:
    frame, notes = _read(tmp_path, _without(column))
    assert len(frame) == 3
    assert column in frame
    assert f"no column {column}" in notes.unread[0]


def test_a_column_under_another_name_is_guessed_for_the_message_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is it Model_Name"):
        _read(tmp_path, PLAIN.replace(",model,", ",Model_Name,"))
    frame, notes = _read(tmp_path, PLAIN.replace("duration_seconds", "duration_s"))
    assert "Is it duration_s?" in notes.unread[0]
    assert frame["duration_seconds"].isna().all()


def test_success_must_be_true_or_false(tmp_path: Path) -> None:
    frame, notes = _read(tmp_path, _cell("training_success", "maybe"))
    assert list(frame["training_success"]) == [True, False, True]
    assert "'maybe'; taken as False" in notes.unread[0]
    frame, notes = _read(tmp_path, _cell("training_success", "0"))
    assert list(frame["training_success"]) == [True, False, True]
    assert not notes.unread


def test_a_row_of_another_length_is_left_out_and_numbered(tmp_path: Path) -> None:
    frame, notes = _read(tmp_path, PLAIN.replace("\nr2", "\ntorn,row\nr2") + "r4,2026,lab\n")
    assert list(frame["experiment_id"]) == ["r1", "r2", "r3"]
    assert "row 3 (2 cells), row 6 (3 cells)" in notes.unread[0]


def test_rows_after_one_that_was_left_out_keep_their_numbers(tmp_path: Path) -> None:
    _, notes = _read(tmp_path, PLAIN.replace("\nr2", "\ntorn,row\nr2").replace("12.5", "slow"))
    assert "row 5 (r3): 'slow'" in notes.unread[1]


def test_many_bad_cells_are_counted_not_listed(tmp_path: Path) -> None:
    lines = [f"r{i},2026-01-01T00:00:{i:02d},lab,net,True,ERROR,{i}" for i in range(50)]
    _, notes = _read(tmp_path, "\n".join([NAMES, *lines]))
    assert "and 47 more" in notes.unread[0]
    assert len(notes.unread[0]) < 300


def test_zero_bytes_that_a_crash_left_are_left_out(tmp_path: Path) -> None:
    frame, notes = _read(tmp_path, (PLAIN + RUNS[0].replace("r1", "r4")).encode() + b"\n" + b"\0" * 512)
    assert list(frame["experiment_id"]) == ["r1", "r2", "r3", "r4"]
    assert "zero bytes from line 6 on" in notes.unread[0]


def test_letters_of_another_encoding_leave_numbers_as_they_are(tmp_path: Path) -> None:
    frame, notes = _read(tmp_path, PLAIN.replace("r2", "caf\xe9").encode("latin-1"))
    assert list(frame["duration_seconds"]) == [10.5, 11.5, 12.5]
    assert "not in UTF-8 from line 3 on (byte 0xe9)" in notes.unread[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text"),
        (b"PK\x03\x04rest", "a zip or Excel file"),
        (b"\x1f\x8brest", "a gzip file"),
        (bytes(range(1, 256)) * 20, "columns missing"),
        (f"{NAMES},model\n".encode(), "two columns are called model"),
    ],
)
def test_what_is_no_table_says_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        _read(tmp_path, content)


def test_a_column_of_an_unknown_unit_is_left_out(tmp_path: Path) -> None:
    frame, notes = _read(tmp_path, PLAIN.replace("energy_gpu_total_joules", "energy_gpu_total_kwh"))
    assert "energy_gpu_total_kwh" not in frame
    assert "unknown unit in energy_gpu_total_kwh" in notes.unread[0]
    assert "3,600,000 J" in notes.unread[0]


@pytest.mark.parametrize(("factor", "said"), [(1.0, False), (0.4, False), (1e-3, True), (1 / 3.6e6, True)])
def test_joules_that_are_not_watts_times_seconds_are_another_unit(
    tmp_path: Path, factor: float, said: bool
) -> None:
    head, *lines = PLAIN.splitlines()
    watts = 100.0 / 10.5 / factor
    _, notes = _read(tmp_path, "\n".join([f"{head},energy_gpu_avg_watts", *(f"{r},{watts}" for r in lines)]))
    assert ("not in the unit its name says" in " ".join(notes.unread)) == said


def test_two_hundred_columns_are_one_piece(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    more = [f"hyperparam_h{i}" for i in range(200)]
    wide = [lines[0] + "," + ",".join(more), *(line + ",0.5" * 200 for line in lines[1:])]
    frame, _ = _read(tmp_path, "\n".join(wide) + "\n")
    frame["one_more"] = (
        1.0  # pandas warns, and a warning is an error here, where a frame is in too many pieces
    )
    assert len(frame.columns) > 200


def test_a_row_that_stands_twice_counts_once(tmp_path: Path) -> None:
    frame, notes = _read(tmp_path, PLAIN + RUNS[1] + "\n")
    assert len(frame) == 3
    assert "the same row stands twice: row 5 (r2)" in notes.sentences[0]
    assert not notes.unread


def test_two_different_rows_of_one_key_are_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not the same values: row 3 \(r2\), row 5 \(r2\)"):
        _read(tmp_path, PLAIN + RUNS[1].replace("11.5", "99") + "\n")


def test_the_roles_of_a_pair_are_part_of_the_key(tmp_path: Path) -> None:
    lines = [f"{NAMES},role", f"{RUNS[0]},a", f"{RUNS[0]},b", f"{RUNS[1]},"]
    frame, _ = _read(tmp_path, "\n".join(lines))
    assert list(frame["role"]) == ["a", "b", "a"]


def test_a_moment_that_is_none_is_named_and_stays_part_of_the_key(tmp_path: Path) -> None:
    frame, notes = _read(tmp_path, _cell("timestamp", "yesterday"))
    assert "timestamp is no moment in row 3 (r2): 'yesterday'" in notes.unread[0]
    assert frame["timestamp"].iloc[1] == "yesterday"


def test_numbers_and_words_of_unknown_columns_are_told_apart(tmp_path: Path) -> None:
    head, *lines = PLAIN.splitlines()
    extra = ("1,a,", "2,,", "3,c,")
    content = [f"{head},one,two,three", *(f"{r},{e}" for r, e in zip(lines, extra, strict=True))]
    frame, notes = _read(tmp_path, "\n".join(content))
    assert list(frame["one"]) == [1.0, 2.0, 3.0]
    assert list(frame["two"].isna()) == [False, True, False]
    assert frame["three"].dtype == np.float64
    assert not notes.sentences
