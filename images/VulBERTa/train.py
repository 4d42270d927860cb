"""Tell vulnerable C functions from others, with the MLP or the CNN head; see ``contract.py``.

The model has its full size, except on the stand-in, where a tiny one is trained and the log says
so. Weights are random unless stated; the learning rate is constant, so that fewer epochs are
exactly the beginning of more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import contract
import torch
from data import Functions, Row
from models import FULL, MODELS, TINY, Size
from tokens import Vocabulary
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Tensors(NamedTuple):
    """Token numbers [n, length] and classes [n] on the training's device."""

    tokens: Tensor
    targets: Tensor


class Prepared(NamedTuple):
    """Everything a training needs before its first step."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    train: Tensors
    valid: Tensors
    test: Tensors
    weights: Tensor  # of the two classes in the loss
    order: torch.Generator
    batch: int


def prepare(training: contract.Training) -> Prepared:
    """Read the data, note source and digest, and make the network from the seed."""
    found = Functions(training.data, training.limit)
    training.data_source, training.data_digest = found.source, found.digest
    size = TINY if found.source == "stand-in" else FULL
    torch.manual_seed(training.values["seed"])
    network = training.load_weights(MODELS[training.model](size)).to(training.device)
    count = sum(weight.numel() for weight in network.parameters())
    print(
        f"size {size.name}: {count:,} parameters, {len(found.train)} rows of {size.length} tokens", flush=True
    )
    vocabulary = _vocabulary(training, found, size)
    train, valid, test = (
        _tensors(rows, vocabulary, size.length, training.device)
        for rows in (found.train, found.valid, found.test)
    )
    return Prepared(
        network=network,
        optimizer=_optimizer(network, training.values),
        train=train,
        valid=valid,
        test=test,
        weights=class_weights(train.targets),
        order=torch.Generator().manual_seed(training.values["seed"]),
        batch=size.batch[training.model],
    )


def _vocabulary(training: contract.Training, found: Functions, size: Size) -> Vocabulary:
    file = training.data / "tokenizer" / "vocab.json"
    if file.is_file():
        return Vocabulary.read(file, size.vocabulary)
    return Vocabulary.of(found.corpus, size.vocabulary)


def _tensors(rows: Sequence[Row], vocabulary: Vocabulary, length: int, device: str) -> Tensors:
    tokens = torch.tensor([vocabulary.encode(row.code, length) for row in rows])
    return Tensors(tokens.to(device), torch.tensor([row.target for row in rows]).to(device))


def class_weights(targets: Tensor) -> Tensor:
    """Weights that let both classes count the same in the loss: rows / (2 × rows of the class)."""
    return len(targets) / (2 * torch.bincount(targets, minlength=2).float())


def _optimizer(network: nn.Module, values: Mapping[str, float]) -> torch.optim.Optimizer:
    """Adam that decays matrices only, not biases, norms and the type vector.

    The decay is part of the gradient. Taken off the weights instead, as AdamW does, it would do
    nothing: 1 - 3e-5 × 1e-4 is 1 in float32, over most of the published ranges.
    """
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if w.dim() > 1], "weight_decay": values["weight_decay"]},
        {"params": [w for w in trained if w.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.Adam(groups, lr=values["learning_rate"])


def fit(training: contract.Training) -> dict[str, float]:
    """Train for the epochs asked, with the validation rows looked at after each."""
    ready = prepare(training)
    seconds, loss, epochs = 0.0, float("nan"), training.values["epochs"]
    synchronise(training.device)
    training.ready()
    for _ in range(epochs):
        start = time.monotonic()
        loss = one_epoch(ready)
        synchronise(training.device)
        seconds += time.monotonic() - start
        valid = held_out(ready, ready.valid)
        training.epoch(loss, valid_loss=valid["eval_loss"], valid_accuracy=valid["accuracy"])
    rows = epochs * len(ready.train.targets)
    return {
        **held_out(ready, ready.test),
        "final_training_loss": loss,
        "train_samples_per_second": rows / seconds if seconds else float("nan"),
    }


def one_epoch(ready: Prepared) -> float:
    """One pass over the training rows in random order; their mean loss while training."""
    ready.network.train()
    total = torch.zeros((), device=ready.train.targets.device)
    order = torch.randperm(len(ready.train.targets), generator=ready.order)
    for rows in order.split(ready.batch):
        total += step(ready, rows.to(total.device)) * len(rows)
    return float(total.item()) / len(order)


def step(ready: Prepared, rows: Tensor) -> Tensor:
    """One update from the training rows with these numbers; the loss before it."""
    logits = ready.network(ready.train.tokens[rows])
    loss = functional.cross_entropy(logits, ready.train.targets[rows], ready.weights)
    ready.optimizer.zero_grad()
    loss.backward()
    ready.optimizer.step()
    return loss.detach()


@torch.no_grad()
def held_out(ready: Prepared, rows: Tensors) -> dict[str, float]:
    """Loss, accuracy, F1 of the vulnerable class and speed on rows that were not trained on."""
    ready.network.eval()
    start = time.monotonic()
    logits = torch.cat([ready.network(part) for part in rows.tokens.split(ready.batch)])
    loss = functional.cross_entropy(logits, rows.targets, ready.weights).item()  # waits for the device
    seconds = time.monotonic() - start
    guess = logits.argmax(1)
    hits, said, true = ((x == 1).sum().item() for x in (guess * rows.targets, guess, rows.targets))
    return {
        "eval_loss": loss,
        "accuracy": (guess == rows.targets).float().mean().item(),
        "f1": 2 * hits / (said + true) if said + true else 0.0,
        "eval_samples_per_second": len(guess) / seconds,
    }


def synchronise(device: str) -> None:
    """Wait until the device has done what it was given, so that times mean what they say."""
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    contract.main(__file__, {"mlp": fit, "cnn": fit})
