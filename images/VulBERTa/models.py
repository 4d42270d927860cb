"""The two classifiers, from their published descriptions; plain modules without training.

Both exist in two sizes. ``FULL`` is the published one. ``TINY`` serves the stand-in, on which a
model of 124 million parameters would only cost time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from tokens import PAD
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the models are, and their batches by model name."""

    name: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    length: int
    batch: Mapping[str, int]


FULL = Size(
    name="full",
    vocabulary=50_000,
    width=768,
    layers=12,
    heads=12,
    length=1024,
    batch={"mlp": 2, "cnn": 128},
)
TINY = Size(
    name="tiny",
    vocabulary=2_000,
    width=128,
    layers=2,
    heads=4,
    length=96,
    batch={"mlp": 8, "cnn": 32},
)
CLASSES = 2
DROPOUT = 0.1


class Embedding(nn.Module):
    """Sum of token, position and type vectors, normalised; padding keeps position ``PAD``."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.tokens = nn.Embedding(size.vocabulary, size.width, padding_idx=PAD)
        self.positions = nn.Embedding(size.length + PAD + 1, size.width, padding_idx=PAD)
        self.kind = nn.Parameter(torch.empty(size.width))
        self.norm = nn.LayerNorm(size.width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, length] to [n, length, width]."""
        real = (tokens != PAD).long()
        places = real.cumsum(1) * real + PAD
        out: Tensor = self.dropout(self.norm(self.tokens(tokens) + self.positions(places) + self.kind))
        return out


class Block(nn.Module):
    """Self-attention and a wide layer, each added to its input and normalised after."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width, self.heads = size.width, size.heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, states: Tensor, real: Tensor) -> Tensor:
        """[n, length, width], and *real* [n, 1, 1, length] false at padding, to the like."""
        query, key, value = (
            layer(states).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        dropout = DROPOUT if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, real, dropout)
        states = self.norm_1(states + self.dropout(self.out(seen.transpose(1, 2).flatten(2))))
        wide = functional.gelu(self.wide(states))
        out: Tensor = self.norm_2(states + self.dropout(self.narrow(wide)))
        return out


class Mlp(nn.Module):
    """A RoBERTa encoder; the state of ``<s>`` through a tanh layer to two logits.

    124,836,866 parameters in full: 1,024 tokens need 1,026 positions.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embedding = Embedding(size)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.dense = nn.Linear(size.width, size.width)
        self.classes = nn.Linear(size.width, CLASSES)
        self.dropout = nn.Dropout(DROPOUT)
        self.apply(_draw)
        nn.init.normal_(self.embedding.kind, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, length] to logits [n, 2]."""
        real = (tokens != PAD)[:, None, None, :]
        states = self.embedding(tokens)
        for block in self.blocks:
            states = block(states, real)
        first = torch.tanh(self.dense(self.dropout(states[:, 0])))
        logits: Tensor = self.classes(self.dropout(first))
        return logits


def _draw(module: nn.Module) -> None:
    """Weights as RoBERTa draws them: normal with deviation 0.02, no bias, nothing for padding."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding):
        with torch.no_grad():
            module.weight[PAD].zero_()


class Cnn(nn.Module):
    """Convolutions of 3, 4 and 5 tokens over frozen vectors, their maxima through 600-256-128-2.

    40,430,810 parameters in full, of which 2,030,810 are trained.
    """

    KERNELS = (3, 4, 5)
    CHANNELS = 200

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.tokens = nn.Embedding(size.vocabulary, size.width, padding_idx=PAD)
        self.tokens.weight.requires_grad = False
        self.convolutions = nn.ModuleList(nn.Conv1d(size.width, self.CHANNELS, k) for k in self.KERNELS)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Sequential(
            nn.Linear(len(self.KERNELS) * self.CHANNELS, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, CLASSES),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, length] to logits [n, 2]."""
        states = self.tokens(tokens).transpose(1, 2)
        found = [functional.relu(layer(states)).amax(2) for layer in self.convolutions]
        logits: Tensor = self.head(self.dropout(torch.cat(found, 1)))
        return logits


MODELS: dict[str, type[nn.Module]] = {"mlp": Mlp, "cnn": Cnn}
