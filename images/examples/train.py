"""Train one of the five example models; see ``contract.py`` for flags and events."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import contract
import torch
from data import Digits, Text
from models import DigitCnn, DigitLstm, ForwardForward, Siamese, WordLstm
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

MEAN, DEVIATION = 0.1307, 0.3081  # of the pixels of all MNIST training images
EVALUATION_ROWS = 250
GAMMA = 0.7
BPTT, CLIP = 35, 0.25


class Rows(NamedTuple):
    """Images [n, 1, 28, 28] and labels [n] on the training's device."""

    images: Tensor
    labels: Tensor


def digits(training: contract.Training) -> tuple[Rows, Rows]:
    """Training and held-out digits on the device; notes their source and digest."""
    found = Digits(training.data, training.limit)
    training.data_source, training.data_digest = found.source, found.digest
    train, test = (
        Rows(
            ((torch.from_numpy(images).float() / 255 - MEAN) / DEVIATION).unsqueeze(1).to(training.device),
            torch.from_numpy(labels).long().to(training.device),
        )
        for images, labels in (found.train, found.test)
    )
    return train, test


def seeded(training: contract.Training) -> torch.Generator:
    """Seed torch for weights and dropout; a generator of its own for the order of rows."""
    seed = training.values["seed"]
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def batches(order: Tensor, size: int) -> list[Tensor]:
    """*order* cut into batches of *size*; a last single row joins the batch before it.

    Batch normalisation cannot train on one row.
    """
    parts = list(order.split(size))
    if len(parts) > 1 and size > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def mean(losses: list[tuple[Tensor, int]]) -> float:
    """The mean of batch losses weighted by their rows; asks the device once."""
    total = torch.stack([loss * rows for loss, rows in losses]).sum().item()
    return float(total) / sum(rows for _, rows in losses)


def fit_digits(training: contract.Training, model: type[nn.Module]) -> dict[str, float]:
    """Train a classifier of digits with Adadelta, the rate times 0.7 after each epoch."""
    order = seeded(training)
    train, test = digits(training)
    values = training.values
    network = model().to(training.device)
    optimizer = torch.optim.Adadelta(network.parameters(), lr=values["learning_rate"])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, GAMMA)
    training.ready()
    for _ in range(values["epochs"]):
        network.train()
        shuffled = torch.randperm(len(train.labels), generator=order)
        losses = one_pass(
            optimizer,
            batches(shuffled, values["batch_size"]),
            lambda rows: functional.cross_entropy(network(train.images[rows]), train.labels[rows]),
        )
        schedule.step()
        training.epoch(losses)
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
    network = ForwardForward().to(training.device)
    optimizers = [
        torch.optim.Adam(layer.parameters(), lr=values["learning_rate"]) for layer in network.layers
    ]
    positive = network.label(train.images, train.labels, peak)
    training.ready()
    for _ in range(values["epochs"]):
        shift = torch.randint(1, network.CLASSES, (len(train.labels),), generator=order)
        wrong = (train.labels + shift.to(training.device)) % network.CLASSES
        inputs = positive, network.label(train.images, wrong, peak)
        losses = []
        for layer, optimizer in zip(network.layers, optimizers, strict=True):
            for batch in batches(torch.randperm(len(wrong), generator=order), values["batch_size"]):
                rows = batch.to(training.device)
                loss = network.loss(layer, inputs[0][rows], inputs[1][rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append((loss.detach(), len(rows)))
            with torch.no_grad():
                inputs = network.through(layer, inputs[0]), network.through(layer, inputs[1])
        training.epoch(mean(losses))
    return {
        "test_accuracy": 1 - (test_error := mistaken(network, test, peak)),
        "test_error": test_error,
        "train_error": mistaken(network, train, peak),
    }


@torch.no_grad()
def mistaken(network: ForwardForward, rows: Rows, peak: float) -> float:
    """The share of flat *rows* that get a wrong label."""
    predicted = torch.cat([network.predict(part, peak) for part in rows.images.split(EVALUATION_ROWS)])
    return (predicted != rows.labels).float().mean().item()


def partners(labels: Tensor, order: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each row another row, and whether it has the same label: in turn yes and no.

    The partner is drawn from all rows of the class wanted; a row may meet itself. Where the class
    wanted has no row (few rows, one class), the pair is drawn from all rows.
    """
    labels = labels.cpu()
    chance = torch.rand(len(labels), generator=order)
    partner = torch.empty_like(labels)
    for label in labels.unique():
        of_label = labels == label
        for same in (True, False):
            asking = (of_label & ((torch.arange(len(labels)) % 2 == 0) == same)).nonzero().squeeze(1)
            pool = (of_label if same else ~of_label).nonzero().squeeze(1)
            pool = pool if len(pool) else torch.arange(len(labels))
            partner[asking] = pool[(chance[asking] * len(pool)).long().clamp(max=len(pool) - 1)]
    return partner, (labels[partner] == labels).float()


def fit_siamese(training: contract.Training) -> dict[str, float]:
    """Train on one pair a training row, drawn anew every epoch, half of them of one digit."""
    order = seeded(training)
    train, test = digits(training)
    values = training.values
    network = Siamese().to(training.device)
    optimizer = torch.optim.Adadelta(network.parameters(), lr=values["learning_rate"])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, GAMMA)
    training.ready()
    for _ in range(values["epochs"]):
        network.train()
        losses = []
        partner, same = (tensor.to(training.device) for tensor in partners(train.labels, order))
        for batch in batches(torch.randperm(len(same), generator=order), values["batch_size"]):
            rows = batch.to(training.device)
            logits = network(train.images[rows], train.images[partner[rows]])
            loss = functional.binary_cross_entropy_with_logits(logits, same[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append((loss.detach(), len(rows)))
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


def columns(words: list[int], count: int, device: str) -> Tensor:
    """*words* as [time, column], the text cut into *count* equal columns; the rest is left out."""
    if len(words) < 2 * count:
        raise SystemExit(f"{len(words)} words cannot fill {count} columns; lower the batch size or the limit")
    length = len(words) // count
    return torch.tensor(words[: length * count]).view(count, length).t().contiguous().to(device)


def windows(text: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and the words that follow, 35 steps at a time, over the whole text."""
    for start in range(0, len(text) - 1, BPTT):
        stop = min(start + BPTT, len(text) - 1)
        yield text[start:stop], text[start + 1 : stop + 1].flatten()


def fit_word_lm(training: contract.Training) -> dict[str, float]:
    """Train by truncated backpropagation in text order; a rate that did not help is divided by 4."""
    seeded(training)
    text, values = Text(training.data, training.limit), training.values
    training.data_source, training.data_digest = text.source, text.digest
    train = columns(text.train, values["batch_size"], training.device)
    network = WordLstm(len(text.vocabulary)).to(training.device)
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
        network.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        with torch.no_grad():
            for weights in network.parameters():
                weights.add_(weights.grad, alpha=-rate)
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


if __name__ == "__main__":
    contract.main(
        __file__,
        {
            "mnist": lambda training: fit_digits(training, DigitCnn),
            "mnist_rnn": lambda training: fit_digits(training, DigitLstm),
            "mnist_ff": fit_forward_forward,
            "siamese": fit_siamese,
            "word_lm": fit_word_lm,
        },
    )
