"""The fixture ``joules``: any test measures its own code, in the pytest session's results."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import pytest

from energy_plugin.clock import SystemClock
from energy_plugin.errors import EnergyError, ResultsError
from energy_plugin.lane import Lane
from energy_plugin.plugin import EXIT_RESULTS
from energy_plugin.record.rows import rows
from energy_plugin.run.code import CodeCases, CodeSession, sorted_values
from energy_plugin.run.executors.body import BodyExecutor
from energy_plugin.section import Section
from energy_plugin.terminal import PROPERTY, sections_header, status_word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from energy_plugin.record.record import Record
    from energy_plugin.run.session import Session
    from energy_plugin.state import State

P = ParamSpec("P")


class Joules:
    """Measures sections of one test.

    ``with joules("step") as m:`` gives a :class:`~energy_plugin.section.Section`; its record is in the
    session's folder as ``code/<test>.<step>``. Numbers that the test is parametrized with are its
    hyperparameters; other parameters stand in its name.

    Args:
        request: of the test.
        find_lane: the session to measure in; begun at the first section.
        told: called with each section at its end.
    """

    def __init__(
        self, request: pytest.FixtureRequest, find_lane: Callable[[], Lane], told: Callable[[Section], None]
    ) -> None:
        node: Any = request.node
        parameters = dict(node.callspec.params) if hasattr(node, "callspec") else {}
        self._values, labels = sorted_values(parameters)
        words = list(labels.values())
        if not all(isinstance(parameters[name], str) for name in labels):
            words = [node.callspec.id]  # as pytest calls objects
        self._name = "-".join([getattr(node, "originalname", None) or node.name, *words])
        self._facts = {"file": str(node.path), "test": node.nodeid, "cwd": str(Path.cwd())}
        self._find_lane = find_lane
        self._told = told

    def __call__(self, step: str = "", *, values: Mapping[str, object] | None = None) -> Section:
        """A section of this test.

        Args:
            step: tells several sections of one test apart.
            values: hyperparameters in place of the test's own parameters.
        """
        name = f"{self._name}.{step}" if step else self._name
        given = self._values if values is None else values
        return Section(name, given, self._find_lane, facts=self._facts, told=self._told)

    def measure(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Section:
        """Call *function* once within a section; what it returned is the section's ``result``."""
        with self() as section:
            section.result = function(*args, **kwargs)
        return section


def joules_of(request: pytest.FixtureRequest, state: State) -> Joules:
    """The fixture's value for one test; the session begins with its first section."""
    found: list[Record] = []

    def told(section: Section) -> None:
        if section.record is not None:
            found.append(section.record)
            _note(found, request, state)

    return Joules(request, lambda: _lane(state), told)


def _lane(state: State) -> Lane:
    if state.lane is None:
        try:
            session = state.session or _begin(state)
        except ResultsError as error:
            pytest.exit(str(error), returncode=EXIT_RESULTS)
        except EnergyError as error:
            pytest.fail(str(error), pytrace=False)
        state.lane = Lane(CodeCases(session, rest=False), "joules")
    return state.lane


def _begin(state: State) -> Session:
    """A session of this invocation, where no case made one."""
    session = CodeSession(
        options=state.options,
        executor=BodyExecutor({}),
        meters=state.meters(),
        clock=SystemClock(),
        argv=["pytest", *sys.argv[1:]],
    )
    state.enter(session, only_sections=True)
    capture = state.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        for line in sections_header(session):
            state.write(line)
    return session


def _note(found: Sequence[Record], request: pytest.FixtureRequest, state: State) -> None:
    """Joules beside PASSED, the hook, and pytest-benchmark where that is loaded."""
    record = found[-1]
    request.node.user_properties.append((PROPERTY, "; ".join(map(status_word, found))))
    state.config.hook.pytest_energy_case_done(config=state.config, record=record)
    if not record.success or not state.config.pluginmanager.hasplugin("benchmark"):
        return
    if "benchmark" in request.fixturenames:  # the test's own: its seconds stay what they are
        name = record.case.programs[0].model
        row = {
            f"{name}.{column}": value for column, value in rows(record)[0].items() if value not in (None, "")
        }
        request.getfixturevalue("benchmark").extra_info.update(row)
    elif len(found) == 1:
        state.carry(record, request)
