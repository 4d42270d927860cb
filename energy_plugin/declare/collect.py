"""Declarations become cases: models by treatments by replicates, alone, in pairs or under load."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.case import Case, Loop, Program, Role
from energy_plugin.declare.design import Design, defaults, is_number
from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from energy_plugin.declare.case import Value
    from energy_plugin.declare.catalog import Catalog, Model

MARK = "energy_experiments"
ENDLESS_EPOCHS = 1_000_000
"""What an endless background program is told: more than it can reach while a training lasts."""
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
        pairs=pairs if pairs is None or isinstance(pairs, Sampling) else tuple((a, b) for a, b in pairs),
        background=background,
        alone=alone,
        replicates=replicates,
        limit=limit,
        name=name,
    )
    mark: pytest.MarkDecorator = getattr(pytest.mark, MARK)
    return mark(declared)


def expand(declaration: Declaration | Recorded, catalog: Catalog, given: Defaults) -> list[Case]:
    """All distinct cases of a declaration: models by treatments by replicates.

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
    made = _Maker(
        catalog=catalog,
        design=design,
        seed=given.seed if declaration.seed is None else declaration.seed,
        limit=declaration.limit if given.limit is None else given.limit,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Programs from a design; every combination of programs comes once."""

    catalog: Catalog
    design: Design
    seed: int
    limit: int | None

    def models(
        self, select: tuple[str, ...], background: Background | None, *, alone: bool
    ) -> Iterator[tuple[Program, ...]]:
        load = self._load(background) if background else None
        for model in self.catalog.select(select):
            for treatment in self.design.treatments(model, self.seed):
                program = _program(model, self.design.passed(model), treatment, self.limit)
                if load is None or alone:
                    yield (program,)
                if load is not None:
                    yield program, load

    def _load(self, background: Background) -> Program:
        model = self.catalog.model(background.model)
        values = _passed(model, background.values)
        epochs = model.by_role("epochs")
        if background.loop == "endless":
            if epochs is None:
                raise UsageError(
                    f"{model.path}: it has no epochs, so it cannot be endless; take loop = 'restart'"
                )
            values[epochs.name] = ENDLESS_EPOCHS
        limit = background.limit if self.limit is None else self.limit
        loop: Loop = "endless" if background.loop == "endless" else "restart"
        return _program(model, values, {}, limit, role="load", loop=loop)

    def pairs(
        self,
        given: tuple[tuple[str, str], ...] | Sampling,
        base_a: Mapping[str, Value] | None,
        *,
        alone: bool,
    ) -> Iterator[tuple[Program, ...]]:
        """The default of a with each treatment of b, and every program of these alone."""
        seen: set[tuple[object, ...]] = set()
        for first, second in self._chosen(given):
            own = self._known(first, second) if base_a is None else _passed(first, base_a)
            a = _program(first, own, {}, self.limit)
            base = self._known(second, first) if base_a is None else self.design.passed(second)
            for treatment in self.design.treatments(second, self.seed):
                b = _program(second, base, treatment, self.limit)
                runs = [(a, b.as_role("b"))] + [(a,), (b,)] * alone
                for programs in runs:
                    identity = Case(programs=programs).identity
                    if identity not in seen:
                        seen.add(identity)
                        yield programs

    def _chosen(self, given: tuple[tuple[str, str], ...] | Sampling) -> list[tuple[Model, Model]]:
        if not isinstance(given, Sampling):
            return [(self.catalog.model(a), self.catalog.model(b)) for a, b in given]
        from energy_plugin.declare.pairs import feasible, sample

        out = self.catalog.select(given.without) if given.without else []
        models = [model for model in self.catalog.select(given.models) if model not in out]
        possible = feasible(models, given.budget_gib * 1024, given.figures)
        if not possible:
            raise UsageError(f"no pair of {len(models)} models fits into {given.budget_gib:g} GiB")
        return [(pair.a, pair.b) for pair in sample(possible, given.sample, given.n, given.seed)]

    def _known(self, model: Model, other: Model) -> dict[str, Value]:
        """The base's values that this model of a pair knows; one that neither knows is an error."""
        base = self.design.base
        mine = {n: v for n, v in base.items() if n in model.hyperparameters or model.by_role(n)}
        theirs = {n for n in base if n in other.hyperparameters or other.by_role(n)}
        for name in base:
            if name not in mine and name not in theirs:
                return self.design.passed(model)  # raises, with the nearest name
        return _passed(model, mine)


def _passed(model: Model, values: Mapping[str, Value]) -> dict[str, Value]:
    """Values by the model's own names."""
    return Design(kind="defaults", base=values).passed(model)


def _program(
    model: Model,
    base: Mapping[str, Any],
    treatment: Mapping[str, Any],
    limit: int | None,
    role: Role = "a",
    loop: Loop = "",
) -> Program:
    changed = {name: model.hyperparameters[name].cast(value) for name, value in {**base, **treatment}.items()}
    values = {**model.defaults(), **changed}
    return Program(
        role=role,
        repository=model.repository,
        model=model.name,
        values=values,
        passed=frozenset(values if model.original else changed),  # an original's defaults may be others
        varied=tuple(treatment),
        limit=limit,
        loop=loop,
    )
