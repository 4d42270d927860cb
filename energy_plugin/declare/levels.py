"""Values of one hyperparameter: its range under a design, levels of it, seeded draws from it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from energy_plugin.declare.catalog import Range
from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from energy_plugin.declare.case import Value
    from energy_plugin.declare.catalog import Hyperparameter, Model

Ranges = str | Mapping[str, Sequence[float]]
"""Name of an alternative range of the catalogue, or own ``[low, high]`` by name."""
T = TypeVar("T")


def known(model: Model, name: str) -> Hyperparameter:
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


def by_own_name(model: Model, where: str, given: Mapping[str, T]) -> dict[str, T]:
    """What was given by name or role, by the model's own names.

    Raises:
        UsageError: a name is unknown, or two of them mean one hyperparameter.
    """
    found: dict[str, T] = {}
    for name, value in given.items():
        own = known(model, name).name
        if own in found:
            raise UsageError(
                f"{where}.{name} = {value!r}: {model.path} calls that {own}, which {where} has already; "
                "leave one of them out"
            )
        found[own] = value
    return found


def exact(hyperparameter: Hyperparameter, value: Value) -> Value:
    """A value given by hand, as the program's own type.

    Raises:
        UsageError: a whole number is needed and this is none, or the program would refuse it.
    """
    if hyperparameter.type == "int" and float(value) != int(value):
        raise UsageError(f"{hyperparameter.name} = {value!r}: must be a whole number")
    if hyperparameter.minimum is not None and float(value) < hyperparameter.minimum:
        raise UsageError(f"{hyperparameter.name} = {value!r}: must be at least {hyperparameter.minimum:g}")
    return hyperparameter.cast(float(value))


def at(span: Range, share: float) -> float:
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
    return min(max(float(f"{value:.4g}"), span.low), span.high)


def range_of(model: Model, hyperparameter: Hyperparameter, ranges: Ranges) -> Range:
    """Where values come from: own bounds, the named alternative, or the catalogue's own range.

    Raises:
        UsageError: there is no range, or own bounds are impossible.
    """
    own = own_ranges(model, ranges)
    if hyperparameter.name in own:
        low, high = map(float, own[hyperparameter.name])
        given = hyperparameter.ranges.get("default")
        kind = given.distribution if given else "uniform"
        least = hyperparameter.minimum
        if least is not None and (math.ceil(low) if hyperparameter.type == "int" else low) < least:
            raise UsageError(
                f"ranges.{hyperparameter.name} = [{low:g}, {high:g}]: {model.path} takes {least:g} at least"
            )
        if kind == "log-uniform" and low <= 0:
            raise UsageError(f"ranges.{hyperparameter.name} = [{low:g}, {high:g}]: log-uniform needs low > 0")
        return Range(low=low, high=high, distribution=kind)
    name = ranges if isinstance(ranges, str) else "default"
    if name not in hyperparameter.ranges:
        # A named alternative need not list every hyperparameter: the others keep their own.
        name = "default"
    if name not in hyperparameter.ranges:
        raise UsageError(
            f"{model.path}: {hyperparameter.name} has no range in the catalogue; give ranges={{...}}"
        )
    return hyperparameter.ranges[name]


def own_ranges(model: Model, ranges: Ranges) -> dict[str, Sequence[float]]:
    """Bounds given in the design itself, by the model's own names."""
    return by_own_name(model, "ranges", ranges if isinstance(ranges, Mapping) else {})


def check_named(model: Model, ranges: Ranges) -> None:
    """Refuse the name of a range that no hyperparameter of the model has.

    Raises:
        UnknownNameError: with the nearest name that exists.
    """
    if isinstance(ranges, str) and ranges != "default":
        named = {name for h in model.hyperparameters.values() for name in h.ranges}
        if ranges not in named:
            raise UnknownNameError(f"range of {model.path}", ranges, named)


def even(model: Model, hyperparameter: Hyperparameter, ranges: Ranges, levels: int) -> list[Value]:
    """Distinct values at even steps of the range (of its logarithm for log-uniform), low to high."""
    span = range_of(model, hyperparameter, ranges)
    steps = [index / (levels - 1) if levels > 1 else 0.5 for index in range(levels)]
    values = [hyperparameter.cast(at(span, step)) for step in steps]
    if hyperparameter.type == "int":
        low, high = whole_ends(model, hyperparameter, span)
        values = [min(max(int(value), low), high) for value in values]
    return list(dict.fromkeys(values))


def whole_ends(model: Model, hyperparameter: Hyperparameter, span: Range) -> tuple[int, int]:
    """The smallest and the largest whole number of a range.

    Raises:
        UsageError: there is none in it.
    """
    low, high = math.ceil(span.low), math.floor(span.high)
    if low > high:
        raise UsageError(
            f"{model.path}: no whole number of {hyperparameter.name} is in [{span.low:g}, {span.high:g}]; "
            "give it a wider range"
        )
    return low, high


def draw(model: Model, hyperparameter: Hyperparameter, ranges: Ranges, seed: str) -> Value:
    """One seeded value of the range; the ends of whole numbers are no rarer than what is between them."""
    return placed(model, hyperparameter, ranges, random.Random(seed).random())


def placed(model: Model, hyperparameter: Hyperparameter, ranges: Ranges, share: float) -> Value:
    """The value at *share* (0 to below 1) of the range, as a draw would take it."""
    span = range_of(model, hyperparameter, ranges)
    if hyperparameter.type != "int":
        return hyperparameter.cast(at(span, share))
    low, high = whole_ends(model, hyperparameter, span)
    if span.distribution == "uniform":
        return low + min(int(share * (high - low + 1)), high - low)
    # Each whole number has the logarithm's share of the half steps around it, the ends too.
    first, last = math.log(low - 0.5), math.log(high + 0.5)
    return min(max(round(math.exp(first + share * (last - first))), low), high)
