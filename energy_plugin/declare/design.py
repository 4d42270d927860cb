"""Designs: which treatments (changed hyperparameter values) a model gets.

Drawn values are seeded by model, hyperparameter and draw, so adding a model or a hyperparameter
never changes another's values.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from energy_plugin.declare.catalog import Range
from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from energy_plugin.declare.case import Value
    from energy_plugin.declare.catalog import Hyperparameter, Model

Kind = Literal["defaults", "one_at_a_time", "joint", "options"]
Treatment = dict[str, "Value"]
DRAWS = 1000
"""Attempts at a value that is new; a range with fewer distinct values ends earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How treatments of a model are made.

    Attributes:
        names: hyperparameters to change; None is every one with a range but the seed, which is a
            replicate rather than a treatment; ``("all",)`` takes the seed too.
        levels: so many values at even steps of the range (even in the logarithm for log-uniform).
        n: so many seeded draws.
        ranges: name of an alternative range of the catalogue, or own ``[low, high]`` by name.
        base: values passed in every case of this design, varied or not.
        default: also run the base itself.
    """

    kind: Kind
    names: tuple[str, ...] | None = None
    levels: int | None = None
    n: int | None = None
    ranges: str | Mapping[str, Sequence[float]] = "default"
    base: Mapping[str, Value] = field(default_factory=dict)
    default: bool = True

    def treatments(self, model: Model, seed: int) -> list[Treatment]:
        """The distinct treatments of *model*, the base first as the empty one.

        Raises:
            UsageError: a name is unknown, or a hyperparameter has no range.
        """
        if isinstance(self.ranges, str) and self.ranges != "default":
            named = {range_ for h in model.hyperparameters.values() for range_ in h.ranges}
            if self.ranges not in named:
                raise UnknownNameError(f"range of {model.path}", self.ranges, named)
        found: list[Treatment] = [{}] if self.default or self.kind == "defaults" else []
        if self.kind == "one_at_a_time":
            for name in self._chosen(model):
                found += [{name: value} for value in self._values(model, name, seed)]
        elif self.kind == "joint":
            found += self._joint(model, seed)
        return found

    def passed(self, model: Model) -> dict[str, Value]:
        """The base by the model's own names: a role such as ``epochs`` names a hyperparameter too."""
        return {_known(model, name).name: value for name, value in self.base.items()}

    def _chosen(self, model: Model) -> list[str]:
        if self.names == ("all",):
            return [name for name, h in model.hyperparameters.items() if h.ranges]
        if self.names is None:
            own = self._own_ranges(model)
            return [
                n for n, h in model.hyperparameters.items() if (h.ranges or n in own) and h.role != "seed"
            ]
        return [_known(model, name).name for name in self.names]

    def _start(self, model: Model, hyperparameter: Hyperparameter) -> Value:
        return self.passed(model).get(hyperparameter.name, hyperparameter.default)

    def _own_ranges(self, model: Model) -> dict[str, Sequence[float]]:
        given = self.ranges if isinstance(self.ranges, Mapping) else {}
        return {_known(model, name).name: bounds for name, bounds in given.items()}

    def _values(self, model: Model, name: str, seed: int) -> list[Value]:
        """Distinct values other than the base's, in the order made."""
        hyperparameter = _known(model, name)
        span = self._range(model, hyperparameter)
        if self.levels is not None:
            steps = [index / (self.levels - 1) if self.levels > 1 else 0.5 for index in range(self.levels)]
            made = [hyperparameter.cast(_at(span, step)) for step in steps]
            start = self._start(model, hyperparameter)
            return [value for value in dict.fromkeys(made) if value != start]
        values: list[Value] = []
        for draw in range(DRAWS):
            if len(values) == (self.n or 1):
                break
            value = self._draw(model, hyperparameter, f"{seed}:{model.path}:{name}:{draw}")
            if value not in values and value != self._start(model, hyperparameter):
                values.append(value)
        return values

    def _draw(self, model: Model, hyperparameter: Hyperparameter, seed: str) -> Value:
        """One seeded value of the range."""
        return hyperparameter.cast(_at(self._range(model, hyperparameter), random.Random(seed).random()))

    def _joint(self, model: Model, seed: int) -> list[Treatment]:
        """All chosen hyperparameters drawn together, each draw distinct and not the base."""
        chosen = [_known(model, name) for name in self._chosen(model)]
        found: list[Treatment] = []
        for draw in range(DRAWS):
            if len(found) == (self.n or 1):
                break
            treatment = {
                h.name: self._draw(model, h, f"{seed}:{model.path}:joint:{h.name}:{draw}") for h in chosen
            }
            if treatment not in found and any(treatment[h.name] != self._start(model, h) for h in chosen):
                found.append(treatment)
        return found

    def _range(self, model: Model, hyperparameter: Hyperparameter) -> Range:
        own = self._own_ranges(model)
        if hyperparameter.name in own:
            low, high = map(float, own[hyperparameter.name])
            given = hyperparameter.ranges.get("default")
            kind = given.distribution if given else "uniform"
            if kind == "log-uniform" and low <= 0:
                raise UsageError(
                    f"ranges.{hyperparameter.name} = [{low:g}, {high:g}]: log-uniform needs low > 0"
                )
            return Range(low=low, high=high, distribution=kind)
        name = self.ranges if isinstance(self.ranges, str) else "default"
        if name not in hyperparameter.ranges:
            # A named alternative need not list every hyperparameter: the others keep their own.
            name = "default"
        if name not in hyperparameter.ranges:
            raise UsageError(
                f"{model.path}: {hyperparameter.name} has no range in the catalogue; give ranges={{...}}"
            )
        return hyperparameter.ranges[name]


def defaults() -> Design:
    """Every model once as its program runs when told nothing."""
    return Design(kind="defaults")


def one_at_a_time(
    *names: str,
    levels: int | None = None,
    n: int | None = None,
    ranges: str | Mapping[str, Sequence[float]] = "default",
    base: Mapping[str, Value] | None = None,
    default: bool = True,
) -> Design:
    """One hyperparameter away from the base at a time: *levels* even steps, or *n* seeded draws."""
    return checked(
        Design(
            kind="one_at_a_time",
            names=names or None,
            levels=levels,
            n=n,
            ranges=ranges,
            base=base or {},
            default=default,
        )
    )


def joint(
    *names: str,
    n: int = 1,
    ranges: str | Mapping[str, Sequence[float]] = "default",
    base: Mapping[str, Value] | None = None,
    default: bool = False,
) -> Design:
    """All chosen hyperparameters drawn together, *n* times."""
    return checked(
        Design(kind="joint", names=names or None, n=n, ranges=ranges, base=base or {}, default=default)
    )


def from_options() -> Design:
    """What ``--energy-mutate`` and ``--energy-runs`` say; no case without them."""
    return Design(kind="options")


def checked(design: Design) -> Design:
    """The design itself, if it can mean something.

    Raises:
        UsageError: names the key, its value and the mend.
    """
    if design.levels is not None and design.n is not None:
        raise UsageError("a design takes levels or n, not both")
    for name, number in (("levels", design.levels), ("n", design.n)):
        if number is not None and (type(number) is not int or number < 1):
            raise UsageError(f"{name} = {number!r}: must be a whole number of at least 1")
    if design.kind == "joint" and design.levels is not None:
        raise UsageError(f"levels = {design.levels}: a joint design takes n")
    if design.kind == "defaults" and (design.names or design.levels or design.n):
        raise UsageError("a design of defaults varies nothing: leave names, levels and n away")
    if not all(isinstance(name, str) for name in design.names or ()):
        raise UsageError(f"names = {design.names!r}: must be names of hyperparameters")
    _check_numbers(design)
    return design


def _check_numbers(design: Design) -> None:
    if not isinstance(design.base, Mapping):
        raise UsageError(f"base = {design.base!r}: must be values by name")
    for name, value in design.base.items():
        if not _is_number(value):
            raise UsageError(f"base.{name} = {value!r}: must be a number")
    if isinstance(design.ranges, str):
        return
    if not isinstance(design.ranges, Mapping):
        raise UsageError(f"ranges = {design.ranges!r}: must be the name of a range, or [low, high] by name")
    for name, bounds in design.ranges.items():
        pair = isinstance(bounds, Sequence) and len(bounds) == 2 and all(map(_is_number, bounds))
        if not pair or not bounds[0] < bounds[1]:
            raise UsageError(f"ranges.{name} = {bounds!r}: must be [low, high] with low < high")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _known(model: Model, name: str) -> Hyperparameter:
    """The hyperparameter of that name or role."""
    found = model.hyperparameters.get(name) or model.by_role(name)
    if found is None and model.original:
        told = ", ".join(model.hyperparameters) or "nothing"
        raise UsageError(
            f"{model.path}: the original in your checkout cannot be told {name}; it can be told {told}"
        )
    if found is None:
        raise UnknownNameError(f"hyperparameter of {model.path}", name, model.hyperparameters)
    return found


def _at(span: Range, share: float) -> float:
    """The value at *share* (0..1) of the range, even in value or in its logarithm.

    The ends are exact; between them values have four figures, so that an id a person can read is
    also exactly what is run.
    """
    if share in (0.0, 1.0):
        return span.high if share else span.low
    if span.distribution == "log-uniform":
        value = math.exp(math.log(span.low) + share * (math.log(span.high) - math.log(span.low)))
    else:
        value = span.low + share * (span.high - span.low)
    return float(f"{value:.4g}")
