"""Drawn people before drawn cameras, in the folders of Market-1501.

The strong ground of a camera is what misleads: a network that was taught nothing finds the same
camera again, not the same person.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEIGHT, WIDTH = 64, 32
CAMERAS = 4
TRAIN_PEOPLE, FOUND_PEOPLE = 16, 8
IMAGES_OF_CAMERA = 2
SEED = 0
COLOURS = np.array([(200, 40, 40), (40, 180, 60), (50, 70, 210), (220, 200, 50), (230, 230, 230)], float)
CASTS = np.array([(1.075, 0.975, 0.9), (0.9, 0.975, 1.075), (0.875, 0.875, 0.875), (1.025, 1.05, 1.0)])
GROUNDS = np.array([(200, 110, 40), (30, 80, 190), (30, 130, 50), (170, 170, 180)], float)
JITTER = 2  # pixels


def write_people(folder: Path) -> None:
    """Write ``train_all`` (and its split ``train``, ``val``), ``query`` and ``gallery`` as .ppm files.

    No person is in both training and search. Every person is before every camera twice; each is
    searched for once from each camera.
    """
    dice = np.random.default_rng(SEED)
    looks = dice.permutation(list(itertools.product(range(len(COLOURS)), repeat=2)))
    for number, look in enumerate(looks[: TRAIN_PEOPLE + FOUND_PEOPLE]):
        person = f"{number + 1:04d}"
        frames = list(itertools.product(range(IMAGES_OF_CAMERA), range(CAMERAS)))
        for index, (frame, camera) in enumerate(frames):
            image = draw(look, camera, dice)
            trained_on = ("train_all", "train" if index else "val")
            parts = trained_on if number < TRAIN_PEOPLE else ("gallery",)
            for part in parts:
                _write_ppm(folder / part / person, camera, frame, image)
        if number >= TRAIN_PEOPLE:
            for camera in range(CAMERAS):
                _write_ppm(folder / "query" / person, camera, IMAGES_OF_CAMERA, draw(look, camera, dice))


def draw(look: NDArray[np.int64], camera: int, dice: np.random.Generator) -> NDArray[np.uint8]:
    """One image [64, 32, 3] of a person with *look* (torso's and legs' colour) before *camera*."""
    image = np.tile(GROUNDS[camera] * dice.uniform(0.7, 1.3), (HEIGHT, WIDTH, 1))
    top, left = dice.integers(-JITTER, JITTER + 1, 2)
    skin = np.array([210, 160, 130]) * dice.uniform(0.6, 1.0)
    for (y0, y1, x0, x1), colour in (
        ((6, 15, 12, 20), skin),
        ((15, 37, 7, 25), COLOURS[look[0]]),
        ((37, 60, 9, 23), COLOURS[look[1]]),
    ):
        image[y0 + top : y1 + top, x0 + left : x1 + left] = colour
    seen = image * CASTS[camera] * dice.uniform(0.75, 1.1) + dice.normal(0, 12, image.shape)
    pixels: NDArray[np.uint8] = np.clip(seen, 0, 255).astype(np.uint8)
    return pixels


def _write_ppm(folder: Path, camera: int, frame: int, image: NDArray[np.uint8]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{folder.name}_c{camera + 1}s1_{frame:06d}_00.ppm"
    (folder / name).write_bytes(b"P6\n%d %d\n255\n" % (WIDTH, HEIGHT) + image.tobytes())
