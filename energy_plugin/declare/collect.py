"""Declarations become cases: models by treatments by replicates, alone, in pairs or under load."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from energy_plugin.declare.case import Case
from energy_plugin.declare.design import Design, Tell, defaults
from energy_plugin.declare.impossible import is_number
from energy_plugin.declare.programs import Maker
from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.declare.case import Value
    from energy_plugin.declare.catalog import Catalog

MARK = "energy_experiments"
LOOPS = ("restart", "endless")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Pairs chosen from the catalogue; see :mod:`energy_plugin.declare.pairs`.

    Attributes:
        sample: the method.
        models: patterns of the models to pair; ``without`` takes some out again.
        budget_gib: memory both models of a pair may take together, by the catalogue's ``figures``.
        seed: of the sample; the declaration's own seed varies treatments, not pairs.
    """

    n: int
    sample: str = "recommended"
    models: tuple[str, ...] = ("*",)
    without: tuple[str, ...] = ()
    budget_gib: float = 9.0
    figures: str = "catalogue"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what a slip in a test module would make of it.

        Raises:
            UsageError: names the argument, its value and the mend.
        """
        for name in ("models", "without"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(pattern, str) for pattern in value):
                raise UsageError(f"{name} = {value!r}: must be several names, such as ('examples/*',)")
        if type(self.n) is not int or self.n < 1:
            raise UsageError(f"n = {self.n!r}: must be a whole number of at least 1")
        if not is_number(self.budget_gib) or self.budget_gib <= 0:
            raise UsageError(f"budget_gib = {self.budget_gib!r}: must be a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """A training that runs as load beside the measured one.

    Attributes:
        values: its hyperparameters by name or role; the others at their defaults.
        loop: ``restart``: started again whenever it ends; ``endless``: one program that is told more
            epochs than it can reach.
    """

    model: str
    values: Mapping[str, Value] = field(default_factory=dict)
    loop: str = "restart"
    limit: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot run.

        Raises:
            UsageError: names the key, its value and the mend.
        """
        if not isinstance(self.model, str):
            raise UsageError(f"model = {self.model!r}: must be a text, such as 'examples/mnist'")
        if self.loop not in LOOPS:
            raise UnknownNameError("loop of a background", self.loop, LOOPS)
        if not isinstance(self.values, dict) or not all(map(is_number, self.values.values())):
            raise UsageError(f"values = {self.values!r}: must be numbers by name")
        if self.limit is not None and (type(self.limit) is not int or self.limit < 1):
            raise UsageError(f"limit = {self.limit!r}: must be a whole number of at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What one ``@experiments`` or one ``[[experiments]]`` block asks for.

    Attributes:
        select: models that run alone or under a background.
        pairs: models that run at once, ``(a, b)``: the design varies b, a keeps its defaults.
        background: load beside every run of a selected model.
        base_a: of pairs, the values passed to a; the design's base where it knows them if None.
        alone: with pairs or a background: run each program alone too, for comparison.
    """

    select: tuple[str, ...] = ()
    design: Design
    pairs: tuple[tuple[str, str], ...] | Sampling | None = None
    base_a: Mapping[str, Value] | None = None
    background: Background | None = None
    alone: bool = True
    replicates: int = 1
    limit: int | None = None
    name: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        """Refuse what a slip in a test module would make of it.

        Raises:
            UsageError: names the argument, its value and the mend.
        """
        if not all(isinstance(name, str) for name in self.select):
            raise UsageError(f"models = {self.select!r}: write each as a text, such as 'examples/mnist'")
        if not isinstance(self.design, Design):
            raise UsageError(f"design = {self.design!r}: must be a design, such as joint(n=3)")
        for name, value in (("replicates", self.replicates), ("limit", self.limit)):
            if value is not None and (type(value) is not int or value < 1):
                raise UsageError(f"{name} = {value!r}: must be a whole number of at least 1")
        for pair in self.pairs if isinstance(self.pairs, tuple) else ():
            if isinstance(pair, str) or len(pair) != 2 or not all(isinstance(name, str) for name in pair):
                raise UsageError(f"pairs: {pair!r} must be two models, such as ('mnist', 'siamese')")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Exactly these cases, as an earlier session recorded them."""

    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the options contribute to a declaration."""

    seed: int
    limit: int | None
    mutate: tuple[str, ...]
    runs: int
    power_limits_w: tuple[float, ...] = ()


def experiments(
    *select: str,
    design: Design | None = None,
    pairs: Sequence[tuple[str, str]] | Sampling | None = None,
    background: Background | None = None,
    alone: bool = True,
    replicates: int = 1,
    limit: int | None = None,
    name: str = "",
) -> pytest.MarkDecorator:
    """Declare experiments of the models that match *select*; the test takes ``case`` and ``measure``.

    Args:
        select: ``repository/model``, ``model`` where unique, or patterns such as ``examples/*``.
        design: which treatments; the defaults when absent. Of a pair it varies the second model.
        pairs: run these models at once, in place of *select*.
        background: a load that runs beside every selected model.
        alone: with pairs or a background, run each program alone too, each distinct run once.
        replicates: how often each treatment is run, each time in another block.
        limit: use at most so many rows of training data.
        name: recorded as the design's name.
    """
    if pairs is not None and (select or background):
        raise UsageError("experiments(): give either pairs or models, and a background only with models")
    declared = Declaration(
        select=select if select or pairs is not None else ("*",),
        design=design or defaults(),
        pairs=pairs if pairs is None or isinstance(pairs, Sampling) else tuple(pairs),
        background=background,
        alone=alone,
        replicates=replicates,
        limit=limit,
        name=name,
    )
    mark: pytest.MarkDecorator = getattr(pytest.mark, MARK)
    return mark(declared)


def expand(
    declaration: Declaration | Recorded, catalog: Catalog, given: Defaults, tell: Tell = lambda line: None
) -> list[Case]:
    """All distinct cases of a declaration: models by treatments by replicates.

    Args:
        declaration: what was asked for.
        catalog: of the models.
        given: what the options contribute.
        tell: is told what was asked for and cannot be had, a sentence each.

    Raises:
        UsageError: a model, hyperparameter or range is unknown.
    """
    if isinstance(declaration, Recorded):
        for program in (p for case in declaration.cases for p in case.programs):
            catalog.model(f"{program.repository}/{program.model}")
        return list(declaration.cases)
    design = declaration.design
    if design.kind == "options":
        if not given.mutate:
            return []
        design = Design(kind="joint", names=given.mutate, n=given.runs, default=False)
    made = Maker(
        catalog=catalog,
        design=design,
        seed=given.seed if declaration.seed is None else declaration.seed,
        limit=declaration.limit if given.limit is None else given.limit,
        tell=tell,
        by_options=declaration.design.kind == "options",
    )
    if declaration.pairs is not None:
        runs = made.pairs(declaration.pairs, declaration.base_a, alone=declaration.alone)
    else:
        runs = made.models(declaration.select, declaration.background, alone=declaration.alone)
    name = declaration.name or design.kind
    found = []
    for programs in runs:
        default = not any(program.varied for program in programs)
        times = max(declaration.replicates, design.base_replicates if default else 0)
        found += [
            Case(programs=programs, replicate=number, design=name, power_limit_w=watts)
            for number in range(1, times + 1)
            for watts in given.power_limits_w or (None,)
        ]
    return found
