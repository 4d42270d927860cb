"""Mediation paths asked for by name: one that cannot be is refused with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from causal_report import mediation, response, table
from causal_report.text import Text
from tests.report import tables

if TYPE_CHECKING:
    import pandas as pd

    from causal_report.findings.mediation import MediationPath

    Names = tuple[str, str, str]


def _last(frame: pd.DataFrame, declared: Names) -> MediationPath:
    built = table.build([tables.source(frame)])
    chosen = response.choose(built.frame)
    return mediation.estimate(built, chosen, {}, Text("en"), declared=[declared]).paths[-1]


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (("epoch", "energy_gpu_util_avg_percent", "energy"), "no column answers to epoch; is it epochs?"),
        (("energy", "energy_gpu_util_avg_percent", "epochs"), "energy cannot be the cause"),
        (("epochs", "dropout", "energy"), "dropout cannot be the mediator: it was set"),
        (("epochs", "energy_gpu_util_avg_percent", "dropout"), "dropout cannot be the outcome: it was set"),
    ],
)
def test_a_declared_path_the_wrong_way_round_is_refused_and_told(declared: Names, reason: str) -> None:
    last = _last(tables.rows(60), declared)
    assert (last.cause, last.mediator, last.outcome) == declared
    assert reason in last.reason
    assert last.indirect is None


def test_a_declared_cause_that_does_not_vary_is_told() -> None:
    frame = tables.rows(60).assign(hyperparam_dropout=0.1)
    last = _last(frame, ("dropout", "energy_gpu_util_avg_percent", "energy"))
    assert last.reason == "dropout does not vary within any model"
