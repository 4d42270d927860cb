"""Made-up tables like a study's in which every row is what it says, plain ones and awkward ones."""

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
    Shape(runs=30, models=1),
    Shape(runs=40, models=1, background=False),
    Shape(runs=60, models=2),
    Shape(runs=120, models=3, design="single"),
    Shape(runs=200, models=4, design="both", unset="default"),
    Shape(runs=240, models=2, design="both", partner=False),
    Shape(runs=200, models=15),
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
    memory = 0.1 * cpu * np.exp(0.02 * rng.normal(size=n))
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
            "energy_cpu_ram_joules": memory * seconds,
            "energy_cpu_total_joules": (0.9 * cpu + memory) * seconds,
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
    return timed(rng, frame)


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


def timed(rng: Generator, frame: pd.DataFrame) -> pd.DataFrame:
    """Timestamps at the ends of runs, with a pause that a timer makes."""
    pause = np.where(frame["mode"] == "alone", 63.0, 93.0) + 0.01 * rng.random(len(frame))
    ends = np.cumsum(frame["duration_seconds"].to_numpy() + pause)
    when = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(ends, unit="s")
    frame["timestamp"] = when.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
    return frame


def scale(frame: pd.DataFrame, name: str, factor: np.ndarray | float, at: np.ndarray | None = None) -> None:
    """Multiply a column, in rows *at* or in all."""
    rows = np.arange(len(frame)) if at is None else at
    values = frame[name].to_numpy(copy=True)
    values[rows] = values[rows] * factor
    frame[name] = values


def joules(frame: pd.DataFrame) -> list[str]:
    """Columns of energy."""
    return [str(name) for name in frame if str(name).endswith("_joules")]


def change(
    frame: pd.DataFrame,
    at: np.ndarray | None = None,
    *,
    slower: np.ndarray | float = 1.0,
    cpu: np.ndarray | float = 1.0,
    gpu: np.ndarray | float = 1.0,
) -> None:
    """Other durations and powers in rows *at*, with the energies that belong to them."""
    scale(frame, "duration_seconds", slower, at)
    for name in joules(frame):
        scale(frame, name, slower * (gpu if "gpu" in name else cpu), at)
    scale(frame, "energy_gpu_avg_watts", gpu, at)
    frame["total_energy_joules"] = frame["energy_cpu_total_joules"] + frame["energy_gpu_total_joules"]


def awkward(kind: str, seed: int, shape: Shape | None = None) -> pd.DataFrame:
    """A clean table of one *kind* that a hasty check would take for false."""
    frame = clean(shape or Shape(runs=150, models=2), seed)
    rng = np.random.default_rng([seed, len(kind)])
    AWKWARD[kind](rng, frame)
    return timed(rng, frame)


def _tails(rng: Generator, frame: pd.DataFrame) -> None:
    slower, cpu, gpu = (np.exp(c * rng.standard_t(3, len(frame))) for c in (0.02, 0.02, 0.03))
    change(frame, slower=slower, cpu=cpu, gpu=gpu)


def _drift(rng: Generator, frame: pd.DataFrame) -> None:
    """Longer and longer, with more and more CPU power and less and less GPU power."""
    part = np.linspace(0, rng.uniform(0.06, 0.1), len(frame))
    change(frame, slower=1 + part, cpu=1 + part, gpu=1 - part)


def _daily(rng: Generator, frame: pd.DataFrame) -> None:
    wave = np.sin(rng.uniform(0, 6) + np.linspace(0, 20, len(frame)))
    change(frame, slower=1 + 0.02 * wave, cpu=1 + 0.05 * wave, gpu=1 - 0.04 * wave)


def _warmer(rng: Generator, frame: pd.DataFrame) -> None:
    """From some run on the room is warmer: the package leaks 8 % more."""
    change(frame, cpu=np.where(np.arange(len(frame)) > rng.integers(30, 120), 1.08, 1.0))


def _busy(rng: Generator, frame: pd.DataFrame) -> None:
    frame["energy_gpu_util_avg_percent"] = np.clip(97 + 1.5 * rng.normal(size=len(frame)), 0, 100)


def _hungry(rng: Generator, frame: pd.DataFrame) -> None:
    """Batch size takes the GPU from a quarter to all of its use, and CPU power down by half."""
    size = frame["hyperparam_batch_size"].to_numpy() / BATCH
    change(frame, cpu=size**-0.35, gpu=size**0.3)
    use = 50 + 35 * np.log(size) + rng.normal(size=len(frame))
    frame["energy_gpu_util_avg_percent"] = np.clip(use, 0, 99.5)


def _workers(rng: Generator, frame: pd.DataFrame) -> None:
    """A hyperparameter of two values doubles CPU and memory power."""
    many = rng.random(len(frame)) < 0.5
    frame["hyperparam_workers"] = np.where(many, 8.0, 2.0)
    change(frame, cpu=np.where(many, 2.0, 1.0))


def _brief(rng: Generator, frame: pd.DataFrame) -> None:
    """The shorter a run the noisier: a tenth at a minute."""
    noise = np.clip(0.1 * np.sqrt(60 / frame["duration_seconds"].to_numpy()), 0.0, 0.15)
    slower, cpu, gpu = (np.exp(noise * rng.normal(size=len(frame))) for _ in range(3))
    change(frame, slower=slower, cpu=cpu, gpu=gpu)


def _ranging(rng: Generator, frame: pd.DataFrame) -> None:
    """From one epoch to a thousand, and a beginning that takes as long as twenty."""
    epochs = np.exp(rng.uniform(0, np.log(1000), len(frame))).round()
    change(
        frame, slower=(20 + epochs) / (20 + EPOCHS) / (frame["hyperparam_epochs"].to_numpy() / EPOCHS) ** 0.93
    )
    frame["hyperparam_epochs"] = epochs


def _stopping(rng: Generator, frame: pd.DataFrame) -> None:
    """One run in eight stops by itself after a quarter to a half of its epochs."""
    early = rng.random(len(frame)) < 0.125
    change(frame, slower=np.where(early, rng.uniform(0.25, 0.5, len(frame)), 1.0))


def _loaded(rng: Generator, frame: pd.DataFrame) -> None:
    """Nothing but runs beside a background load."""
    alone = np.flatnonzero(frame["mode"] == "alone")
    load = _load(np.ones(len(alone), bool), rng.integers(0, 2, len(alone)))
    change(frame, alone, slower=load["slower"], cpu=load["cpu"], gpu=load["gpu"])
    frame.loc[alone, "mode"] = "background"
    frame.loc[alone, "bg_model"] = np.where(load["slower"] > 1.2, "heavy", "light")


def _no_gpu(rng: Generator, frame: pd.DataFrame) -> None:
    frame["total_energy_joules"] = frame["energy_cpu_total_joules"]
    for name in [name for name in frame if "gpu" in str(name)]:
        del frame[name]


AWKWARD: dict[str, Callable[[Generator, pd.DataFrame], None]] = {
    "tails": _tails,
    "drift": _drift,
    "daily": _daily,
    "warmer": _warmer,
    "busy": _busy,
    "hungry": _hungry,
    "workers": _workers,
    "brief": _brief,
    "ranging": _ranging,
    "stopping": _stopping,
    "loaded": _loaded,
    "no GPU": _no_gpu,
}
