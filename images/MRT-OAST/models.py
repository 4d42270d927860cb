"""The multiple-representation transformer, from its published description; no training here."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, WIDE, HEADS, LAYERS, OUTPUT = 128, 512, 8, 2, 512
PAD = 0


def encoder(dropout: float) -> nn.TransformerEncoder:
    """Two layers of 8 heads, 128 wide, 512 inside: 396,544 parameters."""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, WIDE, dropout, batch_first=True)
    return nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)


def positions(length: int) -> Tensor:
    """Sines and cosines [length, 128] of the place, from fast to slow."""
    rates = torch.exp(torch.arange(0, WIDTH, 2) * (-math.log(10_000.0) / WIDTH))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)


class Mrt(nn.Module):
    """One vector of 512 for a tree, from its nodes in two orders.

    Each order has its own encoder; a 1x1 convolution mixes the two results, a third encoder reads
    the mixture, a convolution over all *length* places sums it up, a linear layer widens it.
    1,255,684 parameters, one for each of the *length* places, and 128 a word (padding is one):
    1.27 million for 256 places and some 110 node types.
    """

    def __init__(self, words: int, length: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(words + 1, WIDTH, padding_idx=PAD)
        self.register_buffer("places", positions(length))
        self.dropout = nn.Dropout(dropout)
        self.pre, self.post, self.both = (encoder(dropout) for _ in range(3))
        self.mix = nn.Conv2d(2, 1, 1)
        self.sum = nn.Conv2d(1, 1, (length, 1))
        self.out = nn.Linear(WIDTH, OUTPUT)

    def forward(self, pre: Tensor, post: Tensor) -> Tensor:
        """Node numbers [n, length] in both orders to vectors [n, 512]."""
        padding = pre == PAD
        states = [
            coder(self._embed(nodes), src_key_padding_mask=padding)
            for coder, nodes in ((self.pre, pre), (self.post, post))
        ]
        mixed = self.mix(torch.stack(states, 1)).squeeze(1)
        read = self.both(mixed, src_key_padding_mask=padding).masked_fill(padding[:, :, None], 0.0)
        vectors: Tensor = self.out(self.sum(read[:, None]).flatten(1))
        return vectors

    def _embed(self, nodes: Tensor) -> Tensor:
        states: Tensor = self.dropout(self.words(nodes) * math.sqrt(WIDTH) + self.places)
        return states


def similarity(left: Tensor, right: Tensor) -> Tensor:
    """How like vectors [n, 512] are, [n] from 0 to 1: their cosine, moved from -1 to 1."""
    return (1.0 + functional.cosine_similarity(left, right)) / 2.0
