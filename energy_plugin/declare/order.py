"""The order of cases: randomised complete blocks, seeded."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.declare.case import Case


def blocks(cases: Sequence[Case], seed: int) -> list[int]:
    """Indices of *cases* in their order: block by block, shuffled inside each.

    A block is one replicate of every case, so what drifts over hours (temperature, load) falls on
    all treatments alike (Fisher's randomised complete block design).
    """
    by_block: dict[int, list[int]] = defaultdict(list)
    for index, case in enumerate(cases):
        by_block[case.replicate].append(index)
    ordered: list[int] = []
    for block in sorted(by_block):
        inside = sorted(by_block[block], key=lambda index: cases[index].id)
        random.Random(f"{seed}:{block}").shuffle(inside)
        ordered += inside
    return ordered
