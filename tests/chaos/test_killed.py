"""Sessions killed with SIGKILL at every kind of event and at any time, resumed until all is done."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import records
from tests.conftest import summary

if TYPE_CHECKING:
    from tests.chaos.conftest import Ordeal

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

CASES = 60
ANY_TIME_CASES = 40
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(10**6)))
WHERE = ("before", "mid", "after")
AMONG = [
    (kind, where)
    for kind in ("session-resume", "idle", "attempt-begin", "attempt-end", "attempt-fault", "attempt-lost")
    for where in WHERE
]


def kill_at(ordeal: Ordeal, kind: str, where: str, chance: random.Random) -> None:
    """One session that dies at this event; the third at most of those that come often."""
    count = chance.randint(1, 3) if kind in ("attempt-begin", "attempt-end") else 1
    environment = {"CHAOS_KILL": f"{kind}:{count}:{where}", "CHAOS_SHARE": f"{chance.random():.3f}"}
    if kind == "attempt-fault":
        environment["CHAOS_FAULT"] = "1"
    code, output = ordeal.run(**environment)
    assert code == -9, f"seed {SEED}: not killed at {environment}: {output}"


def check_whole(ordeal: Ordeal, cases: int) -> None:
    """Every case succeeded once, and every file tells the same."""
    events = ordeal.events()
    ends = [event for event in events if event["event"] == "attempt-end"]
    good = Counter(event["case_key"] for event in ends if event["success"])
    assert (len(good), set(good.values())) == (cases, {1}), f"seed {SEED}"
    begun = Counter(event["experiment_id"] for event in events if event["event"] == "attempt-begin")
    assert set(begun.values()) == {1}, f"seed {SEED}: {begun.most_common(3)}"
    closed = Counter(
        event["experiment_id"]
        for event in events
        if event["event"].startswith("attempt-") and event not in ends and event["event"] != "attempt-begin"
    ) + Counter(event["experiment_id"] for event in ends)
    assert closed == begun, f"seed {SEED}: an attempt has no end, or two"
    session = ordeal.project.session
    facts = json.loads((session / "session.json").read_text())
    assert (facts["complete"], facts["done"], facts["planned"]) == (True, cases, cases)
    lost = [event["experiment_id"] for event in events if event["event"] == "attempt-lost"]
    assert facts.get("lost", []) == lost
    check_files(ordeal, [event["experiment_id"] for event in ends])


def check_files(ordeal: Ordeal, ended: list[str]) -> None:
    session = ordeal.project.session
    assert [row["experiment_id"] for row in summary(session)] == ended
    for record in records(session):
        folder = session / record.experiment_id
        assert json.loads((folder / "experiment.json").read_text())["case_key"] == record.case_key
        assert json.loads((folder / "energy" / "readings.json").read_text())
        if record.success:
            for name in ("near.child", "near.grandchild", "far.child", "far.grandchild"):
                assert (folder / "output" / name).read_text() == "1\n2\n3\n", f"{record.experiment_id} {name}"
    assert not list(session.rglob("*.tmp")), f"seed {SEED}"


def test_sixty_cases_succeed_once_each_though_killed_at_every_kind_of_event(
    ordeal: Ordeal, record_property: Any
) -> None:
    print(f"CHAOS_SEED={SEED}")
    record_property("seed", SEED)
    chance = random.Random(SEED)
    ordeal.declare(CASES)
    for where in WHERE:
        kill_at(ordeal, "session-begin", where, chance)
    waiting = chance.sample(AMONG, len(AMONG))
    while waiting:
        possible = [pair for pair in waiting if pair[0] != "attempt-lost" or ordeal.open_attempt()]
        pair = possible[0] if possible else ("attempt-begin", "after")  # leaves one open for the next
        waiting.remove(pair) if pair in waiting else None
        kill_at(ordeal, *pair, chance)
    for where in WHERE:
        kill_at(ordeal, "session-end", where, chance)
    code, output = ordeal.run()
    assert (code, f"{CASES} of {CASES} done, 0 to run" in output) == (0, True), output
    assert ordeal.killed >= 20
    check_whole(ordeal, CASES)


def test_cases_succeed_once_each_though_killed_at_any_time(ordeal: Ordeal, record_property: Any) -> None:
    print(f"CHAOS_SEED={SEED}")
    record_property("seed", SEED)
    chance = random.Random(SEED)
    ordeal.declare(ANY_TIME_CASES)
    code = -9
    for number in range(12):
        # Every other one is in its first case for sure: nothing of that may outlive it.
        hangs = number % 2 == 1 and sum(e.get("success", False) for e in ordeal.events()) < ANY_TIME_CASES
        running = ordeal.start(**({"WATTWHY_CHAOS_HANG": "1"} if hangs else {}))
        if hangs:
            ordeal.await_processes("sleep 600", 2)
        time.sleep(chance.uniform(0.0, 0.2) if hangs else chance.uniform(0.2, 3.0))
        running.kill()
        running.communicate()
        ordeal.check_after_death(running.pid)
    while code:
        code, output = ordeal.run()
        assert code == 0, output
    check_whole(ordeal, ANY_TIME_CASES)
