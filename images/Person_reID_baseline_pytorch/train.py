"""Train a person re-identification network, as layumi/Person_reID_baseline_pytorch does.

The same in both: classify the training people with stochastic gradient descent (Nesterov momentum
0.9, weight decay 5e-4), a tenth of the learning rate for the backbone, a tenth of both after two
thirds of the epochs (40 of 60), random crops (not for PCB) and flips, images of 256 x 128 (PCB: 384
x 192), then search the gallery for the queries with features summed over an image and its mirror
image, cuDNN's benchmark mode. Not the same: the backbone starts from random weights where the
original downloads pretrained ones; ``--droprate`` acts on PCB too, which is fixed at 0.5 there; an
incomplete last batch is used; there is no evaluation on ``val`` between the epochs; nothing is
compiled; the seed is always set; decoded images stay in memory, so there are no loader processes.
The stand-in is trained at its own small size, PCB again at 1.5 times that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import contract
import torch
from data import Market
from models import MODELS, build
from retrieval import scores
from torch.nn import functional

if TYPE_CHECKING:
    from data import Part
    from torch import Tensor

MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
GAMMA = 0.1
BACKBONE_SHARE = 0.1
SIZE = (256, 128)
PCB_SCALE = 1.5
PAD_SHARE = 10 / 256  # the original pads 256 rows by 10
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
SEARCH_BATCH = 64


class Fit:
    """One training under way: network, optimizer, schedule and its random stream.

    Args:
        training: model, hyperparameters and device.
        market: the data.
    """

    def __init__(self, training: contract.Training, market: Market) -> None:
        values, self.device = training.values, training.device
        striped = training.model == "pcb"
        self.size = input_size(market, striped)
        self.pad = 0 if striped else round(PAD_SHARE * self.size[0])
        torch.manual_seed(values["seed"])
        network = build(training.model, market.classes, values["dropout"])
        self.net = training.load_weights(network).to(self.device)
        self.batch: int = values["batch_size"]
        self.images = torch.from_numpy(market.train.images).to(self.device)
        self.labels = torch.from_numpy(market.labels).to(self.device)
        rate = values["learning_rate"]
        self.optimizer = torch.optim.SGD(
            [
                {"params": self.net.backbone.parameters(), "lr": BACKBONE_SHARE * rate},
                {"params": self.net.head_parameters(), "lr": rate},
            ],
            momentum=MOMENTUM,
            weight_decay=WEIGHT_DECAY,
            nesterov=True,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda epoch: rate_factor(epoch, values["epochs"])
        )
        self.dice = torch.Generator().manual_seed(values["seed"])  # apart from the network's own stream

    def epoch(self) -> float:
        """Train on every row once; the mean loss (of PCB: summed over its heads), nats a row."""
        self.net.train()
        draws = Draws(len(self.labels), self.pad, self.dice)
        total = torch.zeros((), device=self.device)
        for chosen in batches(len(self.labels), self.batch):
            rows = draws.order[chosen].to(self.device)
            images = resized(self.images[rows], self.size)
            images = cropped(images, self.pad, *draws.crops[:, chosen].to(self.device))
            logits = self.net(scaled(images))
            loss = torch.stack([functional.cross_entropy(part, self.labels[rows]) for part in logits]).sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(rows)
        self.schedule.step()
        return total.item() / len(self.labels)  # .item() waits for the GPU

    @torch.no_grad()
    def features(self, part: Part) -> Tensor:
        """Unit vectors of the images of *part*, on the CPU."""
        self.net.eval()
        vectors = []
        for images in torch.split(torch.from_numpy(part.images), SEARCH_BATCH):
            seen = scaled(resized(images.to(self.device), self.size))
            both = self.net.features(seen) + self.net.features(seen.flip(3))
            vectors.append(functional.normalize(both).cpu())
        return torch.cat(vectors)

    def search(self, market: Market) -> dict[str, float]:
        """How well the people of query are found in gallery."""
        query, gallery = market.query, market.gallery
        similarity = (self.features(query) @ self.features(gallery).T).numpy()
        return scores(similarity, (query.ids, query.cameras), (gallery.ids, gallery.cameras))


class Draws:
    """An epoch's random numbers, drawn at once so that the batch size changes none of them.

    Attributes:
        order: the rows, shuffled. ``crops``: top, left (0 to 2 * pad) and flip (0 or 1) [3, rows].
    """

    def __init__(self, rows: int, pad: int, dice: torch.Generator) -> None:
        self.order = torch.randperm(rows, generator=dice)
        corners = torch.randint(0, 2 * pad + 1, (2, rows), generator=dice)
        self.crops = torch.cat([corners, torch.randint(0, 2, (1, rows), generator=dice)])


def batches(rows: int, size: int) -> list[Tensor]:
    """Row numbers in batches; a single last row joins the batch before it, as batch norm needs two."""
    parts = list(torch.split(torch.arange(rows), size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def input_size(market: Market, striped: bool) -> tuple[int, int]:
    """Height and width the network sees: the published ones, or the stand-in's own."""
    height, width = market.train.size if market.source == "stand-in" else SIZE
    scale = PCB_SCALE if striped else 1
    return int(height * scale), int(width * scale)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bytes [n, 3, h, w] to numbers from 0 to 255 [n, 3, *size], bicubic."""
    numbers = images.float()
    if images.shape[2:] == size:
        return numbers
    return functional.interpolate(numbers, size, mode="bicubic").clamp(0, 255)


def cropped(images: Tensor, pad: int, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """A window of each of the zero-padded images [n, 3, h, w], mirrored where *flip* is 1."""
    height, width = images.shape[2:]
    padded = functional.pad(images, (pad,) * 4)
    down, across = (torch.arange(n, device=images.device) for n in (height, width))
    across = torch.where(flip[:, None] == 1, across.flip(0), across) + left[:, None]
    down = down + top[:, None]
    row = torch.arange(len(images), device=images.device)[:, None, None, None]
    colour = torch.arange(3, device=images.device)[None, :, None, None]
    return padded[row, colour, down[:, None, :, None], across[:, None, None, :]]


def scaled(images: Tensor) -> Tensor:
    """Numbers from 0 to 255 [n, 3, h, w] to numbers around zero."""
    mean, deviation = (images.new_tensor(c)[:, None, None] for c in (MEAN, DEVIATION))
    return (images / 255 - mean) / deviation


def rate_factor(epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied by in *epoch* (from 0) of *epochs*."""
    return GAMMA if epoch >= math.ceil(epochs * 2 / 3) else 1.0


def train(training: contract.Training) -> dict[str, float]:
    """Train to the end, then search; ``rank1``, ``rank5`` and ``map``."""
    for name, least in (("epochs", 1), ("batch_size", 2)):  # batch normalisation needs two rows
        if training.values[name] < least:
            raise SystemExit(f"{name} {training.values[name]}: must be at least {least}")
    torch.backends.cudnn.benchmark = True
    market = Market(training.data, training.limit)
    training.data_source, training.data_digest = market.source, market.digest
    fit = Fit(training, market)
    if training.device == "cuda":
        torch.cuda.synchronize()
    training.ready()
    for _ in range(training.values["epochs"]):
        loss = fit.epoch()
        if training.device == "cuda":
            torch.cuda.synchronize()
        training.epoch(loss)
    return fit.search(market)


if __name__ == "__main__":
    contract.main(__file__, dict.fromkeys(MODELS, train))
