"""Bad input, the whole way: a message that names place and mend, an exit code, the rest answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from causal_report.__main__ import BAD_INPUT, NO_RUN, PARTLY_READ, main
from tests.report import tables

if TYPE_CHECKING:
    from collections.abc import Callable

    Bend = Callable[[pd.DataFrame], pd.DataFrame]

ROWS = 40


def _published(n: int = ROWS) -> pd.DataFrame:
    """A bare table of CPU and GPU joules in the published form."""
    frame = tables.rows(n)
    ours = ("total_energy_", "estimate_", "cpu_", "role", "session", "block", "data_source", "device")
    frame = frame.drop(columns=[c for c in map(str, frame) if c.startswith(ours)])
    frame["energy_cpu_total_joules"] = frame["energy_gpu_total_joules"] * 0.25
    frame["mode"] = ""
    return frame


def _without(*starts: str) -> Bend:
    return lambda f: f.drop(columns=[c for c in map(str, f) if c.startswith(starts)])


def _with(row: int, column: str, value: object) -> Bend:
    def bend(frame: pd.DataFrame) -> pd.DataFrame:
        cells: list[object] = list(frame[column])
        cells[row] = value
        return frame.assign(**{column: pd.Series(cells, dtype=object)})

    return bend


def _run(folder: Path, content: pd.DataFrame | bytes, *options: str) -> tuple[int, dict[str, Any]]:
    path = folder / "table.csv"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.to_csv(path, index=False)
    code = main([str(path), "--engine", "exact", "--out", str(folder / "out"), *options])
    written = folder / "out" / "report.json"
    return code, json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}


def _effects(report: dict[str, Any], outcome: str, factor: str = "design_epochs") -> list[float]:
    found = [e for e in report["effects"] if (e["outcome"], e["factor"]) == (outcome, factor)]
    return [e["estimate"] for e in found if e["scope"] == "all models"]


NAN, ENERGY, TIME = np.nan, "total_energy_joules", "duration_seconds"


@pytest.mark.parametrize(
    ("bend", "code", "said", "answered"),
    [
        pytest.param(lambda f: f, 0, "", {ENERGY, TIME}, id="sound"),
        pytest.param(
            _with(3, "energy_gpu_total_joules", "ERROR"),
            PARTLY_READ,
            "row 5 (examples_mnist_rnn_004): 'ERROR'",
            {ENERGY, TIME},
            id="text-in-energy",
        ),
        pytest.param(
            _with(3, "duration_seconds", "1,234"),
            PARTLY_READ,
            "row 5 (examples_mnist_rnn_004): '1,234'",
            {ENERGY, TIME},
            id="text-in-duration",
        ),
        pytest.param(
            _with(3, "hyperparam_epochs", "n/a"),
            PARTLY_READ,
            "hyperparam_epochs is not a number in row 5",
            {ENERGY, TIME},
            id="text-in-hyperparameter",
        ),
        pytest.param(_with(3, "energy_gpu_total_joules", NAN), 0, "", {ENERGY, TIME}, id="nan-energy"),
        pytest.param(
            _with(3, "duration_seconds", NAN),
            0,
            "duration_seconds is missing in row 5",
            {ENERGY, TIME},
            id="nan-duration",
        ),
        pytest.param(
            _with(3, "energy_gpu_total_joules", "inf"),
            PARTLY_READ,
            "is infinite in row 5",
            {ENERGY, TIME},
            id="infinite",
        ),
        pytest.param(
            _with(3, "energy_cpu_total_joules", -5.0),
            PARTLY_READ,
            "below zero",
            {ENERGY, TIME},
            id="negative",
        ),
        pytest.param(
            _with(3, "energy_gpu_total_joules", 0.0), PARTLY_READ, "is 0 in row 5", {ENERGY, TIME}, id="zero"
        ),
        pytest.param(_without("energy_"), 0, "", {TIME}, id="no-energy"),
        pytest.param(
            _without("duration_"), PARTLY_READ, "no column duration_seconds", {ENERGY}, id="no-duration"
        ),
        pytest.param(
            _without("timestamp"), PARTLY_READ, "no column timestamp", {ENERGY, TIME}, id="no-timestamp"
        ),
        pytest.param(
            _without("training_"),
            PARTLY_READ,
            "every run is taken as a success",
            {ENERGY, TIME},
            id="no-success",
        ),
        pytest.param(_without("perf_"), 0, "", {ENERGY, TIME}, id="no-performance"),
        pytest.param(_without("hyperparam_"), 0, "", set(), id="no-hyperparameters"),
        pytest.param(lambda f: f.assign(training_success=False), NO_RUN, "", set(), id="all-failed"),
        pytest.param(lambda f: f.head(1), 0, "", set(), id="one-row"),
    ],
)
def test_what_can_be_answered_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bend: Bend, code: int, said: str, answered: set[str]
) -> None:
    found, report = _run(tmp_path, bend(_published()))
    out, err = capsys.readouterr()
    assert found == code
    assert out.strip() == str(tmp_path / "out" / "report.html")
    assert said in " ".join(report["data"]["notes"])
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    for outcome in (ENERGY, TIME):
        estimates = _effects(report, outcome)
        assert bool(estimates) == (outcome in answered), outcome
        assert all(abs(e - tables.ELASTICITY) < 0.05 for e in estimates)
    assert ("is written without what could not be read" in err) == (code == PARTLY_READ)
    if code:
        assert said in err
    assert ("none of the 40 runs is usable" in err) == (report["data"]["used"] == 0)


def test_one_model_is_answered_by_its_own_rows(tmp_path: Path) -> None:
    frame = _published(60)
    code, report = _run(tmp_path, frame[frame["model"] == "mnist"])
    assert code == 0
    (effect,) = [e for e in report["effects"] if (e["outcome"], e["factor"]) == (ENERGY, "design_epochs")]
    assert effect["estimate"] == pytest.approx(tables.ELASTICITY, abs=0.05)


def test_notes_stand_on_the_page_escaped(tmp_path: Path) -> None:
    code, _ = _run(tmp_path, _with(0, "energy_gpu_total_joules", "<b>bold</b>")(_published()))
    assert code == PARTLY_READ
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold</b>" not in page


HEADER = ",".join(map(str, _published(2))).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (HEADER + b"\n", "column names but no row"),
        (HEADER + b"\n1,2,3\n", "left out because the header has"),
        (b"\x00\x01\x02 junk", "not text"),
        (b"PK\x03\x04", "zip or Excel"),
        (b"a,b\n1,2\n", "columns missing: experiment_id, repository, model"),
    ],
)
def test_what_cannot_be_used_ends_with_two_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: str
) -> None:
    code, report = _run(tmp_path, content)
    assert code == BAD_INPUT
    assert not report
    err = capsys.readouterr().err
    assert words in err
    assert "table.csv" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("column", ["experiment_id", "repository", "model"])
def test_a_table_that_does_not_say_what_ran_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str
) -> None:
    code, _ = _run(tmp_path, _published().drop(columns=column))
    assert code == BAD_INPUT
    assert f"columns missing: {column}" in capsys.readouterr().err


def test_two_rows_that_claim_to_be_one_run_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = _published()
    for name in ("experiment_id", "timestamp"):
        frame = _with(7, name, frame[name].iloc[3])(frame)
    assert _run(tmp_path, frame)[0] == BAD_INPUT
    assert "row 5 (examples_mnist_rnn_004), row 9 (examples_mnist_rnn_004)" in capsys.readouterr().err


def test_semicolons_and_decimal_commas_give_the_same_answer(tmp_path: Path) -> None:
    frame = _published()
    plain = _run(tmp_path, frame)[1]
    code, report = _run(tmp_path, frame.to_csv(index=False, sep=";", decimal=",").encode("utf-8-sig"))
    assert code == 0
    assert _effects(report, ENERGY) == pytest.approx(_effects(plain, ENERGY))


def test_a_folder_of_sessions_is_all_of_them(tmp_path: Path) -> None:
    results = tmp_path / "results"
    first, second = (
        tables.write(results / "run_1", tables.rows(30)),
        tables.write(results / "run_2", tables.rows(30, seed=6)),
    )
    facts = json.loads((second / "session.json").read_text())
    (second / "session.json").write_text(json.dumps({**facts, "session": "run_2"}))
    (results / "latest").symlink_to(first)
    (results / "notes").mkdir()
    assert main([str(results), "--engine", "exact"]) == 0
    report = json.loads((results / "report.json").read_text())
    assert report["data"]["runs"] == 60
    assert f"{results} holds 2 sessions; 2 were read" in report["data"]["notes"]


def test_a_session_that_cannot_be_read_is_passed_over_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    tables.write(results / "run_1", tables.rows(30))
    broken = tables.write(results / "run_2", tables.rows(4))
    (broken / "summary.csv").unlink()
    assert main([str(results), "--engine", "exact"]) == PARTLY_READ
    assert "run_2: no summary.csv" in capsys.readouterr().err
    (results / "run_1" / "summary.csv").unlink()
    assert main([str(results), "--engine", "exact"]) == BAD_INPUT
    assert "none of its 2 sessions can be read" in capsys.readouterr().err


def test_a_session_and_its_own_table_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = tables.golden(tmp_path)
    other = tmp_path / "copy.csv"
    other.write_bytes((session / "summary.csv").read_bytes())
    assert main([str(session), str(other), "--out", str(tmp_path), "--engine", "exact"]) == BAD_INPUT
    assert "given twice: 24 runs, such as examples_mnist_001" in capsys.readouterr().err


def test_filled_defaults_are_said_on_the_page(tmp_path: Path) -> None:
    frame = _published()
    frame.loc[frame["hyperparam_epochs"] > 12, "hyperparam_epochs"] = NAN
    known = tmp_path / "known.toml"
    known.write_text("[examples.mnist]\nepochs = 14\n")
    code, report = _run(tmp_path, frame, "--defaults", str(known))
    assert code == 0
    notes = " ".join(report["data"]["notes"])
    assert "filled with the defaults in known.toml: epochs = 14 in" in notes
    assert "has no defaults of examples/mnist_rnn" in notes


def test_missing_defaults_are_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = _run(tmp_path, _published(), "--defaults", str(tmp_path / "none.toml"))
    assert code == BAD_INPUT
    assert "no such file or folder of defaults" in capsys.readouterr().err


def test_a_fault_of_the_program_is_not_taken_for_a_written_page(tmp_path: Path) -> None:
    """Python ends with 1 where something is not caught: no code of ours."""
    (tmp_path / "sitecustomize.py").write_text(
        "import causal_report\n"
        "def broken(*_):\n    raise RuntimeError('planted')\n"
        "causal_report.render = broken\n"
    )
    table = tmp_path / "table.csv"
    _published().to_csv(table, index=False)
    command = [sys.executable, "-m", "causal_report", str(table), "--engine", "exact"]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "RuntimeError: planted" in done.stderr
    assert done.returncode not in (0, BAD_INPUT, PARTLY_READ, NO_RUN)


def test_the_command_gives_the_same_codes(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"")
    command = [sys.executable, "-m", "causal_report", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (BAD_INPUT, "")


def test_durations_of_nought_and_an_empty_column_of_words_stop_nothing(tmp_path: Path) -> None:
    frame = _published().assign(duration_seconds=0.0, mutated_param=np.nan, num_mutated_params=1)
    code, report = _run(tmp_path, frame)
    assert code == PARTLY_READ
    assert "duration_seconds is 0 in row 2" in " ".join(report["data"]["notes"])
    assert report["verdict"]["sentences"]


def test_several_clear_effects_are_told_where_no_joules_split_them(tmp_path: Path) -> None:
    frame = _without("energy_")(_published(60))
    frame["duration_seconds"] *= frame["hyperparam_batch_size"] ** 0.5
    code, report = _run(tmp_path, frame)
    assert code == 0
    told = [s["key"] for s in report["question1"]["sentences"]]
    assert told[:2] == ["effect_doubling", "effect_doubling"]


def test_a_table_without_readings_has_no_table_of_meters(tmp_path: Path) -> None:
    _run(tmp_path, _published())
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "No readings were recorded with these runs: how their joules were measured" in page
    assert 'id="net-runs"' not in page


def test_a_quotation_mark_that_is_not_closed_is_told(tmp_path: Path) -> None:
    first, *rows = _published().to_csv(index=False).splitlines(keepends=True)
    code, report = _run(tmp_path, "".join([first, *rows[:30], '"', *rows[30:]]).encode())
    assert code == PARTLY_READ
    assert "a quotation mark is opened and not closed: 9 lines were taken" in " ".join(
        report["data"]["notes"]
    )


def test_joules_of_a_few_runs_are_not_said_to_be_none(tmp_path: Path) -> None:
    frame = _published()
    frame.loc[frame.index % 5 < 3, "energy_gpu_total_joules"] = NAN
    code, report = _run(tmp_path, frame)
    assert code == 0
    first = report["verdict"]["sentences"][0]["text"]
    assert "16 of 40 usable runs have them, fewer than half in one way" in first
    assert "No joules exist" not in first


def test_a_failed_run_is_not_called_doubtful(tmp_path: Path) -> None:
    frame = _published().assign(training_success=[i != 4 for i in range(ROWS)])
    _, report = _run(tmp_path, frame)
    assert (report["data"]["failed"], report["data"]["flagged"], report["keeping"]["flagged"]) == (1, 0, 0)
    assert report["quality"]["sentences"][0]["key"] == "clean"
    assert "39" in report["quality"]["sentences"][0]["text"]


def test_a_table_beside_a_session_has_no_data_called_nan(tmp_path: Path) -> None:
    session, table = tables.golden(tmp_path), tmp_path / "table.csv"
    _published().to_csv(table, index=False)
    assert main([str(session), str(table), "--out", str(tmp_path / "out"), "--engine", "exact"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert {s for m in report["data"]["models"] for s in (*m["data_sources"], *m["devices"])} == {
        "mnist-5k",
        "cuda",
    }
