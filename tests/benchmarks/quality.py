"""Flags of the quality checks on made-up tables, and how they change with each number the checks decide by.

Run: ``python -m tests.benchmarks.quality [--seeds N] [--only NAME ...]``. It prints the share of rows that
are flagged in clean tables, recall and precision by kind and size of what was planted, and for each threshold
at factors of its value the worst clean table, mean recall and mean precision: the operating curve.
"""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report import quality, table
from causal_report.quality.checks import EXCLUDING
from causal_report.quality.thresholds import TABLE
from tests.report import flawed, study, tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

FACTORS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0)
FIRST = 7000
"""First seed: none that a test or the choice of a threshold has looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Rows found, missed and wrongly flagged over some tables."""

    found: int = 0
    missed: int = 0
    wrong: int = 0

    @property
    def recall(self) -> float:
        """Share of the false rows that are flagged."""
        return self.found / max(self.found + self.missed, 1)

    @property
    def precision(self) -> float:
        """Share of the flagged rows that are false; 1 where none is flagged."""
        flagged = self.found + self.wrong
        return self.found / flagged if flagged else 1.0

    def __add__(self, other: Score) -> Score:
        return Score(
            found=self.found + other.found,
            missed=self.missed + other.missed,
            wrong=self.wrong + other.wrong,
        )


def flagged(frame: pd.DataFrame) -> frozenset[int]:
    """Positions of the rows that a check holds to be false."""
    source = tables.source(frame)
    keys = zip(frame["experiment_id"], frame["timestamp"], strict=True)
    place = {key: at for at, key in enumerate(keys)}
    flags = quality.check(table.build([source]), [source], keep_flagged=False)
    return frozenset(place[f.experiment_id, f.timestamp] for f in flags if f.code in EXCLUDING)


def scored(kind: str, seeds: Sequence[int]) -> Score:
    """What is found of one kind of falsehood."""
    total = Score()
    for seed in seeds:
        planted = flawed.plant(kind, seed)
        found = flagged(planted.frame)
        hit = len(found & planted.false)
        total += Score(found=hit, missed=len(planted.false) - hit, wrong=len(found) - hit)
    return total


def clean_shares(seeds: Sequence[int]) -> dict[str, float]:
    """Share of the rows of clean tables that are flagged, by shape and awkwardness."""
    made = {str(shape): [study.clean(shape, seed) for seed in seeds] for shape in study.SHAPES[:-1]}
    made |= {kind: [study.awkward(kind, seed) for seed in seeds] for kind in study.AWKWARD}
    return {
        name: sum(len(flagged(frame)) for frame in frames) / sum(map(len, frames))
        for name, frames in made.items()
    }


@contextmanager
def threshold(name: str, value: float) -> Iterator[None]:
    """The checks with another number."""
    assert isinstance(TABLE, dict)
    held = TABLE[name]
    TABLE[name] = replace(held, value=value)
    try:
        yield
    finally:
        TABLE[name] = held


def curve(name: str, seeds: Sequence[int]) -> None:
    """Print one line for each factor of one threshold."""
    for factor in FACTORS:
        value = TABLE[name].value * factor
        with threshold(name, value):
            clean = clean_shares(seeds)
            kinds = [scored(kind, seeds) for kind in flawed.KINDS]
            sizes = [scored(kind, seeds) for kind in flawed.SIZES]
        worst = max(clean, key=lambda one: clean[one])
        print(
            f"{name:22s} {value:9.3g} | clean: mean {np.mean([*clean.values()]):6.2%}, "
            f"worst {clean[worst]:6.2%} ({worst[:30]}) | "
            f"kinds: recall {min(s.recall for s in kinds):.2f} at least, "
            f"precision {min(s.precision for s in kinds):.2f} at least | "
            f"sizes: recall {np.mean([s.recall for s in sizes]):.3f}, "
            f"precision {np.mean([s.precision for s in sizes]):.3f}",
            flush=True,
        )


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=None, help="thresholds whose curve is wanted")
    asked = parser.parse_args()
    seeds = range(FIRST, FIRST + asked.seeds)
    if asked.only is None:
        for name, share in clean_shares(seeds).items():
            print(f"{name:90s} {share:7.3%} of rows flagged")
        for kind in [*flawed.KINDS, *flawed.SIZES]:
            one = scored(kind, seeds)
            print(f"{kind:50s} recall {one.recall:.3f}, precision {one.precision:.3f}")
    for name in TABLE if asked.only is None else asked.only:
        curve(name, seeds)


if __name__ == "__main__":
    main()
