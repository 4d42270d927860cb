"""The simulated perf writes and behaves as the real one does, with joules that are known."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.simulated.hardware import Burst, Cpu, Segment, activity

if TYPE_CHECKING:
    from pathlib import Path

POWERS = {"energy-pkg": 50.0, "energy-ram": 5.0}
PACKAGE = "power/energy-pkg/"
BOTH = f"{PACKAGE},power/energy-ram/"
C_LOCALE = {**os.environ, "LC_ALL": "C"}


def perf(cpu: Cpu, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = str(cpu.install()["program"])
    told = {**C_LOCALE, **environment}
    return subprocess.run([program, *arguments], env=told, capture_output=True, text=True, timeout=30)


def rows(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


class Controlled:
    """A perf that counts when told to."""

    def __init__(self, program: str, *arguments: str) -> None:
        theirs_in, self.commands = os.pipe()
        self.acks, theirs_out = os.pipe()
        control = ("--control", f"fd:{theirs_in},{theirs_out}", "-D", "-1")
        self.process = subprocess.Popen(
            [program, "stat", "-a", *arguments, *control],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.PIPE,
            env=C_LOCALE,
            text=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)

    def tell(self, line: str, wait_s: float = 5.0) -> bytes:
        os.write(self.commands, f"{line}\n".encode())
        ready = select.select([self.acks], [], [], wait_s)[0]
        return os.read(self.acks, 64) if ready else b""

    def end(self) -> tuple[str, int]:
        self.process.send_signal(signal.SIGINT)  # a dead one is left alone
        _, text = self.process.communicate(timeout=10)
        os.close(self.commands)
        os.close(self.acks)
        return text, self.process.returncode


# --- joules -------------------------------------------------------------------------------------------


def test_what_is_enabled_is_counted_and_nothing_else(tmp_path: Path) -> None:
    load = Burst(start_s=0, end_s=1e9, power_w=100, on_s=0.01, period_s=0.03, jitter_s=0.02, seed=1)
    cpu = Cpu(folder=tmp_path, power_w=POWERS, segments={"energy-pkg": (load,)}, t0_ns=time.monotonic_ns())
    controlled = Controlled(str(cpu.install()["program"]), "-j", "-e", BOTH)
    assert controlled.tell("ping") == b"ack\n\0"
    time.sleep(0.1)
    truth = {"most": 0.0, "least": 0.0}
    for _ in range(2):
        sent_ns = time.monotonic_ns()
        assert controlled.tell("enable") == b"ack\n\0"
        on_ns = time.monotonic_ns()
        time.sleep(0.15)
        off_ns = time.monotonic_ns()
        assert controlled.tell("disable") == b"ack\n\0"
        got_ns = time.monotonic_ns()
        truth["most"] += cpu.energy_j("energy-pkg", sent_ns - 1_000_000, got_ns)
        truth["least"] += cpu.energy_j("energy-pkg", on_ns, off_ns - 1_000_000)
        time.sleep(0.1)
    text, code = controlled.end()
    assert code == -signal.SIGINT
    package, memory = rows(text)
    assert truth["least"] - 1e-3 <= float(package["counter-value"]) <= truth["most"] + 1e-3
    assert float(memory["counter-value"]) == pytest.approx(5 * 0.3, rel=0.25)
    assert text.startswith("Events disabled\nEvents enabled\nEvents disabled\n")


def test_live_work_is_seen_by_the_package_it_runs_on(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS, sockets=2, shares={"energy-pkg": 1.0, "energy-ram": 0.1})
    controlled = Controlled(str(cpu.install()["program"]), "-j", "--per-socket", "-e", BOTH)
    controlled.tell("enable")
    t0_ns = time.monotonic_ns()
    with activity(cpu.activity, 200.0, device=1):
        time.sleep(0.2)
    time.sleep(0.01)  # the counter ticks every millisecond
    t1_ns = time.monotonic_ns()
    controlled.tell("disable")
    text, _ = controlled.end()
    found = {(row["event"], row["socket"]): float(row["counter-value"]) for row in rows(text)}
    span_s = (t1_ns - t0_ns) / 1e9
    live_j = cpu.energy_j("energy-pkg", t0_ns, t1_ns, socket=1) - 50 * span_s
    assert 40 <= live_j <= 200 * span_s
    more = found[PACKAGE, "S1"] - found[PACKAGE, "S0"]
    assert more == pytest.approx(live_j, abs=0.01)
    assert found["power/energy-ram/", "S1"] - found["power/energy-ram/", "S0"] == pytest.approx(
        live_j / 10, abs=0.01
    )


def test_intervals_add_up_to_the_whole(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS)
    t0_ns = time.monotonic_ns()
    done = perf(cpu, "stat", "-a", "-j", "-I", "100", "-e", PACKAGE, "sleep", "0.35")
    t1_ns = time.monotonic_ns()
    found = rows(done.stderr)
    assert len(found) >= 3
    total = sum(float(row["counter-value"]) for row in found)
    assert 0.35 * 50 - 0.1 <= total <= cpu.energy_j("energy-pkg", t0_ns, t1_ns)
    assert [float(row["interval"]) for row in found] == sorted(float(row["interval"]) for row in found)


def test_counters_stop_and_packages_mirror_as_told(tmp_path: Path) -> None:
    mirrored = Cpu(folder=tmp_path, power_w=POWERS, sockets=2, skew=0.5, mirrored=True)
    done = perf(mirrored, "stat", "-a", "-j", "--per-socket", "-e", PACKAGE, "sleep", "0.05")
    first, second = rows(done.stderr)
    assert first["counter-value"] == second["counter-value"]
    frozen = Cpu(folder=tmp_path, power_w=POWERS, freeze_s=1.0)
    done = perf(frozen, "stat", "-a", "-j", "-e", PACKAGE, "sleep", "0.05")
    assert float(rows(done.stderr)[0]["counter-value"]) == 0.0


def test_dies_share_their_package(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS, dies=2)
    done = perf(cpu, "stat", "-a", "-j", "--per-die", "-e", PACKAGE, "sleep", "0.1")
    first, second = rows(done.stderr)
    assert (first["die"], second["die"]) == ("S0-D0", "S0-D1")
    assert float(second["counter-value"]) == pytest.approx(2 * float(first["counter-value"]), rel=0.01)


# --- failures -----------------------------------------------------------------------------------------


def test_an_unknown_event_ends_perf_before_anything_runs(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    done = perf(
        Cpu(folder=tmp_path, power_w=POWERS), "stat", "-e", f"{PACKAGE},power/nope/", "touch", str(touched)
    )
    assert done.returncode == 129
    assert "event syntax error: 'power/nope/'" in done.stderr
    assert not touched.exists()


@pytest.mark.parametrize(
    ("mode", "code", "said"),
    [
        ("not-supported", 0, f"<not supported>;Joules;{PACKAGE}u;0;100.00;;"),
        ("not-counted", 0, f"<not counted>;Joules;{PACKAGE};0;100.00;;"),
        ("zero", 0, f"0.00;Joules;{PACKAGE};"),
        ("no-permission", 255, "perf_event_paranoid setting is 2"),
        ("older", 129, "unknown option `control'"),
        ("wrapper", 2, "perf not found for kernel"),
    ],
)
def test_each_mode_fails_in_its_own_form(tmp_path: Path, mode: str, code: int, said: str) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS, mode=mode)
    control = ("--control", "fd:0") if mode == "older" else ()
    done = perf(cpu, "stat", "-a", "-x;", *control, "-e", PACKAGE, "true")
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_one_event_may_fail_alone(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS, modes={"energy-ram": "zero"})
    package, memory = rows(perf(cpu, "stat", "-a", "-j", "-e", BOTH, "sleep", "0.05").stderr)
    assert float(package["counter-value"]) > 2
    assert float(memory["counter-value"]) == 0


def test_an_old_perf_refuses_json_and_writes_fields(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS, mode="old", version="5.10.0")
    done = perf(cpu, "stat", "-a", "-j", "-e", PACKAGE, "true")
    assert (done.returncode, done.stderr.splitlines()[0]) == (129, "  Error: unknown switch `j'")
    assert perf(cpu, "stat", "-a", "-x;", "-e", PACKAGE, "true").returncode == 0
    assert perf(cpu, "--version").stdout == "perf version 5.10.0\n"


def test_decimal_commas_come_unless_the_locale_is_c(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS)
    done = perf(cpu, "stat", "-a", "-j", "-e", PACKAGE, "true", LC_ALL="de_DE.UTF-8")
    assert '"pcnt-running" : 100,00' in done.stderr
    assert rows(perf(cpu, "stat", "-a", "-j", "-e", PACKAGE, "true").stderr)


def test_power_beside_a_task_event_is_not_supported_unless_system_wide(tmp_path: Path) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS)
    events = f"{PACKAGE},task-clock"
    assert "<not supported>" in perf(cpu, "stat", "-x;", "-e", events, "true").stderr
    assert "<not supported>" not in perf(cpu, "stat", "-x;", "-a", "-e", events, "true").stderr


def test_a_silent_or_dying_perf_leaves_its_user_without_an_answer(tmp_path: Path) -> None:
    silent = Controlled(
        str(Cpu(folder=tmp_path, power_w=POWERS, mode="silent").install()["program"]), "-e", PACKAGE
    )
    assert silent.tell("enable", wait_s=0.5) == b""
    silent.end()
    dying = Controlled(
        str(Cpu(folder=tmp_path, power_w=POWERS, dies_after=1).install()["program"]), "-e", PACKAGE
    )
    assert dying.tell("enable") == b"ack\n\0"
    assert dying.tell("disable") == b""
    dying.process.wait(timeout=5)
    assert dying.end() == ("Events disabled\nEvents enabled\n", 1)


def test_a_slow_perf_takes_effect_between_command_and_answer(tmp_path: Path) -> None:
    slow = Cpu(folder=tmp_path, power_w=POWERS, delay_s=0.1, ack_s=0.1)
    controlled = Controlled(str(slow.install()["program"]), "-j", "-e", PACKAGE)
    controlled.tell("ping")
    start = time.monotonic()
    assert controlled.tell("enable") == b"ack\n\0"
    assert time.monotonic() - start >= 0.2
    controlled.tell("disable")
    (row,) = rows(controlled.end()[0])
    assert 0.2 * 50 - 0.1 <= float(row["counter-value"]) < 0.2 * 50 + 5


# --- beside the real one ------------------------------------------------------------------------------


def shape(text: str) -> list[object]:
    """Lines with every number made one: what a parser must understand."""
    found: list[object] = []
    for line in text.splitlines():
        number = re.sub(r"\d+(\.\d+)?", lambda m: "0.0" if m[1] else "0", line)
        found.append(re.sub(r"\b(S|D|CPU)0", r"\g<1>0", number))
    return found


FORMS = (
    ("-j",),
    ("-x;",),
    ("-j", "--per-socket"),
    ("-x;", "--per-socket"),
    ("-j", "--per-die"),
    ("-x,", "--per-die"),
    ("-j", "-I", "60"),
    ("-x;", "-I", "60", "--per-socket"),
)


@pytest.mark.perf
@pytest.mark.root
@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_output_has_the_shape_of_the_real_perf(tmp_path: Path, form: tuple[str, ...]) -> None:
    cpu = Cpu(folder=tmp_path, power_w=POWERS)
    arguments = ("stat", "-a", *form, "-e", "cpu-clock", "sleep", "0.1")
    ours = perf(cpu, *arguments)
    real = subprocess.run(["perf", *arguments], env=C_LOCALE, capture_output=True, text=True)
    assert ours.returncode == real.returncode == 0
    ours_shape, real_shape = shape(ours.stderr), shape(real.stderr)
    if "-I" in form:  # how many intervals there are is a matter of luck on a busy machine
        ours_shape, real_shape = ours_shape[:1], real_shape[:1]
    assert ours_shape == real_shape


@pytest.mark.perf
@pytest.mark.root
def test_commands_are_answered_as_the_real_perf_answers_them(tmp_path: Path) -> None:
    program = str(Cpu(folder=tmp_path, power_w=POWERS).install()["program"])
    real = shutil.which("perf")
    assert real is not None
    said = []
    for one in (program, real):
        controlled = Controlled(one, "-j", "-e", "cpu-clock")
        controlled.tell("ping")
        answers = [controlled.tell(word) for word in ("enable", "disable", "enable nope", "evlist", "stop")]
        answers.append(controlled.tell("nonsense", wait_s=0.3))
        text, code = controlled.end()
        said.append((answers, code, shape(text)))
    assert said[0] == said[1]


@pytest.mark.perf
@pytest.mark.root
@pytest.mark.parametrize(
    "arguments",
    [
        ("stat", "-e", "nonsense", "true"),
        ("stat", "-Z", "true"),
        ("stat", "--zzz", "true"),
        ("stat", "-a", "-x;", "-e", "cpu-clock", "sh", "-c", "exit 7"),
        ("stat", "-e", "cpu-clock", "/nonexistent"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_exit_codes_and_first_words_are_those_of_the_real_perf(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ours = perf(Cpu(folder=tmp_path, power_w=POWERS), *arguments)
    real = subprocess.run(["perf", *arguments], env=C_LOCALE, capture_output=True, text=True)
    assert ours.returncode == real.returncode
    assert shape(ours.stderr)[:1] == shape(real.stderr)[:1]


def test_a_steady_term_adds_to_the_package_alone(tmp_path: Path) -> None:
    load = Segment(start_s=0, end_s=1e9, power_w=100)
    cpu = Cpu(folder=tmp_path, power_w=POWERS, segments={"energy-pkg": (load,)})
    cpu.install()
    assert cpu.energy_j("energy-pkg", 10**9, 3 * 10**9) == pytest.approx(300)
    assert cpu.energy_j("energy-ram", 10**9, 3 * 10**9) == pytest.approx(10)
