"""The parent of CodeCarbon's helper, with helpers that answer, lie, die or hang."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.meters.codecarbon import CodeCarbonMeter
from energy_plugin.record.trace import Window, integrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HELLO = """
import json, sys, time
def say(**fields): print(json.dumps(fields), flush=True)
say(ready=True, version="0", channels={"cpu": {"source": "load-model", "detail": "CPU"}})
"""
GOOD = """
for line in sys.stdin:
    ask = json.loads(line)
    extra = {"joules": {"cpu": 7.5, "ram": 1.0, "gpu": 0.0}} if ask["op"] == "end" else {}
    say(id=ask["id"], t_ns=time.monotonic_ns(), **extra)
"""


class Helpers:
    """Makes meters whose helper is a program given as text, and closes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[CodeCarbonMeter] = []

    def __call__(self, program: str, timeout_s: float = 20.0) -> CodeCarbonMeter:
        path = self.folder / "helper.py"
        path.write_text(textwrap.dedent(program))
        meter = CodeCarbonMeter(helper=path, ready_timeout_s=timeout_s, log=self.folder / "log")
        self.made.append(meter)
        return meter


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helpers]:
    helpers = Helpers(tmp_path)
    yield helpers
    for meter in helpers.made:
        meter.close()


def attempt(meter: CodeCarbonMeter) -> list[tuple[str, str, str, float | None]]:
    meter.start()
    meter.edge("open")
    t0 = time.monotonic_ns()
    time.sleep(0.05)
    window = Window(program="a", name="process", t0_ns=t0, t1_ns=time.monotonic_ns())
    meter.edge("close")
    readings = [integrate(trace, window, None) for trace in meter.stop()]
    return [(r.channel, r.status, r.reason, r.joules) for r in readings]


def test_the_answer_of_the_helper_is_an_estimate_with_its_true_source(helper: Helpers) -> None:
    meter = helper(HELLO + GOOD)
    cpu, ram, gpu = meter.probe()
    assert (cpu.alive, cpu.source, cpu.kind) == (True, "load-model", "model")
    assert (ram.reason, gpu.reason) == ("no-ram", "no-gpu")
    assert attempt(meter) == [("cpu", "estimated", "", 7.5)]
    assert attempt(meter) == [("cpu", "estimated", "", 7.5)]


def test_a_helper_that_dies_at_the_end_is_a_fault(helper: Helpers) -> None:
    meter = helper(
        HELLO + "ask = json.loads(sys.stdin.readline()); say(id=ask['id'], t_ns=time.monotonic_ns())\n"
    )
    assert attempt(meter) == [("cpu", "unavailable", "helper-died", None)]


def test_a_helper_that_dies_before_the_window_is_started_again(helper: Helpers) -> None:
    meter = helper(HELLO)
    meter.probe()
    assert meter._process is not None
    meter._process.wait(5)
    (meter._helper).write_text(textwrap.dedent(HELLO + GOOD))
    assert attempt(meter) == [("cpu", "estimated", "", 7.5)]


def test_an_error_inside_codecarbon_is_named(helper: Helpers) -> None:
    meter = helper(HELLO + "for line in sys.stdin: say(id=json.loads(line)['id'], error='KeyError: x')\n")
    assert attempt(meter) == [("cpu", "unavailable", "helper-failed", None)]


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("raise SystemExit(3)", "no answer"),
        ("import time; time.sleep(60)", "no answer within"),
        ('print(\'{"ready": false, "detail": "ModuleNotFoundError: codecarbon"}\')', "ModuleNotFoundError"),
        ("print('not json')", "no answer"),
    ],
)
def test_a_helper_that_never_gets_ready_has_no_channel(helper: Helpers, program: str, detail: str) -> None:
    meter = helper(program, 0.5)
    channels = meter.probe()
    assert {(c.alive, c.reason) for c in channels} == {(False, "helper-died")}
    assert detail in channels[0].detail
    assert attempt(meter) == []


def test_a_chatty_helper_does_not_confuse_the_answers(helper: Helpers) -> None:
    meter = helper(HELLO + "say(id=0, t_ns=1)\n" + GOOD)
    assert attempt(meter) == [("cpu", "estimated", "", 7.5)]


def test_warm_returns_at_once_and_close_ends_the_helper(helper: Helpers) -> None:
    meter = helper("import time; time.sleep(60)")
    began = time.monotonic()
    meter.warm()
    meter.warm()
    assert time.monotonic() - began < 1.0
    process = meter._process
    assert process is not None
    meter.close()
    meter.close()
    assert process.returncode is not None
