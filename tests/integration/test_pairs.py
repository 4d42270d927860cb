"""Two programs at once: one start, two windows each and one of both, and no joule counted twice."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import read_journal, records
from energy_plugin.record.rows import rows
from tests import tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from energy_plugin.run.executors.local import LocalExecutor
    from tests.conftest import Project


@pytest.fixture
def local(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalExecutor]:
    monkeypatch.setenv("WATTWHY_TINY_EPOCH_S", "0.2")
    with tiny.executor(images, tmp_path / "cache") as made:
        yield made


def test_both_start_together_though_one_loads_longer(local: LocalExecutor, tmp_path: Path) -> None:
    record = tiny.run(tiny.pair("spin", "late"), local, tmp_path / "pair")
    assert record.success, record.failure
    a, b = record.outcomes
    waited_s = record.provenance["barrier"]["waited_s"]
    assert waited_s["a"] > waited_s["b"] + 0.2
    skew_s = record.provenance["start_skew_s"]
    assert abs(skew_s) < 0.1
    assert b.epochs[0].t0_ns - a.epochs[0].t0_ns == pytest.approx(skew_s * 1e9)
    assert min(a.epochs[0].t0_ns, b.epochs[0].t0_ns) >= record.provenance["barrier"]["go_ns"] - 10_000_000
    assert [[w.name for w in one.windows] for one in (a, b)] == [
        ["process", "training", "epoch:1", "epoch:2"]
    ] * 2
    usage = (tmp_path / "pair" / "energy" / "trace.csv").read_text()
    assert "program:a" in usage
    assert "program:b" in usage


def test_rows_of_a_pair_name_the_partner_and_share_what_cannot_be_told_apart(
    local: LocalExecutor, tmp_path: Path
) -> None:
    record = tiny.run(tiny.pair("spin", "late"), local, tmp_path / "pair")
    first, second = rows(record)
    assert (first["role"], first["model"], first["partner_model"]) == ("a", "spin", "late")
    assert (second["role"], second["model"], second["partner_model"]) == ("b", "late", "spin")
    assert first["shared_duration_seconds"] == second["shared_duration_seconds"] == record.duration_s
    own = [one["duration_seconds"] for one in (first, second)]
    assert max(own) <= record.duration_s < sum(own)
    assert 0 < first["shared_overlap_seconds"] <= min(own)
    assert first["training_duration_seconds"] == pytest.approx(0.4, abs=0.2)


def test_partner_that_ends_before_it_is_ready_ends_the_pair_at_once(
    local: LocalExecutor, tmp_path: Path
) -> None:
    began = time.monotonic()
    record = tiny.run(tiny.pair("never", "unready"), local, tmp_path / "pair")
    assert time.monotonic() - began < 10
    a, b = record.outcomes
    assert (a.reason, a.detail) == ("partner", "b ended before both were ready")
    assert (b.reason, b.exit_code) == ("exit-code", 1)
    assert record.provenance["barrier"]["go_ns"] is None
    assert not (tmp_path / "pair" / "barrier" / "go").exists()


def test_program_that_never_gets_ready_is_named(local: LocalExecutor, tmp_path: Path) -> None:
    record = tiny.run(tiny.pair("spin", "never"), local, tmp_path / "pair", ready_s=1.0)
    assert [one.reason for one in record.outcomes] == ["barrier", "barrier"]
    assert "tiny/never: barrier: b was not ready after 1 s" in record.failure
    assert [len(one.epochs) for one in record.outcomes] == [0, 0]


def test_partner_that_fails_later_ends_the_other_too(local: LocalExecutor, tmp_path: Path) -> None:
    began = time.monotonic()
    record = tiny.run(tiny.pair("crash", "spin", epochs=3, epochs_b=1000), local, tmp_path / "pair")
    assert time.monotonic() - began < 30
    a, b = record.outcomes
    assert (a.reason, a.exit_code, len(a.epochs)) == ("exit-code", 1, 3)
    assert (b.success, b.reason, b.exit_code) == (False, "partner", -signal.SIGTERM)
    assert b.detail == "a failed"


def test_training_that_completed_beside_a_failure_does_not_count_but_is_kept(
    local: LocalExecutor, tmp_path: Path
) -> None:
    record = tiny.run(tiny.pair("spin", "crash", epochs=1, epochs_b=5), local, tmp_path / "pair")
    a, b = record.outcomes
    assert (a.success, a.reason, a.exit_code) == (False, "partner", 0)
    assert a.detail == "b failed (exit-code); this training itself completed"
    assert a.metrics == {"accuracy": 0.9}
    assert b.reason == "exit-code"
    assert [row["training_success"] for row in rows(record)] == [False, False]


def test_timeout_at_the_barrier_is_a_timeout(local: LocalExecutor, tmp_path: Path) -> None:
    record = tiny.run(tiny.pair("spin", "never"), local, tmp_path / "pair", timeout_s=1.5)
    assert [one.reason for one in record.outcomes] == ["timeout", "timeout"]


def test_what_a_program_leaves_in_other_groups_ends_with_it(local: LocalExecutor, tmp_path: Path) -> None:
    record = tiny.run(tiny.pair("brood", "spin"), local, tmp_path / "pair")
    assert record.success, record.failure
    assert tiny.gone(f"{tmp_path}/pair", 0)


# --- sessions ---------------------------------------------------------------------------------------

DESIGN = """
[[experiments]]
pairs = [["tiny/{a}", "tiny/{b}"]]
design = {{ kind = "one_at_a_time", names = ["epochs"], levels = 2 }}
"""
OPTIONS = ("--energy-cooldown", "0", "--energy-idle", "0")


def design(project: Project, a: str, b: str) -> str:
    path = project.folder / "study.toml"
    path.write_text(DESIGN.format(a=a, b=b))
    project.environment["WATTWHY_TINY_EPOCH_S"] = "0.1"
    return str(path)


def test_design_file_runs_pairs_and_their_programs_alone(project: Project) -> None:
    done = project.run(design(project, "spin", "late"), *OPTIONS)
    assert done.returncode == 0, done.stdout + done.stderr
    found = list(records(project.session))
    assert sorted(record.case.mode for record in found) == ["alone"] * 4 + ["pair"] * 3
    table = (project.session / "summary.csv").read_text().splitlines()
    assert len(table) == 1 + 4 + 2 * 3


def test_two_equal_failures_of_one_end_the_retries_of_the_pair(project: Project) -> None:
    done = project.run(
        design(project, "crash", "spin"), *OPTIONS, "--energy-retries", "4", "-k", "pair-default+default"
    )
    assert done.returncode == 1
    ends = [event for event in read_journal(project.session) if event["event"] == "attempt-end"]
    assert [event["reason"] for event in ends] == ["exit-code", "exit-code"]


def test_interrupt_ends_both_programs(project: Project) -> None:
    running = project.start(design(project, "brood_hang", "hang"), *OPTIONS, "-k", "pair-default+default")
    folder = project.folder / "results" / "latest" / "tiny_brood_hang+tiny_hang_001"
    deadline = time.monotonic() + 30
    while not (folder / "barrier" / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == pytest.ExitCode.INTERRUPTED, output
    (record,) = records(project.session)
    assert [one.reason for one in record.outcomes] == ["interrupted", "interrupted"]
    assert tiny.gone(f"{project.session}/", 0)
