"""Designs: which treatments (changed hyperparameter values) a model gets.

Drawn values are seeded by model, hyperparameter and draw, so adding a model or a hyperparameter
never changes another's values. (A latin hypercube is one drawing of all its hyperparameters.)
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, get_args

from energy_plugin.declare.impossible import checked
from energy_plugin.declare.levels import (
    Ranges,
    by_own_name,
    check_named,
    draw,
    even,
    exact,
    known,
    own_ranges,
    placed,
)
from energy_plugin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from energy_plugin.declare.case import Value
    from energy_plugin.declare.catalog import Hyperparameter, Model

Kind = Literal[
    "defaults", "one_at_a_time", "joint", "factorial", "orthogonal", "latin_hypercube", "explicit", "options"
]
KINDS: tuple[str, ...] = tuple(kind for kind in get_args(Kind) if kind != "options")
T = TypeVar("T")
Treatment = dict[str, "Value"]
Tell = Callable[[str], None]
"""Is told, in a sentence, what a range has not enough values for."""
DRAWS = 1000
"""Attempts in a row at a value that is new; a range with fewer distinct values ends there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How treatments of a model are made.

    Attributes:
        names: hyperparameters to change; None is every one with a range but the seed, which is a
            replicate rather than a treatment; ``("all",)`` takes the seed too.
        levels: so many values at even steps of the range (even in the logarithm for log-uniform).
        n: so many seeded draws.
        values: exactly these levels, by name.
        runs: exactly these treatments.
        ranges: name of an alternative range of the catalogue, or own ``[low, high]`` by name.
        base: values passed in every case of this design, varied or not.
        default: also run the base itself; None: only where it is the other end of every comparison,
            one at a time, or where it is to be replicated.
        base_replicates: run the base at least so often: the noise floor of the study.
    """

    kind: Kind
    names: tuple[str, ...] | None = None
    levels: int | None = None
    n: int | None = None
    values: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    runs: Sequence[Mapping[str, Value]] = ()
    ranges: Ranges = "default"
    base: Mapping[str, Value] = field(default_factory=dict)
    default: bool | None = None
    base_replicates: int = 0

    def treatments(self, model: Model, seed: int, tell: Tell = lambda line: None) -> list[Treatment]:
        """The distinct treatments of *model*, the base first as the empty one.

        Raises:
            UsageError: a name is unknown, or a hyperparameter has no range.
        """
        check_named(model, self.ranges)
        if self.kind == "one_at_a_time":
            made = self._one_at_a_time(model, seed, tell)
        elif self.kind == "joint":
            made = self._joint(model, seed, tell)
        elif self.kind in ("factorial", "orthogonal"):
            made = self._crossed(model, tell)
        elif self.kind == "latin_hypercube":
            made = self._hypercube(model, seed, tell)
        else:
            made = self._explicit(model)
        if not self.with_base:
            return made
        # What only repeats the base is the base, and its runs are that one's.
        base = {**model.defaults(), **self.passed(model)}
        return [{}, *(one for one in made if any(base[name] != value for name, value in one.items()))]

    @property
    def with_base(self) -> bool:
        """Whether the base itself is run too."""
        if self.default is None:
            return self.kind in ("defaults", "one_at_a_time") or self.base_replicates > 0
        return self.default

    def passed(self, model: Model) -> dict[str, Value]:
        """The base by the model's own names: a role such as ``epochs`` names a hyperparameter too."""
        named = by_own_name(model, "base", self.base)
        return {name: exact(model.hyperparameters[name], value) for name, value in named.items()}

    def _chosen(self, model: Model) -> list[Hyperparameter]:
        """Each once, however it was named.

        Raises:
            UsageError: values or bounds are given for one that is not to be changed.
        """
        own = own_ranges(model, self.ranges)
        if self.names == ("all",):
            chosen = [h for h in model.hyperparameters.values() if h.ranges or h.name in own]
        elif self.names is not None:
            chosen = [known(model, name) for name in self.names]
        elif self.values:
            chosen = [known(model, name) for name in self.values]
        else:
            every = model.hyperparameters.values()
            chosen = [h for h in every if (h.ranges or h.name in own) and h.role != "seed"]
        found = {h.name: h for h in chosen}
        for where, table in (("values", self._given(model)), ("ranges", own)):
            for name in table:
                if name not in found:
                    raise UsageError(
                        f"{where}.{name} = {table[name]!r}: {name} is not changed by this design of "
                        f"{', '.join(found) or 'nothing'}; add it to names, or leave it away"
                    )
        return list(found.values())

    def _start(self, model: Model, name: str) -> Value:
        return self.passed(model).get(name, model.hyperparameters[name].default)

    def _given(self, model: Model) -> dict[str, Sequence[Value]]:
        return by_own_name(model, "values", self.values)

    def _levels(self, model: Model, h: Hyperparameter, tell: Tell) -> list[Value]:
        """The fixed levels of one hyperparameter, as given or even over its range."""
        given = self._given(model)
        if h.name in given:
            return list(dict.fromkeys(exact(h, value) for value in given[h.name]))
        found = even(model, h, self.ranges, self.levels or 2)
        if len(found) < (self.levels or 2):
            tell(f"{model.path}: {h.name} has only {len(found)} whole numbers for {self.levels or 2} levels")
        return found

    def _one_at_a_time(self, model: Model, seed: int, tell: Tell) -> list[Treatment]:
        chosen = self._chosen(model)
        return [{h.name: value} for h in chosen for value in self._values(model, h, seed, tell)]

    def _values(self, model: Model, h: Hyperparameter, seed: int, tell: Tell) -> list[Value]:
        """Distinct values other than the base's, in the order made."""
        start = self._start(model, h.name)
        even_steps = self.levels is not None or (self.values and self.n is None)
        if even_steps or h.name in self._given(model):
            return [value for value in self._levels(model, h, tell) if value != start]
        wanted = self.n or 1
        seeds = (f"{seed}:{model.path}:{h.name}:{number}" for number in itertools.count())
        found = _distinct(wanted, (draw(model, h, self.ranges, one) for one in seeds), start)
        if len(found) < wanted:
            tell(f"{model.path}: {h.name} has only {len(found)} values beside its base for n = {wanted}")
        return found

    def _joint(self, model: Model, seed: int, tell: Tell) -> list[Treatment]:
        """All chosen hyperparameters drawn together, each draw distinct and not the base."""
        chosen = self._chosen(model)
        drawn = (
            {h.name: draw(model, h, self.ranges, f"{seed}:{model.path}:joint:{h.name}:{n}") for h in chosen}
            for n in itertools.count()
        )
        return self._together(model, chosen, drawn, tell)

    def _together(
        self, model: Model, chosen: Sequence[Hyperparameter], made: Iterable[Treatment], tell: Tell
    ) -> list[Treatment]:
        wanted = self.n or 1
        found = _distinct(wanted, made, {h.name: self._start(model, h.name) for h in chosen})
        if len(found) < wanted:
            named = ", ".join(h.name for h in chosen) or "nothing that it could change"
            tell(f"{model.path}: only {len(found)} treatments beside the base for n = {wanted} ({named})")
        return found

    def _crossed(self, model: Model, tell: Tell) -> list[Treatment]:
        """A full factorial or an orthogonal array over fixed levels."""
        from energy_plugin.declare import arrays

        chosen = self._chosen(model)
        levels = [self._levels(model, h, tell) for h in chosen]
        counts = [len(values) for values in levels]
        if self.kind == "factorial":
            rows = arrays.factorial(counts)
        elif len(set(counts)) > 1:
            said = ", ".join(f"{h.name} {count}" for h, count in zip(chosen, counts, strict=True))
            raise UsageError(f"{model.path}: an orthogonal array needs as many levels of each: {said}")
        else:
            rows = arrays.orthogonal(len(chosen), counts[0]) if counts else []
        return [{h.name: v[i] for h, v, i in zip(chosen, levels, row, strict=True)} for row in rows]

    def _hypercube(self, model: Model, seed: int, tell: Tell) -> list[Treatment]:
        """Latin hypercube over the ranges; whole numbers may bring fewer distinct points than asked."""
        from energy_plugin.declare import arrays

        if not (chosen := self._chosen(model)):
            return self._together(model, chosen, [], tell)
        named = ",".join(h.name for h in chosen)
        points = arrays.latin_hypercube(
            self.n or 1, len(chosen), zlib.crc32(f"{seed}:{model.path}:{named}".encode())
        )
        made = (
            {h.name: placed(model, h, self.ranges, x) for h, x in zip(chosen, point, strict=True)}
            for point in points
        )
        return self._together(model, chosen, made, tell)

    def _explicit(self, model: Model) -> list[Treatment]:
        named = [by_own_name(model, f"runs[{i}]", run) for i, run in enumerate(self.runs, start=1)]
        made = [{name: exact(model.hyperparameters[name], v) for name, v in run.items()} for run in named]
        return _distinct(len(made), made)


def _distinct(n: int, made: Iterable[T], base: T | None = None) -> list[T]:
    """The first *n* distinct ones other than *base*; fewer once :data:`DRAWS` in a row were none of them."""
    found: dict[object, T] = {}
    missed = 0
    for one in made:
        if len(found) == n or missed == DRAWS:
            break
        key = tuple(sorted(one.items())) if isinstance(one, dict) else one
        fresh = one != base and key not in found
        missed = 0 if fresh else missed + 1
        if fresh:
            found[key] = one
    return list(found.values())


class Common(TypedDict, total=False):
    """What every design that varies something takes; see :class:`Design`."""

    ranges: Ranges
    base: Mapping[str, Value]
    default: bool
    base_replicates: int


def defaults() -> Design:
    """Every model once as its program runs when told nothing."""
    return Design(kind="defaults")


def one_at_a_time(
    *names: str,
    levels: int | None = None,
    n: int | None = None,
    values: Mapping[str, Sequence[Value]] | None = None,
    **common: Unpack[Common],
) -> Design:
    """One hyperparameter away from the base at a time: *levels* even steps, *n* draws, or own *values*."""
    return checked(_made("one_at_a_time", names, common, levels=levels, n=n, values=values or {}))


def joint(*names: str, n: int = 1, **common: Unpack[Common]) -> Design:
    """All chosen hyperparameters drawn together, *n* times."""
    return checked(_made("joint", names, common, n=n))


def factorial(
    *names: str,
    levels: int | None = None,
    values: Mapping[str, Sequence[Value]] | None = None,
    **common: Unpack[Common],
) -> Design:
    """Every combination of *levels* even steps (2 unless told) or of own *values*."""
    return checked(_made("factorial", names, common, levels=levels, values=values or {}))


def orthogonal(
    *names: str,
    levels: int | None = None,
    values: Mapping[str, Sequence[Value]] | None = None,
    **common: Unpack[Common],
) -> Design:
    """An orthogonal array of strength 2: main effects of many hyperparameters in few runs."""
    return checked(_made("orthogonal", names, common, levels=levels, values=values or {}))


def latin_hypercube(*names: str, n: int, **common: Unpack[Common]) -> Design:
    """*n* points that fill the space of all chosen hyperparameters evenly."""
    return checked(_made("latin_hypercube", names, common, n=n))


def explicit(*runs: Mapping[str, Value], **common: Unpack[Common]) -> Design:
    """Exactly these treatments, each a table of values by hyperparameter."""
    return checked(_made("explicit", (), common, runs=runs))


def _made(kind: Kind, names: tuple[str, ...], common: Common, **own: Any) -> Design:
    return Design(kind=kind, names=names or None, **common, **own)


def from_options() -> Design:
    """What ``--energy-mutate`` and ``--energy-runs`` say; no case without them."""
    return Design(kind="options")
