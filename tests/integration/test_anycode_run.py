"""``wattwhy run``: any command, with its own exit code, terminal and signals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import records
from energy_plugin.run.code import clean_name
from tests.conftest import ROOT, lines_with, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIGHT = ("--meters", "calculator", "--option", "tdp=cpu=50", "--no-report")
COUNTING = """
import os, signal, sys, time
counted = []
def take(number, frame):
    counted.append(number)
for name in ("INT", "TERM", "HUP", "USR1"):
    signal.signal(getattr(signal, f"SIG{name}"), take)
print("ready", os.isatty(1), os.get_terminal_size(1).columns if os.isatty(1) else 0, flush=True)
end = time.monotonic() + 20
while not counted and time.monotonic() < end:
    time.sleep(0.02)
time.sleep(0.3)
print("counted", [signal.Signals(n).name for n in counted], flush=True)
sys.exit(7)
"""


@dataclass
class Place:
    """A folder with a command to run there."""

    folder: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[Any]] = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "energy_plugin", "run", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        running = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # no terminal of the tests' own
        )
        self.started.append(running)
        return running

    def run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        running = self.start(*arguments)
        output, errors = running.communicate(text, timeout=120)
        return subprocess.CompletedProcess(running.args, running.returncode, output, errors)

    @property
    def session(self) -> Path:
        return (self.folder / "results" / "latest").resolve()

    def rows(self) -> list[dict[str, str]]:
        return summary(self.session)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)})
    yield made
    for running in made.started:  # those of a test that failed
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def test_a_command_runs_as_without_us_and_leaves_a_row(place: Place) -> None:
    script = "echo out; echo err >&2; cat; exit 5"
    done = place.run(*LIGHT, "--set", "epochs=3", "lr=0.1", "opt=adam", "--", "sh", "-c", script, text="in\n")
    assert done.returncode == 5
    assert done.stdout == "out\nin\n"
    assert done.stderr.startswith("wattwhy: opt=adam: no number")
    assert lines_with(done.stderr, "err")
    assert lines_with(done.stderr, "sh (epochs=3, lr=0.1)", "exit code 5")
    assert lines_with(done.stderr, "cpu", "calculator", "estimated", "tdp-table (model)")
    assert lines_with(done.stderr, "FAILED: exit-code")
    (row,) = place.rows()
    assert (row["model"], row["exit_code"], row["training_success"]) == ("sh", "5", "False")
    assert (row["hyperparam_epochs"], row["hyperparam_lr"]) == ("3", "0.1")
    (record,) = records(place.session)
    assert sorted((place.session / record.outcomes[0].log).read_text().split()) == ["err", "in", "out"]
    facts = record.provenance["programs"][0]
    assert facts["argv"] == ["sh", "-c", script]
    assert facts["labels"] == {"opt": "adam"}


def test_a_chinese_name_is_kept_from_the_command_line_to_the_page(place: Place) -> None:
    for name in ("训练", "验证", "训练 🔥"):
        done = place.run(*LIGHT[:-1], "--name", name, "--set", "学习率=0.1", *joined(place), "--", "true")
        assert done.returncode == 0, done.stderr
    hashed = clean_name("训练 🔥")
    assert [(row["model"], row["replicate"]) for row in place.rows()] == [
        ("训练", "1"),
        ("验证", "1"),
        (hashed, "1"),
    ]
    assert {row["hyperparam_学习率"] for row in place.rows()} == {"0.1"}
    assert (place.session / "code_训练_001" / "training.log").is_file()
    assert (place.session / f"code_{hashed}_001" / "training.log").is_file()
    page = (place.session / "report.html").read_text(encoding="utf-8")
    assert all(text in page for text in ("code/训练", "code/验证", f"code/{hashed}", "训练 🔥"))


def joined(place: Place) -> list[str]:
    return ["--join", "results/latest"] if (place.folder / "results").exists() else []


def test_a_recording_that_no_meter_reads_is_refused(place: Place) -> None:
    done = place.run("--option", "replay=x.json", "--meters", "nvml", "--", "true")
    assert done.returncode == 125
    assert "--energy-replay x.json: is not read with --energy-meters nvml" in done.stderr
    assert not (place.folder / "results").exists()


def test_a_record_that_cannot_be_kept_leaves_the_command_its_exit_code(place: Place) -> None:
    done = place.run(*LIGHT, "--", "sh", "-c", "rm -r results/run_*; exit 3")
    assert done.returncode == 3
    assert lines_with(done.stderr, "NOT RECORDED", "No such file")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["no-such-program"], 127, "command not found"),
        (["./plain.txt"], 126, "not executable"),
        (["./broken"], 126, "Exec format error"),
        (["../"], 126, "is a folder"),
        ([], 125, "say what to run after --"),
    ],
)
def test_what_cannot_be_run_is_said_with_the_usual_exit_code(
    place: Place, command: list[str], code: int, said: str
) -> None:
    (place.folder / "plain.txt").write_text("text")
    (place.folder / "broken").write_bytes(b"\x00\x01")
    (place.folder / "broken").chmod(0o755)
    done = place.run(*LIGHT, "--", *command)
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_a_folder_that_is_gone_is_told_in_one_line(place: Place) -> None:
    gone = f"mkdir gone; cd gone; rmdir ../gone; {sys.executable} -m energy_plugin run -- true"
    done = subprocess.run(
        ["sh", "-c", gone],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (125, 1), done.stderr


def test_what_is_wrong_with_our_own_options_has_an_exit_code_of_its_own(place: Place) -> None:
    for wrong in (["--set", "x"], ["--repeat", "0"], ["--option", "metres=1"], ["--name", "//"]):
        done = place.run(*LIGHT, *wrong, "--", "touch", "ran")
        assert done.returncode == 125, done.stderr
        assert not (place.folder / "ran").exists()


def test_repeats_are_replicates_and_the_first_failure_ends_them(place: Place) -> None:
    (place.folder / "train.py").write_text(
        "import sys; open('n', 'a').write('x'); sys.exit(len(open('n').read()) > 2)"
    )
    done = place.run(*LIGHT, "--repeat", "5", "--", sys.executable, "train.py")
    assert done.returncode == 1
    rows = place.rows()
    assert [row["model"] for row in rows] == ["train"] * 3
    assert [row["replicate"] for row in rows] == ["1", "2", "3"]
    assert len({row["case_key"] for row in rows}) == 3


def test_epochs_of_a_program_that_marks_them_are_measured(place: Place) -> None:
    (place.folder / "train.py").write_text("""
import json, os, time
with open(os.environ["WATTWHY_EVENTS"], "a") as events:
    for number in (1, 2):
        start = time.monotonic_ns(); time.sleep(0.1)
        line = {"event": "epoch", "number": number, "start_ns": start, "t_ns": time.monotonic_ns()}
        events.write(json.dumps(line) + "\\n")
    events.write(json.dumps({"event": "end", "metrics": {"accuracy": 0.75}}) + "\\n")
""")
    done = place.run(*LIGHT, "--", sys.executable, "train.py")
    assert done.returncode == 0
    assert lines_with(done.stderr, "2 epochs")
    (record,) = records(place.session)
    assert {w.name for w in record.outcomes[0].windows} == {"process", "training", "epoch:1", "epoch:2"}
    assert place.rows()[0]["perf_accuracy"] == "0.75"


def test_a_run_that_takes_too_long_is_ended_with_its_children(place: Place) -> None:
    # A shell that waits for its child: ending the shell alone would leave the child running.
    done = place.run(*LIGHT, "--timeout", "0.5", "--", "sh", "-c", "sleep 61 & echo $!; wait")
    assert done.returncode == 124
    assert "still running after 0.5 s" in done.stderr
    gone = Path(f"/proc/{int(done.stdout)}/stat")
    assert not gone.exists() or " Z " in gone.read_text()  # dead, whoever has to reap it


def test_a_command_that_a_signal_ends_gives_128_and_the_signal(place: Place) -> None:
    done = place.run(*LIGHT, "--", "sh", "-c", "kill -9 $$")
    assert done.returncode == 128 + 9
    assert records(place.session)[0].outcomes[0].reason == "signal"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_signals_reach_the_command_once_and_the_record_is_kept(place: Place, name: str) -> None:
    running = place.start(*LIGHT, "--", sys.executable, "-c", COUNTING)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready False 0\n"
    running.send_signal(signal.Signals[name])
    output, errors = running.communicate(timeout=30)
    assert output == f"counted ['{name}']\n", errors
    assert running.returncode == 7
    outcome = records(place.session)[0].outcomes[0]
    assert outcome.exit_code == 7
    assert outcome.reason == ("exit-code" if name == "SIGUSR1" else "interrupted")
    assert json.loads((place.session / "session.json").read_text())["complete"] is True


def test_a_signal_that_the_command_does_not_take_ends_it_and_further_repeats(place: Place) -> None:
    running = place.start(*LIGHT, "--repeat", "3", "--", "sh", "-c", "echo ready; sleep 60")
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGTERM
    assert len(place.rows()) == 1


class Terminal:
    """A terminal of its own for one command: what a person would have."""

    def __init__(self, place: Place, *arguments: str) -> None:
        self.ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, 123, 0, 0))
        self.running = subprocess.Popen(
            place.command(*arguments),
            cwd=place.folder,
            env=place.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
        )
        os.close(theirs)
        place.started.append(self.running)
        self.text = ""

    def until(self, condition: Callable[[str], bool], seconds: float = 30) -> str:
        """Read until *condition* holds of all text so far, or the terminal is closed."""
        deadline = time.monotonic() + seconds
        while not condition(self.text):
            assert time.monotonic() < deadline, self.text
            try:
                self.text += os.read(self.ours, 4096).decode()
            except OSError:  # how it says that everybody has closed it
                break
        return self.text


def test_in_a_terminal_the_command_sees_one_and_ctrl_c_comes_once(place: Place) -> None:
    terminal = Terminal(place, *LIGHT, "--", sys.executable, "-c", COUNTING)
    text = terminal.until(lambda text: "ready" in text and text.endswith("\n"))
    assert "ready True 123" in text
    os.write(terminal.ours, b"\x03")
    text = terminal.until(lambda text: "files:" in text)
    assert "counted ['SIGINT']" in text
    assert terminal.running.wait(timeout=30) == 7
    log = (place.session / records(place.session)[0].outcomes[0].log).read_bytes()
    assert b"\r" not in log
    assert b"counted" in log
    os.close(terminal.ours)


def test_a_command_whose_reader_went_away_ends_as_without_us(place: Place) -> None:
    ours = " ".join(place.command(*LIGHT, "--", "yes"))
    done = subprocess.run(
        ["bash", "-c", f"{ours} 2>/dev/null | head -n 1; echo ${{PIPESTATUS[0]}}"],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    first, code = done.stdout.split()
    assert first == "y"
    assert int(code) in (1, 128 + signal.SIGPIPE)


def test_runs_join_one_session_and_not_one_of_cases(place: Place) -> None:
    for epochs in (1, 2, 2):
        join = ("--join", "results/latest") if epochs > 1 else ()
        done = place.run(*LIGHT, *join, "--set", f"epochs={epochs}", "--", "true")
        assert done.returncode == 0, done.stderr
    rows = place.rows()
    assert [row["hyperparam_epochs"] for row in rows] == ["1", "2", "2"]
    assert [row["replicate"] for row in rows] == ["1", "1", "2"]
    assert [row["experiment_id"] for row in rows] == ["code_true_001", "code_true_002", "code_true_003"]
    facts = json.loads((place.session / "session.json").read_text())
    assert (facts["planned"], facts["done"], facts["complete"]) == (3, 3, True)
    golden = ROOT / "tests" / "golden" / "run_20261121_190000"
    for folder, said in ((golden, "holds cases of a catalogue"), (place.folder, "no journal.jsonl")):
        done = place.run(*LIGHT, "--join", str(folder), "--", "touch", "ran")
        assert done.returncode == 125
        assert said in done.stderr
    assert not (place.folder / "ran").exists()


def test_two_runs_at_once_are_marked_as_shared(place: Place) -> None:
    first = place.start(*LIGHT, "--name", "long", "--", "sh", "-c", "echo ready; read line")
    assert first.stdout is not None
    assert first.stdout.readline() == "ready\n"
    second = place.run(
        *LIGHT, "--name", "short", "--option", "lock=other.lock", "--results", "other", "--", "true"
    )
    _, errors = first.communicate("\n", timeout=30)
    assert lines_with(second.stderr, "SHARED", "code-long-alone")
    assert lines_with(errors, "SHARED", "code-short-alone")
    shared = records(place.session)[0].provenance["shared_with"]
    assert len(shared) == 1


def test_a_second_run_on_a_host_is_refused_with_the_firsts_pid_and_folder(place: Place) -> None:
    first = place.start(*LIGHT, "--", "sh", "-c", "echo ready; read line")
    assert first.stdout is not None
    assert first.stdout.readline() == "ready\n"
    second = place.run(*LIGHT, "--results", "other", "--", "touch", "ran")
    assert second.returncode == 125
    assert lines_with(second.stderr, f"pid {first.pid}", "results in", str(place.session))
    assert not (place.folder / "ran").exists()
    assert not (place.folder / "other").exists()
    first.communicate("\n", timeout=30)
    assert place.run(*LIGHT, "--", "true").returncode == 0


def test_a_run_within_a_run_shares_the_host(place: Place) -> None:
    inner = [sys.executable, "-m", "energy_plugin", "run", *LIGHT, "--results", "inner", "--", "true"]
    done = place.run(*LIGHT, "--", *inner)
    assert done.returncode == 0, done.stderr
    assert "SHARED" not in done.stderr


@pytest.mark.slow
def test_the_report_shows_runs_with_their_values(place: Place) -> None:
    light = [argument for argument in LIGHT if argument != "--no-report"]
    for index, (epochs, batch) in enumerate((e, b) for e in (1, 2, 4) for b in (8, 32)):
        join = ("--join", "results/latest") if index else ()
        quiet = () if index == 5 else ("--no-report",)
        values = ("--set", f"epochs={epochs}", f"batch_size={batch}", "--repeat", "2")
        done = place.run(*light, *join, *quiet, *values, "--", "sleep", str(0.05 * epochs))
        assert done.returncode == 0, done.stderr
    assert lines_with(done.stderr, "report:", "report.html")
    found = json.loads((place.session / "report.json").read_text())
    effects = {e["factor"]: e for e in found["effects"] if e["outcome"] == "duration_seconds"}
    assert effects["design_epochs"]["n"] == 12
    assert effects["design_epochs"]["estimate"] == pytest.approx(0.9, abs=0.2)
    page = (place.session / "report.html").read_text()
    assert "batch size" in page
    assert "code/sleep" in page
