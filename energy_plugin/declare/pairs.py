"""Which two models to train at once: feasible pairs, their classes, and samples of them.

All of it is a function of the catalogue's figures, so a figure that is a guess makes a class a guess.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_plugin.declare.catalog import Model

FIGURES = ("catalogue", "study")
"""Whose memory figures: ours, or the published study's (``memory.study_mib``: classes, never measured)."""
MEDIUM_MIB, HIGH_MIB = 1500, 3000
"""From here on a model's memory is medium, high: the bounds that give the published classes."""
FULL_PERCENT = 100.0
"""Two models complement each other when their utilisations add up to no more than one GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two models that may train at once: ``a`` at its defaults, ``b`` varied.

    Attributes:
        memory_mib: of both together.
        memory_class: ``low+medium`` and so on, the lower first.
        utilisation_percent: of both alone, added; None where one was never measured.
    """

    a: Model
    b: Model
    memory_mib: float
    memory_class: str
    utilisation_percent: float | None

    @property
    def load_class(self) -> str:
        """``complementary``, ``competing``, or ``unknown``."""
        if self.utilisation_percent is None:
            return "unknown"
        return "complementary" if self.utilisation_percent <= FULL_PERCENT else "competing"

    @property
    def paths(self) -> tuple[str, str]:
        """``repository/model`` of both."""
        return self.a.path, self.b.path


def pair_of(a: Model, b: Model, figures: str = "catalogue") -> Pair:
    """The pair with its classes.

    Raises:
        UsageError: the catalogue has no memory figure of a model.
    """
    memory = [_memory_mib(model, figures) for model in (a, b)]
    used = [measured_percent(model) for model in (a, b)]
    known = [percent for percent in used if percent is not None]
    return Pair(
        a=a,
        b=b,
        memory_mib=sum(memory),
        memory_class="+".join(memory_class(mib) for mib in sorted(memory)),
        utilisation_percent=sum(known) if len(known) == 2 else None,
    )


def memory_class(mib: float) -> str:
    """``low``, ``medium`` or ``high``."""
    return "low" if mib < MEDIUM_MIB else "medium" if mib < HIGH_MIB else "high"


def measured_percent(model: Model) -> float | None:
    """GPU utilisation of a model alone, where the catalogue's figure is no guess."""
    percent = model.utilisation.get("gpu_percent")
    guessed = str(model.utilisation.get("source", "guess")).startswith("guess")
    return None if percent is None or guessed else float(percent)


def _memory_mib(model: Model, figures: str) -> float:
    if figures not in FIGURES:
        raise UnknownNameError("figures of pairs", figures, FIGURES)
    own = model.memory.get("gpu_mib")
    found = model.memory.get("study_mib", own) if figures == "study" else own
    if found is None:
        raise UsageError(f"{model.path}: the catalogue has no memory.gpu_mib, so its pairs cannot be judged")
    return float(found)


def feasible(models: Sequence[Model], budget_mib: float, figures: str = "catalogue") -> list[Pair]:
    """Every unordered pair of different models whose memory fits into *budget_mib*, in catalogue order."""
    pairs = (pair_of(a, b, figures) for a, b in itertools.combinations(models, 2))
    return [pair for pair in pairs if pair.memory_mib <= budget_mib]


def sample(pairs: Sequence[Pair], method: str, n: int, seed: int = 0) -> list[Pair]:
    """*n* of *pairs* by one of :data:`METHODS`; all of them, in the method's order, if there are fewer.

    Raises:
        UnknownNameError: the method does not exist.
    """
    if method not in METHODS:
        raise UnknownNameError("sampling of pairs", method, METHODS)
    if n < 1:
        raise UsageError(f"n = {n}: must be a whole number of at least 1")
    return METHODS[method](pairs, min(n, len(pairs)), random.Random(f"{seed}:{method}"))


def _random(pairs: Sequence[Pair], n: int, source: random.Random) -> list[Pair]:
    """Each as likely as any other."""
    return source.sample(list(pairs), n)


def _stratified(pairs: Sequence[Pair], n: int, source: random.Random) -> list[Pair]:
    """Memory classes in proportion, each at least once while *n* lasts, random inside."""
    strata = _strata(pairs, lambda pair: pair.memory_class)
    shares = _proportional({name: len(members) for name, members in strata.items()}, n)
    return [pair for name, count in shares.items() for pair in source.sample(strata[name], count)]


def _proportional(sizes: dict[str, int], n: int) -> dict[str, int]:
    """Largest remainders (Hamilton's method), one for each stratum first, never more than it holds."""
    ranked = sorted(sizes, key=lambda name: -sizes[name])
    given = dict.fromkeys(ranked[:n], 1)
    total = sum(sizes.values())
    while sum(given.values()) < n:
        open_ = [name for name in given if given[name] < sizes[name]]
        most = max(open_, key=lambda name: sizes[name] / total * n - given[name])
        given[most] += 1
    return given


def _representative(pairs: Sequence[Pair], n: int, source: random.Random) -> list[Pair]:
    """The most typical pairs: from each class in turn those nearest to its middle, largest class first."""
    strata = _strata(pairs, lambda pair: f"{pair.memory_class} {pair.load_class}")
    queues = [_from_the_middle(members) for members in sorted(strata.values(), key=len, reverse=True)]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*queues))
    return list(itertools.islice((pair for pair in turns if pair is not None), n))


def _from_the_middle(pairs: Sequence[Pair]) -> list[Pair]:
    """By distance to the class's mean memory and utilisation, each in units of its own spread."""

    def coordinates(pair: Pair) -> tuple[float, float]:
        return pair.memory_mib, pair.utilisation_percent or 0.0

    columns = list(zip(*map(coordinates, pairs), strict=True))
    means = [sum(column) / len(column) for column in columns]
    spreads = [max(column) - min(column) or 1.0 for column in columns]

    def distance(pair: Pair) -> float:
        parts = zip(coordinates(pair), means, spreads, strict=True)
        return math.hypot(*((x - mean) / spread for x, mean, spread in parts))

    return sorted(pairs, key=distance)


def _orthogonal(pairs: Sequence[Pair], n: int, source: random.Random) -> list[Pair]:
    """As balanced as the pairs allow: every model, memory class and load class as often as its peers.

    An exact array does not exist for pairs that memory rules out, so the pair that adds least to the
    sum of squared counts is taken, one after another.
    """
    seen: Counter[str] = Counter()
    chosen: list[Pair] = []
    left = source.sample(list(pairs), len(pairs))
    for _ in range(n):
        best = min(left, key=lambda pair: sum(2 * seen[level] + 1 for level in _levels(pair)))
        seen.update(_levels(best))
        chosen.append(best)
        left.remove(best)
    return chosen


def _levels(pair: Pair) -> tuple[str, ...]:
    return (*pair.paths, pair.memory_class, pair.load_class)


def _practical(pairs: Sequence[Pair], n: int, source: random.Random) -> list[Pair]:
    """What is sure to work first: measured before guessed, complementary before competing, then small."""
    ranks = {"complementary": 0, "competing": 1, "unknown": 2}
    return sorted(pairs, key=lambda pair: (ranks[pair.load_class], pair.memory_mib))[:n]


def _recommended(pairs: Sequence[Pair], n: int, source: random.Random) -> list[Pair]:
    """The published study's advice: one half practical, the other half stratified over the rest."""
    first = _practical(pairs, (n + 1) // 2, source)
    return first + _stratified([pair for pair in pairs if pair not in first], n - len(first), source)


METHODS: dict[str, Callable[[Sequence[Pair], int, random.Random], list[Pair]]] = {
    "random": _random,
    "stratified": _stratified,
    "representative": _representative,
    "orthogonal": _orthogonal,
    "practical": _practical,
    "recommended": _recommended,
}


def _strata(pairs: Sequence[Pair], key: Callable[[Pair], str]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[key(pair)].append(pair)
    return dict(found)
