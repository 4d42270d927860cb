"""Designs that can mean nothing, or that say what nothing would do: refused before a model is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from energy_plugin.errors import UsageError

if TYPE_CHECKING:
    from energy_plugin.declare.design import Design

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
FIXED = {
    "defaults": "varies nothing",
    "explicit": "has its values in runs",
}
"""Kinds that choose nothing, so that names and ranges would be without effect."""


def checked(design: Design) -> Design:
    """The design itself, if it can mean something.

    Raises:
        UsageError: names the key, its value and the mend.
    """
    _check_taken(design)
    for name, least in (("levels", 1), ("n", 1), ("base_replicates", 0)):
        number = getattr(design, name)
        if number is not None and (type(number) is not int or number < least):
            raise UsageError(f"{name} = {number!r}: must be a whole number of at least {least}")
    if not all(isinstance(name, str) for name in design.names or ()):
        raise UsageError(f"names = {design.names!r}: must be names of hyperparameters")
    if design.names is not None and not design.names:
        raise UsageError("names = []: name hyperparameters, or leave it away for all that have a range")
    _check_base(design)
    _check_runs(design)
    _check_numbers(design)
    _check_ranges(design)
    return design


def _check_taken(design: Design) -> None:
    taken = TAKES[design.kind]
    for name in ("levels", "n", "values", "runs"):
        if getattr(design, name) and name not in taken:
            told = f"takes {' or '.join(taken)}" if taken else "varies nothing: leave it away"
            raise UsageError(f"{name} = {getattr(design, name)!r}: a design of kind {design.kind} {told}")
    if design.levels is not None and design.n is not None:
        raise UsageError("a design takes levels or n, not both")
    if design.kind in FIXED:
        for name, without in (("names", None), ("ranges", "default")):
            if (value := getattr(design, name)) != without:
                raise UsageError(
                    f"{name} = {value!r}: a design of kind {design.kind} {FIXED[design.kind]}: leave it away"
                )


def _check_base(design: Design) -> None:
    if design.default is False and design.kind == "defaults":
        raise UsageError("default = False: a design of kind defaults is the base alone; leave it away")
    if design.default is False and design.base_replicates:
        raise UsageError(
            f"base_replicates = {design.base_replicates}: with default = false the base is not run at all; "
            "leave one of them away"
        )


def _check_runs(design: Design) -> None:
    runs: object = design.runs
    if not isinstance(runs, Sequence) or isinstance(runs, str):
        raise UsageError(f"runs = {runs!r}: must be a list of tables of values by name")
    if design.kind == "explicit" and not design.runs:
        raise UsageError("runs = []: an explicit design needs at least one table of values")


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


def _check_ranges(design: Design) -> None:
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
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False
