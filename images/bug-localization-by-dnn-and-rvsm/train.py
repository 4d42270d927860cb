"""Bug localisation: a network that ranks source files for a bug report, beside the rVSM baseline.

The reports, in the order of their time, are cut into ``kfold`` folds; for each a network is
trained on the other folds and ranks the candidates of the held-out reports. One epoch event is
one fold, with the loss of its last pass: a pass takes milliseconds, and there may be ``max_iter``
of them in each fold. Runs on the CPU in numpy, wherever it is started.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import contract
import models
import numpy as np
from data import Reports

if TYPE_CHECKING:
    from collections.abc import Mapping


def train(training: contract.Training) -> Mapping[str, float]:
    """Train and score every fold; the mean over folds of the shares found among the top k."""
    reports = Reports(training.data, training.limit)
    training.data_source, training.data_digest = reports.source, reports.digest
    values = training.values
    if not 2 <= values["kfold"] <= len(reports):
        raise SystemExit(f"--kfold {values['kfold']}: expected 2 to {len(reports)}, the number of reports")
    if values["max_iter"] < 1:
        raise SystemExit(f"--max-iter {values['max_iter']}: expected at least 1")
    held_out = models.folds(len(reports), values["kfold"])
    baseline = [_score([reports.inputs[i][:, 0] for i in fold], reports, fold) for fold in held_out]
    training.ready()
    found = [_fold(training, reports, number, fold) for number, fold in enumerate(held_out)]
    metrics = {f"top{k}_accuracy": _mean(found, k) for k in models.TOP}
    return metrics | {"rvsm_top1_accuracy": _mean(baseline, 1)}


def _fold(training: contract.Training, reports: Reports, number: int, held_out: range) -> dict[int, float]:
    """Train without the reports *held_out*, rank their candidates, report one epoch."""
    network, fit = fit_fold(reports, number, held_out, training.values)
    found = _score([network.predict(reports.inputs[i]) for i in held_out], reports, held_out)
    training.epoch(fit.losses[-1], passes=len(fit.losses), top1_accuracy=found[1])
    return found


def fit_fold(
    reports: Reports, number: int, held_out: range, values: Mapping[str, float]
) -> tuple[models.Network, models.Fit]:
    """The network of fold *number*, trained on all reports but those *held_out*."""
    rest = [i for i in range(len(reports)) if i not in held_out]
    inputs = np.concatenate([reports.inputs[i] for i in rest])
    match = np.concatenate([reports.match[i] for i in rest])
    network = models.Network(np.random.default_rng([int(values["seed"]), number]))
    max_iter, alpha = int(values["max_iter"]), float(values["alpha"])
    return network, network.fit(*models.oversample(inputs, match), max_iter=max_iter, alpha=alpha)


def _score(relevance: list[models.Array], reports: Reports, fold: range) -> dict[int, float]:
    return models.top_accuracy(relevance, [reports.match[i] for i in fold])


def _mean(found: list[dict[int, float]], k: int) -> float:
    return float(np.mean([one[k] for one in found]))


def on_cpu(argv: list[str]) -> list[str]:
    """*argv* with the device settled: there is no GPU code here, so ``auto`` is the CPU."""
    if "cuda" in argv or "--device=cuda" in argv:
        raise SystemExit("--device cuda: this program runs on the CPU only; use --device cpu or auto")
    return [*argv, "--device", "cpu"]


if __name__ == "__main__":
    sys.argv = on_cpu(sys.argv)
    contract.main(__file__, {"default": train})
