"""Which cases an invocation has: declared, each once, ordered, less those that ran before."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.case import Case
from energy_plugin.errors import EnergyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from energy_plugin.declare.catalog import Catalog
    from energy_plugin.options import Options

MARK = "energy_experiments"
WISHES = {"governor": "governor", "retries": "max_retries"}
"""Options that a settings file may set where command line and ini are silent, and its words for them."""
SHOWN = 10
"""Lines about ranges with too few values; a pattern over many models may give one for each."""


class Selection:
    """Options, catalogue and the cases that declarations expand to.

    Attributes:
        options: those of the invocation; a settings file may add to them while tests are collected.
        refusals: what is wrong with declarations; raised as a usage error after collection.
        planned: how many cases there were before those that ran earlier were left out.
    """

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.refusals: list[str] = []
        self.planned = 0
        self._shared = 0
        self._before: Counter[str] = Counter()
        self._passed_over: Counter[tuple[str, str]] = Counter()
        self._catalog: Catalog | None = None
        self._marks: dict[tuple[str, str, str], Any] = {}
        self._wished: dict[str, tuple[Any, Path]] = {}
        self._short: dict[str, None] = {}

    @property
    def catalog(self) -> Catalog:
        """Read once, when the first case is declared."""
        if self._catalog is None:
            from energy_plugin.declare.catalog import load_catalog

            self._catalog = load_catalog(self.options.images)
            if self.options.checkout:
                from energy_plugin.run.checkout import with_checkouts

                self._catalog = with_checkouts(self._catalog, self.options.checkout, self.options.results)
        return self._catalog

    # --- what settings files ask for ---

    def wish(self, file: Path, wishes: Mapping[str, Any], earlier: Sequence[Path]) -> None:
        """Options of the session that a settings file sets; command line and ini win.

        Args:
            file: the settings file.
            wishes: by option name, see :data:`WISHES`.
            earlier: tables whose runs are not repeated; they join ``--energy-earlier``.

        Raises:
            UsageError: two files wish for different things.
        """
        for name, value in wishes.items():
            said, other = self._wished.setdefault(name, (value, file))
            if said != value:
                raise UsageError(
                    f"{file}: {WISHES[name]} = {value!r}, but {other} says {said!r}: one session has one of "
                    f"them; run the files one after the other, or give --energy-{name}"
                )
            if name not in self.options.said:
                given = {**self.options.given, name: str(value)}
                self.options = replace(self.options, **{name: value}, given=given)
        joined = dict.fromkeys([*self.options.earlier, *(path.resolve() for path in earlier)])
        self.options = replace(self.options, earlier=tuple(joined))

    # --- cases ---

    def parametrize(self, metafunc: pytest.Metafunc, marks: Sequence[pytest.Mark]) -> None:
        """One parameter ``case`` for every case the marks declare."""
        from energy_plugin.declare.collect import Defaults, expand

        if "case" not in metafunc.fixturenames:
            raise UsageError(f"{metafunc.definition.nodeid}: a test with @experiments takes case and measure")
        given = Defaults(
            seed=self.options.seed,
            limit=self.options.limit,
            mutate=self.options.mutate,
            runs=self.options.runs,
            power_limits_w=self.options.power_limit,
        )
        told = self._short.setdefault
        cases = [c for mark in marks for c in expand(mark.args[0], self.catalog, given, told)]
        found: dict[str, Case] = {}
        for case in cases:
            # One id, two cases: designs that differ in what they pass unvaried, or in the row limit.
            found[case.id if found.get(case.id, case) == case else case.full_id] = case
        parameters = [pytest.param(c, id=name, marks=self._mark(c)) for name, c in found.items()]
        metafunc.parametrize("case", parameters)

    def _mark(self, case: Case) -> Any:
        """One shared mark for each model and mode: building 10,000 costs seconds."""
        program = case.programs[0]
        key = (program.repository, program.model, case.mode)
        if key not in self._marks:
            self._marks[key] = pytest.mark.energy(repository=key[0], model=key[1], mode=key[2])
        return self._marks[key]

    def arrange(self, items: list[pytest.Item]) -> None:
        """Leave out what runs twice or ran before, and put the rest into block order.

        Other tests stay where they are.

        Raises:
            UsageError: a declaration is wrong, or an earlier table cannot be read.
        """
        if self.refusals:
            # Not raised where it was found: pytest would print it as a collection traceback.
            raise pytest.UsageError(*self.refusals)
        self._drop_empty(items)
        self._share(items)
        try:
            self._leave_out(items)
        except EnergyError as error:
            raise pytest.UsageError(str(error)) from None
        self._order(items)

    def _drop_empty(self, items: list[pytest.Item]) -> None:
        """Deselect the placeholder of a declaration without cases (from_options() without options)."""
        self.deselect(items, [item for item in items if not case_of(item) and item.get_closest_marker(MARK)])

    def _share(self, items: list[pytest.Item]) -> None:
        """Keep the first of several tests of one case: its run counts for every block that declares it.

        A test with further parameters is its own: it was asked for beside the case.
        """
        seen: set[tuple[object, ...]] = set()
        again = []
        for item in items:
            if (case := case_of(item)) and len(_parameters(item)) == 1:
                again += [item] if case.identity in seen else []
                seen.add(case.identity)
        self._shared = len(again)
        self.deselect(items, again)

    def deselect(self, items: list[pytest.Item], out: Sequence[pytest.Item]) -> None:
        """Take items out of the run, and let pytest count them."""
        if out:
            dropped = set(map(id, out))
            items[:] = [item for item in items if id(item) not in dropped]
            self.config.hook.pytest_deselected(items=list(out))

    def _leave_out(self, items: list[pytest.Item]) -> None:
        pairs = [(item, case) for item in items if (case := case_of(item))]
        self.planned = len(pairs)
        if not self.options.earlier or not pairs:
            return
        from energy_plugin.run.earlier import EarlierRuns

        earlier = EarlierRuns(self.catalog)
        for path in self.options.earlier:
            earlier.read(path)
        places = earlier.places([case for _, case in pairs])
        self._before, self._passed_over = Counter(filter(None, places)), earlier.passed_over
        self.deselect(items, [item for (item, _), place in zip(pairs, places, strict=True) if place])

    def _order(self, items: list[pytest.Item]) -> None:
        """Only the places that cases hold are exchanged."""
        places = [index for index, item in enumerate(items) if case_of(item)]
        if not places or self.options.order == "declared":
            return
        from energy_plugin.declare.order import blocks

        mine = [items[index] for index in places]
        cases = [case for item in mine if (case := case_of(item))]
        for place, index in zip(places, blocks(cases, self.options.seed), strict=True):
            items[place] = mine[index]

    def lines(self) -> Iterator[str]:
        """For header and plan: what was asked for and is not there, how many cases are left out, for what."""
        yield from list(self._short)[:SHOWN]
        if len(self._short) > SHOWN:
            yield f"and {len(self._short) - SHOWN} more that ask for more than there is"
        if self._shared:
            yield f"{self._shared} cases are declared more than once: each runs once"
        for place, count in sorted(self._before.items()):
            yield f"{count} of {self.planned} cases were run before in {place}: left out"
        if self.options.earlier and self.planned and not self._before:
            yield f"none of {self.planned} cases was run before in what --energy-earlier names"
        for (place, why), count in sorted(self._passed_over.items()):
            yield f"{count} runs in {place} do not count: {why}"


def case_of(item: pytest.Item) -> Case | None:
    """The case an item runs, None for other tests."""
    case = _parameters(item).get("case")
    return case if isinstance(case, Case) else None


def _parameters(item: pytest.Item) -> Mapping[str, object]:
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}
