"""How well people are found again: the protocol of Market-1501 (Zheng et al., 2015).

For each query the gallery is ordered by cosine similarity. Images of the same person from the same
camera and images marked as junk (identity -1) are taken out first: finding them is no merit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

JUNK = -1


def scores(
    similarity: NDArray[np.float32],
    query: tuple[NDArray[np.int64], NDArray[np.int64]],
    gallery: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> dict[str, float]:
    """``rank1``, ``rank5`` and ``map`` (mean average precision), shares from 0 to 1.

    Args:
        similarity: of every query with every gallery image [q, g], larger is closer.
        query: identities and cameras of the rows.
        gallery: identities and cameras of the columns.

    Raises:
        SystemExit: no query has a right answer in the gallery.
    """
    places = [
        found_at(row, person, camera, *gallery)
        for row, person, camera in zip(similarity, *query, strict=True)
    ]
    answered = [place for place in places if len(place)]
    if not answered:
        raise SystemExit("query and gallery: no person of query is in gallery before another camera")
    first = np.array([place[0] for place in answered])
    return {
        "rank1": float((first < 1).mean()),
        "rank5": float((first < 5).mean()),
        "map": float(np.mean([average_precision(place) for place in answered])),
    }


def found_at(
    similarity: NDArray[np.float32],
    person: int,
    camera: int,
    ids: NDArray[np.int64],
    cameras: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Places (from 0) of the right answers to one query, among what counts."""
    counts = (ids != JUNK) & ~((ids == person) & (cameras == camera))
    order = np.argsort(-similarity[counts], kind="stable")
    return np.flatnonzero(ids[counts][order] == person)


def average_precision(places: NDArray[np.int64]) -> float:
    """Area under precision over recall by the trapezoid rule, as the benchmark's own code has it."""
    hits = np.arange(len(places))
    after = (hits + 1) / (places + 1)
    before = np.where(places > 0, hits / np.maximum(places, 1), 1.0)
    return float(((before + after) / 2).mean())
