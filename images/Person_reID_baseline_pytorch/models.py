"""The three networks of the re-identification baseline: a backbone each, and heads.

PCB cuts the maps of a ResNet-50 into six stripes with a head each: Sun et al., 2018, "Beyond part
models".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from backbones import DenseNet121, HRNet18, ResNet50
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

MODELS = ("densenet121", "hrnet18", "pcb")
PARTS = 6


def build(model: str, classes: int, droprate: float) -> ReID:
    """The network called *model* for so many identities, with random weights."""
    if model == "pcb":
        return ReID(ResNet50(last_stride=1), classes, droprate, narrow=256, parts=PARTS)
    return ReID(DenseNet121() if model == "densenet121" else HRNet18(), classes, droprate)


class ReID(nn.Module):
    """A backbone and its heads: one for the whole image, or one for each of *parts* stripes.

    A head is linear, batch normalisation, dropout, linear. The feature of an image is what its
    heads see after the normalisation (whole image) or what they are given (stripes).

    Args:
        backbone: turns images into maps [n, width, h, w].
        classes: number of identities.
        droprate: of each head. PCB drops its stripes by the same rate too.
        narrow: channels between a head's two linear layers.
        parts: 1, or the number of horizontal stripes.
    """

    def __init__(
        self, backbone: nn.Module, classes: int, droprate: float, narrow: int = 512, parts: int = 1
    ) -> None:
        super().__init__()
        width = int(backbone.width)  # type: ignore[arg-type]
        self.backbone = backbone
        self.parts = parts
        self.drop = nn.Dropout(droprate if parts > 1 else 0.0)
        self.narrowings = nn.ModuleList(
            nn.Sequential(nn.Linear(width, narrow), nn.BatchNorm1d(narrow)) for _ in range(parts)
        )
        self.classifiers = nn.ModuleList(
            nn.Sequential(nn.Dropout(droprate), nn.Linear(narrow, classes)) for _ in range(parts)
        )
        self.apply(_kaiming)
        for classifier in self.classifiers:  # every identity as likely at the start
            nn.init.normal_(next(classifier.parameters()), std=0.001)

    def head_parameters(self) -> list[nn.Parameter]:
        """What is not the backbone's."""
        return [*self.narrowings.parameters(), *self.classifiers.parameters()]

    def stripes(self, x: Tensor) -> list[Tensor]:
        """Images [n, 3, h, w] to *parts* vectors [n, width]: means over horizontal stripes."""
        pooled = functional.adaptive_avg_pool2d(self.backbone(x), (self.parts, 1))
        return list(pooled[..., 0].unbind(2))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images [n, 3, h, w] to logits [n, classes] of every head."""
        heads = zip(self.narrowings, self.classifiers, self.stripes(x), strict=True)
        return [classify(narrow(self.drop(stripe))) for narrow, classify, stripe in heads]

    def features(self, x: Tensor) -> Tensor:
        """Images [n, 3, h, w] to vectors for retrieval."""
        stripes = self.stripes(x)
        if self.parts == 1:
            vector: Tensor = self.narrowings[0](stripes[0])
            return vector
        return torch.cat([functional.normalize(stripe) for stripe in stripes], 1)


def _kaiming(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
