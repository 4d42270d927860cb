"""The five networks, from their published descriptions; plain modules without training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class DigitCnn(nn.Module):
    """Two convolutions of 32 and 64, dropout, 9216-128-10: 1,199,882 parameters. Gives logits."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)
        )
        self.head = nn.Sequential(nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))

    def forward(self, images: Tensor) -> Tensor:
        """[n, 1, 28, 28] to logits [n, 10]."""
        logits: Tensor = self.head(self.features(images).flatten(1))
        return logits


class DigitLstm(nn.Module):
    """An LSTM over the 28 rows of an image, its last state through 64-32-10: 26,602 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(28, 64, batch_first=True)
        self.head = nn.Sequential(
            nn.BatchNorm1d(64),
            nn.Dropout(0.25),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(32, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """[n, 1, 28, 28] to logits [n, 10]."""
        states, _ = self.lstm(images.squeeze(1))
        logits: Tensor = self.head(states[:, -1])
        return logits


class ForwardForward(nn.Module):
    """Hinton's Forward-Forward network 784-500-500: every layer learns alone, by local goodness.

    Goodness is the mean square of a layer's outputs; it is to be above *threshold* for an image
    that carries its true label in the first ten pixels and below for a wrong label.
    """

    CLASSES = 10

    def __init__(self, threshold: float = 2.0) -> None:
        super().__init__()
        self.threshold = threshold
        self.layers = nn.ModuleList([nn.Linear(784, 500), nn.Linear(500, 500)])

    @staticmethod
    def label(images: Tensor, labels: Tensor, peak: float) -> Tensor:
        """Flat images [n, 784] with *labels* [n] written as one-hot pixels of brightness *peak*."""
        marked = images.clone()
        marked[:, : ForwardForward.CLASSES] = 0
        marked[torch.arange(len(marked), device=marked.device), labels] = peak
        return marked

    @staticmethod
    def through(layer: nn.Module, inputs: Tensor) -> Tensor:
        """One layer's outputs; the length of the input, the goodness below, is divided out."""
        return functional.relu(layer(inputs / (inputs.norm(dim=1, keepdim=True) + 1e-4)))

    def loss(self, layer: nn.Module, positive: Tensor, negative: Tensor) -> Tensor:
        """The local loss of one layer on inputs with true and with wrong labels."""
        good = self.through(layer, positive).square().mean(1)
        bad = self.through(layer, negative).square().mean(1)
        return functional.softplus(torch.cat([self.threshold - good, bad - self.threshold])).mean()

    def predict(self, images: Tensor, peak: float) -> Tensor:
        """The label whose image has most goodness, summed over the layers: [n, 784] to [n]."""
        scores = []
        for label in range(self.CLASSES):
            hidden = self.label(images, torch.full((len(images),), label, device=images.device), peak)
            score = torch.zeros(len(images), device=images.device)
            for layer in self.layers:
                hidden = self.through(layer, hidden)
                score = score + hidden.square().mean(1)
            scores.append(score)
        return torch.stack(scores, 1).argmax(1)


class Block(nn.Module):
    """The basic residual block of ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, outputs, h / stride, w / stride]."""
        return functional.relu(self.body(inputs) + self.shortcut(inputs))


class Siamese(nn.Module):
    """ResNet-18 on one channel, shared by both images; 1024-256-1 on both: 11,432,897 parameters."""

    def __init__(self) -> None:
        super().__init__()
        stem = [nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        blocks = [b for i, o, stride in widths for b in (Block(i, o, stride), Block(o, o, 1))]
        self.trunk = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(1024, 256), nn.ReLU(), nn.Linear(256, 1))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Two image batches [n, 1, 28, 28] to the logit [n] that both show the same digit."""
        logits: Tensor = self.head(torch.cat([self.trunk(left), self.trunk(right)], 1))
        return logits.squeeze(1)


class WordLstm(nn.Module):
    """Word language model: embedding 200, two LSTM layers of 200, dropout 0.2, its own output layer."""

    WIDTH = 200
    DROPOUT = 0.2

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, self.WIDTH)
        self.lstm = nn.LSTM(self.WIDTH, self.WIDTH, 2, dropout=self.DROPOUT)
        self.dropout = nn.Dropout(self.DROPOUT)
        self.output = nn.Linear(self.WIDTH, words)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)

    def forward(
        self, words: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Numbers [time, column] and the state before to logits [time * column, words] and the state."""
        states, after = self.lstm(self.dropout(self.embedding(words)), state)
        return self.output(self.dropout(states)).flatten(0, 1), after
