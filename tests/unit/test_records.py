"""Records, journal and files: whole, schema-true, and rebuilt byte for byte from the journal."""

from __future__ import annotations

import csv
import filecmp
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from energy_plugin.errors import ResultsError
from energy_plugin.record.files import rebuild
from energy_plugin.record.journal import Journal, read_journal, records
from energy_plugin.record.marks import read_marks
from energy_plugin.record.record import record_from_json, total
from energy_plugin.record.rows import COLUMNS, convergence_epoch, rows
from energy_plugin.record.trace import Channel, Reading, Trace, Window
from energy_plugin.run.readings import gauges_of
from tests.conftest import summary
from tests.golden.make import write

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "run_20261121_190000"
SCHEMA = Path(__file__).resolve().parents[2] / "energy_plugin" / "record" / "schema"


def schema(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((SCHEMA / name).read_text())
    return data


def reading(channel: str, joules: float | None, status: str = "measured", reason: str = "") -> Reading:
    window = Window(program="a", name="process", t0_ns=0, t1_ns=10**9)
    return Reading(
        meter="perf",
        channel=channel,
        window=window,
        status=status,  # type: ignore[arg-type]
        reason=reason,
        joules=joules,
    )


def test_golden_session_is_what_the_code_writes_today(tmp_path: Path) -> None:
    fresh = write(tmp_path)
    names = [path.relative_to(GOLDEN) for path in GOLDEN.rglob("*") if path.is_file()]
    assert names
    for name in names:
        assert filecmp.cmp(GOLDEN / name, fresh / name, shallow=False), name


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("session.json", "session.json"),
        ("*/experiment.json", "experiment.json"),
        ("*/energy/readings.json", "readings.json"),
    ],
)
def test_golden_files_obey_their_schemas(pattern: str, name: str) -> None:
    files = list(GOLDEN.glob(pattern))
    assert files
    for file in files:
        jsonschema.validate(json.loads(file.read_text()), schema(name))


def test_golden_journal_obeys_its_schema() -> None:
    events = list(read_journal(GOLDEN))
    assert len(events) == 2 + 2 + 2 * 24
    for event in events:
        jsonschema.validate(event, schema("journal.json"))


def test_schema_refuses_joules_of_an_unavailable_reading() -> None:
    (file, *_) = GOLDEN.glob("*/energy/readings.json")
    readings = json.loads(file.read_text())
    dead = next(r for r in readings if r["status"] == "unavailable")
    dead["joules"] = 0.0
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(readings, schema("readings.json"))


def test_summary_has_the_columns_its_schema_lists() -> None:
    listed = schema("summary.json")["columns"]
    assert tuple(listed) == COLUMNS
    header = next(csv.reader([(GOLDEN / "summary.csv").read_text().partition("\n")[0]]))
    assert header[: len(COLUMNS)] == list(COLUMNS)
    assert all(name.startswith(("hyperparam_", "perf_")) for name in header[len(COLUMNS) :])


def test_record_survives_the_journal() -> None:
    for record in records(GOLDEN):
        assert record_from_json(json.loads(json.dumps(record.to_json()))) == record


def test_journal_of_an_earlier_version_still_loads() -> None:
    record = records(GOLDEN)[0]
    data = json.loads(json.dumps(record.to_json()))
    for name in ("idle", "simulated"):
        del data[name]
    for entry in data["readings"]:
        for name in ("unc_j", "power_j", "detail"):
            del entry[name]
    old = record_from_json(data)
    assert (old.idle, old.simulated) == (None, "")
    assert old.total().joules == record.total().joules


def test_net_energy_of_the_golden_session_is_gross_less_idle() -> None:
    for row in summary(GOLDEN):
        gross, seconds = float(row["total_energy_joules"]), float(row["duration_seconds"])
        assert float(row["energy_net_joules"]) == pytest.approx(gross - 23.0 * seconds)
        assert float(row["idle_power_watts"]) == 23.0
        assert (float(row["energy_tail_joules"]), float(row["tail_seconds"])) == (5.0, 0.25)


def test_everything_is_rebuilt_from_the_journal_alone(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes((GOLDEN / "journal.jsonl").read_bytes())
    assert rebuild(tmp_path) == 24
    assert filecmp.cmp(GOLDEN / "summary.csv", tmp_path / "summary.csv", shallow=False)
    assert (tmp_path / "summary.parquet").stat().st_size > 0


def test_journal_in_a_folder_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="choose another --energy-results"):
        Journal(tmp_path / "gone")


def test_total_is_measured_only_when_every_present_part_is() -> None:
    parts = [reading("cpu:package:0", 10.0), reading("cpu:dram:0", 2.0)]
    whole = total(parts)
    assert (whole.status, whole.joules) == ("measured", 12.0)
    lost = total([*parts, reading("gpu:x", None, "unavailable", "gpu-lost")])
    assert (lost.status, lost.joules) == ("partial", 12.0)
    assert "gpu:x gpu-lost" in lost.reason


@pytest.mark.parametrize(
    ("channel", "reason", "status"),
    [
        ("gpu", "no-driver", "measured"),
        ("cpu:dram:0", "no-event", "measured"),
        ("cpu:psys:0", "dead-counter", "measured"),
        ("cpu:package:1", "mirrored", "measured"),
        ("cpu:package:1", "dead-counter", "partial"),
        ("gpu:x", "gpu-lost", "partial"),
    ],
)
def test_absent_hardware_leaves_a_total_measured_and_a_lost_channel_does_not(
    channel: str, reason: str, status: str
) -> None:
    whole = total([reading("cpu:package:0", 10.0), reading(channel, None, "unavailable", reason)])
    assert (whole.status, whole.joules) == (status, 10.0)


def test_gpu_energy_without_a_package_counter_is_a_part_of_the_total() -> None:
    whole = total([reading("gpu:x", 10.0), reading("cpu:package:0", None, "unavailable", "no-event")])
    assert (whole.status, whole.reason) == ("partial", "cpu:package:0 no-event")


def test_a_gpu_that_is_only_estimated_is_missed_in_the_total() -> None:
    summed = replace(reading("gpu:a", 700.0, "estimated"), kind="model", meter="nvml")
    helper = replace(reading("gpu", 650.0, "estimated"), kind="model", meter="codecarbon")
    golden = records(GOLDEN)[0]
    record = replace(golden, readings=(reading("cpu:package:0", 50.0), summed, helper))
    assert (record.total().joules, record.total().status) == (50.0, "partial")
    assert record.total().reason == "gpu:a estimated-only"
    (row,) = rows(record)
    assert row["energy_gpu_total_joules"] is None
    assert row["energy_gpu_status"] == "unavailable: gpu:a estimated-only"
    alone = replace(golden, readings=(summed,))
    assert (alone.total().joules, alone.total().reason) == (None, "gpu:a estimated-only")


def test_a_gpu_that_a_meter_and_a_model_read_is_in_the_total() -> None:
    model = replace(reading("gpu:a", 700.0, "estimated"), kind="model", meter="other")
    record = replace(records(GOLDEN)[0], readings=(reading("gpu:a", 690.0), model))
    assert (record.total().joules, record.total().status) == (690.0, "measured")


def test_an_estimate_with_a_missing_part_is_a_part() -> None:
    parts = [reading("gpu:x", 5.0, "estimated"), reading("cpu:package:0", None, "unavailable", "perf-died")]
    assert total(parts).status == "partial"


def test_power_of_several_gpus_adds_up_and_their_temperature_does_not() -> None:
    def trace(uuid: str, watts: float, celsius: float) -> Trace:
        gauges = {"power_w": ((1, watts), (2, watts)), "temperature_c": ((1, celsius), (99, 1000.0))}
        channel = Channel(id=f"gpu:{uuid}", meter="nvml", source="nvml-counter")
        return Trace(meter="nvml", channel=channel, form="counter", samples=(), gauges=gauges)

    window = Window(program=None, name="joint", t0_ns=0, t1_ns=10)
    found = gauges_of([trace("a", 300.0, 50.0), trace("b", 200.0, 70.0)], window)
    assert found["power_w_avg"] == 500.0
    assert (found["temperature_c_avg"], found["temperature_c_max"]) == (60.0, 70.0)


def test_nothing_measured_is_unavailable_and_never_zero() -> None:
    whole = total([reading("cpu:package:0", None, "unavailable", "dead-counter")])
    assert (whole.status, whole.joules) == ("unavailable", None)
    assert "dead-counter" in whole.reason
    assert total([]).joules is None


@pytest.mark.parametrize(
    ("losses", "epoch"),
    [([4.0, 2.0, 1.0, 1.0], 3), ([1.0, 0.5], 2), ([1.0, 2.0], None), ([1.0], None), ([2.0, None, 1.0], None)],
)
def test_convergence_epoch_is_the_first_with_99_percent_of_the_fall(
    losses: list[float | None], epoch: int | None
) -> None:
    assert convergence_epoch(losses) == epoch


def event(name: str, **fields: Any) -> str:
    return json.dumps({"event": name, "t_ns": 5, **fields}) + "\n"


def test_marks_become_training_and_epoch_windows(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_text(
        event("begin", pid=1)
        + event("ready")
        + event("epoch", number=1, start_ns=10, t_ns=20, loss=1.0, metrics={})
        + event("epoch", number=2, start_ns=21, t_ns=30, loss=None, metrics={})
        + event("end", metrics={})
    )
    marks = read_marks(file)
    assert marks.fault == ""
    spans = {w.name: (w.t0_ns, w.t1_ns) for w in marks.windows("b")}
    assert spans == {"training": (10, 30), "epoch:1": (10, 20), "epoch:2": (21, 30)}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (event("epoch", number=2, start_ns=1, t_ns=2), "epoch 2 follows epoch 0"),
        (event("epoch", number=1, start_ns=3, t_ns=2), "goes back in time"),
        (event("lunch"), "unknown event 'lunch'"),
        ('{"event":"epoch","number":Infinity,"start_ns":1,"t_ns":2}\n', "cannot be read"),
        (event("epoch", number=1, start_ns=1, t_ns=2, loss="low"), "loss is 'low'"),
        (event("end", metrics=[1]), "cannot be read"),
        (event("end", metrics={"accuracy": "93%"}), "accuracy is '93%'"),
        ('{"event":"end","metrics":{"accuracy":NaN}}\n', "accuracy is nan"),
        ("[1]\n", "cannot be read"),
        ('{"event":"end"', "torn"),
    ],
)
def test_event_that_cannot_be_is_a_fault(tmp_path: Path, line: str, fault: str) -> None:
    file = tmp_path / "events"
    file.write_text(line)
    assert fault in read_marks(file).fault


def test_no_events_file_is_a_fault(tmp_path: Path) -> None:
    assert read_marks(tmp_path / "none").fault == "no event was written"


@pytest.mark.parametrize(("held", "told"), [(True, 150.0), (False, None)])
def test_a_power_limit_that_did_not_hold_is_not_claimed(held: bool, told: float | None) -> None:
    found = records(GOLDEN)[0]
    case = replace(found.case, power_limit_w=150.0)
    limited = replace(found, case=case, provenance={"gpu_power_limit_held": held})
    (row,) = rows(limited)
    assert row["gpu_power_limit_watts"] == told
