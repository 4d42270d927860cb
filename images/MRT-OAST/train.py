"""Tell whether two programs are clones, from their syntax trees; see ``contract.py``.

Trees are cut after 256 nodes and trained on in batches of 64, as published; on the stand-in, of
small functions, after 40 nodes in batches of 16, and the log says so. The learning rate is
constant, so that fewer epochs are exactly the beginning of more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import contract
import torch
from data import Clones, Pair
from models import PAD, Mrt, similarity
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL, STANDIN = (256, 64), (40, 16)  # nodes of a tree, pairs of a batch
THRESHOLD = 0.5  # a pair more similar than this is called a clone
EDGE = 1e-6  # keeps the logarithms of the loss finite


class Pairs(NamedTuple):
    """Places of the left and right trees among all trees [n], and 1.0 for clones [n]."""

    left: Tensor
    right: Tensor
    targets: Tensor


class Prepared(NamedTuple):
    """Everything a training needs before its first step."""

    network: Mrt
    optimizer: torch.optim.Optimizer
    pre: Tensor  # node numbers [trees, length], parents first
    post: Tensor  # the same, children first
    train: Pairs
    valid: Pairs
    test: Pairs
    order: torch.Generator
    batch: int


def prepare(training: contract.Training) -> Prepared:
    """Read the data, note source and digest, and make the network from the seed."""
    found, values, device = Clones(training.data, training.limit), training.values, training.device
    training.data_source, training.data_digest = found.source, found.digest
    length, batch = STANDIN if found.source == "stand-in" else FULL
    torch.manual_seed(values["seed"])
    network = training.load_weights(Mrt(found.words, length, values["dropout"])).to(device)
    count = sum(weight.numel() for weight in network.parameters())
    print(f"{count:,} parameters, {len(found.train)} pairs, {length} nodes, batch {batch}", flush=True)
    optimizer = torch.optim.Adam(
        network.parameters(), lr=values["learning_rate"], weight_decay=values["weight_decay"]
    )
    trees = list(found.trees.values())
    places = {key: place for place, key in enumerate(found.trees)}
    return Prepared(
        network=network,
        optimizer=optimizer,
        pre=padded([tree.pre for tree in trees], length).to(device),
        post=padded([tree.post for tree in trees], length).to(device),
        train=_pairs(found.train, places, device),
        valid=_pairs(found.valid, places, device),
        test=_pairs(found.test, places, device),
        order=torch.Generator().manual_seed(values["seed"]),
        batch=batch,
    )


def padded(rows: Sequence[list[int]], length: int) -> Tensor:
    """*rows* as [n, length]: the first numbers of each, then padding."""
    return torch.tensor([[*row[:length], *[PAD] * (length - len(row))] for row in rows])


def _pairs(pairs: Sequence[Pair], places: dict[tuple[str, str], int], device: str) -> Pairs:
    return Pairs(
        torch.tensor([places[pair.left] for pair in pairs]).to(device),
        torch.tensor([places[pair.right] for pair in pairs]).to(device),
        torch.tensor([float(pair.target) for pair in pairs]).to(device),
    )


def fit(training: contract.Training) -> dict[str, float]:
    """Train for the epochs asked, with the validation pairs looked at after each."""
    ready = prepare(training)
    training.ready()
    for _ in range(training.values["epochs"]):
        loss = one_epoch(ready)
        valid = held_out(ready, ready.valid)
        training.epoch(loss, valid_f1=valid["f1"], valid_accuracy=valid["accuracy"])
    return held_out(ready, ready.test)


def one_epoch(ready: Prepared) -> float:
    """One pass over the training pairs in random order; their mean loss while training."""
    ready.network.train()
    total = torch.zeros((), device=ready.pre.device)
    order = torch.randperm(len(ready.train.targets), generator=ready.order)
    for rows in order.split(ready.batch):
        total += step(ready, rows.to(total.device)) * len(rows)
    return float(total.item()) / len(order)  # waits for the device


def step(ready: Prepared, rows: Tensor) -> Tensor:
    """One update from the training pairs with these numbers; the loss before it."""
    like = alike(ready, ready.train.left[rows], ready.train.right[rows])
    loss = functional.binary_cross_entropy(like.clamp(EDGE, 1 - EDGE), ready.train.targets[rows])
    ready.optimizer.zero_grad()
    loss.backward()
    ready.optimizer.step()
    return loss.detach()


def alike(ready: Prepared, left: Tensor, right: Tensor) -> Tensor:
    """Similarity [n] of the trees at these places."""
    trees = torch.cat([left, right])
    vectors = ready.network(ready.pre[trees], ready.post[trees])
    return similarity(*vectors.chunk(2))


@torch.no_grad()
def held_out(ready: Prepared, pairs: Pairs) -> dict[str, float]:
    """Accuracy over pairs that were not trained on; precision, recall and F1 of the clones."""
    ready.network.eval()
    parts = zip(pairs.left.split(ready.batch), pairs.right.split(ready.batch), strict=True)
    said = torch.cat([alike(ready, left, right) for left, right in parts]) > THRESHOLD
    true = pairs.targets > THRESHOLD
    hits, all_said, all_true = ((x.sum().item()) for x in (said & true, said, true))
    return {
        "accuracy": (said == true).float().mean().item(),
        "precision": hits / all_said if all_said else 0.0,
        "recall": hits / all_true if all_true else 0.0,
        "f1": 2 * hits / (all_said + all_true) if all_said + all_true else 0.0,
    }


if __name__ == "__main__":
    contract.main(__file__, {"default": fit})
