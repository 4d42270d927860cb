"""When a case is tried again: a scripted executor, and a clock that only moves when someone waits."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.case import Case, Program
from energy_plugin.declare.catalog import load_catalog
from energy_plugin.errors import DisturbedError, ExecutorError, GivenUpError
from energy_plugin.options import plain_options
from energy_plugin.record.journal import read_journal
from energy_plugin.run import hostcheck
from energy_plugin.run.executors.protocols import Exit
from energy_plugin.run.retry import Retries
from energy_plugin.run.session import Session
from energy_plugin.run.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from energy_plugin.options import Options


class Clock:
    """Waits take no time, and are remembered."""

    def __init__(self) -> None:
        self.t_ns = 10**12
        self.waits: list[float] = []

    def now_ns(self) -> int:
        self.t_ns += 1000
        return self.t_ns

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.t_ns / 1e9, UTC)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.t_ns += round(seconds * 1e9)


class Job:
    """Ends as it is told, at once."""

    def __init__(self, folder: Path, clock: Clock, act: str) -> None:
        self.log, self.events = folder / "training.log", folder / "training.events.jsonl"
        self._clock, self._act = clock, act
        self._t0_ns = 0

    def start(self, on_exit: Callable[[], None]) -> None:
        if self._act == "unstarted":
            raise ExecutorError("container not started: engine hiccup")
        self._t0_ns = self._clock.now_ns()
        self.log.write_text(f"at {self.log.parent.name}: {self._act}\n")
        facts = {"t_ns": self._clock.now_ns(), "data_source": "scripted"}
        lines = [
            {"event": "begin", **facts, "values": {}},
            {"event": "ready", **facts},
            {"event": "end", **facts, "metrics": {"accuracy": 0.9}},
        ]
        self.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
        on_exit()

    def poll(self) -> Exit | None:
        return self._exit() if self._t0_ns else None

    def _exit(self) -> Exit:
        code = 0 if self._act == "good" else int(self._act.partition(" ")[2] or 1)
        return Exit(code=code, t0_ns=self._t0_ns, t1_ns=self._t0_ns + 10**9)

    def kill(self, reason: str) -> None: ...

    def close(self) -> Exit:
        if not self._t0_ns:
            now = self._clock.now_ns()
            return Exit(code=None, t0_ns=now, t1_ns=now, reason="not-started: container not started")
        return self._exit()


class Scripted:
    """Prepares what its script says: ``fault``, ``unstarted``, ``good`` or ``exit N``."""

    name = "scripted"

    def __init__(self, clock: Clock, script: Sequence[str]) -> None:
        self._clock, self.script = clock, list(script)

    def check(self, repositories: Any) -> None: ...

    def base(self) -> str:
        return "scripted"

    def prepare(self, program: Program, folder: Path, *, go: Path | None = None) -> Job:
        act = self.script.pop(0)
        if act == "fault":
            raise ExecutorError("image missing")
        return Job(folder, self._clock, act)

    def clean(self) -> int:
        return 0

    def close(self) -> None: ...


class Study:
    """Sessions over the cases of ``tiny/good``, each with its own script."""

    def __init__(self, folder: Path, images: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.catalog = load_catalog(images)
        values = {
            name: h.default
            for name, h in self.catalog.repositories["tiny"].models["good"].hyperparameters.items()
        }
        program = Program(repository="tiny", model="good", values=values)
        self.cases = [Case(programs=(program,), replicate=n) for n in (1, 2, 3)]

    def options(self, **given: Any) -> Options:
        light = {"results": "results", "cooldown": 0, "idle": 0, "meters": "calculator"}
        return plain_options({**light, **given}, self.folder)

    def session(self, script: Sequence[str], **given: Any) -> Session:
        self.clock.waits.clear()
        made = Session(
            options=self.options(**given),
            catalog=self.catalog,
            executor=Scripted(self.clock, script),
            weights=Weights(None),
            meters=[],
            clock=self.clock,
            plan=self.cases,
            root=self.folder,
        )
        if given.get("resume"):
            made.look_back()
        made.begin()
        return made

    def end(self, session: Session) -> None:
        session.finish(0)
        session.close()

    def events(self) -> list[dict[str, Any]]:
        (folder,) = (self.folder / "results").glob("run_*")
        return list(read_journal(folder))

    def kinds(self) -> list[str]:
        return [
            event["event"].removeprefix("attempt-") for event in self.events() if "attempt" in event["event"]
        ]


@pytest.fixture
def study(tmp_path: Path, images: Path) -> Study:
    return Study(tmp_path, images)


def test_a_fault_before_the_window_is_tried_again_after_one_four_and_sixteen_seconds(study: Study) -> None:
    session = study.session(["fault"] * 4 + ["good"], retries=5)
    record = session.measure(study.cases[0])
    study.end(session)
    assert record.success
    assert record.attempt == 1  # no training was tried before
    assert study.clock.waits == [1.0, 4.0, 16.0, 16.0]
    faults = [event for event in study.events() if event["event"] == "attempt-fault"]
    assert [(event["error"], event["wait_s"]) for event in faults] == [
        ("image missing", wait) for wait in (1.0, 4.0, 16.0, 16.0)
    ]
    assert record.experiment_id == "tiny_good_005"
    assert sorted(path.name for path in session.folder.iterdir() if path.is_dir()) == ["tiny_good_005"]


def test_an_engine_that_does_not_start_the_program_is_tried_again_too(study: Study) -> None:
    session = study.session(["unstarted", "unstarted", "good"])
    record = session.measure(study.cases[0])
    study.end(session)
    assert record.success
    assert study.clock.waits == [1.0, 4.0]
    assert study.kinds() == ["begin", "end"] * 3
    assert [r.outcomes[0].reason for r in session.done] == ["not-started", "not-started", ""]


def test_after_a_case_that_waited_in_vain_others_wait_no_more_until_one_starts(study: Study) -> None:
    session = study.session(["fault"] * 3 + ["fault"] + ["good"])
    for case in study.cases[:2]:
        with pytest.raises(ExecutorError, match="image missing"):
            session.measure(case)
    assert study.clock.waits == [1.0, 4.0]
    assert session.measure(study.cases[2]).success
    study.end(session)
    facts = json.loads((session.folder / "session.json").read_text())
    assert (facts["complete"], facts["done"], facts["planned"]) == (False, 1, 3)


def test_without_retries_a_fault_is_final(study: Study) -> None:
    session = study.session(["fault"], retries=0)
    with pytest.raises(ExecutorError):
        session.measure(study.cases[0])
    assert study.clock.waits == []
    session.close()


def test_a_failed_training_is_a_new_attempt_without_a_wait_and_keeps_its_own_folder(study: Study) -> None:
    session = study.session(["exit 3", "exit 4", "good"])
    record = session.measure(study.cases[0])
    study.end(session)
    assert (record.success, record.attempt) == (True, 3)
    assert study.clock.waits == []
    for number, code in ((1, 3), (2, 4), (3, 0)):
        told = json.loads((session.folder / f"tiny_good_{number:03d}" / "experiment.json").read_text())
        assert told["attempt"] == number
        assert told["outcomes"][0]["exit_code"] == code
        assert (session.folder / f"tiny_good_{number:03d}" / "training.log").exists()


def test_two_equal_failures_end_the_retries_whatever_folder_the_log_names(study: Study) -> None:
    session = study.session(["exit 3", "exit 3", "good"], retries=9)
    record = session.measure(study.cases[0])
    study.end(session)
    assert (record.success, record.attempt) == (False, 2)


def test_a_case_that_failed_for_good_is_not_run_again_by_a_resume(study: Study) -> None:
    session = study.session(["exit 3", "exit 3", "good"])
    session.measure(study.cases[0])
    session.measure(study.cases[1])
    session.close()
    resumed = study.session(["good"], resume="latest")
    assert [case.replicate for case in resumed.left()] == [1, 3]
    with pytest.raises(GivenUpError, match=r"exit-code; 2 failed attempts, the last one tiny_good_002"):
        resumed.measure(study.cases[0])
    assert resumed.measure(study.cases[2]).success
    study.end(resumed)
    facts = json.loads((resumed.folder / "session.json").read_text())
    assert (facts["complete"], facts["done"]) == (True, 3)


def test_retries_are_counted_over_resumes_and_more_of_them_let_a_case_run_again(study: Study) -> None:
    first = study.session(["exit 3"], retries=0)
    first.measure(study.cases[0])
    first.close()
    second = study.session([], retries=0, resume="latest")
    with pytest.raises(GivenUpError):
        second.measure(study.cases[0])
    second.close()
    third = study.session(["exit 4", "good"], retries=1, resume="latest")
    assert third.measure(study.cases[0]).attempt == 2
    third.close()
    kinds = [event["event"] for event in study.events() if event["event"].startswith("session")]
    assert kinds == ["session-begin", "session-resume", "session-resume"]


def test_changed_sources_let_a_finished_case_and_a_hopeless_one_run_again(study: Study, images: Path) -> None:
    session = study.session(["exit 3", "exit 3", "good"])
    session.measure(study.cases[0])
    session.measure(study.cases[1])
    session.close()
    (images / "tiny" / "train.py").write_text("# another program\n")
    study.catalog = load_catalog(images)
    resumed = study.session(["good"] * 3, resume="latest")
    assert any("2 finished cases are run again" in line for line in resumed.notes())
    for case in study.cases:
        assert resumed.measure(case).attempt == 1
    study.end(resumed)
    facts = json.loads((resumed.folder / "session.json").read_text())
    assert (facts["complete"], facts["done"], facts["planned"]) == (True, 3, 3)


def test_a_strict_session_runs_no_case_on_a_busy_host(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def __init__(self, clock: object) -> None: ...

        def share(self) -> float:
            return 0.4

    monkeypatch.setattr(hostcheck, "LoadWatch", Busy)
    session = study.session(["good"], strict=True)
    monkeypatch.setattr(Scripted, "others", lambda self: ["web"], raising=False)
    with pytest.raises(DisturbedError, match=r"container web is running; others take 40% of the processors"):
        session.measure(study.cases[0])
    (event,) = [event for event in study.events() if event["event"] == "case-refused"]
    assert len(event["reasons"]) == 2
    assert study.kinds() == []
    monkeypatch.setattr(Busy, "share", lambda self: 0.01)
    monkeypatch.setattr(Scripted, "others", lambda self: [], raising=False)
    assert session.measure(study.cases[1]).success
    study.end(session)
    assert not json.loads((session.folder / "session.json").read_text())["complete"]


def test_other_containers_are_in_the_record_where_the_executor_sees_them(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = study.session(["good", "good"])
    assert "other_containers" not in session.measure(study.cases[0]).provenance
    monkeypatch.setattr(Scripted, "others", lambda self: ["web"], raising=False)
    assert session.measure(study.cases[1]).provenance["other_containers"] == ["web"]
    session.close()


@pytest.mark.parametrize(
    ("most", "failures", "over"),
    [
        (2, [], False),
        (2, ["a"], False),
        (2, ["a", "b"], False),
        (2, ["a", "b", "a"], True),
        (2, ["a", "a"], True),
        (9, ["a", "b", "b"], True),
        (9, ["", ""], False),  # of an earlier version, which did not tell
        (0, ["a"], True),
    ],
)
def test_retries_are_over_when_used_up_or_when_two_agree(most: int, failures: list[str], over: bool) -> None:
    assert Retries(most, failures).over == over
