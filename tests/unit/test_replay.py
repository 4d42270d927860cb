"""Recorded energies played into live windows; wrong files are named with file, key and mend."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.errors import FileError, UnknownNameError, UsageError
from energy_plugin.meters.replay import ReplayMeter
from energy_plugin.meters.select import NAMES, make_meters
from energy_plugin.record.trace import Channel, Fault, Reading, Sample, Trace, Window, integrate
from energy_plugin.record.tracefile import read_traces, write_traces

if TYPE_CHECKING:
    from pathlib import Path

GPU = {"meter": "nvml", "channel": "gpu:G", "kind": "direct", "joules": 120.5, "source": "nvml-counter"}
GUESS = {"meter": "codecarbon", "channel": "cpu", "kind": "model", "joules": 30}


def play(meter: ReplayMeter, case: str = "") -> dict[str, Reading]:
    if case:
        meter.select(case)
    meter.start()
    meter.edge("open")
    t0 = time.monotonic_ns()
    time.sleep(0.02)
    window = Window(program="a", name="process", t0_ns=t0, t1_ns=time.monotonic_ns())
    meter.edge("close")
    return {t.channel.id: integrate(t, window, None) for t in meter.stop()}


def write(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def experiment(folder: Path, case: str, readings: object = None, **more: object) -> Path:
    write(folder / "experiment.json", {"case_id": case, "training_success": True, **more})
    if readings is not None:
        write(folder / "energy" / "readings.json", readings)
    return folder


def reading(window: str = "process", program: str | None = "a", **more: Any) -> dict[str, Any]:
    return {**GPU, "window": window, "program": program, "status": "measured", "reason": "", **more}


def test_a_file_of_joules_is_played_and_labelled(tmp_path: Path) -> None:
    meter = ReplayMeter(write(tmp_path / "j.json", {"cases": {"one": [GPU, GUESS]}}))
    readings = play(meter, "one")
    assert (readings["gpu:G"].joules, readings["gpu:G"].status) == (120.5, "measured")
    assert readings["gpu:G"].source == "replay:nvml-counter"
    assert (readings["cpu"].joules, readings["cpu"].status) == (30.0, "estimated")
    assert readings["cpu"].meter == "codecarbon"


def test_the_star_stands_for_every_other_case_and_without_it_nothing_is_invented(tmp_path: Path) -> None:
    star = ReplayMeter(write(tmp_path / "s.json", {"cases": {"*": [GPU], "one": [GUESS]}}))
    assert play(star, "two")["gpu:G"].joules == 120.5
    assert play(star, "one")["gpu:G"].reason == "not-recorded"
    only = ReplayMeter(write(tmp_path / "o.json", {"cases": {"one": [GPU]}}))
    assert (play(only, "two")["gpu:G"].joules, play(only, "two")["gpu:G"].reason) == (None, "not-recorded")


def test_a_session_is_played_case_by_case_in_its_process_windows(tmp_path: Path) -> None:
    experiment(tmp_path / "e1", "one", [reading(), reading("training", joules=1.0)])
    experiment(tmp_path / "e2", "two", [reading(joules=7.0), reading("joint", None, joules=9.0)])
    meter = ReplayMeter(tmp_path)
    assert play(meter, "one")["gpu:G"].joules == 120.5
    assert play(meter, "two")["gpu:G"].joules == 9.0


def test_a_failed_retry_does_not_hide_the_attempt_that_worked(tmp_path: Path) -> None:
    experiment(tmp_path / "e1", "one", [reading()])
    experiment(tmp_path / "e2", "one", [reading(joules=2.0)], training_success=False)
    assert play(ReplayMeter(tmp_path), "one")["gpu:G"].joules == 120.5


def test_what_was_partial_or_missing_or_estimated_is_so_again(tmp_path: Path) -> None:
    entries = [
        reading(status="partial", reason="gpu-lost"),
        reading(channel="gpu:H", status="unavailable", reason="frozen-counter", joules=None),
        reading(channel="gpu:I", status="estimated", reason=""),
    ]
    meter = ReplayMeter(experiment(tmp_path / "e", "one", entries))
    readings = play(meter, "one")
    assert (readings["gpu:G"].status, readings["gpu:G"].reason) == ("partial", "gpu-lost")
    (dead,) = [channel for channel in meter.probe() if not channel.alive]
    assert (dead.id, dead.reason) == ("gpu:H", "frozen-counter"), "no joules anywhere: not a living channel"
    assert "gpu:H" not in readings
    assert readings["gpu:I"].status == "estimated"


def test_an_experiment_with_only_a_trace_is_integrated(tmp_path: Path) -> None:
    span = {"name": "process", "t0_ns": 0, "t1_ns": 2_000_000_000}
    folder = experiment(tmp_path / "e", "one", outcomes=[{"windows": [span]}])
    (folder / "energy").mkdir()
    channel = Channel(id="cpu:package:0", meter="perf", source="rapl-pmu")
    samples = (Sample(0, 0.0), Sample(2_000_000_000, 42.0))
    trace = Trace(meter="perf", channel=channel, form="window", samples=samples)
    write_traces(folder / "energy" / "trace.csv", [trace])
    assert play(ReplayMeter(folder), "one")["cpu:package:0"].joules == 42.0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "JSON object"),
        ({}, "cases"),
        ({"cases": {}}, "cases"),
        ({"cases": {"x": {}}}, "cases.x"),
        ({"cases": {"x": [{**GPU, "joules": -1}]}}, "cases.x[0].joules = -1"),
        ({"cases": {"x": [{**GPU, "joules": "7"}]}}, "cases.x[0].joules = '7'"),
        (
            {"cases": {"x": [GPU, {**GPU, "kind": "guess"}]}},
            "cases.x[1].kind = 'guess': write direct or model",
        ),
        ({"cases": {"x": [{"meter": "nvml"}]}}, "cases.x[0].channel"),
    ],
)
def test_a_wrong_file_is_named_with_key_value_and_mend(tmp_path: Path, data: object, words: str) -> None:
    path = write(tmp_path / "bad.json", data)
    with pytest.raises(FileError) as caught:
        ReplayMeter(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_folder_without_records_and_one_without_energies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="name a session"):
        ReplayMeter(tmp_path)
    with pytest.raises(FileError, match="content"):
        ReplayMeter(write(tmp_path / "x", 1).rename(tmp_path / "y"))
    experiment(tmp_path / "e", "one")
    with pytest.raises(FileError, match=r"readings\.json or energy/trace\.csv"):
        ReplayMeter(tmp_path)


def test_traces_survive_their_file(tmp_path: Path) -> None:
    channel = Channel(id="gpu:G", meter="nvml", source="nvml-counter", tick_s=0.1)
    model = Channel(id="cpu", meter="codecarbon", source="load-model", kind="model")
    traces = [
        Trace(
            meter="nvml",
            channel=channel,
            form="counter",
            samples=(Sample(10, 0.1 + 0.2), Sample(20, 1e6 + 1 / 3)),
            faults=(Fault(15, "gpu-lost", 'it said: "lost", twice'),),
            gauges={"power_w": ((11, 60.5), (12, 1 / 3))},
        ),
        Trace(meter="codecarbon", channel=model, form="window", samples=()),
    ]
    write_traces(tmp_path / "trace.csv", traces)
    assert read_traces(tmp_path / "trace.csv") == traces


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n", "columns"),
        ("meter,channel,kind,source,form,quantity,t_ns,value\nm,c,direct,s,counter,energy_j,1,x\n", "line 2"),
        (
            "meter,channel,kind,source,form,quantity,t_ns,value\nm,c,odd,s,counter,energy_j,1,2\n",
            "kind = 'odd'",
        ),
        (
            "meter,channel,kind,source,form,quantity,t_ns,value\nm,c,direct,s,odd,energy_j,1,2\n",
            "form = 'odd'",
        ),
    ],
)
def test_a_wrong_trace_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "trace.csv").write_text(text)
    with pytest.raises(FileError, match=words):
        read_traces(tmp_path / "trace.csv")


def test_meters_are_made_by_name_and_wrong_names_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "j.json", {"cases": {"*": [GPU]}})
    assert [meter.name for meter in make_meters(NAMES, tdp={"cpu": 65}, replay=path)] == list(NAMES)
    with pytest.raises(UnknownNameError, match="'nvml'"):
        make_meters(["nvlm"])
    with pytest.raises(UsageError, match="--energy-replay"):
        make_meters(["replay"])
