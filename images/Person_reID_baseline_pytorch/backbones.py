"""Backbones of the re-identification networks, without outside packages.

Each turns images [n, 3, h, w] into maps [n, width, h / 32, w / 32], for PCB [n, width, h / 16, w /
16]. Sources of the shapes: Huang et al., 2017 (DenseNet-121), Wang et al., 2019 (HRNet-W18), He et
al., 2016 (ResNet-50). There are no pretrained weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def conv_norm(inside: int, outside: int, size: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution without bias, batch normalisation and, where wanted, a rectifier."""
    layers: list[nn.Module] = [
        nn.Conv2d(inside, outside, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outside),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


# ---------------------------------------------------------------- DenseNet-121


class DenseLayer(nn.Module):
    """Adds *growth* channels to what it is given, through a bottleneck of four times as many."""

    def __init__(self, inside: int, growth: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(
            nn.BatchNorm2d(inside),
            nn.ReLU(inplace=True),
            nn.Conv2d(inside, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n, inside, h, w] to [n, inside + growth, h, w]."""
        return torch.cat([x, self.deep(x)], 1)


class DenseNet121(nn.Sequential):
    """Four groups of dense layers with halving transitions; 1024 channels out."""

    width = 1024

    def __init__(self, growth: int = 32, groups: tuple[int, ...] = (6, 12, 24, 16)) -> None:
        channels = 2 * growth
        layers: list[nn.Module] = [conv_norm(3, channels, 7, 2), nn.MaxPool2d(3, 2, 1)]
        for number, size in enumerate(groups):
            layers += [DenseLayer(channels + place * growth, growth) for place in range(size)]
            channels += size * growth
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            if number < len(groups) - 1:
                layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
                channels //= 2
        super().__init__(*layers)


# ---------------------------------------------------------------- residual blocks, ResNet-50


class Residual(nn.Module):
    """*deep* beside a shortcut; the shortcut has a 1 x 1 convolution only where shapes differ."""

    def __init__(self, deep: nn.Sequential, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.deep = deep
        differs = inside != outside or stride != 1
        self.shortcut = conv_norm(inside, outside, 1, stride, relu=False) if differs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n, inside, h, w] to [n, outside, h / stride, w / stride]."""
        return functional.relu(self.deep(x) + self.shortcut(x))


def bottleneck(inside: int, narrow: int, stride: int = 1) -> Residual:
    """1 x 1, 3 x 3, 1 x 1 convolutions; four times *narrow* channels out."""
    deep = nn.Sequential(
        conv_norm(inside, narrow, 1),
        conv_norm(narrow, narrow, 3, stride),
        conv_norm(narrow, 4 * narrow, 1, relu=False),
    )
    return Residual(deep, inside, 4 * narrow, stride)


def basic(channels: int) -> Residual:
    """Two 3 x 3 convolutions."""
    deep = nn.Sequential(conv_norm(channels, channels, 3), conv_norm(channels, channels, 3, relu=False))
    return Residual(deep, channels, channels)


class ResNet50(nn.Sequential):
    """Four groups of bottlenecks; 2048 channels out. PCB keeps *last_stride* at 1."""

    width = 2048

    def __init__(self, last_stride: int = 2) -> None:
        layers: list[nn.Module] = [conv_norm(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
        inside = 64
        for narrow, size, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, last_stride)):
            for place in range(size):
                layers.append(bottleneck(inside, narrow, stride if place == 0 else 1))
                inside = 4 * narrow
        super().__init__(*layers)


# ---------------------------------------------------------------- HRNet-W18


class Exchange(nn.Module):
    """Four basic blocks on every resolution, then each resolution becomes the sum of all.

    Args:
        channels: of the resolutions, finest first; each is half as fine as the one before.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(basic(c) for _ in range(4))) for c in channels)
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of all resolutions to maps of the same shapes."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [
            self._sum(paths, maps, target.shape[2:]) for paths, target in zip(self.paths, maps, strict=True)
        ]

    @staticmethod
    def _sum(paths: Callable[..., Tensor], maps: list[Tensor], size: torch.Size) -> Tensor:
        parts = [path(x) for path, x in zip(paths, maps, strict=True)]  # type: ignore[call-overload]
        return functional.relu(torch.stack([functional.interpolate(p, size=size) for p in parts]).sum(0))


def _path(channels: tuple[int, ...], source: int, target: int) -> nn.Module:
    inside, outside = channels[source], channels[target]
    if source == target:
        return nn.Identity()
    if source > target:  # coarser: fewer channels here, spread over more pixels when summed
        return conv_norm(inside, outside, 1, relu=False)
    halvings = [conv_norm(inside, inside, 3, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, conv_norm(inside, outside, 3, 2, relu=False))


class HRNet18(nn.Module):
    """Up to four resolutions side by side, exchanged 1, 4 and 3 times; 2048 channels out.

    The head's four convolutions before a normalisation carry no bias, which the normalisation
    would subtract again: 3,840 parameters fewer than in timm.
    """

    width = 2048
    channels = (18, 36, 72, 144)
    modules_of_stage = (1, 4, 3)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm(3, 64, 3, 2),
            conv_norm(64, 64, 3, 2),
            bottleneck(64, 64),
            *(bottleneck(256, 64) for _ in range(3)),
        )
        first, second = self.channels[:2]
        self.starts = nn.ModuleList([conv_norm(256, first, 3), conv_norm(256, second, 3, 2)])
        self.halvings = nn.ModuleList(
            conv_norm(inside, outside, 3, 2)
            for inside, outside in zip(self.channels[1:], self.channels[2:], strict=False)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Exchange(self.channels[: number + 2]) for _ in range(size)))
            for number, size in enumerate(self.modules_of_stage)
        )
        narrow = (32, 64, 128, 256)
        self.widenings = nn.ModuleList(bottleneck(c, n) for c, n in zip(self.channels, narrow, strict=True))
        self.descents = nn.ModuleList(conv_norm(4 * n, 8 * n, 3, 2) for n in narrow[:3])
        self.last = conv_norm(1024, self.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, 3, h, w] to maps [n, 2048, h / 32, w / 32]."""
        x = self.stem(x)
        maps = [start(x) for start in self.starts]
        for number, stage in enumerate(self.stages):
            if number:
                maps.append(self.halvings[number - 1](maps[-1]))
            maps = stage(maps)
        wide = [widen(x) for widen, x in zip(self.widenings, maps, strict=True)]
        total = wide[0]
        for descend, x in zip(self.descents, wide[1:], strict=True):
            total = x + descend(total)
        out: Tensor = self.last(total)
        return out
