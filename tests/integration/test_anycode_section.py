"""``energy_plugin.measure`` in programs of their own, as a user writes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import read_journal, records
from tests.conftest import ROOT, summary
from tests.simulated.hardware import Gpu

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import functools, os, sys, threading, time
import energy_plugin
measure = functools.partial(energy_plugin.measure, meters="calculator", tdp="cpu=50")
"""


@dataclass
class Script:
    """A folder with a program that measures itself."""

    folder: Path
    environment: dict[str, str]

    def start(self, body: str) -> subprocess.Popen[str]:
        (self.folder / "study.py").write_text(HEAD + body)
        return subprocess.Popen(
            [sys.executable, "study.py"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, body: str, code: int = 0) -> tuple[str, str]:
        """Standard output and error of a program that ends with *code*."""
        running = self.start(body)
        output, errors = running.communicate(timeout=60)
        assert running.returncode == code, output + errors
        return output, errors

    @property
    def session(self) -> Path:
        return (self.folder / "results" / "latest").resolve()

    def rows(self) -> list[dict[str, str]]:
        return summary(self.session)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path, {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)})


def test_sections_of_a_process_are_rows_of_one_session(script: Script) -> None:
    output, errors = script.run("""
with measure("train", values={"batch_size": 32, "optimizer": "adam"}) as m:
    time.sleep(0.2)
    m.metrics["accuracy"] = 0.9
print(m.status, m.energy_j, 0.2 <= m.duration_s < 1, m.estimates_j["calculator"] / m.duration_s)
with measure("train", values={"batch_size": 32}, quiet=True):
    pass
with measure("evaluate", quiet=True):
    pass
""")
    status, joules, right, watts = output.split()
    assert (status, joules, right) == ("unavailable", "None", "True")
    assert 49.9 <= float(watts) < 65  # its own edges lie around the section, some milliseconds under load
    assert errors.count("\n") == 1
    assert "no joules measured: no meter (wattwhy doctor" in errors
    assert "about 1" in errors
    first, second, third = script.rows()
    assert [first["model"], second["model"], third["model"]] == ["train", "train", "evaluate"]
    assert [first["replicate"], second["replicate"], third["replicate"]] == ["1", "2", "1"]
    assert (first["hyperparam_batch_size"], third["hyperparam_batch_size"]) == ("32", "")
    assert (first["perf_accuracy"], first["executor"]) == ("0.9", "in-process")
    assert float(first["duration_seconds"]) == pytest.approx(0.2, abs=0.2)
    one = json.loads((script.session / first["experiment_id"] / "experiment.json").read_text())
    assert one["provenance"]["programs"][0]["labels"] == {"optimizer": "adam"}
    assert one["provenance"]["programs"][0]["file"].endswith("study.py")
    facts = json.loads((script.session / "session.json").read_text())
    assert (facts["complete"], facts["planned"], facts["done"]) == (True, 3, 3)
    assert set(facts["catalogue"]["code"]["models"]) == {"train", "evaluate"}


def test_chinese_names_are_models_of_their_own(script: Script) -> None:
    _, errors = script.run("""
with measure("训练", values={"批量": 32}) as m:
    with measure("验证"):
        pass
    m.split("加载")
with measure("é1", quiet=True):
    pass
with measure("è1", quiet=True):
    pass
""")
    assert "wattwhy: 训练: " in errors
    assert [row["model"] for row in script.rows()] == ["训练", "é1", "è1"]
    assert [row["hyperparam_批量"] for row in script.rows()] == ["32", "", ""]
    assert {path.name for path in script.session.iterdir() if path.is_dir()} == {
        "code_训练_001",
        "code_é1_001",
        "code_è1_001",
    }
    windows = {window.name for window in records(script.session)[0].outcomes[0].windows}
    assert {"phase:验证", "phase:加载"} <= windows


def test_an_exception_goes_through_and_the_record_says_failed(script: Script) -> None:
    output, errors = script.run(
        """
try:
    with measure("bad") as m:
        raise ValueError("boom\\nand more")
except ValueError as error:
    print(m.record.success, m.record.failure)
with measure("exits", quiet=True):
    sys.exit(3)
""",
        code=3,
    )
    assert output == "False code/bad: exception: ValueError: boom\n"
    assert "FAILED, exception: ValueError: boom" in errors
    bad, exits = records(script.session)
    assert bad.outcomes[0].windows[0].duration_s > 0
    assert (exits.outcomes[0].reason, exits.outcomes[0].exit_code) == ("exit-code", 3)
    assert script.rows()[1]["training_success"] == "False"


def test_epochs_and_parts_are_windows_of_the_section(script: Script) -> None:
    script.run("""
with measure("train", quiet=True) as m:
    time.sleep(0.05); m.split("load")
    for epoch in range(3):
        time.sleep(0.05); m.epoch(loss=1 / (epoch + 1), accuracy=float("nan"))
    m.split("fit")
    m.epoch(loss="no number")
""")
    (record,) = records(script.session)
    outcome = record.outcomes[0]
    assert outcome.success
    names = [window.name for window in outcome.windows]
    assert names == ["process", "training", *(f"epoch:{n}" for n in range(1, 5)), "phase:load", "phase:fit"]
    load, first = outcome.window("phase:load"), outcome.window("epoch:1")
    assert load is not None
    assert first is not None
    assert load.t1_ns == first.t0_ns
    assert load.duration_s == pytest.approx(0.05, abs=0.04)
    assert [epoch.loss for epoch in outcome.epochs] == [1.0, 0.5, 1 / 3, None]
    assert outcome.epochs[0].metrics == {"accuracy": None}
    assert {r.window.name for r in record.readings if r.joules is not None} == set(names)


def test_every_call_of_a_decorated_function_is_measured(script: Script) -> None:
    output, _ = script.run("""
import asyncio
@measure("fit", quiet=True)
def fit(n):
    "Its own words."
    return n + 1
@energy_plugin.measure
async def later(n):
    await asyncio.sleep(0.05)
    return n
print(fit(1), fit(2), fit.__doc__, fit.measured.record.case.replicate)
print(asyncio.run(later(5)), later.measured.duration_s >= 0.05)
""")
    assert output == "2 3 Its own words. 2\n5 True\n"
    assert [row["model"] for row in script.rows()] == ["fit", "fit", "later"]


def test_a_section_within_a_section_is_a_window_answered_at_the_outer_ones_end(script: Script) -> None:
    output, _ = script.run("""
with measure("outer", quiet=True) as outer:
    with measure("inner", quiet=True) as inner:
        time.sleep(0.1); inner.split("part")
    with measure("inner", quiet=True) as again:
        pass
    print(inner.status, inner.energy_j)
    thread = threading.Thread(target=measure("inner").__enter__)
    thread.start(); thread.join()
print(inner.record is outer.record, inner.window, again.window)
print(49.9 <= inner.estimates_j["calculator"] / inner.duration_s < 75)
""")
    assert output.splitlines() == ["pending None", "True phase:inner phase:inner#2", "True"]
    (record,) = records(script.session)
    assert record.outcomes[0].window("phase:inner/part") is not None


def test_a_section_that_outlives_the_one_with_the_meters_is_unavailable(script: Script) -> None:
    output, _ = script.run("""
first, second = measure("first", quiet=True), measure("second", quiet=True)
first.__enter__(); second.__enter__()
first.__exit__(None, None, None); second.__exit__(None, None, None)
print(second.status, second.energy_j, second.reason)
with measure("third", quiet=True) as third:
    pass
print(third.record is not None)
""")
    assert output.splitlines()[0].startswith("unavailable None it outlived first")
    assert output.splitlines()[1] == "True"


def test_a_section_can_be_started_and_stopped_without_with(script: Script) -> None:
    output, _ = script.run("""
m = measure("train", quiet=True).start()
time.sleep(0.05)
print(m.stop().success, m.duration_s >= 0.05, m.status)
for wrong in (m.stop, measure("other").stop):
    try:
        wrong()
    except energy_plugin.errors.UsageError as error:
        print(error)
m.start(); m.stop()
""")
    assert output.splitlines() == ["True True unavailable", "train: is not running", "other: is not running"]
    assert [row["replicate"] for row in script.rows()] == ["1", "2"]


def test_a_section_that_nobody_stops_is_told_at_the_end(script: Script) -> None:
    _, errors = script.run('m = measure("train", quiet=True).start()\n')
    assert errors == "wattwhy: train: NOT RECORDED: it was started and never stopped\n"


def test_wrong_options_are_refused_before_the_code_runs(script: Script) -> None:
    _, errors = script.run(
        'with energy_plugin.measure("x", meter="nvml"):\n    print("ran")\n',
        code=1,
    )
    assert "Did you mean 'meters'" in errors
    _, errors = script.run('with measure("x", strict=True, meters="perf"):\n    print("ran")\n', code=1)
    assert "strict" in errors
    assert not (script.folder / "results" / "latest").exists()


def test_what_fails_later_never_stops_the_code(script: Script) -> None:
    output, errors = script.run("""
with measure("one", quiet=True) as one:
    pass
import energy_plugin.run.runner as runner
runner.ENOUGH_BYTES = 2**62
with measure("two", quiet=True) as two:
    print("ran")
print(two.status, two.record, two.duration_s > 0)
""")
    assert output == "ran\nunavailable None True\n"
    assert "two: NOT MEASURED" in errors
    assert [row["model"] for row in script.rows()] == ["one"]


def test_a_killed_process_leaves_all_sections_that_had_ended(script: Script) -> None:
    running = script.start("""
with measure("done", quiet=True) as m:
    m.metrics["accuracy"] = 0.5
with measure("killed", quiet=True):
    print("now", flush=True)
    time.sleep(60)
""")
    assert running.stdout is not None
    assert running.stdout.readline() == "now\n"
    running.kill()
    running.communicate()
    events = [event["event"] for event in read_journal(script.session) if event["event"] != "idle"]
    assert events == ["session-begin", "attempt-begin", "attempt-end", "attempt-begin"]
    assert [row["model"] for row in script.rows()] == ["done"]
    facts = json.loads((script.session / "session.json").read_text())
    assert (facts["complete"], facts["planned"]) == (False, 2)
    (script.session / "summary.csv").unlink()
    command = [sys.executable, "-m", "energy_plugin", "rebuild", str(script.session)]
    done = subprocess.run(command, capture_output=True, text=True, env=script.environment)
    assert done.stdout.startswith("1 attempts written"), done.stderr
    assert [row["perf_accuracy"] for row in script.rows()] == ["0.5"]


def test_a_forked_child_leaves_its_parents_section_alone(script: Script) -> None:
    output, errors = script.run("""
with measure("parent", quiet=True) as m:
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
print(m.record.success, flush=True)
if os.fork() == 0:
    with measure("child", quiet=True, results="elsewhere"):
        pass
    sys.exit(0)
os.wait()
""")
    assert output == "True\n", errors
    assert [row["model"] for row in script.rows()] == ["parent"]
    elsewhere = script.folder / "elsewhere" / "latest" / "summary.csv"
    assert "child" in elsewhere.read_text()


def test_a_second_section_costs_milliseconds(script: Script) -> None:
    output, _ = script.run("""
with measure("first", quiet=True):
    pass
for _ in range(20):
    began = time.perf_counter()
    with measure("again", quiet=True):
        pass
    print(time.perf_counter() - began)
""")
    # The least of 20: what the section costs, not its neighbours. Two journal syncs are in it.
    assert min(float(line) for line in output.splitlines()) < 0.05


@pytest.mark.compiler
def test_joules_of_sections_epochs_and_inner_sections_are_near_the_truth(script: Script) -> None:
    hardware = script.folder / "hardware"
    hardware.mkdir()
    gpu = Gpu(folder=hardware, t0_ns=time.monotonic_ns(), idle_w=200.0)
    script.environment |= gpu.install()
    output, errors = script.run("""
with energy_plugin.measure("train", meters="nvml") as m:
    for _ in range(3):
        time.sleep(0.4); m.epoch(loss=1.0)
    with energy_plugin.measure("evaluate") as inner:
        time.sleep(0.4)
print(m.status, m.energy_j, m.lo_j, m.hi_j, m.energy_of("training"), inner.energy_j)
print(m.summary())
""")
    (record,) = records(script.session)
    window = record.outcomes[0].windows[0]
    truth = gpu.energy_j(window.t0_ns, window.t1_ns)
    status, *numbers = output.splitlines()[0].split()
    joules, lo, hi, training, inner = map(float, numbers)
    assert status == "measured"
    assert joules == pytest.approx(truth, rel=0.02)
    assert lo <= truth <= hi
    assert training == pytest.approx(240, rel=0.1)
    assert inner == pytest.approx(80, rel=0.3)
    assert "SIMULATED hardware" in errors
    assert f"{joules:.0f} J measured" in errors
    assert "gpu:" in output
