"""Residual networks for 32 x 32 images: He et al., 2016, "Deep residual learning", section 4.2.

Depth 6n + 2: a convolution, three groups of n blocks with 16, 32 and 64 channels, the mean over
the image, one linear layer. Shortcuts have no parameters (option A): where a group starts, every
second pixel is kept and the new channels are zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = (16, 32, 64)
DEPTHS = {f"resnet{depth}": depth for depth in (20, 32, 44, 56, 110, 1202)}


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without parameters."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outside)
        self.stride = stride
        self.new = outside - inside

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, inside, h, w] to [n, outside, h / stride, w / stride]."""
        deep = functional.relu(self.norm1(self.conv1(x)))
        deep = self.norm2(self.conv2(deep))
        return functional.relu(deep + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if not self.new:
            return x
        half = self.new // 2
        kept = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, half, self.new - half))


class ResNet(nn.Module):
    """A residual network of *depth* 6n + 2.

    Args:
        depth: layers with weights: 20, 32, 44, 56, 110 or 1202 in the paper.
        classes: what it tells apart.
    """

    def __init__(self, depth: int, classes: int = 10) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth {depth}: must be 6n + 2 with n at least 1")
        self.conv = nn.Conv2d(3, CHANNELS[0], 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(CHANNELS[0])
        blocks, inside = [], CHANNELS[0]
        for outside in CHANNELS:
            for place in range((depth - 2) // 6):
                first_of_later = place == 0 and outside != inside
                blocks.append(Block(inside, outside, 2 if first_of_later else 1))
                inside = outside
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(inside, classes)
        self.apply(_kaiming)

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, 3, 32, 32] to logits [n, classes]."""
        x = functional.relu(self.norm(self.conv(x)))
        logits: Tensor = self.linear(self.blocks(x).mean(dim=(2, 3)))
        return logits


def _kaiming(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(layer.weight)
