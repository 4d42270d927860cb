"""How long cases are thought to take: past runs of the same kind, else the catalogue's guess, scaled.

A run is compared with the catalogue's guess for its values; the median of such ratios scales the
guess for the next one, so that one run that hung moves nothing. Runs of the same models and mode are
asked first, those of this session before those of earlier ones; then all models together, since they
say how fast this machine is.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_plugin.errors import EnergyError
from energy_plugin.run.past import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from energy_plugin.declare.case import Case
    from energy_plugin.declare.catalog import Catalog
    from energy_plugin.run.past import PastRun

SAME, EARLIER, OTHERS, GUESS, UNKNOWN = (
    "runs of this session", "past runs", "the catalogue, scaled by other models", "the catalogue", "nothing",
)  # fmt: skip
"""What an expectation rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Seconds that cases of one kind are thought to take without rests.

    Attributes:
        seconds: None where nothing is known of them.
        source: what that rests on: one of :data:`SAME`, :data:`EARLIER`, ...
        runs: how many runs were asked.
    """

    name: str
    cases: int
    seconds: float | None
    source: str
    runs: int = 0


@dataclass(slots=True)
class Load:
    """Cases of one kind that are still to be run: their number, and the sum of what is guessed."""

    cases: int = 0
    guessed_s: float = 0.0
    unguessed: int = 0

    def add(self, guess: float | None, sign: int = 1) -> None:
        """Put a case in, or take one out."""
        self.cases += sign
        self.guessed_s += sign * (guess or 0.0)
        self.unguessed += sign * (guess is None)


class Expectation:
    """Learns from every attempt how far the catalogue's guesses are off on this host.

    Args:
        warmup_s: what the warm-up of a background adds to a case.
    """

    def __init__(self, warmup_s: float = 0.0) -> None:
        self._warmup_s = warmup_s
        self._now: dict[str, list[float]] = defaultdict(list)
        self._past: dict[str, list[float]] = defaultdict(list)
        self._unguessed: dict[str, list[float]] = defaultdict(list)
        self._beside: list[float] = []
        self._cooldowns: list[float] = []

    # --- what is learnt ---

    def learn(self, catalog: Catalog, case: Case, seconds: float) -> None:
        """An attempt of this session took so long."""
        self._learn(self._now, catalog, case, seconds)

    def learn_past(self, catalog: Catalog, runs: Iterable[PastRun]) -> None:
        """Attempts of earlier sessions took so long; runs of unknown models teach nothing."""
        for run in runs:
            if run.cooldown_s is not None:
                self._cooldowns.append(run.cooldown_s)
            if run.duration_s is not None:
                self._learn(self._past, catalog, run.case, run.duration_s)

    def _learn(self, into: dict[str, list[float]], catalog: Catalog, case: Case, seconds: float) -> None:
        try:
            guess = guess_s(catalog, case)
        except (EnergyError, KeyError):  # of a catalogue that has changed since
            return
        if guess and seconds > 0:
            into[name_of(case)].append(seconds / guess)
        elif seconds > 0:
            self._unguessed[name_of(case)].append(seconds)

    def rested(self, seconds: float) -> None:
        """So long did a case of this session take beside its attempts: rest, preparation, idle baseline."""
        self._beside.append(seconds)

    # --- what is expected ---

    def beside_s(self, most_rest_s: float) -> float:
        """Seconds a case takes beside its attempts: the median here, else of past rests, else the longest."""
        for seen in (self._beside, self._cooldowns):
            if seen:
                return statistics.median(seen)
        return most_rest_s

    def seconds(self, catalog: Catalog, cases: Sequence[Case], most_rest_s: float) -> float | None:
        """Seconds these cases are thought to take with the rests before them, None if nothing is known."""
        return self.total(loads(catalog, cases), most_rest_s)

    def total(self, work: dict[str, Load], most_rest_s: float) -> float | None:
        """As :meth:`seconds`; kinds of which nothing is known are taken for as long as the others' mean."""
        found = [one for one in self.by_name(work) if one.cases]
        if not found:
            return 0.0
        known = [one for one in found if one.seconds is not None]
        if not known:
            return None
        count = sum(one.cases for one in found)
        training_s = sum(one.seconds or 0.0 for one in known) / sum(one.cases for one in known) * count
        return training_s + count * self.beside_s(most_rest_s)

    def by_name(self, work: dict[str, Load]) -> list[Expected]:
        """What each kind of cases is thought to take, warm-ups included, in the order given."""
        return [self._expected(name, load) for name, load in work.items()]

    def _expected(self, name: str, load: Load) -> Expected:
        ratio, source, runs = self._ratio(name)
        known = load.cases - load.unguessed
        seen = self._unguessed.get(name)
        seconds: float | None = load.guessed_s * ratio
        if load.unguessed and seen:
            seconds, source, runs = (
                (seconds or 0.0) + load.unguessed * statistics.median(seen),
                EARLIER,
                len(seen),
            )
        elif load.unguessed and known:
            seconds = (seconds or 0.0) * load.cases / known
        elif load.unguessed:
            seconds, source, runs = None, UNKNOWN, 0
        if seconds is not None and name.endswith(" background"):
            seconds += load.cases * self._warmup_s
        return Expected(name=name, cases=load.cases, seconds=seconds, source=source, runs=runs)

    def _ratio(self, name: str) -> tuple[float, str, int]:
        """How far the catalogue's guess is off, from what, and of how many runs."""
        for source, ratios in ((SAME, self._now.get(name)), (EARLIER, self._past.get(name))):
            if ratios:
                return statistics.median(ratios), source, len(ratios)
        every = [*self._now.values(), *self._past.values()]
        if every:
            medians = [statistics.median(ratios) for ratios in every]
            return statistics.median(medians), OTHERS, sum(map(len, every))
        return 1.0, GUESS, 0


def loads(catalog: Catalog, cases: Iterable[Case]) -> dict[str, Load]:
    """Cases by kind, in their order."""
    work: dict[str, Load] = {}
    for case in cases:
        work.setdefault(name_of(case), Load()).add(guess_s(catalog, case))
    return work


def guess_s(catalog: Catalog, case: Case) -> float | None:
    """The catalogue's guess for a case: its longest measured program."""
    guesses = [catalog.model(p.path).estimate_s(p.values, p.limit) for p in case.measured]
    known = [guess for guess in guesses if guess is not None]
    return max(known) if known else None
