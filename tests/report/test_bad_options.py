"""Options that cannot be, or that name nothing: what is said, and what is written all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from causal_report.__main__ import BAD_INPUT, PARTLY_READ, main
from tests.report.test_bad_input import _published, _run, _without

if TYPE_CHECKING:
    from pathlib import Path


def test_a_path_with_an_unknown_name_is_told_and_the_rest_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report = _run(tmp_path, _published(), "--path", "epoch:energy_gpu_util_avg_percent:energy")
    assert code == PARTLY_READ
    said = "--path epoch:energy_gpu_util_avg_percent:energy: no column answers to epoch; is it epochs?"
    assert said in capsys.readouterr().err
    assert report["effects"]
    assert "no column answers to epoch" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_design_file_of_an_earlier_page_is_not_left_beside_this_one(tmp_path: Path) -> None:
    _run(tmp_path, _published())
    design = tmp_path / "out" / "advice.toml"
    assert design.exists()
    _run(tmp_path, _without("perf_")(_published()))
    assert not design.exists()
    design.write_text("my own")
    _run(tmp_path, _without("perf_")(_published()))
    assert design.read_text() == "my own"


def test_two_tables_of_one_name_are_named_by_their_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / folder / "table.csv" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        _published().to_csv(path, index=False)
    assert main([*map(str, paths), "--out", str(tmp_path / "out")]) == BAD_INPUT
    err = capsys.readouterr().err
    assert all(str(path) in err for path in paths)
    assert "two different names" in err


@pytest.mark.parametrize("seed", ["-1", "x", "1.5"])
def test_a_seed_that_is_none_is_bad_input(capsys: pytest.CaptureFixture[str], seed: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["table.csv", f"--seed={seed}"])
    assert ended.value.code == BAD_INPUT
    assert f"'{seed}' is not a whole number from 0 up" in capsys.readouterr().err
