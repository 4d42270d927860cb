"""How far a session is: counts, joules with their status, what is left, and the file that others poll."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.declare.collect import Background, Declaration, Defaults, expand
from energy_plugin.declare.design import explicit
from energy_plugin.run.expect import guess_s
from energy_plugin.run.progress import NAME, Progress
from tests.unit.records import record_of

CATALOG = load_catalog()
SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "energy_plugin" / "record" / "schema" / "status.json").read_text()
)
CASES = expand(
    Declaration(select=("examples/mnist",), design=explicit({"epochs": 2}), replicates=3),
    CATALOG,
    Defaults(seed=0, limit=None, mutate=(), runs=1),
)
GUESS_S = guess_s(CATALOG, CASES[0]) or 0.0


class HeldClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def now_ns(self) -> int:
        return round(self.now_s * 1e9)

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now_s)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def progress(clock: HeldClock, tmp_path: Path) -> Progress:
    made = Progress(clock)
    made.start(tmp_path, CATALOG, CASES, done=0, planned=3, most_rest_s=0.0)
    return made


def status(folder: Path) -> dict[str, Any]:
    """The file, which obeys its schema."""
    found: dict[str, Any] = json.loads((folder / NAME).read_text())
    jsonschema.validate(found, SCHEMA)
    return found


def run(progress: Progress, clock: HeldClock, number: int, seconds: float, **more: Any) -> None:
    case = CASES[number]
    progress.begin(CATALOG, case)
    clock.sleep(seconds + 2)
    record = record_of(case, number + 1, seconds=seconds, **more)
    progress.keep(CATALOG, record)
    progress.over(CATALOG, case, success=record.success)


def test_status_file_names_the_case_under_way_and_since_when(
    progress: Progress, clock: HeldClock, tmp_path: Path
) -> None:
    assert status(tmp_path)["current"] is None
    clock.sleep(7)
    progress.begin(CATALOG, CASES[0])
    found = status(tmp_path)
    assert found["pid"] == os.getpid()
    assert found["state"] == "running"
    assert found["current"]["case_id"] == CASES[0].id
    assert datetime.fromisoformat(found["current"]["began_utc"]) == clock.utc()
    assert found["current"]["expected_s"] == pytest.approx(GUESS_S, abs=0.1)


def test_status_file_is_replaced_whole(progress: Progress, clock: HeldClock, tmp_path: Path) -> None:
    """A reader that holds the old one open still reads the old one."""
    with (tmp_path / NAME).open() as old:
        run(progress, clock, 0, 5.0)
        assert json.loads(old.read())["done"] == 0
    assert status(tmp_path)["done"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_time_left_follows_the_runs_of_this_session(progress: Progress, clock: HeldClock) -> None:
    assert progress.left_s() == pytest.approx(3 * GUESS_S)
    run(progress, clock, 0, 3 * GUESS_S)
    assert progress.left_s() == pytest.approx(2 * (3 * GUESS_S + 2)), "with two seconds beside each"


def test_time_left_shrinks_while_a_case_runs_but_not_below_the_others(
    progress: Progress, clock: HeldClock
) -> None:
    progress.begin(CATALOG, CASES[0])
    clock.sleep(GUESS_S / 2)
    assert progress.left_s() == pytest.approx(2.5 * GUESS_S, rel=0.01)
    clock.sleep(100 * GUESS_S)
    assert progress.left_s() == pytest.approx(2 * GUESS_S, rel=0.01)


def test_a_failed_run_counts_as_failed_and_teaches_no_duration(
    progress: Progress, clock: HeldClock, tmp_path: Path
) -> None:
    run(progress, clock, 0, 0.01, success=False)
    assert status(tmp_path)["failed"] == 1
    assert status(tmp_path)["last"]["success"] is False
    left = progress.left_s()
    assert left is not None
    assert left >= 2 * GUESS_S


def test_joules_add_up_over_failed_attempts_too(progress: Progress, clock: HeldClock, tmp_path: Path) -> None:
    run(progress, clock, 0, 5.0, joules=100.0, success=False)
    run(progress, clock, 1, 5.0, joules=50.0)
    energy = status(tmp_path)["energy"]
    assert (energy["joules"], energy["status"], energy["attempts"]) == (150.0, "measured", 2)


def test_joules_are_as_good_as_their_worst_part(progress: Progress, clock: HeldClock, tmp_path: Path) -> None:
    assert status(tmp_path)["energy"]["status"] == "unavailable"
    run(progress, clock, 0, 5.0, joules=100.0)
    run(progress, clock, 1, 5.0, joules=50.0, status="estimated")
    assert status(tmp_path)["energy"]["status"] == "estimated"
    run(progress, clock, 2, 5.0)
    energy = status(tmp_path)["energy"]
    assert energy["status"] == "partial"
    assert energy["joules"] == 150
    assert energy["reason"] == "1 attempts without: cpu:package:0 no-permission"


def test_without_any_joules_the_reason_stands_instead(
    progress: Progress, clock: HeldClock, tmp_path: Path
) -> None:
    run(progress, clock, 0, 5.0)
    energy = status(tmp_path)["energy"]
    assert (energy["joules"], energy["status"]) == (None, "unavailable")
    assert "no-permission" in energy["reason"]


def test_an_end_is_told_with_its_exit_code(progress: Progress, clock: HeldClock, tmp_path: Path) -> None:
    run(progress, clock, 0, 5.0)
    progress.begin(CATALOG, CASES[1])
    progress.end(2)
    found = status(tmp_path)
    assert (found["state"], found["exit_code"], found["current"], found["end_utc"]) == (
        "ended",
        2,
        None,
        None,
    )
    assert (found["done"], found["planned"]) == (1, 3)


def test_a_case_that_was_not_planned_is_counted_in(progress: Progress, clock: HeldClock) -> None:
    progress.add(CATALOG, CASES[0])
    assert progress.left_s() == pytest.approx(4 * GUESS_S)
    assert progress.facts()["planned"] == 4


def test_a_warm_up_is_expected_once(clock: HeldClock, tmp_path: Path) -> None:
    cases = expand(
        Declaration(
            select=("examples/mnist",),
            design=explicit({"epochs": 2}),
            background=Background(model="examples/siamese"),
            alone=False,
            replicates=2,
        ),
        CATALOG,
        Defaults(seed=0, limit=None, mutate=(), runs=1),
    )
    progress = Progress(clock, warmup_s=30.0)
    progress.start(tmp_path, CATALOG, cases, done=0, planned=2, most_rest_s=0.0)
    assert progress.left_s() == pytest.approx(2 * (GUESS_S + 30))
    progress.begin(CATALOG, cases[0])
    clock.sleep(30 + GUESS_S + 1)
    progress.keep(CATALOG, record_of(cases[0], seconds=GUESS_S))
    progress.over(CATALOG, cases[0], success=True)
    assert progress.left_s() == pytest.approx(GUESS_S + 30 + 1)
