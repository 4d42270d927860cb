"""Made-up runs of one model with a known saving and a known loss, and the advice on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causal_report import advice, response, table
from causal_report.figures import advice as drawing
from causal_report.text import Text
from tests.report import section, tables

if TYPE_CHECKING:
    import pandas as pd

    from causal_report.findings.advice import Advice
    from causal_report.table import Table

TEXT = Text("en")
EPOCHS = 10.0
"""The default; the truth is energy ∝ epochs^saving and accuracy = 0.9 + loss × log(epochs / 10)."""


def frame(
    n: int = 40, *, seed: int = 0, saving: float = 0.9, loss: float = 0.0, noise: float = 0.005
) -> pd.DataFrame:
    """Runs of one model, all hyperparameters drawn together; three of them do nothing."""
    rows = tables.rows(n, seed=seed, models=("mnist",))
    rng = np.random.default_rng([seed, 1])
    rows["hyperparam_epochs"] = rng.choice([4.0, 6.0, 8.0, 10.0, 12.0, 16.0], n)
    base = rng.random(n) < 0.15
    defaults = {"epochs": EPOCHS, "batch_size": 32.0, "learning_rate": 0.1, "dropout": 0.25}
    for name, value in defaults.items():
        rows.loc[base, f"hyperparam_{name}"] = value
    rows["num_mutated_params"] = np.where(base, 0, 4)
    epochs = rows["hyperparam_epochs"].to_numpy()
    rows["total_energy_joules"] = 1000 * (epochs / EPOCHS) ** saving * np.exp(0.03 * rng.normal(size=n))
    rows["perf_test_accuracy"] = 0.9 + loss * np.log(epochs / EPOCHS) + noise * rng.normal(size=n)
    return rows


def built(rows: pd.DataFrame, **facts: Any) -> Table:
    return table.build([tables.source(rows, **facts)])


def given(rows: pd.DataFrame, **options: Any) -> Advice:
    made = built(rows)
    return advice.give(made, response.choose(made.frame), TEXT, **options)


def render(found: Advice) -> str:
    return section.render("advice", found, advice=drawing.savings(found))
