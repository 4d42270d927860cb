"""The order of cases: randomised complete blocks, seeded."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.declare.case import Case


def block_of(cases: Sequence[Case]) -> list[int]:
    """The block of each case, from 1: its replicate.

    Where the base has more replicates than what is compared with it, the further ones are dealt out
    over the blocks of these: all of them at the end would set the base against another time of day.
    """
    most: dict[object, int] = {}
    for case in cases:
        if _varied(case):
            most[_kind(case)] = max(case.replicate, most.get(_kind(case), 1))

    def block(case: Case) -> int:
        last = case.replicate if _varied(case) else most.get(_kind(case), case.replicate)
        return (case.replicate - 1) % last + 1

    return [block(case) for case in cases]


def _kind(case: Case) -> object:
    return tuple((program.role, program.repository, program.model) for program in case.programs)


def _varied(case: Case) -> bool:
    return any(program.varied for program in case.programs)


def blocks(cases: Sequence[Case], seed: int) -> list[int]:
    """Indices of *cases* in their order: block by block, shuffled inside each.

    A block is one replicate of every case, so what drifts over hours (temperature, load) falls on
    all treatments alike (Fisher's randomised complete block design).
    """
    by_block: dict[int, list[int]] = defaultdict(list)
    for index, block in enumerate(block_of(cases)):
        by_block[block].append(index)
    ordered: list[int] = []
    for block in sorted(by_block):
        inside = sorted(by_block[block], key=lambda index: cases[index].id)
        random.Random(f"{seed}:{block}").shuffle(inside)
        ordered += inside
    return ordered
