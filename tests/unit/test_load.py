"""The proof that a background worked, on usage of known shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_plugin.clock import SystemClock
from energy_plugin.errors import ExecutorError
from energy_plugin.record.background import BackgroundWork
from energy_plugin.run.load import Load
from energy_plugin.run.outcome import together, under_load
from energy_plugin.run.working import grown, mean_of, worked_s
from tests.tiny import program

if TYPE_CHECKING:
    from pathlib import Path

S = 10**9


def cpu(*pieces: tuple[float, float]) -> tuple[tuple[int, float], ...]:
    """Samples each 0.2 s of pieces of (seconds, processors)."""
    points, t, spent = [(0, 0.0)], 0.0, 0.0
    for seconds, cores in pieces:
        for _ in range(round(seconds / 0.2)):
            t, spent = t + 0.2, spent + 0.2 * cores
            points.append((round(t * S), spent))
    return tuple(points)


@pytest.mark.parametrize(
    ("pieces", "worked"),
    [
        ([(10, 1.0)], 10),
        ([(10, 0.06)], 10),
        ([(10, 0.01)], 0),
        ([(5, 1.0), (5, 0.0)], 5),
        ([(4, 1.0), (2, 0.0), (4, 2.0)], 8),
    ],
)
def test_seconds_of_work_follow_the_processor_time(pieces: list[tuple[float, float]], worked: float) -> None:
    assert worked_s(cpu(*pieces), (), 0, 10 * S) == pytest.approx(worked, abs=0.51)


def test_samples_that_end_early_are_no_work_afterwards() -> None:
    assert worked_s(cpu((5, 1.0)), (), 0, 10 * S) == pytest.approx(5, abs=0.51)


def test_a_gpu_at_work_is_work_without_any_processor_time() -> None:
    gpu = ((0, 50.0), (6 * S, 0.0))
    assert worked_s((), gpu, 0, 10 * S) == pytest.approx(6)
    assert worked_s(cpu((10, 0.0)), gpu, 0, 10 * S) == pytest.approx(6)
    assert worked_s((), (), 0, 10 * S) is None


@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from([0.0, 0.02, 0.2, 1.0, 4.0])), min_size=1, max_size=6
    ),
    st.floats(0, 20),
    st.floats(0.1, 20),
)
def test_work_is_never_longer_than_the_window_nor_more_than_was_spent(
    pieces: list[tuple[float, float]], start_s: float, length_s: float
) -> None:
    points = cpu(*[(n * 0.2, cores) for n, cores in pieces])
    t0, t1 = round(start_s * S), round((start_s + length_s) * S)
    worked, spent = worked_s(points, (), t0, t1), grown(points, t0, t1)
    assert worked is not None
    assert spent is not None
    assert 0 <= worked <= length_s + 1e-6
    assert spent >= 0.05 * worked - 1e-6
    whole = grown(points, 0, t0), spent, grown(points, t1, 10**12)
    assert sum(part or 0.0 for part in whole) == pytest.approx(points[-1][1])


def test_mean_utilisation_weights_by_time() -> None:
    assert mean_of(((2 * S, 40.0), (3 * S, 80.0)), 0, 4 * S) == pytest.approx(30)
    assert mean_of(((0, 40.0),), S, 4 * S) == pytest.approx(40)
    assert mean_of((), 0, S) is None


def work(**changed: Any) -> BackgroundWork:
    given: dict[str, Any] = {
        "loop": "restart",
        "warmup_s": 1.0,
        "window_s": 10.0,
        "alive_s": 10.0,
        "worked_s": 10.0,
        "epochs": 3,
        "cpu_s": 9.0,
        "gpu_percent": None,
        "runs": (),
    }
    return BackgroundWork(**{**given, **changed})


@pytest.mark.parametrize(
    ("changed", "flag"),
    [
        ({}, ""),
        ({"alive_s": 9.1, "worked_s": 9.1}, ""),
        ({"alive_s": 8.9}, "background-died: it ran for 8.9 of 10.0 s"),
        ({"worked_s": 8.0}, "background-idle: it worked for 8.0 of 10.0 s"),
        ({"worked_s": None}, ""),
        ({"worked_s": None, "epochs": 0}, "background-idle: nothing shows that it worked"),
    ],
)
def test_flag_says_what_is_missing(tmp_path: Path, changed: dict[str, Any], flag: str) -> None:
    load = Load(Never(), program("spin", "load", loop="restart"), tmp_path, SystemClock())
    assert load._flag(work(**changed), 10 * S) == flag


class Never:
    """An executor that cannot prepare anything."""

    name = "never"

    def prepare(self, *_: object, **__: object) -> Any:
        raise ExecutorError("no room")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def test_background_that_cannot_be_prepared_says_so_and_stops_cleanly(tmp_path: Path) -> None:
    load = Load(Never(), program("spin", "load", loop="restart"), tmp_path, SystemClock())
    with pytest.raises(ExecutorError, match="no room"):
        load.start()
    load.stop()
    load.stop()
    assert load.used() is None
    report = load.report(0, 0, {})
    assert (report.runs, report.window_s, report.alive_s) == ((), 0.0, 0.0)


def test_outcomes_stay_as_they_are_where_nothing_is_wrong() -> None:
    assert together(()) == ()
    assert under_load((), "") == ()
