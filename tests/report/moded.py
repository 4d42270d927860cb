"""Made-up tables of runs alone and with a background load, one for each scenario of the comparison."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from causal_report import modes, response, table
from causal_report.discovery import evidence
from causal_report.discovery.prepare import prepare
from causal_report.text import Text
from tests.report import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings import Graph, Response
    from causal_report.findings.mediation import ModeDifference
    from causal_report.findings.modes import ModeEffect, Modes
    from causal_report.table import Table

TEXT = Text("en")
Truth = Literal["no effect", "main effect only", "interaction", "structure changes"]
RISE = 0.25
"""Natural log of duration and energy with a load over alone, wherever the mode has an effect."""
SLOPES: dict[Truth, tuple[tuple[float, float], tuple[float, float]]] = {
    "no effect": ((0.8, 0.8), (0.0, 0.0)),
    "main effect only": ((0.8, 0.8), (0.0, 0.0)),
    "interaction": ((0.9, 0.4), (0.0, 0.0)),
    "structure changes": ((0.9, 0.0), (0.0, -0.6)),
}
"""Elasticity of energy alone and with a load: of epochs, and of batch size."""


def rows(
    truth: Truth,
    n: int = 120,
    *,
    seed: int = 2,
    repository: str = "made",
    models: Sequence[str] = ("small", "large"),
    noise: float = 0.05,
    louder: float = 1.0,
) -> pd.DataFrame:
    """*n* runs, half of them with a load, over *models* of very different cost.

    Runs with a load are *louder* times as noisy as runs alone.
    """
    rng = np.random.default_rng(seed)
    model = np.array([models[i % len(models)] for i in range(n)])
    loaded = np.array([(i // len(models)) % 2 == 1 for i in range(n)])
    epochs = rng.integers(2, 33, n).astype(float)
    batch = rng.choice([16.0, 32.0, 64.0, 128.0, 256.0], n)
    base = np.array([100.0 * 30.0 ** list(models).index(m) for m in model])
    (epochs_alone, epochs_loaded), (batch_alone, batch_loaded) = SLOPES[truth]
    spread = noise * np.where(loaded, louder, 1.0)
    log_duration = (
        np.log(base)
        + np.where(loaded, epochs_loaded, epochs_alone) * np.log(epochs / 8)
        + np.where(loaded, batch_loaded, batch_alone) * np.log(batch / 64)
        + (RISE * loaded if truth != "no effect" else 0.0)
        + spread * rng.normal(size=n)
    )
    duration = np.exp(log_duration)
    power = 100 * np.exp(0.02 * rng.normal(size=n))
    return pd.DataFrame(
        {
            "experiment_id": [f"{repository}_{i:04d}" for i in range(n)],
            "timestamp": [f"2026-11-21T{i // 60 % 24:02d}:{i % 60:02d}:00+00:00" for i in range(n)],
            "role": "a",
            "session": "run_made",
            "repository": repository,
            "model": model,
            "mode": np.where(loaded, "background", "alone"),
            "is_parallel": loaded,
            "training_success": True,
            "duration_seconds": duration,
            "error_message": "",
            "total_energy_joules": duration * power,
            "total_energy_status": "measured",
            "total_energy_reason": "",
            "energy_gpu_avg_watts": power * 0.8,
            "energy_gpu_util_avg_percent": 50 + 5 * rng.normal(size=n),
            "hyperparam_epochs": epochs,
            "hyperparam_batch_size": batch,
            "hyperparam_learning_rate": np.exp(rng.uniform(np.log(0.01), np.log(1.0), n)),
            "perf_test_accuracy": 0.8 + 0.03 * np.log(epochs) + 0.02 * rng.normal(size=n),
        }
    )


def built(frame: pd.DataFrame) -> tuple[Table, Response, dict[str, dict[str, Graph]]]:
    """The table, its energy, and the exact engine's graphs by repository and mode."""
    made, chosen, _ = built_without_graphs(frame)
    return made, chosen, graphs(made)


def built_without_graphs(frame: pd.DataFrame) -> tuple[Table, Response, dict[str, dict[str, Graph]]]:
    """The table and its energy; no graph."""
    made = table.build([tables.source(frame)])
    return made, response.choose(made.frame), {}


def graphs(made: Table) -> dict[str, dict[str, Graph]]:
    """Graphs by repository and mode, as the analysis gives them."""
    chosen = response.choose(made.frame)
    energy = response.column(chosen)
    assert energy is not None
    found: dict[str, dict[str, Graph]] = {}
    for repository, mine in made.frame.groupby("repository"):
        columns = made.of("design", "mediator", "performance")
        found[str(repository)] = {
            str(mode): evidence.look(prepare(part, columns, energy), engine="exact", seed=0).graph
            for mode, part in mine.groupby("mode")
        }
    return found


def compared(frame: pd.DataFrame, differences: tuple[ModeDifference, ...] = ()) -> Modes:
    table, response, graphs = built(frame)
    return modes.compare(table, response, graphs, differences, TEXT)


@cache
def of(truth: Truth) -> Modes:
    return compared(rows(truth))


def effect(found: Modes, metric: str, model: str = "") -> ModeEffect:
    return next(e for e in found.effects if (e.metric, e.model) == (metric, model))
