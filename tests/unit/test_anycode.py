"""Code that is in no catalogue: its names, values, marks, options, and who else measures meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import unicodedata
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import energy_plugin
from energy_plugin.calls import wrapped
from energy_plugin.errors import UnknownNameError, UsageError
from energy_plugin.options import plain_options
from energy_plugin.record.marks import read_marks
from energy_plugin.run.code import clean_name, digest_of, sorted_values
from energy_plugin.run.overlap import Presence

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


def test_numbers_are_hyperparameters_and_all_else_is_kept_as_text() -> None:
    values, labels = sorted_values(
        {"epochs": 3, "lr": 0.1, "amp": True, "half": Fraction(1, 2), "opt": "adam", "bad": float("nan")}
        | {"path": Path("/data"), "none": None, "huge": 2**70}
    )
    assert values == {"epochs": 3, "lr": 0.1, "amp": 1, "half": 0.5}
    assert labels == {"opt": "adam", "bad": "nan", "path": "/data", "none": "None", "huge": str(2**70)}


@given(st.text(min_size=1, max_size=200))
def test_any_name_becomes_one_safe_path_part_or_is_refused(text: str) -> None:
    try:
        clean = clean_name(text)
    except UsageError:
        assert not any(c.isalnum() for c in text[:80])
        return
    assert 0 < len(clean) <= 80
    assert len(f"code_{clean}_1000.tmp".encode()) <= 255
    assert Path(clean).name == clean
    assert not clean.startswith((".", "-"))
    assert clean_name(clean) == clean


@given(st.lists(st.text("a é́1è训练验证/ -.🔥_", min_size=1, max_size=90), min_size=2, max_size=6))
def test_two_names_never_become_one_model(texts: list[str]) -> None:
    names = {unicodedata.normalize("NFC", text) for text in texts}
    cleaned = [clean_name(name) for name in names if any(c.isalnum() or c == "_" for c in name[:60])]
    assert len(set(cleaned)) == len(cleaned)


@pytest.mark.parametrize("name", ["训练", "é1", "обучение", "प्रशिक्षण", "학습", "تدريب", "resnet20+a_b-1.5"])
def test_words_of_any_script_stay_as_they_are(name: str) -> None:
    assert clean_name(unicodedata.normalize("NFD", name)) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("one", "other", "start"),
    [
        ("a b", "a-b", "a-b"),
        ("a/b", "a b", "a-b-"),
        ("训练🔥", "训练", "训练"),
        ("x" * 90, "x" * 91, "x" * 71 + "-"),
        ("字" * 79 + "a", "字" * 79 + "b", "字" * 50),
    ],
)
def test_what_was_dropped_from_a_name_is_told_apart_by_a_hash(one: str, other: str, start: str) -> None:
    assert clean_name(one) != clean_name(other)
    assert clean_name(one).startswith(start)
    assert clean_name(other).startswith(start)


@pytest.mark.parametrize("name", ["", " ", "🔥", "--", "/.", "\u0301"])
def test_a_name_without_letter_or_digit_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="must hold a letter or a digit"):
        clean_name(name)


def test_hyperparameters_of_any_script_have_columns_of_their_own() -> None:
    values, _ = sorted_values({"学习率": 0.1, "学习 率": 0.2, "批量": 32})
    assert (values["学习率"], values["批量"], len(values)) == (0.1, 32, 3)


def test_digest_is_of_the_files_contents_alone(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    one = digest_of([tmp_path / "a.py", tmp_path / "missing", tmp_path])
    assert len(one) == 64
    (tmp_path / "a.py").write_text("2")
    assert digest_of([tmp_path / "a.py"]) != one
    assert digest_of([tmp_path / "missing"]) == ""


def test_options_outside_of_pytest_are_those_of_pytest(tmp_path: Path) -> None:
    options = plain_options({"tdp": "cpu=65", "idle": 0, "strict": True, "results": Path("out")}, tmp_path)
    assert options.tdp == {"cpu": 65.0}
    assert (options.idle, options.strict, options.results) == (0.0, True, tmp_path / "out")
    assert options.retries == 2
    with pytest.raises(UnknownNameError, match="Did you mean 'meters'"):
        plain_options({"meter": "nvml"}, tmp_path)
    with pytest.raises(UsageError, match="idle"):
        plain_options({"idle": -1}, tmp_path)


# --- phases -------------------------------------------------------------------------------------


def test_phases_become_windows_each_with_a_name_of_its_own(tmp_path: Path) -> None:
    events = [{"event": "phase", "name": n, "start_ns": a, "t_ns": b} for n, a, b in PHASES]
    (tmp_path / "events").write_text("".join(json.dumps(event) + "\n" for event in events))
    marks = read_marks(tmp_path / "events")
    assert not marks.fault
    assert [(w.name, w.t0_ns, w.t1_ns) for w in marks.windows("a")] == [
        ("phase:load", 0, 10),
        ("phase:eval", 10, 20),
        ("phase:eval#2", 15, 30),
    ]


PHASES = [("load", 0, 10), ("eval", 10, 20), ("eval", 15, 30)]


def test_phase_that_ends_before_it_began_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "events").write_text('{"event":"phase","name":"x","start_ns":5,"t_ns":4}\n')
    assert "goes back in time" in read_marks(tmp_path / "events").fault


# --- who else measures ----------------------------------------------------------------------------


OTHER = """
import sys, time
from pathlib import Path
from energy_plugin.run.overlap import Presence
with Presence("other run", Path(sys.argv[1])) as presence:
    print("there", flush=True)
    sys.stdin.readline()
print(presence.others(), flush=True)
"""


def other(folder: Path) -> subprocess.Popen[str]:
    """A child that measures, already announced."""
    child = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "there\n"
    return child


def test_two_processes_know_of_each_other_whichever_came_first(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    os.mkfifo(tmp_path / "in")
    # The shell between is gone at once, so that it is no child of ours.
    script = f'"$0" -c "$1" {folder} < {tmp_path}/in > {tmp_path}/out & exit'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(["sh", "-c", script, sys.executable, OTHER], env=environment, check=True)
    with (tmp_path / "in").open("w") as line:
        wait_for(lambda: "there" in text(tmp_path / "out"))
        with Presence("my run", folder) as mine:
            pass
        line.write("\n")
    assert [name.split(" (")[0] for name in mine.others()] == ["other run"]
    wait_for(lambda: "my run" in text(tmp_path / "out"))
    assert list(folder.iterdir()) == []


def text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_within_our_own_program_is_no_stranger(tmp_path: Path) -> None:
    with Presence("outer", tmp_path) as outer:
        child = other(tmp_path)
        output, _ = child.communicate("\n")
    assert outer.others() == ()
    assert output == "()\n"


def test_what_a_killed_process_left_is_removed_and_not_met(tmp_path: Path) -> None:
    child = other(tmp_path)
    child.kill()
    child.communicate()
    assert len(list(tmp_path.iterdir())) == 1
    with Presence("mine", tmp_path) as mine:
        pass
    assert mine.others() == ()
    assert list(tmp_path.iterdir()) == []


def test_foreign_files_in_the_shared_folder_are_left_alone(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "1-1").symlink_to(victim)
    (folder / "2-1").hardlink_to(victim)
    os.mkfifo(folder / "3-1")
    (folder / "notes.txt").write_text("mine")
    with Presence("mine", folder) as mine:
        pass
    assert mine.others() == ()
    assert victim.read_text() == "precious"
    assert (folder / "notes.txt").read_text() == "mine"


def test_where_the_shared_folder_cannot_be_used_nobody_is_seen(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Presence("mine", tmp_path / "file") as mine:
        assert mine.others() == ()


# --- the front door -------------------------------------------------------------------------------


def test_wrong_use_is_said_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="must hold a letter"):
        energy_plugin.measure("///")
    for named, wrong in (("name", 5), ("values", [1]), ("meters", [])):
        with pytest.raises(UsageError, match=f"^{named} "):
            energy_plugin.measure(**{"name": "x", named: wrong})  # type: ignore[call-overload]

    def generator() -> object:
        yield 1

    for function in (generator, partial(generator)):
        with pytest.raises(TypeError, match="generator is a generator"):
            wrapped(function, lambda: pytest.fail("no section is made"))


def test_whatever_can_be_called_can_be_measured() -> None:
    whole = energy_plugin.measure(partial(divmod, 7))
    with (
        mock.patch("energy_plugin.measuring.Section.__enter__"),
        mock.patch("energy_plugin.measuring.Section.__exit__", return_value=None),
    ):
        assert whole(2) == (3, 1)


def test_importing_the_package_loads_none_of_it() -> None:
    code = "import sys, energy_plugin; print([n for n in sys.modules if n.startswith('energy_plugin.')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_measure_loads_nothing_heavy() -> None:
    code = "import sys, json, energy_plugin; energy_plugin.measure('x'); print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    heavy = {"numpy", "pandas", "jax", "docker", "pynvml", "codecarbon", "torch", "pyarrow", "pytest"}
    assert not loaded & heavy
