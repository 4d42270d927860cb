"""The closed forms of the simulated power trace, and the files of live work."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.simulated.activity import activity, begin, end, hook
from tests.simulated.domains import Live
from tests.simulated.power import (
    Burst,
    Drift,
    Ramp,
    Segment,
    Sine,
    Swing,
    follow,
    term_of,
    u01,
    works,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.power import Term, Work

TERMS: dict[str, tuple[Term, float]] = {
    # With what each must amount to from 0 to 10 s, worked out by hand.
    "const": (Segment(start_s=1, end_s=3, power_w=300), 600),
    "square": (Segment(start_s=1, end_s=3, power_w=300, period_s=0.5, duty=0.25), 150),
    "burst": (Burst(start_s=1, end_s=3, power_w=400, on_s=0.05, period_s=0.2, jitter_s=0.1, seed=5), 200),
    "ramp": (Ramp(start_s=1, end_s=3, from_w=100, to_w=300), 400),
    "sine": (Sine(start_s=1, end_s=3, power_w=200, amplitude_w=50, period_s=0.5), 400),
    "drift": (Drift(rate_w_s=2, start_s=1, end_s=3), 4 + 4 * 7),
    "swing": (Swing(amplitude_w=5, period_s=5), 0),
}


@pytest.mark.parametrize("name", TERMS)
def test_a_term_amounts_to_what_its_form_says(name: str) -> None:
    term, joules = TERMS[name]
    assert term.energy_j(10) - term.energy_j(0) == pytest.approx(joules, abs=1e-9)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_read_back_from_its_line(name: str) -> None:
    term, _ = TERMS[name]
    assert term_of(term.line()) == term


@pytest.mark.parametrize("name", ["const", "square", "burst", "ramp", "sine"])
def test_energy_never_falls_and_never_outruns_the_peak(name: str) -> None:
    term, _ = TERMS[name]
    values = [term.energy_j(k / 1000) for k in range(5000)]
    steps = [b - a for a, b in itertools.pairwise(values)]
    assert min(steps) >= -1e-9
    assert max(steps) <= 0.400 + 1e-9


def test_an_unknown_term_is_refused() -> None:
    with pytest.raises(ValueError, match="no such term"):
        term_of("sawtooth 1 2 3")


def test_seeded_numbers_are_even_and_differ_by_seed() -> None:
    numbers = [u01(1, 0, k) for k in range(2000)]
    assert all(0 <= number < 1 for number in numbers)
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.03)
    assert numbers != [u01(2, 0, k) for k in range(2000)]


# --- live work --------------------------------------------------------------------------------------


def test_live_work_counts_from_its_begin_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "work"
    file.write_text("B 1000000000 7 200\nB 2000000000 8 50.5 1\nE 3000000000 7\nB 9000000000 9 1")
    first, second = works(file)
    assert (first.pid, first.device, second.end_ns) == (7, 0, math.inf)
    assert first.energy_j(10_000_000_000) == pytest.approx(400)
    assert second.energy_j(4_000_000_000) == pytest.approx(101)


def test_an_end_closes_the_last_begin_of_its_process_and_device() -> None:
    found: list[Work] = []
    follow(found, "B 0 7 10\nB 5 7 20\nB 6 7 30 1\nE 8 7\n")
    assert [work.end_ns for work in found] == [math.inf, 8, math.inf]


def test_a_block_is_told_with_its_own_time(tmp_path: Path) -> None:
    file = tmp_path / "work"
    before = time.monotonic_ns()
    with activity(file, 120.0, pid=4242, device=1):
        time.sleep(0.02)
    after = time.monotonic_ns()
    (work,) = works(file)
    assert (work.pid, work.power_w, work.device) == (4242, 120.0, 1)
    assert before <= work.begin_ns < work.end_ns <= after


def test_a_reader_that_lives_on_agrees_with_one_that_reads_all(tmp_path: Path) -> None:
    file = tmp_path / "work"
    live, t_ns = Live(str(file), settle_s=0.01), 0
    for i in range(50):
        begin(file, 10.0 + i, device=i % 2)
        end(file, device=i % 2)
        t_ns = time.monotonic_ns()
        for device in (0, 1):
            whole = sum(work.energy_j(t_ns) for work in works(file) if work.device == device)
            assert live.energy_j(device, t_ns) == pytest.approx(whole)
        time.sleep(0.001)
    assert len(live._works) < 50, "nothing was settled: the test has seen nothing"


def test_a_killed_process_works_no_longer(tmp_path: Path) -> None:
    file = tmp_path / "work"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        begin(file, 100.0, pid=child.pid, tied=True)
        live = Live(str(file))
        assert live.energy_j(0, time.monotonic_ns()) > 0
        assert "E" not in file.read_text()
        child.kill()
        child.wait()
        live.energy_j(0, time.monotonic_ns())
    (work,) = works(file)
    assert work.end_ns <= time.monotonic_ns()


def test_a_wrapped_command_works_from_spawn_to_reap_and_keeps_its_exit_code(tmp_path: Path) -> None:
    gpu, cpu = tmp_path / "gpu", tmp_path / "cpu"
    wrapper = [sys.executable, str(ROOT / "tests/simulated/activity.py"), "--gpu", f"{gpu}:200:1"]
    command = [
        *wrapper,
        "--cpu",
        f"{cpu}:30",
        "--",
        sys.executable,
        "-c",
        "import time; time.sleep(0.2); exit(3)",
    ]
    assert subprocess.run(command).returncode == 3
    ((work,), (other,)) = works(gpu), works(cpu)
    assert (work.power_w, work.device, other.power_w, other.device) == (200, 1, 30, 0)
    assert work.pid == other.pid
    assert 0.2 < (work.end_ns - work.begin_ns) / 1e9 < 5


def test_only_programs_of_the_hook_tell_of_themselves(tmp_path: Path) -> None:
    file = tmp_path / "work"
    environment = hook(tmp_path, {"train.py": [(file, 90.0, 0)]})
    for name in ("train.py", "other.py"):
        (tmp_path / name).write_text("import time\ntime.sleep(0.05)\n")
        subprocess.run([sys.executable, str(tmp_path / name)], env=environment, check=True)
    (work,) = works(file)
    assert work.tied
    assert 0.05 < (work.end_ns - work.begin_ns) / 1e9 < 5
