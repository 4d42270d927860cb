"""Made-up tables like a study's: clean, or with false rows of one kind in known places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

EPOCHS, BATCH, RATE = 14.0, 32.0, 0.1
"""What the made-up programs use when told nothing."""
NAMES = ("epochs", "batch_size", "learning_rate", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a table is made.

    Attributes:
        design: ``joint`` sets every hyperparameter, ``single`` one at a time, ``both`` mixes them.
        unset: what a table holds where a value was not handed over: ``missing`` or ``default``.
    """

    runs: int = 120
    models: int = 2
    design: str = "joint"
    unset: str = "missing"
    background: bool = True
    partner: bool = True


SHAPES = (
    Shape(runs=40, models=1, background=False),
    Shape(runs=60, models=2),
    Shape(runs=120, models=3, design="single"),
    Shape(runs=200, models=4, design="both", unset="default"),
    Shape(runs=240, models=2, design="both", partner=False),
    Shape(runs=900, models=5),
)


def clean(shape: Shape, seed: int) -> pd.DataFrame:
    """A table in which every row is what it says."""
    rng = np.random.default_rng([seed, shape.runs, shape.models])
    n = shape.runs
    model = rng.integers(0, shape.models, n)
    program = _programs(rng, shape.models)
    background = _blocks(rng, n) if shape.background else np.zeros(n, bool)
    settings, handed = _settings(rng, shape, n)
    used = {name: np.where(handed[name], settings[name], default) for name, default in DEFAULTS.items()}
    partner = rng.integers(0, 2, n // 10 + 1)[np.arange(n) // 10]  # a load stays for a while
    load = _load(background, partner)
    seconds = (
        program["seconds"][model]
        * (used["epochs"] / EPOCHS) ** program["epochs"][model]
        * (used["batch_size"] / BATCH) ** program["batch"][model]
        * load["slower"]
        * np.exp(0.015 * rng.normal(size=n))
    )
    cpu = program["cpu"][model] * load["cpu"] * np.exp(0.015 * rng.normal(size=n))
    size = np.log(used["batch_size"] / BATCH)
    gpu = program["gpu"][model] * load["gpu"] * np.exp(0.03 * size + 0.04 * rng.normal(size=n))
    use = np.clip(program["use"][model] + 4 * size + load["use"] + rng.normal(size=n), 0, 99.5)
    accuracy = 0.9 + 0.02 * np.log(used["epochs"] / EPOCHS) + 0.004 * np.log(used["learning_rate"] / RATE)
    frame = pd.DataFrame(
        {
            "experiment_id": [f"m{m}_{i % 97:03d}" for i, m in enumerate(model)],
            "role": "a",
            "session": "made",
            "repository": "made",
            "model": [f"m{m}" for m in model],
            "mode": np.where(background, "background", "alone"),
            "training_success": True,
            "error_message": "",
            "duration_seconds": seconds,
            "energy_cpu_pkg_joules": 0.9 * cpu * seconds,
            "energy_cpu_ram_joules": 0.1 * cpu * seconds,
            "energy_cpu_total_joules": cpu * seconds,
            "energy_gpu_avg_watts": gpu,
            "energy_gpu_total_joules": gpu * seconds * 0.97 * np.exp(0.005 * rng.normal(size=n)),
            "energy_gpu_util_avg_percent": use,
            "perf_accuracy": accuracy + 0.005 * rng.normal(size=n),
            "total_energy_status": "measured",
        }
    )
    frame["total_energy_joules"] = frame["energy_cpu_total_joules"] + frame["energy_gpu_total_joules"]
    if shape.background and shape.partner:
        frame["bg_model"] = np.where(background, np.where(partner == 1, "heavy", "light"), "")
    _record(frame, shape, settings, handed)
    return _timed(rng, frame)


DEFAULTS = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": RATE, "seed": 1.0}


def _programs(rng: Generator, models: int) -> dict[str, np.ndarray]:
    return {
        "seconds": np.exp(rng.uniform(np.log(60), np.log(3000), models)),
        "epochs": rng.uniform(0.85, 1.0, models),
        "batch": rng.uniform(-0.5, 0.0, models),
        "cpu": rng.uniform(30, 60, models),
        "gpu": rng.uniform(90, 240, models),
        "use": rng.uniform(10, 70, models),
    }


def _load(background: np.ndarray, partner: np.ndarray) -> dict[str, np.ndarray]:
    heavy = partner == 1

    def add(light: float, much: float, none: float) -> np.ndarray:
        return np.where(background, np.where(heavy, much, light), none)

    return {
        "cpu": add(1.15, 1.3, 1.0),
        "gpu": add(1.05, 1.3, 1.0),
        "use": add(5.0, 25.0, 0.0),
        "slower": add(1.08, 1.4, 1.0),
    }


def _blocks(rng: Generator, n: int) -> np.ndarray:
    return rng.integers(0, 2, n // 8 + 1)[np.arange(n) // 8].astype(bool)


def _settings(rng: Generator, shape: Shape, n: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    settings = {
        "epochs": rng.integers(5, 25, n).astype(float),
        "batch_size": rng.integers(16, 129, n).astype(float),
        "learning_rate": np.exp(rng.uniform(np.log(0.02), np.log(0.5), n)),
        "seed": rng.integers(0, 9999, n).astype(float),
    }
    one = rng.integers(0, 4, n)
    single = {"joint": np.zeros(n, bool), "single": np.ones(n, bool), "both": rng.random(n) < 0.5}[
        shape.design
    ]
    return settings, {name: ~single | (one == i) for i, name in enumerate(NAMES)}


def _record(
    frame: pd.DataFrame, shape: Shape, settings: dict[str, np.ndarray], handed: dict[str, np.ndarray]
) -> None:
    unset = {name: np.nan if shape.unset == "missing" else value for name, value in DEFAULTS.items()}
    for name, values in settings.items():
        frame[f"hyperparam_{name}"] = np.where(handed[name], values, unset[name])
    count = sum(handed[name].astype(int) for name in NAMES)
    alone = count == 1
    frame["num_mutated_params"] = np.where(alone, 1.0, 4.0)
    which = np.select([handed[name] for name in NAMES], NAMES, "")
    frame["mutated_param"] = np.where(alone, which, "")


def _timed(rng: Generator, frame: pd.DataFrame) -> pd.DataFrame:
    """Timestamps at the ends of runs, with a pause that a timer makes."""
    pause = np.where(frame["mode"] == "alone", 63.0, 93.0) + 0.01 * rng.random(len(frame))
    ends = np.cumsum(frame["duration_seconds"].to_numpy() + pause)
    when = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(ends, unit="s")
    frame["timestamp"] = when.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
    return frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Flawed:
    """A table and the positions of its false rows."""

    frame: pd.DataFrame
    false: frozenset[int]


SIX = Shape(runs=180, models=3, design="both", unset="default")


def plant(kind: str, seed: int, shape: Shape = SIX) -> Flawed:
    """A table with false rows of one *kind*, and their positions."""
    frame = clean(shape, 1000 + seed)
    rng = np.random.default_rng([seed, len(kind)])
    false = KINDS[kind](rng, frame)
    return Flawed(frame=frame, false=frozenset(int(i) for i in false))


def _some(rng: Generator, frame: pd.DataFrame, mode: str = "", share: float = 0.06) -> np.ndarray:
    able = np.flatnonzero((frame["mode"] == mode).to_numpy()) if mode else np.arange(len(frame))
    return np.sort(rng.choice(able, max(4, int(share * len(frame))), replace=False))


def scale(frame: pd.DataFrame, at: np.ndarray, name: str, factor: np.ndarray | float) -> None:
    """Multiply a column in rows *at*."""
    values = frame[name].to_numpy(copy=True)
    values[at] = values[at] * factor
    frame[name] = values


def _crash(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    at = _some(rng, frame)
    share = rng.uniform(0.01, 0.2, len(at))
    for name in [*_joules(frame), "duration_seconds"]:
        scale(frame, at, name, share)
    frame.loc[at, "perf_accuracy"] = np.nan
    _timed(rng, frame)
    return at


def _joules(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame if str(name).endswith("_joules")]


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
    scale(frame, at, "duration_seconds", slower)
    for name in _joules(frame):
        scale(frame, at, name, slower * (gpu if "gpu" in name else cpu))
    scale(frame, at, "energy_gpu_avg_watts", gpu)
    frame.loc[at, "energy_gpu_util_avg_percent"] = 99.0
    frame["total_energy_joules"] = frame["energy_cpu_total_joules"] + frame["energy_gpu_total_joules"]
    _timed(rng, frame)


def _dead(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    """Runs alone that call themselves runs with a background load."""
    at = _some(rng, frame, "alone", 0.05)
    frame.loc[at, "mode"] = "background"
    if "bg_model" in frame:
        frame.loc[at, "bg_model"] = "light"
    _timed(rng, frame)
    return at


def _mismatch(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    at = _some(rng, frame)
    factor = np.exp(rng.choice([-1, 1], len(at)) * rng.uniform(0.4, 1.2, len(at)))
    scale(frame, at, "energy_gpu_total_joules", factor)
    return at


def _parts(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    at = _some(rng, frame)
    scale(frame, at, "energy_cpu_ram_joules", rng.uniform(0.2, 0.8, len(at)))
    return at


def _copies(rng: Generator, frame: pd.DataFrame) -> np.ndarray:
    """Later runs with the measurements of earlier ones of the same model and mode."""
    measured = [*_joules(frame), "duration_seconds", "energy_gpu_avg_watts", "energy_gpu_util_avg_percent"]
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
    for name in _joules(frame):
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


KINDS: dict[str, Callable[[Generator, pd.DataFrame], np.ndarray]] = {
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
