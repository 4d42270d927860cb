"""Train a residual network on CIFAR-10, as akamaster/pytorch_resnet_cifar10 does.

The same in both: stochastic gradient descent with momentum 0.9, batches of 128, random crops and
flips, a tenth of the learning rate after half and again after three quarters of the epochs (100
and 150 of 200), an evaluation after every epoch, cuDNN's benchmark mode. Not the same: the milestones follow
``--epochs`` where the original's stay at 100 and 150; resnet110 and resnet1202 take their first
epoch at a tenth of the learning rate and the full one after it, as the paper warms up, where the
original with a current torch stays at the tenth; the seed is always set; decoded images stay on
the device, so there are no loader processes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import contract
import torch
from data import SIDE, Images
from models import DEPTHS, ResNet
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

MOMENTUM = 0.9
GAMMA = 0.1
PAD = 4
WARMED = {"resnet110", "resnet1202"}
MEAN = (0.485, 0.456, 0.406)  # ImageNet's, as in the original
DEVIATION = (0.229, 0.224, 0.225)
TEST_BATCH = 500


class Fit:
    """One training under way: network, optimizer, schedule and its random stream.

    Args:
        training: model, hyperparameters and device.
        images: the data.
    """

    def __init__(self, training: contract.Training, images: Images) -> None:
        values, device = training.values, training.device
        torch.manual_seed(values["seed"])
        self.net = training.load_weights(ResNet(DEPTHS[training.model])).to(device)
        self.batch: int = values["batch_size"]
        self.train = tuple(torch.from_numpy(array).to(device) for array in images.train)
        self.test = tuple(torch.from_numpy(array).to(device) for array in images.test)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(),
            lr=values["learning_rate"],
            momentum=MOMENTUM,
            weight_decay=values["weight_decay"],
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda epoch: rate_factor(epoch, values["epochs"], training.model in WARMED),
        )
        self.dice = torch.Generator().manual_seed(values["seed"])  # apart from the network's own stream

    def epoch(self) -> float:
        """Train on every row once; the mean loss, nats a row."""
        self.net.train()
        images, labels = self.train
        draws = Draws(len(labels), self.dice)
        total = torch.zeros((), device=images.device)
        for chosen in torch.split(torch.arange(len(labels)), self.batch):
            rows = draws.order[chosen].to(images.device)
            crops = cropped(images[rows], *draws.crops[:, chosen].to(images.device))
            loss = functional.cross_entropy(self.net(scaled(crops)), labels[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(rows)
        self.schedule.step()
        return total.item() / len(labels)  # .item() waits for the GPU

    @torch.no_grad()
    def accuracy(self) -> float:
        """Share of the test rows that are told right."""
        self.net.eval()
        images, labels = self.test
        parts = zip(torch.split(images, TEST_BATCH), torch.split(labels, TEST_BATCH), strict=True)
        right = sum((self.net(scaled(part)).argmax(1) == truth).sum() for part, truth in parts)
        return float(right) / len(labels)


class Draws:
    """An epoch's random numbers, drawn at once so that the batch size changes none of them.

    Attributes:
        order: the rows, shuffled. ``crops``: top, left (0 to 8) and flip (0 or 1) [3, rows].
    """

    def __init__(self, rows: int, dice: torch.Generator) -> None:
        self.order = torch.randperm(rows, generator=dice)
        corners = torch.randint(0, 2 * PAD + 1, (2, rows), generator=dice)
        self.crops = torch.cat([corners, torch.randint(0, 2, (1, rows), generator=dice)])


def cropped(images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """A window of each of the zero-padded images [n, 3, 32, 32], mirrored where *flip* is 1."""
    padded = functional.pad(images, (PAD,) * 4)
    steps = torch.arange(SIDE, device=images.device)
    across = torch.where(flip[:, None] == 1, steps.flip(0), steps) + left[:, None]
    down = steps + top[:, None]
    row = torch.arange(len(images), device=images.device)[:, None, None, None]
    colour = torch.arange(3, device=images.device)[None, :, None, None]
    return padded[row, colour, down[:, None, :, None], across[:, None, None, :]]


def scaled(images: Tensor) -> Tensor:
    """Bytes [n, 3, h, w] to numbers around zero."""
    mean, deviation = (images.new_tensor(c, dtype=torch.float32)[:, None, None] for c in (MEAN, DEVIATION))
    return (images.float() / 255 - mean) / deviation


def rate_factor(epoch: int, epochs: int, warm: bool) -> float:
    """What the learning rate is multiplied by in *epoch* (from 0) of *epochs*."""
    passed = sum(epoch >= math.ceil(epochs * share) for share in (0.5, 0.75))
    first = GAMMA if warm and epoch == 0 else 1.0
    return first * GAMMA**passed


def train(training: contract.Training) -> dict[str, float]:
    """Train to the end; accuracy of the last and of the best epoch on the test rows."""
    for name in ("epochs", "batch_size"):
        if training.values[name] < 1:
            raise SystemExit(f"{name} {training.values[name]}: must be at least 1")
    torch.backends.cudnn.benchmark = True
    images = Images(training.data, training.limit)
    training.data_source, training.data_digest = images.source, images.digest
    fit = Fit(training, images)
    best = last = 0.0
    if training.device == "cuda":
        torch.cuda.synchronize()
    training.ready()
    for _ in range(training.values["epochs"]):
        loss = fit.epoch()
        last = fit.accuracy()
        best = max(best, last)
        if training.device == "cuda":
            torch.cuda.synchronize()
        training.epoch(loss, test_accuracy=last)
    return {"test_accuracy": last, "best_val_accuracy": best}


if __name__ == "__main__":
    contract.main(__file__, dict.fromkeys(DEPTHS, train))
