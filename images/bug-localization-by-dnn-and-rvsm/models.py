"""A small regression network in numpy, and the ranking it is trained for.

The network has 5 inputs, 300 rectified units and 1 output: 2,101 parameters. It is trained by
stochastic gradient descent with Nesterov momentum on half the squared error plus the L2 penalty
``alpha / 2 * |W|^2 / rows``, in batches of 200, until ``max_iter`` passes are over or the mean
loss has not fallen by ``TOLERANCE`` for ``PATIENCE`` passes. In float64: at the default alpha of
1e-5 the penalty moves a weight by less than float32 can show.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

INPUTS, UNITS = 5, 300
BATCH, LEARNING_RATE, MOMENTUM = 200, 0.001, 0.9
TOLERANCE, PATIENCE = 1e-4, 30
OVERSAMPLE = 10
TOP = (1, 5, 10, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a training went: mean loss of each pass, and whether it stopped before ``max_iter``."""

    losses: Sequence[float]
    stopped_early: bool


class Network:
    """The network; ``parameters`` are weight [5, 300], bias [300], weight [300, 1], bias [1]."""

    def __init__(self, dice: np.random.Generator) -> None:
        self._dice = dice
        self.parameters: list[Array] = [
            *self._layer(INPUTS, UNITS),
            *self._layer(UNITS, 1),
        ]
        self._velocity = [np.zeros_like(parameter) for parameter in self.parameters]

    def _layer(self, fan_in: int, fan_out: int) -> tuple[Array, Array]:
        bound = (6.0 / (fan_in + fan_out)) ** 0.5
        return (
            self._dice.uniform(-bound, bound, (fan_in, fan_out)),
            self._dice.uniform(-bound, bound, fan_out),
        )

    def predict(self, inputs: Array) -> Array:
        """Relevance [rows] of *inputs* [rows, 5]."""
        weight_1, bias_1, weight_2, bias_2 = self.parameters
        hidden = np.maximum(inputs @ weight_1 + bias_1, 0.0)
        relevance: Array = hidden @ weight_2[:, 0] + bias_2[0]
        return relevance

    def step(self, inputs: Array, wanted: Array, alpha: float) -> float:
        """One step on a batch; returns its loss before the step."""
        weight_1, bias_1, weight_2, bias_2 = self.parameters
        rows = len(inputs)
        hidden = np.maximum(inputs @ weight_1 + bias_1, 0.0)
        error = (hidden @ weight_2 + bias_2) - wanted[:, None]
        back = (error @ weight_2.T) * (hidden > 0)
        gradients = (
            (inputs.T @ back + alpha * weight_1) / rows,
            back.mean(axis=0),
            (hidden.T @ error + alpha * weight_2) / rows,
            error.mean(axis=0),
        )
        penalty = alpha * (float(np.sum(weight_1**2)) + float(np.sum(weight_2**2))) / rows
        for layer, gradient in enumerate(gradients):
            self._velocity[layer] = MOMENTUM * self._velocity[layer] - LEARNING_RATE * gradient
            self.parameters[layer] += MOMENTUM * self._velocity[layer] - LEARNING_RATE * gradient
        return 0.5 * (float(np.mean(error**2)) + penalty)

    def fit(self, inputs: Array, wanted: Array, *, max_iter: int, alpha: float) -> Fit:
        """Train on *inputs* [rows, 5] and *wanted* [rows]."""
        losses: list[float] = []
        best, stale = np.inf, 0
        for _ in range(max_iter):
            losses.append(self._one_pass(inputs, wanted, alpha))
            stale = stale + 1 if losses[-1] > best - TOLERANCE else 0
            best = min(best, losses[-1])
            if stale > PATIENCE:
                return Fit(losses=losses, stopped_early=True)
        return Fit(losses=losses, stopped_early=False)

    def _one_pass(self, inputs: Array, wanted: Array, alpha: float) -> float:
        order = self._dice.permutation(len(inputs))
        total = 0.0
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            total += len(chosen) * self.step(inputs[chosen], wanted[chosen], alpha)
        return total / len(order)


def oversample(inputs: Array, match: Array) -> tuple[Array, Array]:
    """Every row once, and the rows with match 1 ``OVERSAMPLE`` times in all."""
    times = np.where(match > 0, OVERSAMPLE, 1)
    return np.repeat(inputs, times, axis=0), np.repeat(match, times)


def folds(count: int, kfold: int) -> list[range]:
    """``kfold`` runs of neighbouring reports, as equal as can be: each is held out once."""
    edges = [count * fold // kfold for fold in range(kfold + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]


def top_accuracy(relevance: Sequence[Array], match: Sequence[Array]) -> dict[int, float]:
    """Share of reports with a right file among the best k candidates, for each k of ``TOP``.

    Equal relevance counts against the ranking: a constant one has to find nothing.
    """
    places = [_place(scores, right) for scores, right in zip(relevance, match, strict=True)]
    return {k: float(np.mean([place < k for place in places])) for k in TOP}


def _place(relevance: Array, match: Array) -> float:
    """How many wrong candidates rank no worse than the best right one; infinite without one."""
    right = relevance[match > 0]
    return float(np.sum(relevance[match == 0] >= right.max())) if len(right) else np.inf
