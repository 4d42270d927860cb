"""Train one of the five example models; see ``contract.py`` for flags and events."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import contract
import torch
from models import DigitCnn, DigitLstm, ForwardForward, Siamese, WordLstm
from readers import Digits, Rows, Text, columns, partners, windows
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

EVALUATION_ROWS = 250
GAMMA = 0.7
CLIP = 0.25


def digits(training: contract.Training) -> tuple[Rows, Rows]:
    """Training and held-out digits on the device; notes their source and digest."""
    found = Digits(training.data, training.limit, training.device)
    training.data_source, training.data_digest = found.source, found.digest
    return found.train, found.test


def seeded(training: contract.Training) -> torch.Generator:
    """Seed torch for weights and dropout; a generator of its own for the order of rows."""
    seed = training.values["seed"]
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def batches(training: contract.Training, count: int, order: torch.Generator) -> list[Tensor]:
    """Row numbers 0 to *count* in random order, in batches on the device.

    A last single row joins the batch before it: batch normalisation cannot train on one row.
    """
    parts = list(torch.randperm(count, generator=order).split(training.values["batch_size"]))
    if len(parts) > 1 and len(parts[-1]) == 1 < len(parts[0]):
        parts[-2:] = [torch.cat(parts[-2:])]
    return [part.to(training.device) for part in parts]


def step(optimizer: torch.optim.Optimizer, loss: Tensor, rows: int) -> tuple[Tensor, int]:
    """One update of the weights; gives the loss and its number of rows for :func:`mean`."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach(), rows


def mean(losses: list[tuple[Tensor, int]]) -> float:
    """The mean of batch losses weighted by their rows; asks the device once."""
    total = torch.stack([loss * rows for loss, rows in losses]).sum().item()
    return float(total) / sum(rows for _, rows in losses)


def fit_digits(training: contract.Training, model: type[nn.Module]) -> dict[str, float]:
    """Train a classifier of digits with Adadelta, the rate times 0.7 after each epoch."""
    order = seeded(training)
    train, test = digits(training)
    values = training.values
    network = training.load_weights(model()).to(training.device)
    optimizer = torch.optim.Adadelta(network.parameters(), lr=values["learning_rate"])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, GAMMA)
    training.ready()
    for _ in range(values["epochs"]):
        network.train()
        losses = []
        for rows in batches(training, len(train.labels), order):
            loss = functional.cross_entropy(network(train.images[rows]), train.labels[rows])
            losses.append(step(optimizer, loss, len(rows)))
        schedule.step()
        training.epoch(mean(losses))
    return classified(network, test)


@torch.no_grad()
def classified(network: nn.Module, rows: Rows) -> dict[str, float]:
    """Accuracy and mean cross-entropy of a classifier on *rows*."""
    network.eval()
    logits = torch.cat([network(part) for part in rows.images.split(EVALUATION_ROWS)])
    return {
        "test_accuracy": (logits.argmax(1) == rows.labels).float().mean().item(),
        "test_loss": functional.cross_entropy(logits, rows.labels).item(),
    }


def fit_forward_forward(training: contract.Training) -> dict[str, float]:
    """Train layer after layer; an epoch is one pass of the batches for every layer.

    A wrong label is drawn anew for every row in every epoch.
    """
    order = seeded(training)
    train, test = (Rows(rows.images.flatten(1), rows.labels) for rows in digits(training))
    values, peak = training.values, train.images.max().item()
    network = training.load_weights(ForwardForward()).to(training.device)
    optimizers = [
        torch.optim.Adam(layer.parameters(), lr=values["learning_rate"]) for layer in network.layers
    ]
    positive = network.label(train.images, train.labels, peak)
    training.ready()
    for _ in range(values["epochs"]):
        shift = torch.randint(1, network.CLASSES, (len(train.labels),), generator=order)
        wrong = (train.labels + shift.to(training.device)) % network.CLASSES
        true, false = positive, network.label(train.images, wrong, peak)
        losses = []
        for depth, (layer, optimizer) in enumerate(zip(network.layers, optimizers, strict=True)):
            if depth:
                with torch.no_grad():
                    below = network.layers[depth - 1]
                    true, false = network.through(below, true), network.through(below, false)
            for rows in batches(training, len(wrong), order):
                loss = network.loss(layer, true[rows], false[rows])
                losses.append(step(optimizer, loss, len(rows)))
        training.epoch(mean(losses))
    test_error, train_error = mistaken(network, test, peak), mistaken(network, train, peak)
    return {"test_accuracy": 1 - test_error, "test_error": test_error, "train_error": train_error}


@torch.no_grad()
def mistaken(network: ForwardForward, rows: Rows, peak: float) -> float:
    """The share of flat *rows* that get a wrong label."""
    predicted = torch.cat([network.predict(part, peak) for part in rows.images.split(EVALUATION_ROWS)])
    return (predicted != rows.labels).float().mean().item()


def fit_siamese(training: contract.Training) -> dict[str, float]:
    """Train on one pair a training row, drawn anew every epoch, half of them of one digit."""
    order = seeded(training)
    train, test = digits(training)
    values = training.values
    network = training.load_weights(Siamese()).to(training.device)
    optimizer = torch.optim.Adadelta(network.parameters(), lr=values["learning_rate"])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, GAMMA)
    training.ready()
    for _ in range(values["epochs"]):
        network.train()
        losses = []
        partner, same = (tensor.to(training.device) for tensor in partners(train.labels, order))
        for rows in batches(training, len(same), order):
            logits = network(train.images[rows], train.images[partner[rows]])
            loss = functional.binary_cross_entropy_with_logits(logits, same[rows])
            losses.append(step(optimizer, loss, len(rows)))
        schedule.step()
        training.epoch(mean(losses))
    return paired(network, test)


@torch.no_grad()
def paired(network: Siamese, rows: Rows) -> dict[str, float]:
    """Accuracy and mean loss on one held-out pair a row; the pairs are the same for every seed."""
    network.eval()
    partner, same = (
        t.to(rows.labels.device) for t in partners(rows.labels, torch.Generator().manual_seed(0))
    )
    pairs = zip(rows.images.split(EVALUATION_ROWS), rows.images[partner].split(EVALUATION_ROWS), strict=True)
    logits = torch.cat([network(left, right) for left, right in pairs])
    return {
        "test_accuracy": ((logits > 0) == (same > 0)).float().mean().item(),
        "test_loss": functional.binary_cross_entropy_with_logits(logits, same).item(),
    }


def fit_word_lm(training: contract.Training) -> dict[str, float]:
    """Train by truncated backpropagation in text order; a rate that did not help is divided by 4."""
    seeded(training)
    text, values = Text(training.data, training.limit), training.values
    training.data_source, training.data_digest = text.source, text.digest
    train = columns(text.train, values["batch_size"], training.device)
    network = training.load_weights(WordLstm(len(text.vocabulary))).to(training.device)
    rate, best = values["learning_rate"], math.inf
    training.ready()
    for _ in range(values["epochs"]):
        loss = read(network, train, rate)
        valid = held_out(network, text.valid, training.device)
        rate, best = (rate, valid) if valid < best else (rate / 4, best)
        training.epoch(loss, valid_perplexity=perplexity(valid))
    loss = held_out(network, text.test, training.device)
    return {"test_perplexity": perplexity(loss), "test_loss": loss}


def read(network: WordLstm, text: Tensor, rate: float) -> float:
    """One pass over *text* with plain gradient steps, the gradient's length at most 0.25."""
    network.train()
    state, losses = None, []
    for words, following in windows(text):
        logits, (hidden, cell) = network(words, state)
        state = hidden.detach(), cell.detach()
        loss = functional.cross_entropy(logits, following)
        weights = list(network.parameters())
        gradients = torch.autograd.grad(loss, weights)
        length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        scale = rate * (CLIP / (length + 1e-6)).clamp(max=1)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.sub_(scale * gradient)
        losses.append((loss.detach(), len(following)))
    return mean(losses)


@torch.no_grad()
def held_out(network: WordLstm, words: list[int], device: str) -> float:
    """Mean loss a word over all of *words*, in at most ten columns whatever the batch size."""
    network.eval()
    state, losses = None, []
    for inputs, following in windows(columns(words, min(10, len(words) // 2), device)):
        logits, state = network(inputs, state)
        losses.append((functional.cross_entropy(logits, following), len(following)))
    return mean(losses)


def perplexity(loss: float) -> float:
    """The exponential of a loss in nats; infinite where that is beyond a float."""
    return math.exp(loss) if loss < 700 else math.inf


PROGRAMS: dict[str, Callable[[contract.Training], dict[str, float]]] = {
    "mnist": lambda training: fit_digits(training, DigitCnn),
    "mnist_rnn": lambda training: fit_digits(training, DigitLstm),
    "mnist_ff": fit_forward_forward,
    "siamese": fit_siamese,
    "word_lm": fit_word_lm,
}

if __name__ == "__main__":
    contract.main(__file__, PROGRAMS)
