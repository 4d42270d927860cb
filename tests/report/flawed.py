"""Made-up tables with false rows of one kind in known places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tests.report import study
from tests.report.study import change, joules, scale, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

    Planter = Callable[[Generator, pd.DataFrame], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flawed:
    """A table and the positions of its false rows."""

    frame: pd.DataFrame
    false: frozenset[int]


SIX = study.Shape(runs=180, models=3, design="both", unset="default")


def plant(kind: str, seed: int, shape: study.Shape = SIX) -> Flawed:
    """A table with false rows of one *kind*, and their positions."""
    frame = study.clean(shape, 1000 + seed)
    rng = np.random.default_rng([seed, len(kind)])
    false = {**KINDS, **SIZES}[kind](rng, frame)
    return Flawed(frame=frame, false=frozenset(int(i) for i in false))


def _some(rng: Generator, frame: pd.DataFrame, mode: str = "", share: float = 0.06) -> np.ndarray:
    able = np.flatnonzero((frame["mode"] == mode).to_numpy()) if mode else np.arange(len(frame))
    return np.sort(rng.choice(able, max(4, int(share * len(frame))), replace=False))


def _crash(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    at = _some(rng, frame)
    share = rng.uniform(0.01, 0.2, len(at))
    change(frame, at, slower=share)
    frame.loc[at, "perf_accuracy"] = np.nan
    timed(rng, frame)
    return at


def _episode(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    """A stretch of runs beside a load that nobody declared."""
    length = int(rng.integers(10, 24))
    start = int(rng.integers(0, len(frame) - length))
    at = np.arange(start, start + length)
    alone = (frame["mode"].to_numpy() == "alone")[at]
    if alone.sum() < 4 or not alone[0] or not alone[-1]:
        return _episode(rng, frame)
    _press(rng, frame, at)
    return at


def _scattered(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    """Single runs alone beside such a load."""
    at = _some(rng, frame, "alone")
    _press(rng, frame, at)
    return at


def _press(rng: Generator, frame: pd.DataFrame, at: np.ndarray) -> None:
    slower, cpu, gpu = rng.uniform(1.2, 2.0), rng.uniform(1.3, 2.2), rng.uniform(0.8, 1.6)
    change(frame, at, slower=slower, cpu=cpu, gpu=gpu)
    frame.loc[at, "energy_gpu_util_avg_percent"] = 99.0
    timed(rng, frame)


def _dead(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    """Runs alone that call themselves runs with a background load."""
    at = _some(rng, frame, "alone", 0.05)
    frame.loc[at, "mode"] = "background"
    if "bg_model" in frame:
        frame.loc[at, "bg_model"] = "light"
    timed(rng, frame)
    return at


def _mismatch(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    at = _some(rng, frame)
    factor = np.exp(rng.choice([-1, 1], len(at)) * rng.uniform(0.4, 1.2, len(at)))
    scale(frame, "energy_gpu_total_joules", factor, at)
    return at


def _parts(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    at = _some(rng, frame)
    scale(frame, "energy_cpu_ram_joules", rng.uniform(0.2, 0.8, len(at)), at)
    return at


def _copies(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    """Later runs with the measurements of earlier ones of the same model and mode."""
    measured = [*joules(frame), "duration_seconds", "energy_gpu_avg_watts", "energy_gpu_util_avg_percent"]
    groups = frame.groupby(["model", "mode"]).indices
    false: list[int] = []
    for rows in groups.values():
        chosen = rng.permutation(rows)[:6]
        for one, two in zip(chosen[::2], chosen[1::2], strict=False):
            early, late = sorted((int(one), int(two)))
            for name in measured:
                frame[name] = frame[name].where(frame.index != late, frame[name].iloc[early])
            false.append(late)
    return np.array(sorted(false))


def _joined(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    """A stretch whose energies were joined by an id from another stretch, which lost them."""
    rows = np.flatnonzero((frame["model"] == "m0") & (frame["mode"] == "alone"))
    half = len(rows) // 2
    count = min(10, half)
    early, late = rows[:count], rows[half : half + count]
    for name in joules(frame):
        values = frame[name].to_numpy(copy=True)
        values[late], values[early] = values[early], np.nan
        frame[name] = values
    ids = frame["experiment_id"].to_numpy(copy=True)
    ids[late] = ids[early] = [f"again_{i:03d}" for i in range(count)]
    frame["experiment_id"] = ids
    stamps = pd.to_datetime(frame["timestamp"])
    gap = np.where(np.arange(len(frame)) >= rows[half], 86_400.0, 0.0)
    frame["timestamp"] = (stamps + pd.to_timedelta(gap, unit="s")).dt.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
    return late


def _default(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    """A default filled in afterwards that the program never used, for one hyperparameter of one model."""
    alone = (frame["num_mutated_params"] == 1) & (frame["model"] == "m1")
    filled = alone & (frame["mutated_param"] != "epochs")
    frame.loc[filled, "hyperparam_epochs"] = rng.choice([7.0, 9.0, 20.0])
    return np.flatnonzero(filled)


def _impossible(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    at = _some(rng, frame)
    names = ("energy_gpu_util_avg_percent", "energy_gpu_total_joules", "energy_gpu_avg_watts")
    for number, row in enumerate(at):
        frame.loc[row, names[number % 3]] = (140.0, -12.0, 90_000.0)[number % 3]
    return at


def _counts(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    at = _some(rng, frame)
    frame.loc[at, "perf_accuracy"] = rng.integers(3000, 5000, len(at)).astype(float)
    return at


def _mute(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    at = _some(rng, frame, share=0.03)
    frame.loc[at, "perf_accuracy"] = np.nan
    return at


KINDS: dict[str, Planter] = {
    "crash": _crash,
    "episode": _episode,
    "scattered": _scattered,
    "dead load": _dead,
    "mismatch": _mismatch,
    "parts": _parts,
    "copies": _copies,
    "joined": _joined,
    "default": _default,
    "impossible": _impossible,
    "counts": _counts,
    "mute": _mute,
}


def _beside(rng: Generator, frame: pd.DataFrame, cpu: float, gpu: float, points: float) -> np.ndarray:
    """Single runs alone beside a load of one size, which takes a third as much time as CPU power."""
    at = _some(rng, frame, "alone")
    change(frame, at, slower=1 + (cpu - 1) / 3, cpu=cpu, gpu=gpu)
    use = frame.loc[at, "energy_gpu_util_avg_percent"] + points
    frame.loc[at, "energy_gpu_util_avg_percent"] = use.clip(upper=99.5)
    timed(rng, frame)
    return at


def _package(rng: Generator, frame: pd.DataFrame, cpu: float) -> np.ndarray:
    """The same on a machine whose memory has no counter."""
    at = _beside(rng, frame, cpu, 1.0, 0.0)
    del frame["energy_cpu_ram_joules"]
    return at


def _short(rng: Generator, frame: pd.DataFrame, share: float, part: float, *, metric: bool) -> np.ndarray:
    """A *share* of the runs took a *part* of their time."""
    at = _some(rng, frame, share=share)
    change(frame, at, slower=part)
    if not metric:
        frame.loc[at, "perf_accuracy"] = np.nan
    timed(rng, frame)
    return at


def _off(rng: Generator, frame: pd.DataFrame, factor: float) -> np.ndarray:
    at = _some(rng, frame)
    scale(frame, "energy_gpu_total_joules", factor ** rng.choice([-1, 1], len(at)), at)
    return at


def _copied(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    """One run with the energies of one other, its own time kept."""
    rows = rng.choice(max(frame.groupby(["model", "mode"]).indices.values(), key=len), 2, replace=False)
    for name in [*joules(frame), "energy_gpu_avg_watts", "energy_gpu_util_avg_percent"]:
        frame.loc[rows[1], name] = frame.loc[rows[0], name]
    return rows[1:]


def _filled(rng: Generator, frame: pd.DataFrame, name: str, value: float) -> np.ndarray:
    alone = (frame["num_mutated_params"] == 1) & (frame["model"] == "m1")
    filled = alone & (frame["mutated_param"] != name)
    frame.loc[filled, f"hyperparam_{name}"] = value
    return np.flatnonzero(filled)


def _silent(rng: Generator, frame: pd.DataFrame, share: float, partner: str) -> np.ndarray:
    at = _some(rng, frame, "alone", share)
    frame.loc[at, "mode"] = "background"
    frame.loc[at, "bg_model"] = partner
    timed(rng, frame)
    return at


SIZES: dict[str, Planter] = {
    **{f"load, CPU x{cpu:g}": partial(_beside, cpu=cpu, gpu=1.0, points=0.0) for cpu in (1.1, 1.2, 1.3, 1.5)},
    **{f"load, package x{cpu:g}": partial(_package, cpu=cpu) for cpu in (1.1, 1.2, 1.3, 1.5)},
    **{
        f"load, CPU x1.1, GPU x{1 + points / 100:g} and {points} points": partial(
            _beside, cpu=1.1, gpu=1 + points / 100, points=points
        )
        for points in (5, 10, 20, 40)
    },
    "load, GPU x1.4 and 40 points": partial(_beside, cpu=1.0, gpu=1.4, points=40),
    **{
        f"{share:.0%} crashed at {part:.0%}, {'metric kept' if metric else 'no metric'}": partial(
            _short, share=share, part=part, metric=metric
        )
        for share in (0.05, 0.25)
        for part in (0.1, 0.3, 0.5)
        for metric in (False, True)
    },
    **{f"energy x{factor:g}": partial(_off, factor=factor) for factor in (1.1, 1.2, 1.4, 2.0)},
    "one copy": _copied,
    **{
        f"default {name} {value:g} for {study.DEFAULTS[name]:g}": partial(_filled, name=name, value=value)
        for name, value in (
            ("epochs", 12.0),
            ("epochs", 10.0),
            ("batch_size", 128.0),
            ("learning_rate", 0.01),
        )
    },
    **{
        f"{share:.0%} without their {partner} load": partial(_silent, share=share, partner=partner)
        for share in (0.02, 0.1)
        for partner in ("light", "heavy")
    },
}
"""The same falsehoods by their size: what is found, and what is too small to be."""
FOUND = (
    *("load, CPU x1.2", "load, package x1.5", "load, CPU x1.1, GPU x1.2 and 20 points"),
    "load, GPU x1.4 and 40 points",
    *("5% crashed at 30%, no metric", "25% crashed at 50%, no metric", "5% crashed at 10%, metric kept"),
    *("energy x1.4", "one copy", "default epochs 12 for 14", "10% without their heavy load"),
)
"""Sizes that a test asks for; ``python -m tests.benchmarks.quality`` prints all."""
