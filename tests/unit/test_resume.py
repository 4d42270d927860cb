"""What a journal tells of a session that stopped, and which session is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.case import Case, Program
from energy_plugin.errors import UsageError
from energy_plugin.record.journal import NAME, Journal
from energy_plugin.run.continuation import Continuation
from energy_plugin.run.host import host_facts
from energy_plugin.run.resume import find_session, read_trail

if TYPE_CHECKING:
    from pathlib import Path

T = "2026-11-21T19:00:00+00:00"
HOST = {"cpu_model": host_facts()["cpu_model"]}
FACTS: dict[str, Any] = {
    "started_utc": T,
    "executor": "local",
    "options": {"gpus": "GPU-1"},
    "order": {"kind": "blocks", "seed": 3},
    "host": HOST,
    "planned": 3,
    "catalogue": {"tiny": {}},
}


def case(replicate: int) -> Case:
    return Case(programs=(Program(repository="tiny", model="good", values={}),), replicate=replicate)


def key(one: Case) -> str:
    return f"key{one.replicate}"


class Past:
    """Writes a journal event by event."""

    def __init__(self, folder: Path, **facts: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.journal = Journal(folder)
        self.journal.append("session-begin", T, session={**FACTS, **facts})

    def begin(self, replicate: int, number: int, attempt: int = 1) -> dict[str, Any]:
        names = {
            "experiment_id": f"tiny_good_{number:03d}",
            "case_key": f"key{replicate}",
            "attempt": attempt,
        }
        self.journal.append("attempt-begin", T, **names, case_id=case(replicate).id)
        return names

    def end(self, replicate: int, number: int, attempt: int = 1, reason: str = "", failure: str = "") -> None:
        names = self.begin(replicate, number, attempt)
        told = {"success": not reason, "reason": reason, "failure": failure, "duration_s": 2.5}
        self.journal.append("attempt-end", T, **names, **told, record={"readings": []})

    def continued(self, *replicates: int, retries: int = 2) -> Continuation:
        self.journal.close()
        return Continuation(self.folder, [case(n) for n in replicates], key, retries)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path / "run_20261121_190000")


def test_finished_lost_and_failed_cases_are_told_apart(past: Past) -> None:
    past.end(1, 1)
    past.end(2, 2, reason="exit-code", failure="a")
    past.end(2, 3, attempt=2, reason="exit-code", failure="a")
    past.begin(3, 4)
    found = past.continued(1, 2, 3, 4)
    assert [one.replicate for one in found.finished] == [1]
    assert [one.replicate for one in found.left] == [2, 3, 4]
    assert found.given_up == 1
    assert [event["experiment_id"] for event in found.lost] == ["tiny_good_004"]
    assert list(found.lines()) == [
        "resuming run_20261121_190000: 1 of 4 done, 2 to run",
        "1 cases failed for good before; they fail again without a run",
    ]
    assert found.trail.past("key1").duration_s == 2.5


def test_an_interrupted_or_lost_attempt_counts_as_no_failure_but_keeps_its_number(past: Past) -> None:
    past.end(1, 1, reason="interrupted")
    past.begin(1, 2, attempt=2)
    past.end(1, 3, attempt=3, reason="not-started")
    found = past.continued(1, retries=0)
    assert found.given_up == 0
    assert found.trail.past("key1").attempts == 3
    assert found.trail.past("key1").failures == ()


def test_a_fault_leaves_its_attempts_number_to_the_next_start(past: Past) -> None:
    names = past.begin(1, 1)
    past.journal.append("attempt-fault", T, **names, case_id="", error="no engine", wait_s=1.0)
    found = past.continued(1)
    assert found.trail.past("key1").attempts == 0
    assert found.lost == []


def test_numbers_go_on_after_folders_and_after_what_the_journal_names(past: Past) -> None:
    past.end(1, 7)
    (past.folder / "tiny_good_009").mkdir()
    (past.folder / "tiny_other_1234").mkdir()
    assert past.continued(1).trail.numbers == {"tiny_good": 9, "tiny_other": 1234}


def test_a_lost_attempt_is_lost_once(past: Past) -> None:
    names = past.begin(1, 1)
    past.journal.append("attempt-lost", T, **names, case_id="")
    past.journal.append("session-resume", T, session=FACTS)
    past.begin(1, 2, attempt=2)
    found = past.continued(1)
    assert [event["experiment_id"] for event in found.lost] == ["tiny_good_002"]
    told = found.facts("now")
    assert told == {"started_utc": T, "resumed_utc": [T, "now"], "lost": ["tiny_good_001", "tiny_good_002"]}


def test_cases_that_are_not_selected_now_count_in_the_whole(past: Past) -> None:
    for number in (1, 2, 3):
        past.end(number, number)
    found = past.continued(3, 4)
    assert (found.beside, found.planned) == (2, 4)


def test_fewer_selected_cases_do_not_make_a_session_complete(past: Past) -> None:
    past.end(1, 1)
    assert past.continued(1).planned == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"executor": "docker"}, "begun with --energy-executor=local, this is --energy-executor=docker"),
        ({"seed": 4}, "begun with --energy-seed=3, this is --energy-seed=4"),
        ({"kind": "declared"}, "begun with --energy-order=blocks, this is --energy-order=declared"),
        ({"meters": "rapl"}, "begun with --energy-meters=auto, this is --energy-meters=rapl"),
        ({"gpus": ""}, "begun with --energy-gpus=GPU-1, this is no --energy-gpus"),
    ],
)
def test_another_experiment_is_refused_with_both_values(
    past: Past, change: dict[str, Any], said: str
) -> None:
    past.end(1, 1)
    found = past.continued(1)
    options = {"gpus": "GPU-1", **{k: v for k, v in change.items() if k in ("meters", "gpus")}}
    order = {"kind": change.get("kind", "blocks"), "seed": change.get("seed", 3)}
    with pytest.raises(UsageError, match=said):
        found.refuse_other(change.get("executor", "local"), options, order)


def test_the_same_experiment_on_this_machine_is_not_refused(past: Past) -> None:
    past.continued(1).refuse_other("local", {"gpus": "GPU-1", "retries": "5"}, FACTS["order"])


def test_a_session_of_other_cases_is_refused(past: Past) -> None:
    past.end(1, 1)
    with pytest.raises(UsageError, match="holds none of the cases selected now"):
        past.continued(7, 8).refuse_other("local", {"gpus": "GPU-1"}, FACTS["order"])


def test_a_session_of_another_machine_is_refused(tmp_path: Path) -> None:
    past = Past(tmp_path, host={"cpu_model": "Elsewhere 9000"})
    with pytest.raises(UsageError, match="another machine: Elsewhere 9000"):
        past.continued(1).refuse_other("local", {"gpus": "GPU-1"}, FACTS["order"])


def test_a_session_that_never_began_takes_anything(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b'{"event":"session-b')
    found = Continuation(tmp_path, [case(1)], key, 2)
    found.refuse_other("docker", {}, {"kind": "declared", "seed": 9})
    assert not found.begun
    assert found.facts("now") == {}
    assert read_trail(tmp_path).cases == {}


def test_latest_is_the_newest_session_of_cases_by_its_stamp(tmp_path: Path) -> None:
    assert find_session(tmp_path, "latest") is None
    for name in ("run_20261121_190000", "run_20261121_190000_9", "run_20261121_190000_10"):
        Past(tmp_path / name).journal.close()
    Past(tmp_path / "run_20261123_000000", catalogue={}).journal.close()  # of wattwhy run
    (tmp_path / "run_20261124_000000").mkdir()  # killed before its journal was made
    assert find_session(tmp_path, "latest") == tmp_path / "run_20261121_190000_10"


def test_a_session_is_named_by_its_name_or_its_folder(tmp_path: Path, past: Past) -> None:
    past.journal.close()
    for wanted in (past.folder.name, str(past.folder)):
        assert find_session(tmp_path, wanted) == past.folder
    with pytest.raises(
        UsageError, match=r"no session of that name.*run_20261121_190000.*--energy-resume=latest"
    ):
        find_session(tmp_path, "tests/test_study.py")


def test_a_session_that_was_refused_at_its_begin_hides_none_that_can_go_on(tmp_path: Path) -> None:
    for name, text in (("run_20261121_190000", '{"event": "attempt-begin"}\n'), ("run_20261121_190001", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.jsonl").write_text(text)
    assert find_session(tmp_path, "latest") == tmp_path / "run_20261121_190000"
    (tmp_path / "run_20261121_190000" / "journal.jsonl").unlink()
    assert find_session(tmp_path, "latest") == tmp_path / "run_20261121_190001"
