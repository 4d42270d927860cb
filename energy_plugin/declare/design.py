"""Designs: which treatments (changed hyperparameter values) a model gets.

Drawn values are seeded by model, hyperparameter and draw, so adding a model or a hyperparameter
never changes another's values. (A latin hypercube is one drawing of all its hyperparameters.)
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, get_args

from energy_plugin.declare.levels import Ranges, check_named, draw, even, exact, known, own_ranges, placed
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
DRAWS = 1000
"""Attempts at a value that is new; a range with fewer distinct values ends earlier."""
TAKES = {
    "defaults": (),
    "one_at_a_time": ("levels", "n", "values"),
    "joint": ("n",),
    "factorial": ("levels", "values"),
    "orthogonal": ("levels", "values"),
    "latin_hypercube": ("n",),
    "explicit": ("runs",),
    "options": ("n",),
}
"""Which of levels, n, values and runs each kind of design is made from."""


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
            one at a time.
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

    def treatments(self, model: Model, seed: int) -> list[Treatment]:
        """The distinct treatments of *model*, the base first as the empty one.

        Raises:
            UsageError: a name is unknown, or a hyperparameter has no range.
        """
        check_named(model, self.ranges)
        base = self.kind in ("defaults", "one_at_a_time") if self.default is None else self.default
        found: list[Treatment] = [{}] if base or self.kind == "defaults" else []
        if self.kind == "one_at_a_time":
            found += self._one_at_a_time(model, seed)
        elif self.kind == "joint":
            found += self._joint(model, seed)
        elif self.kind in ("factorial", "orthogonal"):
            found += self._crossed(model)
        elif self.kind == "latin_hypercube":
            found += self._hypercube(model, seed)
        elif self.kind == "explicit":
            found += self._explicit(model)
        return found

    def passed(self, model: Model) -> dict[str, Value]:
        """The base by the model's own names: a role such as ``epochs`` names a hyperparameter too."""
        named = [(known(model, name), value) for name, value in self.base.items()]
        return {h.name: exact(h, value) for h, value in named}

    def _chosen(self, model: Model) -> list[Hyperparameter]:
        if self.names == ("all",):
            return [h for h in model.hyperparameters.values() if h.ranges]
        if self.names is not None:
            return [known(model, name) for name in self.names]
        if self.values:
            return [known(model, name) for name in self.values]
        own = own_ranges(model, self.ranges)
        every = model.hyperparameters.values()
        return [h for h in every if (h.ranges or h.name in own) and h.role != "seed"]

    def _start(self, model: Model, hyperparameter: Hyperparameter) -> Value:
        return self.passed(model).get(hyperparameter.name, hyperparameter.default)

    def _levels(self, model: Model, hyperparameter: Hyperparameter) -> list[Value]:
        """The fixed levels of one hyperparameter, as given or even over its range."""
        given = {known(model, name).name: values for name, values in self.values.items()}
        if hyperparameter.name in given:
            return list(dict.fromkeys(exact(hyperparameter, v) for v in given[hyperparameter.name]))
        return even(model, hyperparameter, self.ranges, self.levels or 2)

    def _one_at_a_time(self, model: Model, seed: int) -> list[Treatment]:
        chosen = self._chosen(model)
        return [{h.name: value} for h in chosen for value in self._values(model, h, seed)]

    def _values(self, model: Model, h: Hyperparameter, seed: int) -> list[Value]:
        """Distinct values other than the base's, in the order made."""
        start = self._start(model, h)
        if self.levels is not None or self.values:
            return [value for value in self._levels(model, h) if value != start]
        seeds = (f"{seed}:{model.path}:{h.name}:{number}" for number in range(DRAWS))
        drawn = (draw(model, h, self.ranges, one) for one in seeds)
        return _first(self.n or 1, (value for value in drawn if value != start))

    def _joint(self, model: Model, seed: int) -> list[Treatment]:
        """All chosen hyperparameters drawn together, each draw distinct and not the base."""
        chosen = self._chosen(model)
        base = {h.name: self._start(model, h) for h in chosen}
        drawn = (
            {h.name: draw(model, h, self.ranges, f"{seed}:{model.path}:joint:{h.name}:{n}") for h in chosen}
            for n in range(DRAWS)
        )
        return _first(self.n or 1, (treatment for treatment in drawn if treatment != base))

    def _crossed(self, model: Model) -> list[Treatment]:
        """A full factorial or an orthogonal array over fixed levels."""
        from energy_plugin.declare import arrays

        chosen = self._chosen(model)
        levels = [self._levels(model, h) for h in chosen]
        counts = [len(values) for values in levels]
        if self.kind == "factorial":
            rows = arrays.factorial(counts)
        elif len(set(counts)) > 1:
            said = ", ".join(f"{h.name} {count}" for h, count in zip(chosen, counts, strict=True))
            raise UsageError(f"{model.path}: an orthogonal array needs as many levels of each: {said}")
        else:
            rows = arrays.orthogonal(len(chosen), counts[0]) if counts else []
        return [{h.name: v[i] for h, v, i in zip(chosen, levels, row, strict=True)} for row in rows]

    def _hypercube(self, model: Model, seed: int) -> list[Treatment]:
        """Latin hypercube over the ranges; whole numbers may bring fewer distinct points than asked."""
        from energy_plugin.declare import arrays

        chosen = self._chosen(model)
        base = {h.name: self._start(model, h) for h in chosen}
        named = ",".join(h.name for h in chosen)
        points = arrays.latin_hypercube(
            self.n or 1, len(chosen), zlib.crc32(f"{seed}:{model.path}:{named}".encode())
        )
        made = (
            {h.name: placed(model, h, self.ranges, x) for h, x in zip(chosen, point, strict=True)}
            for point in points
        )
        return _first(len(points), (treatment for treatment in made if treatment != base))

    def _explicit(self, model: Model) -> list[Treatment]:
        made = []
        for run in self.runs:
            named = [(known(model, name), value) for name, value in run.items()]
            made.append({h.name: exact(h, value) for h, value in named})
        return _first(len(made), made)


def _first(n: int, made: Iterable[T]) -> list[T]:
    """The first *n* distinct ones."""
    found: dict[object, T] = {}
    for one in made:
        if len(found) == n:
            break
        found.setdefault(tuple(sorted(one.items())) if isinstance(one, dict) else one, one)
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


def checked(design: Design) -> Design:
    """The design itself, if it can mean something.

    Raises:
        UsageError: names the key, its value and the mend.
    """
    given = [name for name in ("levels", "n", "values", "runs") if getattr(design, name)]
    taken = TAKES[design.kind]
    for name in given:
        if name not in taken:
            told = f"takes {' or '.join(taken)}" if taken else "varies nothing: leave it away"
            raise UsageError(f"{name} = {getattr(design, name)!r}: a design of kind {design.kind} {told}")
    if design.levels is not None and design.n is not None:
        raise UsageError("a design takes levels or n, not both")
    for name, least in (("levels", 1), ("n", 1), ("base_replicates", 0)):
        number = getattr(design, name)
        if number is not None and (type(number) is not int or number < least):
            raise UsageError(f"{name} = {number!r}: must be a whole number of at least {least}")
    if design.kind == "defaults" and design.names:
        raise UsageError("a design of defaults varies nothing: leave names, levels and n away")
    if not all(isinstance(name, str) for name in design.names or ()):
        raise UsageError(f"names = {design.names!r}: must be names of hyperparameters")
    if design.kind == "explicit" and not design.runs:
        raise UsageError("runs = []: an explicit design needs at least one table of values")
    _check_numbers(design)
    return design


def _check_numbers(design: Design) -> None:
    for where, table in (("base", design.base), *((f"runs[{i}]", r) for i, r in enumerate(design.runs, 1))):
        if not isinstance(table, Mapping):
            raise UsageError(f"{where} = {table!r}: must be values by name")
        for name, value in table.items():
            if not is_number(value):
                raise UsageError(f"{where}.{name} = {value!r}: must be a number")
    if not isinstance(design.values, Mapping):
        raise UsageError(f"values = {design.values!r}: must be lists of values by name")
    for name, values in design.values.items():
        if not isinstance(values, Sequence) or not values or not all(map(is_number, values)):
            raise UsageError(f"values.{name} = {values!r}: must be a list of numbers")
    if isinstance(design.ranges, str):
        return
    if not isinstance(design.ranges, Mapping):
        raise UsageError(f"ranges = {design.ranges!r}: must be the name of a range, or [low, high] by name")
    for name, bounds in design.ranges.items():
        pair = isinstance(bounds, Sequence) and len(bounds) == 2 and all(map(is_number, bounds))
        if not pair or not bounds[0] < bounds[1]:
            raise UsageError(f"ranges.{name} = {bounds!r}: must be [low, high] with low < high")


def is_number(value: object) -> bool:
    """Whether a value given by hand is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
