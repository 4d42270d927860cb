"""Drawn images of ten classes: five shapes in warm or in cold colours, under noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIDE = 32
SHAPES: dict[str, Callable[[NDArray[Any], NDArray[Any]], NDArray[np.bool_]]] = {
    "disc": lambda y, x: y**2 + x**2 < 1,
    "ring": lambda y, x: abs(y**2 + x**2 - 0.7) < 0.35,
    "cross": lambda y, x: (np.minimum(abs(y), abs(x)) < 0.3) & (np.maximum(abs(y), abs(x)) < 1.1),
    "bars": lambda y, x: (np.floor(y * 3) % 2 == 0) & (np.maximum(abs(y), abs(x)) < 1),
    "posts": lambda y, x: (np.floor(x * 3) % 2 == 0) & (np.maximum(abs(y), abs(x)) < 1),
}


NAMES = [f"{shape} {palette}" for palette in ("warm", "cold") for shape in SHAPES]


def stand_in(rows: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Drawn images [rows, 3, 32, 32] and labels: one of five shapes, in warm or in cold colours."""
    dice = np.random.default_rng(seed)
    labels = dice.permutation(np.arange(rows) % len(NAMES))
    images = np.stack([_draw(int(label), dice) for label in labels])
    return images, labels.astype(np.int64)


def _draw(label: int, dice: np.random.Generator) -> NDArray[np.uint8]:
    warm, shape = label < len(SHAPES), list(SHAPES.values())[label % len(SHAPES)]
    size, top, left = dice.uniform(9, 13), *dice.uniform(13, 19, 2)
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = shape((y - top) / size, (x - left) / size)
    base = np.array([190, 120, 70] if warm else [70, 120, 190]) + dice.normal(0, 15, 3)
    ground = dice.uniform(60, 160) + dice.normal(0, 15, 3)
    image = np.where(inside[..., None], base, ground) + dice.normal(0, 20, (SIDE, SIDE, 3))
    return np.clip(image, 0, 255).astype(np.uint8).transpose(2, 0, 1)
