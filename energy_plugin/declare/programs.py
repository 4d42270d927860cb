"""Which programs run together: models by treatments, alone, in pairs or under a load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_plugin.declare.case import Case, Loop, Program, Role
from energy_plugin.declare.design import Design, Tell
from energy_plugin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from energy_plugin.declare.case import Value
    from energy_plugin.declare.catalog import Catalog, Model
    from energy_plugin.declare.collect import Background, Sampling

ENDLESS_EPOCHS = 1_000_000
"""What an endless background program is told: more than it can reach while a training lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Programs from a design; every combination of programs comes once.

    Attributes:
        seed: of drawn values.
        limit: rows of training data, None for all.
        tell: is told what was asked for and cannot be had.
        by_options: the command line names what is changed, whatever models a test declares.
    """

    catalog: Catalog
    design: Design
    seed: int
    limit: int | None
    tell: Tell
    by_options: bool

    def models(
        self, select: tuple[str, ...], background: Background | None, *, alone: bool
    ) -> Iterator[tuple[Program, ...]]:
        """Each treatment of each model: alone, under the background, or both."""
        load = self._load(background) if background else None
        for model in self._asked(self.catalog.select(select)):
            for treatment in self.design.treatments(model, self.seed, self.tell):
                program = _program(model, self.design.passed(model), treatment, self.limit)
                if load is None or alone:
                    yield (program,)
                if load is not None:
                    yield program, load

    def _asked(self, models: Sequence[Model]) -> Sequence[Model]:
        """Of many models those that have what the command line names; all of them where none has it."""
        if not self.by_options or self.design.names in (None, ("all",)):
            return models
        names = self.design.names or ()
        have = [m for m in models if all(n in m.hyperparameters or m.by_role(n) for n in names)]
        if have and len(have) < len(models):
            others = [model.path for model in models if model not in have]
            self.tell(f"--energy-mutate {','.join(names)}: not of {', '.join(others)}: left out")
        return have or models

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
            for treatment in self.design.treatments(second, self.seed, self.tell):
                b = _program(second, base, treatment, self.limit)
                runs = [(a, b.as_role("b"))] + [(a,), (b,)] * alone
                for programs in runs:
                    identity = Case(programs=programs).identity
                    if identity not in seen:
                        seen.add(identity)
                        yield programs

    def _chosen(self, given: tuple[tuple[str, str], ...] | Sampling) -> list[tuple[Model, Model]]:
        if isinstance(given, tuple):
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
